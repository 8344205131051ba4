"""tf.train.Examples, ours and others', taken apart without TensorFlow or protobuf."""

from __future__ import annotations

import functools
import itertools
import struct
from collections.abc import Container, Iterator
from typing import cast

from prep.errors import RecordError
from prep.settings.record_features import DEFAULT_FEATURES, RECORD_KINDS, RecordFeatures
from prep.shards.formats.base import Label, Record, Values
from prep.shards.formats.example import FLOATS, INTEGERS, float_entry, int64_entry
from prep.shards.formats.protobuf import (
    Buffer,
    fields,
    message,
    read_varint,
    subfields,
    varint,
)
from prep.text import quoted

_LONGEST_LABEL = 1 << 20  # numbers
_KINDS = tuple(RECORD_KINDS.values())
_MESSAGE, _VALUE = 0x0A, 0x12  # Tags of fields 1 and 2, of which the latter is a map's value.


def parse_example(data: bytes) -> Record:
    """Return the image and label of a serialized tf.train.Example.

    They are in ``image_raw`` and ``label``, or in ``image/encoded`` and ``image/class/label``.
    Other features are passed over, so records made by others can be read too.

    Raises:
        RecordError: it is not an Example, or a feature is missing or of another kind.
    """
    return _parse_ours(data) or _parse_any(data)


# The features that hold images and labels, with the kind of records that they belong to.
_IMAGES = {kind.image.encode(): kind for kind in _KINDS}
_LABELS = {kind.label.encode(): kind for kind in _KINDS}


def _parse_ours(data: bytes) -> Record | None:
    """Return the image and label of an Example as we make it; None of any other.

    All other features are passed over by the length of their entries, which takes a microsecond.
    """
    image: bytes | None = None
    label: Label | None = None
    kinds: list[RecordFeatures] = []
    try:
        at = _into(data, 0, len(data))
        while at < len(data):
            entry = at
            length, at = read_varint(data, entry + 1)
            end = at + length
            if data[entry] != _MESSAGE or data[at] != _MESSAGE or end > len(data):
                return None
            value = at + 2 + data[at + 1]  # The names of ours are shorter than 128 bytes.
            key = data[at + 2 : value]
            if key in _IMAGES:
                kinds.append(_IMAGES[key])
                image = data[_in_value(data, value, end) : end]
            elif key in _LABELS:
                kinds.append(_LABELS[key])
                label = _label(data[entry:end], key)
            at = end
    except (IndexError, ValueError):
        return None
    if image is None or label is None or len(kinds) != 2 or kinds[0] is not kinds[1]:
        return None
    return Record(image, label)


def _in_value(data: bytes, at: int, end: int) -> int:
    """Return where the bytes begin that are the only value of a feature.

    Args:
        at, end: where its entry goes on behind the key, and ends.

    Raises:
        IndexError, ValueError: there are others, or none.
    """
    for tag in (_VALUE, _MESSAGE, _MESSAGE):  # The Feature, its BytesList, and the bytes.
        at = _into(data, at, end, tag)
    return at


def _into(data: bytes, at: int, end: int, tag: int = _MESSAGE) -> int:
    """Return where the contents of the only field of a message begin.

    Raises:
        IndexError, ValueError: it is not the field with this tag, or ends before the message does.
    """
    if data[at] != tag:
        raise ValueError("expected another field")
    length, at = read_varint(data, at + 1)
    if at + length != end:
        raise ValueError("expected one field alone")
    return at


@functools.lru_cache(maxsize=1024)
def _label(entry: bytes, key: bytes) -> Label | None:
    """Return the label of an entry as we make it; None of any other."""
    if len(entry) >= 1 << 16:  # Of too many to be kept.
        return None
    found = dict(fields(next(subfields(memoryview(entry), 1), b"")))
    label = _numbers(message(found.get(2, b"")))
    if label is None:
        return None
    floats = label and isinstance(label[0], float)
    again = (
        float_entry(key, struct.pack(f"<{len(label)}f", *label))
        if floats
        else int64_entry(key, cast("tuple[int, ...]", label))
    )
    return label if again == entry else None


