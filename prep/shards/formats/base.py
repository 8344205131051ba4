"""The interface of a record format, and the lookup of an output's or a file's.

A record is a range of bytes of a shard's file that holds one image and its label. A format says how
a sample becomes such bytes, how these follow each other in the file, and how to read them again.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cache
from typing import BinaryIO, ClassVar, NamedTuple, Protocol, cast

import google_crc32c

from prep.errors import RecordError
from prep.settings.choices import Compression, Format
from prep.settings.image_settings import ImageSettings
from prep.settings.output_names import DEFAULT_FORMAT, FORMATS
from prep.settings.record_features import DEFAULT_FEATURES, RecordFeatures
from prep.sources.base import ImageEntry
from prep.sources.labels import LabelMap

#: Bytes of a record where its plan is unknown: our largest, in float32 and 4096 by 4096 pixels, has
#: 201 million.
LARGEST_RECORD = 256 << 20  # 256 MiB


class Sample(NamedTuple):
    """An image to be stored in a record.

    Attributes:
        image: a JPEG, or samples row by row: uint8, or little-endian float32.
        class_name: its class, which the label map has the label of.
        name: path of the source image, relative to the source.
        key: unique in the output's split, and without dots.
        width, height: of the source image, upright, in pixels; 0 if unknown.
        target: the numbers of its label, as little-endian float32, where the class does not tell
            them; see :class:`prep.sources.base.ImageEntry`.
    """

    image: bytes
    class_name: str
    name: str
    key: str
    width: int = 0
    height: int = 0
    target: bytes = b""

    @classmethod
    def of(
        cls, image: bytes, entry: ImageEntry, key: str, size: tuple[int, int] = (0, 0)
    ) -> Sample:
        """Return the sample of an image of the manifest.

        Args:
            image: as in the record.
            key: of the record.
            size: width and height of the source image.
        """
        return cls(image, entry.class_name, entry.name, key, *size, entry.target)


#: The numbers of a label, as a record holds them.
Label = tuple[int, ...] | tuple[float, ...]


class Record(NamedTuple):
    """The image and label of a record, whoever wrote it.

    Attributes:
        image: as of a sample.
        label: one integer, a one-hot list, or the numbers of several classes; or floats. See
            :class:`prep.planning.label_form.LabelForm`.
    """

    image: bytes
    label: Label


#: The bytes of a record in pieces, so that those of the image are not copied.
Pieces = tuple[bytes, ...]
#: The values of a feature.
Values = tuple[bytes | str | float | int, ...]
Encoder = Callable[[Sample], Pieces]


def consists_of(record: bytes, pieces: Pieces) -> bool:
    """Return whether a record has these bytes.

    >>> consists_of(b"abc", (b"a", b"bc")), consists_of(b"abcd", (b"a", b"bc"))
    (True, False)
    """
    at = 0
    for piece in pieces:
        if not record.startswith(piece, at):
            return False
        at += len(piece)
    return at == len(record)


def crc32c(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli) of data."""
    crc: int = google_crc32c.value(data)
    return crc


class Writable(Protocol):
    """Anything that takes bytes."""

    def write(self, data: bytes, /) -> object: ...

    def writelines(self, pieces: Collection[bytes], /) -> object: ...


class RecordWriter(Protocol):
    """Writes records to an open file, which it neither opens nor closes."""

    def write(self, record: Pieces) -> int:
        """Write a record, and return the bytes that it takes before compression."""

    def finish(self) -> None:
        """Write what follows the last record."""


def every(number: int) -> bool:
    """Ask for each record."""
    return True


