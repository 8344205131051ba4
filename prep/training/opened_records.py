"""The records of a split, opened once for all parts of it that are read."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from prep.errors import RecordError, SourceError
from prep.images.encoding.record_pixels import stored_image
from prep.output.index.places import places_of, record_names, record_targets
from prep.planning.plan import RunPlan
from prep.shards.formats.base import Record, record_format
from prep.sources.records.record_frames import HEADER, TRAILER
from prep.storage.backends.grants import OPTIONS
from prep.storage.local import close_kept_files
from prep.storage.locate import Access
from prep.storage.urls import is_url
from prep.text import quoted
from prep.training.opened_split import open_output
from prep.training.shard_access.record_reader import Numbers, Places, RecordReader
from prep.training.shard_access.shard_cache import ShardCache

_READ_TOGETHER = 8 << 20  # bytes: 8 MiB


class OpenedRecords:
    """The records of a split.

    A pickle of it is the path of the output, with the options of its storage; the output must then
    hold the same plan.

    Args:
        output, split, storage_options, cache: as for :func:`prep.open`.

    Attributes:
        output: path or URL of the output.
        split: name of the split.
        plan: the plan of the output.

    Raises:
        SourceError: there is no finished run there, it has no such split, or its shards are
            compressed.
        PrepError: its plan is damaged, or can't be read.
    """

    def __init__(
        self,
        output: str | os.PathLike[str],
        split: str,
        storage_options: Mapping[str, Any] | None = None,
        cache: str | os.PathLike[str] | None = None,
    ) -> None:
        close_kept_files()  # Of this output as it was before, perhaps.
        journal, plan = open_output(output, split, storage_options)
        if plan.compression:
            raise SourceError(
                f"output: its shards are compressed ({plan.compression}), and so read from their "
                "beginning alone: use prep.load, or prepare the images without `compression`"
            )
        self.output, self.split, self.plan = journal.output, split, plan
        self._journal = journal
        self._places = places_of(journal, plan, split)
        _require_plausible(int(self._places.lengths.max(initial=0)), plan)
        self._format = record_format(plan.config.format)
        self._cache = None if cache is None else ShardCache(cache, plan.fingerprint.digest)
        files = [journal.layout.root / file for file in self._places.files]
        self._reader = RecordReader(files, self._places.sizes.tolist(), self._format, self._cache)

    def __len__(self) -> int:
        return len(self._places)

    def __reduce__(self) -> Any:
        options = OPTIONS.of(self.output) if is_url(self.output) else {}
        opening = _Opening(
            self.output,
            self.split,
            self.plan.fingerprint.digest,
            Access(options={self.output: options} if options else {}),
            self._cache.folder if self._cache else None,
        )
        return _reopen, (opening,)

    def read(self, records: Numbers) -> list[Record]:
        """Return records of the split by their numbers.

        Raises:
            RecordError, SourceError, StorageUnavailable: as for ``ImageDataset.read_many``.
        """
        return [self._format.parse(data) for data in self.read_bytes(records)]

    def read_bytes(self, records: Numbers) -> list[bytes]:
        """Return records as :meth:`read`, but their bytes, without framing."""
        places = self._places
        asked = Places(places.shards[records], places.offsets[records], places.lengths[records])
        return self._reader.read(asked)

    @cached_property
    def read_together(self) -> int:
        """The number of records that are worth reading at once, one after the other."""
        return max(1, int(_READ_TOGETHER / max(1, self._places.lengths.mean()))) if self else 1

    def element(self, record: Record, *, decode: bool) -> tuple[Any, Any]:
        """Return the image and the label of a record as readers have them."""
        image = stored_image(record.image, self.plan.settings) if decode else record.image
        return image, self.plan.label_form.array(record.label)[()]

    @property
    def class_rows(self) -> Numbers:
        """The class of each record, as its position among the plan's classes."""
        return self._places.classes.astype(np.int64)

    @cached_property
    def classes(self) -> Mapping[int, str]:
        """The names of classes by number."""
        found: dict[int, str] = {}
        if self.plan.labels.target == "value":
            return found
        for name, number in sorted(self.plan.labels.numbers.items(), key=lambda item: item[1]):
            found[number] = f"{found[number]} or {name}" if number in found else name
        return found

    def labels_of(self, records: Numbers) -> npt.NDArray[Any]:
        """Return the labels of records, as elements have them."""
        if self.plan.label_form.is_floating:
            numbers = self._targets[records]
            return numbers if self.plan.label_form.shape else numbers[:, 0]
        by_row = self.plan.label_form.arrays([*map(self.plan.labels.feature, self.plan.classes)])
        return by_row[self._places.classes[records]]

    @cached_property
    def _targets(self) -> npt.NDArray[np.float32]:
        return record_targets(self._journal, self.plan, self._places)

    def names_of(self, records: Numbers) -> list[str]:
        """Return the path of the source image of records, relative to the source.

        Raises:
            SourceError: the manifest can't be read.
        """
        return [self._names[number] for number in records.tolist()]

    @cached_property
    def _names(self) -> list[str]:
        return [*map(os.fsdecode, record_names(self._journal, self.plan, self._places))]

    def shard_sizes_of(self, records: Numbers) -> list[int]:
        """Return how many of some records follow each other in one shard, in order."""
        changes = np.flatnonzero(np.diff(self._places.shards[records])) + 1
        sizes: list[int] = np.diff(changes, prepend=0, append=len(records)).tolist()
        return sizes

    def rows_of(self, classes: Sequence[str | int]) -> list[int]:
        """Return the positions of classes among the plan's, given by name or number.

        Raises:
            SourceError: there is no such class.
        """
        if isinstance(classes, str):
            raise SourceError(
                f"classes: expected a list of names or numbers, found {quoted(classes)}; write "
                f"[{quoted(classes)}]"
            )
        named = [*enumerate(map(self.plan.labels.aliases, self.plan.classes))]
        found = {wanted: [row for row, known in named if wanted in known] for wanted in classes}
        for wanted, rows in found.items():
            if not rows:
                raise SourceError(
                    f"classes: no {quoted(str(wanted))}; expected names or numbers of classes"
                )
        return [row for rows in found.values() for row in rows]


def _require_plausible(length: int, plan: RunPlan) -> None:
    """Raise RecordError if the longest record takes more bytes than an image of a plan can."""
    most = plan.largest_record + HEADER + TRAILER
    if length > most:
        raise RecordError(
            f"a record takes {length:,} bytes; expected at most {most:,}: `prep.verify` tells what "
            "is wrong with the output"
        )


class _Opening(NamedTuple):
    """What another process opens the same split by.

    Attributes:
        digest: of the plan that the output must hold.
        access: options of its storage.
    """

    output: str
    split: str
    digest: str
    access: Access
    cache: str | None


def _reopen(opening: _Opening) -> OpenedRecords:
    opening.access.apply(f"images of {opening.output}")
    opened = OpenedRecords(opening.output, opening.split, cache=opening.cache)
    if opened.plan.fingerprint.digest != opening.digest:
        raise SourceError(
            f"output: {quoted(opening.output)} holds another run than when it was opened; open it "
            "again"
        )
    return opened
