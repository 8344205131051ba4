"""One record of a shard, found by its number: what it holds, and what it was made of."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from prep.errors import PrepError, RecordError, SourceError
from prep.images.decoders.decode import Decoder
from prep.images.encode import encode_png, pixels_of_record
from prep.output.journal import Journal
from prep.output.receipt import of_outcome
from prep.planning.plan import RunPlan
from prep.shards.formats.example import Example, parse_example
from prep.shards.formats.tfrecord import count_records, read_chosen
from prep.sources.base import ImageEntry
from prep.storage.locate import locate
from prep.storage.location import Location
from prep.text import counted, quoted, reason_and_file, reason_of

_SUFFIX = ".tfrecord"
_SHARDS = f"*{_SUFFIX}"
# How files of a kind begin, and what their names end in.
_BEGINNINGS = {b"\xff\xd8\xff": "JPEG", b"\x89PNG": "PNG", b"RIFF": "WebP", b"GIF8": "GIF"}
_SUFFIXES = {"JPEG": (".jpg", ".jpeg"), "PNG": (".png",), "WebP": (".webp",), "GIF": (".gif",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRecord:
    """What a record holds.

    Attributes:
        shard: the path or URL of its file.
        number: which of its records it is, counted from 0.
        label: as it is stored: one number, or a one-hot list.
        classes: the names that the label stands for, if the output says so.
        source: the file that it was made of, relative to the source, if the output says so.
        width, height: of the picture.
        picture: it as a file: the JPEG as it is stored, or a PNG of raw samples.
        kind: of file that the picture is.
        samples: how it is stored where that is no file but samples.
    """

    shard: str
    number: int
    label: tuple[int, ...]
    classes: tuple[str, ...]
    source: str | None
    width: int
    height: int
    picture: bytes
    kind: str
    samples: str | None

    @property
    def suffixes(self) -> tuple[str, ...]:
        """What the name of a file with this picture ends in."""
        return _SUFFIXES[self.kind]

    def rows(self) -> list[tuple[str, str]]:
        """The facts, to be printed."""
        one_hot = f" (one-hot of {len(self.label)})" if len(self.label) > 1 else ""
        number = self.label.index(1) if one_hot and 1 in self.label else self.label[0]
        return [
            ("shard", self.shard),
            ("record", f"{self.number:,}"),
            ("label", f"{number}{one_hot}"),
            ("class", " or ".join(self.classes) or "not known"),
            ("picture", f"{self.width} × {self.height}, {self._stored()}"),
            ("made of", self.source or "not known"),
        ]

    def _stored(self) -> str:
        if self.samples:
            return f"{self.samples} samples"
        return f"{self.kind} of {counted(len(self.picture), 'byte')}"


def find_record(place: str, number: int) -> FoundRecord:
    """Find a record of a shard, or of the shards below a folder as if they were one.

    Args:
        place: path or URL of a shard, or of a folder with shards in it.
        number: which record, counted from 0.

    Raises:
        SourceError: there are no shards, or not so many records.
        RecordError: the record is damaged.
        StorageUnavailable: it is in a storage that does not answer.
    """
    passed = 0
    for path in _shards(place):
        example, records = _read(path, number - passed)
        if example is not None:
            return _found(path, number - passed, example)
        passed += records
    raise SourceError(
        f"record: {quoted(place)} holds {counted(passed, 'record')}, counted from 0; "
        f"there is none of number {number:,}"
    )


def _shards(place: str) -> Sequence[Location]:
    where = locate(place)
    try:
        if where.local is None:
            found = [path for path in where.files_below() if path.name.endswith(_SUFFIX)]
        elif where.is_dir():
            # Its own, as of a split; or those of all splits, as of an output.
            found = [*where.local.glob(_SHARDS), *where.local.glob(f"*/{_SHARDS}")]
        else:
            found = [where] if where.exists() else []
    except OSError as error:
        where.require_answer(error)
        raise SourceError(f"shard: can't be listed: {reason_and_file(error)}") from None
    if not found:
        what = f"holds no shards ({_SHARDS})" if where.exists() else "does not exist"
        raise SourceError(f"shard: {quoted(place)} {what}; expected a shard, or a folder of shards")
    return sorted(found)


def _read(path: Location, number: int) -> tuple[Example | None, int]:
    """The record, or else how many there are."""
    try:
        with path.open_regular() as file:
            for _, data in read_chosen(file, [number]):
                return parse_example(data), 0
            file.seek(0)
            return None, count_records(file)
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from None
    except OSError as error:
        path.require_answer(error)
        raise SourceError(f"shard: {quoted(str(path))} can't be read: {reason_of(error)}") from None


def _found(path: Location, number: int, example: Example) -> FoundRecord:
    plan, entry = _origin(path, number)
    encoding, mean = (plan.settings.encoding, plan.settings.mean) if plan else (None, None)
    try:
        pixels = pixels_of_record(example.image, encoding, mean, Decoder())
    except RecordError as error:
        raise RecordError(f"{path}: record {number}: {error}") from None
    kind = _kind(example.image)
    if entry is not None:
        classes: tuple[str, ...] = (entry.class_name,)
    else:
        numbers = plan.labels.numbers if plan else {}
        classes = tuple(n for n in numbers if plan and plan.labels.feature(n) == example.label)
    return FoundRecord(
        shard=str(path),
        number=number,
        label=example.label,
        classes=classes,
        source=entry.name if entry else None,
        width=pixels.shape[1],
        height=pixels.shape[0],
        picture=example.image if kind else encode_png(pixels),
        kind=kind or "PNG",
        samples=None if kind else encoding or "raw",
    )


def _kind(image: bytes) -> str | None:
    """What kind of file an image is; None where it is no file but samples."""
    return next((kind for head, kind in _BEGINNINGS.items() if image.startswith(head)), None)


def _origin(shard: Location, number: int) -> tuple[RunPlan | None, ImageEntry | None]:
    """The plan of the output that a shard lies in, and the image that became the record.

    Nothing of it is needed: what is not known, or can't be read, is left out.
    """
    plan = None
    with contextlib.suppress(OSError, PrepError, ValueError):
        journal = Journal(str(shard.parent.parent))
        plan = journal.stored_plan()
        if plan is not None:
            return plan, next(_entries(journal, plan, shard, number), None)
    return plan, None


def _entries(journal: Journal, plan: RunPlan, shard: Location, number: int) -> Iterator[ImageEntry]:
    """The image of a record, if the shard is committed: which were refused is known only then."""
    for spec in plan.shards:
        if journal.layout.shard(spec.split, spec.index, spec.count).name != shard.name:
            continue
        receipt = journal.receipt(spec, plan.fingerprint.digest)
        if receipt is not None:
            refused = {finding.path for finding in of_outcome(receipt.findings, "refused")}
            kept = (e for e in journal.entries(plan, spec) if e.name not in refused)
            yield from (entry for at, entry in enumerate(kept) if at == number)
