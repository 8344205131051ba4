"""tf.train.Examples with an image, its label and more features, without TensorFlow or protobuf.

Source: `example.proto`_ and `feature.proto`_.

.. _example.proto: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/example.proto
.. _feature.proto: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/feature.proto
"""

from __future__ import annotations

from collections.abc import Sequence

from prep.settings.record_features import DEFAULT_FEATURES
from prep.shards.formats.protobuf import delimited, header, varint

#: Fields of a Feature: the kinds of lists that it may hold.
BYTES, FLOATS, INTEGERS = 1, 2, 3
_IMAGE, _LABEL = DEFAULT_FEATURES.image.encode(), DEFAULT_FEATURES.label.encode()


def label_entry(values: Sequence[int]) -> bytes:
    """Return the feature-map entry for ``label``: an Int64List, packed.

    It is the same for all images of a class, so callers build it once per class.
    """
    return int64_entry(_LABEL, values)


def int64_entry(key: bytes, values: Sequence[int]) -> bytes:
    """Return a feature-map entry of integers: an Int64List, packed."""
    packed = b"".join(map(varint, values))
    int64_list = delimited(1, packed) if packed else b""
    return delimited(1, delimited(1, key) + delimited(2, delimited(INTEGERS, int64_list)))


def float_entry(key: bytes, values: bytes) -> bytes:
    """Return a feature-map entry of floats: a FloatList, packed.

    Args:
        values: little-endian float32, one after the other.
    """
    return delimited(1, delimited(1, key) + delimited(2, delimited(FLOATS, delimited(1, values))))


def bytes_entry(key: bytes, value: bytes) -> bytes:
    """Return a feature-map entry of one value of bytes."""
    return delimited(1, delimited(1, key) + delimited(2, delimited(BYTES, delimited(1, value))))


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
    size = len(image)
    head = header(1, size)  # BytesList.value
    head = header(1, len(head) + size) + head  # Feature.bytes_list
    head = delimited(1, key) + header(2, len(head) + size) + head  # the entry: key and value
    head = before + header(1, len(head) + size) + head  # Features.feature
    head = header(1, len(head) + size + len(after)) + head  # Example.features
    return head, image, after
