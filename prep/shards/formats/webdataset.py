"""WebDataset shards: tar files in which the members of an image follow each other.

For each image, ``KEY.jpg``, ``KEY.png`` or ``KEY.webp`` (``KEY.npy`` for bare samples),
``KEY.cls`` with the number of its class, and ``KEY.json``: ``class``, ``label`` as the label map
has it, ``name`` of the source image, ``crc32c`` of the first member, for a tar file has no
checksum of data, and the features that were asked for. Labels that are not of one class have no
``KEY.cls``: their ``label`` is a list of the numbers of classes, or a number, or a list with a
number for each class. The bytes depend on the samples alone: they hold no time and no user.

Sources: the `naming of members`_ of WebDataset, and `npy`_.

.. _naming of members: https://github.com/webdataset/webdataset
.. _npy: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO

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
from prep.shards.formats.tar_records import Archive, TarWriter, member_of, members_of
from prep.sources.labels import LabelMap

# The features that can be added to what ``.json`` holds.
_OF_SAMPLES: Mapping[str, Callable[[Sample], str | int]] = {
    "filename": lambda sample: sample.name,
    "class_name": lambda sample: sample.class_name,
    "width": lambda sample: sample.width,
    "height": lambda sample: sample.height,
}
_IMAGES = ("jpg", "jpeg", "png", "webp", "npy")


def _npy_header(settings: ImageSettings) -> bytes:
    """Return what stands before samples in a ``.npy`` file, as NumPy writes it."""
    kind = "|u1" if settings.encoding == "raw" else "<f4"
    shape = (settings.height, settings.width, settings.channels)
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    return b"\x93NUMPY\x01\x00v\x00" + text.encode().ljust(117) + b"\n"


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
                *member_of(f"{key}.{extension}", image),
                *(member_of(f"{key}.cls", number) if number else ()),
                *member_of(f"{key}.json", about.encode()),
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
        archive = Archive(file)
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
        members = dict(members_of(record))
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
        members = dict(members_of(record))
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
