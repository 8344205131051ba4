"""Find a record by its number in a shard or in a split: what it holds, and what it was made of."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from prep.errors import PrepError, RecordError, SourceError
from prep.images.encoding.encode import encode_png
from prep.images.encoding.record_pixels import make_decoder, pixels_of_record
from prep.operations.tools.found_record import FoundRecord
from prep.output.index.places import places_of
from prep.output.journal import Journal
from prep.planning.plan import RunPlan
from prep.settings.output_names import FORMATS
from prep.shards.formats.base import Label, format_of_file, shards_among
from prep.sources.base import UNLABELLED, ImageEntry
from prep.storage.arguments import admit
from prep.storage.locate import locate
from prep.storage.location import Location
from prep.text import counted, quoted, reason_and_file, reason_of
from prep.training.opened_split import open_output
from prep.training.shard_access.record_reader import Places, RecordReader

# The first bytes of a kind of file.
_BEGINNINGS = {b"\xff\xd8\xff": "JPEG", b"\x89PNG": "PNG", b"RIFF": "WebP", b"GIF8": "GIF"}


_EXPECTED = f"a shard ({', '.join(f'*{f.suffix}' for f in FORMATS.values())}), or a folder of them"


def find_record(
    shard: str, number: int, storage_options: Mapping[str, Any] | None = None
) -> FoundRecord:
    """Find a record of a shard, or of the shards below a folder as if they were one.

    Args:
        shard: path or URL of a shard, or of a folder with shards in it.
        number: which record, counted from 0.
        storage_options: options of its storage; see :class:`prep.Config`.

    Raises:
        SourceError: there are no shards, or not so many records.
        RecordError: the record is damaged.
        StorageUnavailable: it is in a storage that does not answer.
    """
    place, passed = admit("shard", shard, storage_options), 0
    for path in _shards(place):
        record, records = _read(path, number - passed)
        if record is not None:
            return _found(path, number - passed, record)
        passed += records
    raise SourceError(
        f"record: {quoted(place)} holds {counted(passed, 'record')}, counted from 0; "
        f"there is none of number {number:,}"
    )


def show(
    output: str | os.PathLike[str],
    split: str = "train",
    row: int = 0,
    *,
    storage_options: Mapping[str, Any] | None = None,
) -> FoundRecord:
    """Show a record of an output: label, class, picture and source.

    Args:
        output: an output folder, or its URL.
        split: name of the split.
        row: number of the record in the split, counted from 0, as for :func:`prep.open` and in
            ``images.parquet``.
        storage_options: options of its storage; see :class:`prep.Config`.

    Raises:
        SourceError: there is no finished run, no such split, or no such record.
        RecordError: the record is damaged.
        StorageUnavailable: it is in a storage that does not answer.
    """
    journal, plan = open_output(output, split, storage_options)
    places = places_of(journal, plan, split)
    if not 0 <= row < len(places):
        raise SourceError(
            f"row: {quoted(split)} holds {counted(len(places), 'record')}, counted from 0; there "
            f"is none of number {row:,}"
        )
    shard = int(places.shards[row])
    number = row - int(np.searchsorted(places.shards, shard))
    path = journal.layout.root / places.files[shard]
    if plan.compression:
        data, _ = _read(path, number)
        assert data is not None  # There are as many records as the receipt of the shard says.
    else:
        reader = RecordReader([path], [int(places.sizes[shard])], format_of_file(path.name))
        where = Places(np.zeros(1, int), places.offsets[[row]], places.lengths[[row]])
        data = reader.read(where)[0]
    return replace(_found(path, number, data), split=split, row=row)


def _shards(place: str) -> Sequence[Location]:
    where = locate(place)
    try:
        if where.local is None:
            candidates = list(where.files_below())
        elif where.is_dir():
            # Its own, as of a split; or those of all splits, as of an output.
            candidates = [*where.local.glob("*"), *where.local.glob("*/*")]
        else:
            candidates = []
            if where.exists():
                return [where]
    except OSError as error:
        where.require_answer(error)
        raise SourceError(f"shard: can't be listed: {reason_and_file(error)}") from None
    paths = {str(path): path for path in candidates}
    if not paths and not where.exists():
        raise SourceError(f"shard: {quoted(place)} does not exist; expected {_EXPECTED}")
    if not (found := shards_among(paths)):
        raise SourceError(f"shard: {quoted(place)} holds no shards; expected {_EXPECTED}")
    return [paths[name] for name in found]


def _read(path: Location, number: int) -> tuple[bytes | None, int]:
    """Return a record, or else how many there are."""
    format = format_of_file(path.name)
    try:
        with path.open_regular() as file:
            for _, record in format.chosen_bytes(file, [number]):
                return record, 0
            file.seek(0)
            return None, format.count(file)
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from None
    except OSError as error:
        path.require_answer(error)
        raise SourceError(f"shard: {quoted(str(path))} can't be read: {reason_of(error)}") from None


def _found(path: Location, number: int, data: bytes) -> FoundRecord:
    plan, entry = _origin(path, number)
    settings = plan.settings if plan else None
    format = format_of_file(path.name)
    try:
        record, features = format.parse(data), format.others(data)
        pixels = pixels_of_record(record.image, settings, make_decoder())
    except RecordError as error:
        raise RecordError(f"{path}: record {number}: {error}") from None
    kind = _kind(record.image)
    if entry is not None:
        classes: tuple[str, ...] = (
            (entry.class_name,) if plan and plan.labels.target != "value" else ()
        )
    else:
        classes = _classes_of(record.label, plan) if plan else ()
    return FoundRecord(
        shard=str(path),
        number=number,
        label=record.label,
        target=plan.labels.target if plan else "class",
        classes=tuple(map(plan.class_title, classes)) if plan else (),
        source=entry.name if entry else None,
        width=pixels.shape[1],
        height=pixels.shape[0],
        picture=record.image if kind else encode_png(pixels),
        kind=kind or "PNG",
        samples=None if kind else settings.encoding if settings else "raw",
        pixels=pixels,
        features=features,
    )


def _classes_of(label: Label, plan: RunPlan) -> tuple[str, ...]:
    """Return the classes that a label stands for."""
    if plan.labels.target == "multi":
        found = plan.labels.numbers.items()
        return tuple(sorted(name for name, number in found if number in label))
    known = {*plan.labels.numbers, *({UNLABELLED} & {*plan.classes})}
    return tuple(name for name in sorted(known) if plan.labels.feature(name) == label)


def _kind(image: bytes) -> str | None:
    """Return the kind of file that an image is; None for samples."""
    return next((kind for head, kind in _BEGINNINGS.items() if image.startswith(head)), None)


def _origin(shard: Location, number: int) -> tuple[RunPlan | None, ImageEntry | None]:
    """Return the plan of a shard's output and the image that became a record, as far as known."""
    plan = None
    with contextlib.suppress(OSError, PrepError, ValueError):
        journal = Journal(str(shard.parent.parent))
        plan = journal.stored_plan()
        if plan is not None:
            return plan, _entry(journal, plan, shard.name, number)
    return plan, None


def _entry(journal: Journal, plan: RunPlan, shard: str, number: int) -> ImageEntry | None:
    """Return the image of a record, if the shard is committed: its receipt names those refused."""
    spec = next((spec for spec in plan.shards if spec.name == shard), None)
    if spec is None or (receipt := journal.receipts.of(spec, plan.fingerprint.digest)) is None:
        return None
    entries = receipt.written_among(journal.entries(plan, spec))
    return entries[number] if number < len(entries) else None
