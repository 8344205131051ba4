"""tf.train.Example messages with an image and its label, without TensorFlow or protobuf.

Source: `example.proto`_ and `feature.proto`_, in the `wire format`_ of protocol buffers.

.. _example.proto: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/example.proto
.. _feature.proto: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/feature.proto
.. _wire format: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import functools
import itertools
import struct
from collections.abc import Container, Iterator, Sequence
from typing import cast

from prep.errors import RecordError
from prep.settings.record_features import DEFAULT_FEATURES, RECORD_KINDS, RecordFeatures
from prep.shards.formats.base import Label, Record, Values
from prep.text import quoted

_Bytes = bytes | memoryview
_FLOATS, _INTEGERS = 2, 3  # fields of a Feature


_ONE_BYTE = [bytes((value,)) for value in range(0x80)]  # Most varints in a record.


def _varint(value: int) -> bytes:
    """Return a base-128 varint; negative numbers as their 64-bit two's complement."""
    if 0 <= value < 0x80:
        return _ONE_BYTE[value]
    value &= 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _header(number: int, length: int) -> bytes:
    """Return the tag and length of a length-delimited (wire type 2) field."""
    return _ONE_BYTE[number << 3 | 2] + _varint(length)


def _field(number: int, payload: bytes) -> bytes:
    return _header(number, len(payload)) + payload


_LONGEST_LABEL = 1 << 20  # numbers
_KEYS = tuple(RECORD_KINDS.values())
_IMAGE, _LABEL = DEFAULT_FEATURES.image.encode(), DEFAULT_FEATURES.label.encode()
_IMAGE_KEY = _field(1, _IMAGE)


def label_entry(values: Sequence[int]) -> bytes:
    """Return the feature-map entry for ``label``: an Int64List, packed.

    It is the same for all images of a class, so callers build it once per class.
    """
    return int64_entry(_LABEL, values)


def int64_entry(key: bytes, values: Sequence[int]) -> bytes:
    """Return a feature-map entry of integers: an Int64List, packed."""
    packed = b"".join(map(_varint, values))
    int64_list = _field(1, packed) if packed else b""
    return _field(1, _field(1, key) + _field(2, _field(_INTEGERS, int64_list)))


def float_entry(key: bytes, values: bytes) -> bytes:
    """Return a feature-map entry of floats: a FloatList, packed.

    Args:
        values: little-endian float32, one after the other.
    """
    return _field(1, _field(1, key) + _field(2, _field(_FLOATS, _field(1, values))))


def bytes_entry(key: bytes, value: bytes) -> bytes:
    """Return a feature-map entry of one value of bytes."""
    return _field(1, _field(1, key) + _field(2, _field(1, _field(1, value))))


def number_entry(values: bytes) -> bytes:
    """Return the feature-map entry for ``label`` with floats; see :func:`float_entry`."""
    return float_entry(_LABEL, values)


def example(image: bytes, label: bytes) -> bytes:
    """Return a serialized tf.train.Example with the features ``image_raw`` and ``label``.

    Args:
        image: the value of ``image_raw``.
        label: the entry made by :func:`label_entry` or :func:`number_entry`.

    Map entries stand in the order of their keys, as protobuf's deterministic serialization has it.

    >>> len(example(b"x", label_entry([7])))
    38
    """
    return b"".join(example_pieces(image, label))


def example_pieces(
    image: bytes, after: bytes, before: bytes = b"", key: bytes = _IMAGE
) -> tuple[bytes, bytes, bytes]:
    """Return a serialized tf.train.Example in pieces, of which the second is the image itself.

    Args:
        image: the value of the feature that holds the image.
        after, before: the entries of all other features whose keys come after and before its own.
        key: the name of the feature that holds the image.
    """
    # From the inside out, and only what stands before the image.
    head = _header(1, len(image))  # BytesList.value
    head = _header(1, len(head) + len(image)) + head  # Feature.bytes_list
    head = _field(1, key) + _header(2, len(head) + len(image)) + head  # the entry: key and value
    head = before + _header(1, len(head) + len(image)) + head  # Features.feature
    head = _header(1, len(head) + len(image) + len(after)) + head  # Example.features
    return head, image, after


def parse_example(data: bytes) -> Record:
    """Return the image and label of a serialized tf.train.Example.

    They are in ``image_raw`` and ``label``, or in ``image/encoded`` and ``image/class/label``.
    Other features are passed over, so records made by others can be read too.

    Raises:
        RecordError: it is not an Example, or a feature is missing or of another kind.
    """
    return _parse_ours(data) or _parse_any(data)


# Bytes before each length in the head of an example of ours.
_NESTING = (b"\x0a", _IMAGE_KEY + b"\x12", b"\x0a", b"\x0a")


