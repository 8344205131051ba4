"""WebDataset shards: tar files in which the members of an image follow each other.

For each image, ``KEY.jpg``, ``KEY.png`` or ``KEY.webp`` (``KEY.npy`` for bare samples),
``KEY.cls`` with the number of its class, and ``KEY.json``: ``class``, ``label`` as the label map
has it, ``name`` of the source image, ``crc32c`` of the first member, for a tar file has no
checksum of data, and the features that were asked for. Labels that are not of one class have no
``KEY.cls``: their ``label`` is a list of the numbers of classes, or a number, or a list with a
number for each class. The bytes depend on the samples alone: they hold no time and no user.

Sources: the `ustar`_ format of POSIX, the `naming of members`_ of WebDataset, and `npy`_.

.. _ustar: https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html
.. _naming of members: https://github.com/webdataset/webdataset
.. _npy: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO, NamedTuple

import numpy as np

from prep.errors import RecordError
from prep.settings.choices import IMAGE_FILES, Compression
from prep.settings.image_settings import ImageSettings
from prep.settings.record_features import DEFAULT_FEATURES, RecordFeatures
from prep.shards.formats.base import (
    LARGEST_RECORD,
    Encoder,
    Label,
    Pieces,
    Record,
    RecordFormat,
    Sample,
    Values,
    Writable,
    crc32c,
    every,
)
from prep.sources.labels import LabelMap

_BLOCK = 512
_CHUNK = 20 * _BLOCK  # A tar file's length is a multiple of it.
_NAME, _SIZE, _CHECKSUM, _KIND = slice(100), slice(124, 136), slice(148, 156), slice(156, 157)
_PREFIX = slice(345, 500)
_PLAIN = (b"0", b"\0")
_EXTENDED = (b"x", b"g")  # pax: what the next header, or all of them, can't hold
_END = b"0".ljust(101, b"\0") + b"ustar\00000".ljust(255, b"\0")  # of a plain file's header
# The features that can be added to what ``.json`` holds.
_OF_SAMPLES: Mapping[str, Callable[[Sample], str | int]] = {
    "filename": lambda sample: sample.name,
    "class_name": lambda sample: sample.class_name,
    "width": lambda sample: sample.width,
    "height": lambda sample: sample.height,
}
_IMAGES = ("jpg", "jpeg", "png", "webp", "npy")


def _header(name: str, size: int) -> bytes:
    """Return the ustar header of a plain file: mode 0644, of nobody, at time 0."""
    start = b"%b0000644\0%b%011o\0%011o\0" % (
        name.encode().ljust(100, b"\0"),
        2 * b"0000000\0",
        size,
        0,
    )
    checksum = sum(start) + 8 * ord(" ") + sum(_END)
    return b"%b%06o\0 %b" % (start, checksum, _END)


def _member(name: str, data: bytes) -> tuple[bytes, bytes, bytes]:
    return _header(name, len(data)), data, bytes(-len(data) % _BLOCK)


def _npy_header(settings: ImageSettings) -> bytes:
    """Return what stands before samples in a ``.npy`` file, as NumPy writes it."""
    kind = "|u1" if settings.encoding == "raw" else "<f4"
    shape = (settings.height, settings.width, settings.channels)
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    return b"\x93NUMPY\x01\x00v\x00" + text.encode().ljust(117) + b"\n"


class TarWriter:
    """Writes records, which are whole members, and the end of the archive."""

    def __init__(self, file: Writable) -> None:
        self._file = file
        self._size = 0

    def write(self, record: Pieces) -> int:
        """Write the members of an image, and return their length."""
        members = b"".join(record)
        self._file.write(members)
        self._size += len(members)
        return len(members)

    def finish(self) -> None:
        """Write two blocks of zeros, and more up to the usual length of a tar file."""
        end = self._size + 2 * _BLOCK
        self._file.write(bytes(2 * _BLOCK + -end % _CHUNK))


class WebDataset(RecordFormat):
    """Tar files as the ``webdataset`` library reads them."""

    holds_keys = True

    def encoder(
        self,
        settings: ImageSettings,
        labels: LabelMap,
        features: RecordFeatures = DEFAULT_FEATURES,
    ) -> Encoder:
        """Return the function that makes the members of an image."""
        more = [(f', "{name}": ', _OF_SAMPLES[name]) for name in features.others]
        extension = IMAGE_FILES.get(settings.encoding, "npy")
        before = _npy_header(settings) if extension == "npy" else b""
        classes: dict[str, tuple[bytes, str]] = {}

        def of_class(sample: Sample) -> tuple[bytes, str]:
            name = sample.class_name
            if sample.target:
                return b"", _label_of_numbers(sample, labels)
            if name not in classes:
                feature = labels.feature(name)
                alone = labels.target == "class"
                label = feature[0] if alone and labels.width is None else feature
                about = json.dumps({"class": name, "label": label})[:-1]
                classes[name] = b"%d" % labels.number(name) if alone else b"", about
            return classes[name]

        def encode(sample: Sample) -> Pieces:
            key = sample.key
            number, about = of_class(sample)
            image = before + sample.image
            about += f', "name": {json.dumps(sample.name)}, "crc32c": "{crc32c(image):08x}"'
            about += "".join([name + json.dumps(value(sample)) for name, value in more]) + "}"
            return (
                *_member(f"{key}.{extension}", image),
                *(_member(f"{key}.cls", number) if number else ()),
                *_member(f"{key}.json", about.encode()),
            )

        return encode

    def writer(self, file: Writable, compression: Compression | None = None) -> TarWriter:
        """Return the writer of a new file."""
        assert compression is None
        return TarWriter(file)

    def scan(
        self, file: BinaryIO, largest: int = LARGEST_RECORD, wanted: Callable[[int], bool] = every
    ) -> Iterator[bytes | None]:
        """Yield the members of each image, one after the other."""
        archive = _Archive(file)
        number, key, extensions = -1, "", set[str]()
        held: list[bytes] = []
        try:
            for member in archive.members():
                if member.key != key or member.extension in extensions:
                    if number >= 0:
                        yield b"".join(held) if held else None
                    number, key, extensions, held = number + 1, member.key, set(), []
                if wanted(number):
                    held.append(archive.read(member, largest - sum(map(len, held))))
                extensions.add(member.extension)
        except RecordError:
            if "json" in extensions:  # The last of ours: it is the next record that is damaged.
                yield b"".join(held) if held else None
            raise
        if number >= 0:
            yield b"".join(held) if held else None
        archive.require_end()

    def unframe(self, framed: bytes) -> bytes:
        """Return the same bytes: a record is whole members."""
        return framed

    def parse(self, record: bytes) -> Record:
        """Return the image and label of members, with the checksum of the image checked if known.

        The label is that of ``.json`` if it has one, which may be a list, or else the number in
        ``.cls``.
        """
        members = dict(_members(record))
        extension = next((name for name in _IMAGES if name in members), None)
        if extension is None or not {"cls", "json"} & members.keys():
            raise RecordError(
                f"expected members {', '.join(_IMAGES)} and cls, found {', '.join(members)}"
            )
        image = members[extension]
        try:
            number = int(members["cls"]) if "cls" in members else None
            about = json.loads(members.get("json", b"{}"))
        except ValueError as error:
            raise RecordError(f"expected a number in .cls and JSON in .json: {error}") from None
        about = about if isinstance(about, dict) else {}
        checksum = f"{crc32c(image):08x}"
        if about.get("crc32c", checksum) != checksum:
            raise RecordError(f"wrong checksum of its {extension}")
        label = _label(about.get("label"), number)
        return Record(_samples(image) if extension == "npy" else image, label)

    def others(self, record: bytes) -> Mapping[str, Values]:
        """Return what ``.json`` holds besides the label, and any further members."""
        members = dict(_members(record))
        try:
            about = json.loads(members.pop("json", b"{}"))
        except ValueError as error:
            raise RecordError(f"expected JSON in .json: {error}") from None
        if not isinstance(about, dict):
            raise RecordError("expected an object in .json, found something else")
        found: dict[str, Values] = {n: (data,) for n, data in members.items() if n not in _IMAGES}
        for name, value in about.items():
            found[name] = tuple(value) if isinstance(value, list) else (value,)
        return {name: values for name, values in found.items() if name not in ("cls", "label")}


FORMAT = WebDataset()


class _Member(NamedTuple):
    """A member of a tar file, as its header describes it.

    Attributes:
        key, extension: the name up to the first dot of its last part, and what follows.
        size: bytes of its data.
        length: of header, data and padding.
        is_plain: whether it is a file, and not something about the next one.
    """

    key: str
    extension: str
    size: int
    is_plain: bool

    @property
    def length(self) -> int:
        return _BLOCK + self.size + -self.size % _BLOCK


class _Archive:
    """A tar file that is read from its start."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._header = b""
        self._position = 0

    def members(self) -> Iterator[_Member]:
        """Yield the plain files up to the end of the archive."""
        while True:
            self._header = self._file.read(_BLOCK)
            if len(self._header) < _BLOCK:
                raise self._error("the file ends before the archive does")
            if not self._header.strip(b"\0"):
                return
            try:
                member = _parse_header(self._header)
            except ValueError as error:
                raise self._error(str(error)) from None
            if member.is_plain:
                yield member
            self._position += member.length
            self._file.seek(self._position)

    def read(self, member: _Member, most: int) -> bytes:
        """Return header, data and padding of the member at hand, of at most so many bytes."""
        if member.length > most:
            raise self._error(
                f"a record claims too many bytes, {member.size:,} of them in one member"
            )
        body = self._file.read(member.length - _BLOCK)
        if len(body) < member.length - _BLOCK:
            raise self._error("the file ends within a record")
        return self._header + body

    def require_end(self) -> None:
        """Raise RecordError unless at least one more block follows, and zeros alone."""
        zeros = 0
        while chunk := self._file.read(_CHUNK):
            if chunk.strip(b"\0"):
                raise self._error("there is something after the end of the archive")
            zeros += len(chunk)
        if zeros < _BLOCK:
            raise self._error("the file ends within the end of the archive")

    def _error(self, what: str) -> RecordError:
        return RecordError(f"{what}, at byte {self._position}")


