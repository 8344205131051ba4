"""Records of shards, as TensorFlow reads them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def examples(*shards: Path) -> Iterator[tuple[int, bytes]]:
    """Yield label and image of each record of TFRecord shards whose labels are numbers."""
    import tensorflow as tf

    for record in tf.data.TFRecordDataset([*map(str, shards)]):
        features = tf.train.Example.FromString(record.numpy()).features.feature
        (image,), (label,) = (
            features["image_raw"].bytes_list.value,
            features["label"].int64_list.value,
        )
        yield label, image