def _parse_ours(data: bytes) -> Record | None:
    """Return what :func:`example` has made; None if the bytes are not laid out like that."""
    try:
        length, at = _read_varint(data, 1)
        if data[:1] != b"\x0a" or at + length != len(data):
            return None
        end = None
        for start in _NESTING:
            if not data.startswith(start, at):
                return None
            length, at = _read_varint(data, at + len(start))
            end = end or at + length
            if at + length != end:
                return None
        label = _label(data[end:])
    except (IndexError, ValueError):
        return None
    return None if label is None else Record(data[at:end], label)


@functools.lru_cache(maxsize=1024)
def _label(entry: bytes) -> Label | None:
    """Return the label of an entry that a function of this module has made; None of any other."""
    if len(entry) >= 1 << 16:  # Of too many to be kept.
        return None
    fields = dict(_fields(next(_subfields(memoryview(entry), 1), b"")))
    label = _numbers(_message(fields.get(2, b"")))
    if label is None:
        return None
    floats = label and isinstance(label[0], float)
    again = number_entry(_packed(label)) if floats else label_entry(cast("tuple[int]", label))
    return label if again == entry else None


def _parse_any(data: bytes) -> Record:
    try:
        found = dict(_features(data))
        keys = features_among(found)
        image = bytes(next(_subfields(found[keys.image], 1, 1)))
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
    return next((each for each in _KEYS if each.image in names), DEFAULT_FEATURES)


def example_values(data: bytes) -> dict[str, Values]:
    """Return the values of each feature of a serialized tf.train.Example, by name.

    Raises:
        RecordError: it is not an Example.
    """
    try:
        return {name: _values(feature) for name, feature in _features(data)}
    except (IndexError, ValueError, struct.error) as error:
        raise RecordError(f"not a serialized tf.train.Example: {error}") from None


def _features(data: bytes) -> Iterator[tuple[str, _Bytes]]:
    """Yield the name of each feature of a serialized tf.train.Example, and its serialized values.

    Raises:
        ValueError, IndexError: it is not an Example.
    """
    for entry in _subfields(memoryview(data), 1, 1):
        fields = dict(_fields(entry))
        yield bytes(_message(fields.get(1, b""))).decode(), _message(fields.get(2, b""))


def _values(feature: _Bytes) -> Values:
    """Return the values of a serialized Feature."""
    kinds = {number for number, _ in _fields(feature)}
    if 1 in kinds:
        return tuple(map(bytes, _subfields(feature, 1, 1)))
    if _FLOATS in kinds:
        return tuple(_float_list(feature))
    return tuple(_int64_list(feature))


def _read_varint(data: _Bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number of more than 64 bits")


def _fields(data: _Bytes) -> Iterator[tuple[int, _Bytes | int]]:
    """Yield (field number, value) for the fields of a message, in order."""
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = _read_varint(data, at)
            yield tag >> 3, value
            continue
        if kind == 2:
            length, at = _read_varint(data, at)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if at + length > len(data):
            raise ValueError("a field runs past the end")
        yield tag >> 3, data[at : at + length]
        at += length


def _message(value: _Bytes | int) -> _Bytes:
    if isinstance(value, int):
        raise ValueError("a number where a message was expected")
    return value


def _subfields(data: _Bytes, *path: int) -> Iterator[_Bytes]:
    """Yield the length-delimited fields reached by following ``path`` of field numbers."""
    for number, value in _fields(data):
        if number == path[0]:
            inner = _message(value)
            if len(path) == 1:
                yield inner
            else:
                yield from _subfields(inner, *path[1:])


def _numbers(feature: _Bytes) -> Label | None:
    """Return the numbers of a Feature, not many more than allowed; None if it holds no numbers."""
    kind = next((number for number, _ in _fields(feature)), None)
    if kind == _FLOATS:
        return tuple(itertools.islice(_float_list(feature), _LONGEST_LABEL + 1))
    if kind == _INTEGERS:
        return tuple(itertools.islice(_int64_list(feature), _LONGEST_LABEL + 1))
    return None


def _packed(numbers: Sequence[float]) -> bytes:
    return struct.pack(f"<{len(numbers)}f", *numbers)


def _float_list(feature: _Bytes) -> Iterator[float]:
    """Yield the floats of a Feature's FloatList, whether packed or not."""
    for float_list in _subfields(feature, _FLOATS):
        for _, value in _fields(float_list):
            data = _message(value)
            if len(data) % 4:
                raise ValueError("a list of floats that is cut off")
            yield from struct.unpack(f"<{len(data) // 4}f", data)


def _int64_list(feature: _Bytes) -> Iterator[int]:
    """Yield the integers of a Feature's Int64List, whether packed or not."""
    for int64_list in _subfields(feature, _INTEGERS):
        for _, value in _fields(int64_list):
            packed = _varint(value) if isinstance(value, int) else bytes(value)
            if packed.isascii():  # Each byte is a number: a label, or a one-hot list.
                yield from packed
                continue
            at = 0
            while at < len(packed):
                number, at = _read_varint(packed, at)
                yield number - (1 << 64) if number >> 63 else number