def _parse_header(header: bytes) -> _Member:
    """Return what a header says of its member; raise ValueError if it is damaged."""
    checksum, size = (_octal(header[field]) for field in (_CHECKSUM, _SIZE))
    if checksum != sum(header) - sum(header[_CHECKSUM]) + 8 * ord(" "):
        raise ValueError("wrong checksum of a member's header")
    kind = header[_KIND]
    if kind not in (*_PLAIN, *_EXTENDED):
        raise ValueError("expected plain files in the archive, found another kind")
    prefix, name = (
        header[field].partition(b"\0")[0].decode(errors="replace") for field in (_PREFIX, _NAME)
    )
    folder, _, last = name.rpartition("/")
    stem, _, extension = last.partition(".")
    return _Member(f"{prefix}/{folder}/{stem}", extension.lower(), size, kind in _PLAIN)


def _octal(field: bytes) -> int:
    """Return the number of a header's field; raise ValueError if it is none."""
    digits = field.strip(b" \0")
    if not digits or digits.strip(b"01234567"):
        raise ValueError("expected the header of a tar file")
    return int(digits, 8)


def _members(record: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield (extension, data) of the members of a record."""
    position = 0
    while position < len(record):
        try:
            member = _parse_header(record[position : position + _BLOCK])
        except ValueError as error:
            raise RecordError(str(error)) from None
        start = position + _BLOCK
        end = start + member.size
        position += member.length
        if record[end:position].strip(b"\0"):
            raise RecordError(f"expected zeros after its {member.extension}, found something else")
        yield member.extension, record[start:end]


def _label_of_numbers(sample: Sample, labels: LabelMap) -> str:
    """Return the JSON of a label that is a number, or one for each class, without its last brace.

    A float32 is written with all the digits of its value, so that it is read as the same one.
    """
    numbers = np.frombuffer(sample.target, "<f4").tolist()
    if labels.target == "value":
        return json.dumps({"label": numbers[0]})[:-1]
    return json.dumps({"class": sample.class_name, "label": numbers})[:-1]


def _label(value: object, number: int | None) -> Label:
    """Return the numbers of a label.

    Args:
        value: ``label`` in its JSON; None without one.
        number: the number in its ``.cls``; None without one.

    Raises:
        RecordError: there is neither, or they are not of one class, or no numbers.
    """
    if value is None and number is not None:
        return (number,)
    numbers = value if isinstance(value, list) else [value]
    kinds = {type(each) for each in numbers}
    if number is None and kinds == {float}:
        return tuple(numbers)
    if not kinds <= {int}:
        raise RecordError("expected a label of numbers in .json, found something else")
    if number is not None:
        told = numbers.index(1) if numbers is value and 1 in numbers else value
        if told != number:
            raise RecordError(f"expected one label, found {number} in .cls and another in .json")
    return tuple(numbers)


def _samples(data: bytes) -> bytes:
    """Return the samples of a ``.npy`` file; raise RecordError if it is no image."""
    file = io.BytesIO(data)
    try:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("another version")
        shape, turned, kind = np.lib.format.read_array_header_1_0(file)
    except (ValueError, EOFError) as error:
        raise RecordError(f"expected a .npy file: {error}") from None
    samples = data[file.tell() :]
    fits = len(samples) == np.prod(shape) * kind.itemsize
    if (
        turned
        or len(shape) != 3
        or shape[2] not in (1, 3)
        or kind.str not in ("|u1", "<f4")
        or not fits
    ):
        raise RecordError(
            f"expected uint8 or float32 samples of an image, found {kind} of shape {shape}"
        )
    return samples