class RecordFormat(ABC):
    """A way to keep images and labels in the files of shards.

    Attributes:
        holds_keys: whether a record holds the name of its image and a key with its shard's number,
            whatever its features are.
        framing: bytes of a file around each record that ``scan`` yields.
    """

    holds_keys: ClassVar[bool] = False
    framing: ClassVar[int] = 0

    @abstractmethod
    def encoder(
        self,
        settings: ImageSettings,
        labels: LabelMap,
        features: RecordFeatures = DEFAULT_FEATURES,
    ) -> Encoder:
        """Return the function that makes a record; the same sample gives the same bytes."""

    @abstractmethod
    def writer(self, file: Writable, compression: Compression | None = None) -> RecordWriter:
        """Return the writer of a new file."""

    @abstractmethod
    def scan(
        self, file: BinaryIO, largest: int = LARGEST_RECORD, wanted: Callable[[int], bool] = every
    ) -> Iterator[bytes | None]:
        """Yield the records of a file, None for those that are not wanted.

        At most one record is in memory, whatever the file claims.

        Args:
            file: open at its start.
            largest: bytes that a record may have.
            wanted: is asked with the number of each record, from 0. The data of the others need
                not be read.

        Raises:
            RecordError: the file is damaged, ends too early, or holds more than records.
        """

    @abstractmethod
    def parse(self, record: bytes) -> Record:
        """Return the image and the label of a record.

        Raises:
            RecordError: it holds something else.
        """

    @abstractmethod
    def unframe(self, framed: bytes) -> bytes:
        """Return a record, as :meth:`scan` does, of the bytes that it takes in its file.

        Raises:
            RecordError: they are damaged, more or fewer.
        """

    @abstractmethod
    def others(self, record: bytes) -> Mapping[str, Values]:
        """Return the values of each feature of a record but its image and label, by name.

        Raises:
            RecordError: it holds something else.
        """

    def compression_of(self, file: BinaryIO) -> Compression | None:
        """Return how an open file is compressed, and leave it at its start.

        Raises:
            RecordError: it is of another format.
        """
        return None

    def records(
        self, file: BinaryIO, largest: int = LARGEST_RECORD, most: int | None = None
    ) -> Iterator[bytes]:
        """Yield every record of a file.

        Args:
            file, largest: as for :meth:`scan`.
            most: how many there may be.

        Raises:
            RecordError: as for :meth:`scan`, or there are more.
        """
        for number, record in enumerate(self.scan(file, largest)):
            if number == most:
                raise RecordError(f"there are more than {most:,} records")
            yield cast(bytes, record)

    def chosen(
        self, file: BinaryIO, numbers: Collection[int], largest: int = LARGEST_RECORD
    ) -> Iterator[tuple[int, Record]]:
        """Yield (number, record) of some records, counted from 0, in their order.

        Raises:
            RecordError: as for :meth:`scan` and :meth:`parse`, up to the last of them.
        """
        for number, record in self.chosen_bytes(file, numbers, largest):
            yield number, self.parse(record)

    def chosen_bytes(
        self, file: BinaryIO, numbers: Collection[int], largest: int = LARGEST_RECORD
    ) -> Iterator[tuple[int, bytes]]:
        """Yield (number, bytes) of some records, counted from 0, in their order.

        Raises:
            RecordError: as for :meth:`scan`, up to the last of them.
        """
        last = max(numbers, default=-1)
        if last < 0:
            return
        for number, record in enumerate(self.scan(file, largest, numbers.__contains__)):
            if record is not None:
                yield number, record
            if number == last:
                return

    def count(self, file: BinaryIO, largest: int = LARGEST_RECORD) -> int:
        """Count the records of a file; their data need not be read."""
        return sum(1 for _ in self.scan(file, largest, lambda _: False))


def record_key(shard: int, number: int) -> str:
    """Return the key of a record, unique in its split; both are counted from 0.

    >>> record_key(3, 17)
    '00003-000017'
    """
    return f"{shard:05d}-{number:06d}"


@cache
def record_format(name: Format) -> RecordFormat:
    """Return a format of the registry, ``prep.settings.output_names.FORMATS``."""
    module = importlib.import_module(f"prep.shards.formats.{name}")
    return cast(RecordFormat, module.FORMAT)


def format_of_file(name: str) -> RecordFormat:
    """Return the format of a shard by the end of its name; TFRecord unless that is of another."""
    names = (format for format, file in FORMATS.items() if name.endswith(file.suffix))
    return record_format(next(names, DEFAULT_FORMAT))


def shards_among(names: Iterable[str]) -> list[str]:
    """Return the names of shards, in order: of the first format that there are any of.

    >>> shards_among(["b.tfrecord", "photos.tar", "a.tfrecord", "notes.txt"])
    ['a.tfrecord', 'b.tfrecord']
    """
    given = list(names)
    found = (sorted(n for n in given if n.endswith(file.suffix)) for file in FORMATS.values())
    return next(filter(None, found), [])
