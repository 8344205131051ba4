"""Find images of an output by their names: what became of them, and where their records are."""

from __future__ import annotations

import bisect
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from prep.errors import PrepError, SourceError, UsageError
from prep.output.index.places import SplitPlaces, places_of
from prep.output.journal import Journal
from prep.output.plan_file import no_plan, require_listed
from prep.output.receipt import ImageNote
from prep.planning.plan import RunPlan
from prep.planning.shards import ShardSpec
from prep.sources import manifest
from prep.storage.arguments import admit
from prep.text import counted, quoted, reason_of

_MOST = 1000  # images that are told of


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundImage:
    """An image of an output.

    Attributes:
        name: relative to the source.
        split: the split that it is in.
        class_name: its class, as people are shown it.
        shard: the name of the file that its record is in, or would be.
        row: the number of its record in the split, from 0, as for :func:`prep.open`; None if it
            has none, or if not all shards of the split are there.
        number: the number of its record in the shard, from 0; None where ``row`` is.
        outcome: ``written``, ``repaired``, ``damaged`` (written although part of it is lost),
            ``refused``, or ``not written yet``.
        reason: why, where it was not simply written; else empty.
    """

    name: str
    split: str
    class_name: str
    shard: str
    row: int | None
    number: int | None
    outcome: str
    reason: str


def find(
    output: str | os.PathLike[str],
    name: str,
    *,
    storage_options: Mapping[str, Any] | None = None,
) -> list[FoundImage]:
    """Find images of an output by the name of their source.

    Args:
        output: an output folder, or its URL.
        name: the path of an image relative to the source; or the end of one, after a slash; or, if
            there is no such image, any part of one, in upper or lower case.
        storage_options: options of its storage; see :class:`prep.Config`.

    Returns:
        The images, split after split, in the order in which they are written.

    Raises:
        SourceError: there is no output there, or no such image in it.
        UsageError: more than a thousand images have such a name.
        PrepError: the plan of the output, or its manifest, can't be read.
    """
    journal = Journal(admit("output", output, storage_options))
    plan = journal.stored_plan()
    if plan is None:
        raise no_plan(journal.layout)
    require_listed(journal.layout, plan)
    images = _images(journal, plan)
    rows = _matching(images["path"], os.fsencode(name))
    if len(rows) > _MOST:
        raise UsageError(
            f"name: {quoted(name)} is in the names of {counted(len(rows), 'image')}; expected at "
            f"most {_MOST:,}: give more of the name"
        )
    if not len(rows):
        example = f", such as {quoted(_name(images, 0))}" if len(images) else ""
        raise SourceError(
            f"name: no image of {quoted(journal.output)} has {quoted(name)} in its name; expected "
            f"part of a path relative to the source{example}"
        )
    search = _Search(journal, plan, images)
    return [search.image(int(row)) for row in rows]


def _images(journal: Journal, plan: RunPlan) -> pa.Table:
    file = journal.manifest.file_of(plan)
    try:
        return manifest.read(file, ["path", "class"])
    except (OSError, ValueError, pa.ArrowException) as error:
        if isinstance(error, OSError):
            file.require_answer(error)
        raise PrepError(
            f"{file}: can't be read: {reason_of(error)}; `prep.verify` says what is wrong"
        ) from None


def _matching(paths: pa.ChunkedArray, name: bytes) -> npt.NDArray[np.int64]:
    """Return the rows of the images that a name is meant to find."""
    exact = np.flatnonzero(pc.equal(paths, pa.scalar(name, paths.type)).to_numpy())
    if len(exact):
        return exact
    at_end = np.flatnonzero(pc.ends_with(paths, b"/" + name.lstrip(b"/")).to_numpy())
    if len(at_end):
        return at_end
    return np.flatnonzero(pc.match_substring(paths, name, ignore_case=True).to_numpy())


def _name(images: pa.Table, row: int) -> str:
    return os.fsdecode(images["path"][row].as_py())


class _Search:
    """Looks up images by their row in the manifest."""

    def __init__(self, journal: Journal, plan: RunPlan, images: pa.Table) -> None:
        self._journal = journal
        self._plan = plan
        self._images = images
        self._starts = [shard.start for shard in plan.shards]
        self._notes: dict[ShardSpec, dict[str, ImageNote] | None] = {}
        self._places: dict[str, SplitPlaces | None] = {}

    def image(self, row: int) -> FoundImage:
        shard = self._plan.shards[bisect.bisect_right(self._starts, row) - 1]
        name, notes = _name(self._images, row), self._notes_of(shard)
        note = (notes or {}).get(name)
        outcome = "not written yet" if notes is None else note.outcome if note else "written"
        record, number = self._record(shard, row) if notes is not None else (None, None)
        return FoundImage(
            name=name,
            split=shard.split,
            class_name=self._plan.class_title(
                self._plan.classes[self._images["class"][row].as_py()]
            ),
            shard=shard.name,
            row=record,
            number=number,
            outcome=outcome,
            reason=": ".join(filter(None, (note.reason, note.detail))) if note else "",
        )

    def _notes_of(self, shard: ShardSpec) -> dict[str, ImageNote] | None:
        """Return the notes about images of a shard by name; None if it is not committed."""
        if shard not in self._notes:
            receipt = self._journal.receipts.of(shard, self._plan.fingerprint.digest)
            notes = {note.path: note for note in receipt.findings} if receipt else None
            self._notes[shard] = notes
        return self._notes[shard]

    def _record(self, shard: ShardSpec, row: int) -> tuple[int | None, int | None]:
        """Return the number of an image's record in its split and its shard, if that is known."""
        if shard.split not in self._places:
            try:
                self._places[shard.split] = places_of(self._journal, self._plan, shard.split)
            except PrepError:  # Not all of its shards are there, or can be read.
                self._places[shard.split] = None
        places = self._places[shard.split]
        if places is None:
            return None, None
        record = int(np.searchsorted(places.rows, row))
        if record == len(places) or places.rows[record] != row:
            return None, None  # It was refused.
        return record, record - int(np.searchsorted(places.shards, places.shards[record]))