def _parse_any(data: bytes) -> Record:
    try:
        found = dict(_features(data))
        keys = features_among(found)
        image = bytes(next(subfields(found[keys.image], 1, 1)))
        label = _numbers(found[keys.label])
    except KeyError as error:
        there = ", ".join(map(quoted, sorted(found))) or "none"
        raise RecordError(
            f"expected the features {quoted(keys.image)} and {quoted(keys.label)}, found {there}: "
            f"no {error}"
        ) from None
    except StopIteration:
        raise RecordError(f"feature {quoted(keys.image)} is not a list of bytes") from None
    except (IndexError, ValueError) as error:
        raise RecordError(f"not a serialized tf.train.Example: {error}") from None
    if label is None:
        raise RecordError(f"feature {quoted(keys.label)} is not a list of numbers")
    if len(label) > _LONGEST_LABEL:
        raise RecordError(f"feature {quoted(keys.label)} has more than {_LONGEST_LABEL:,} numbers")
    return Record(image, label)


def features_among(names: Container[str]) -> RecordFeatures:
    """Return the features of the kind of records that has an image of one of these names."""
    return next((each for each in _KINDS if each.image in names), DEFAULT_FEATURES)


def example_values(data: bytes) -> dict[str, Values]:
    """Return the values of each feature of a serialized tf.train.Example, by name.

    Raises:
        RecordError: it is not an Example.
    """
    try:
        return {name: _values(feature) for name, feature in _features(data)}
    except (IndexError, ValueError, struct.error) as error:
        raise RecordError(f"not a serialized tf.train.Example: {error}") from None


def _features(data: bytes) -> Iterator[tuple[str, Buffer]]:
    """Yield the name of each feature of a serialized tf.train.Example, and its serialized values.

    Raises:
        ValueError, IndexError: it is not an Example.
    """
    for entry in subfields(memoryview(data), 1, 1):
        found = dict(fields(entry))
        yield bytes(message(found.get(1, b""))).decode(), message(found.get(2, b""))


def _values(feature: Buffer) -> Values:
    """Return the values of a serialized Feature."""
    kinds = {number for number, _ in fields(feature)}
    if 1 in kinds:
        return tuple(map(bytes, subfields(feature, 1, 1)))
    if FLOATS in kinds:
        return tuple(_float_list(feature))
    return tuple(_int64_list(feature))


def _numbers(feature: Buffer) -> Label | None:
    """Return the numbers of a Feature, not many more than allowed; None if it holds no numbers."""
    kind = next((number for number, _ in fields(feature)), None)
    if kind == FLOATS:
        return tuple(itertools.islice(_float_list(feature), _LONGEST_LABEL + 1))
    if kind == INTEGERS:
        return tuple(itertools.islice(_int64_list(feature), _LONGEST_LABEL + 1))
    return None


def _float_list(feature: Buffer) -> Iterator[float]:
    """Yield the floats of a Feature's FloatList, whether packed or not."""
    for float_list in subfields(feature, FLOATS):
        for _, value in fields(float_list):
            data = message(value)
            if len(data) % 4:
                raise ValueError("a list of floats that is cut off")
            yield from struct.unpack(f"<{len(data) // 4}f", data)


def _int64_list(feature: Buffer) -> Iterator[int]:
    """Yield the integers of a Feature's Int64List, whether packed or not."""
    for int64_list in subfields(feature, INTEGERS):
        for _, value in fields(int64_list):
            packed = varint(value) if isinstance(value, int) else bytes(value)
            if packed.isascii():  # Each byte is a number: a label, or a one-hot list.
                yield from packed
                continue
            at = 0
            while at < len(packed):
                number, at = read_varint(packed, at)
                yield number - (1 << 64) if number >> 63 else number
