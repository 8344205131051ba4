"""Serialize a tf.train.Example with TensorFlow."""

from __future__ import annotations

import tensorflow as tf


def example_of(image: bytes, label: int) -> bytes:
    """Return an Example with an image and its label, serialized."""
    label_feature = tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
    image_feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[image]))
    features = tf.train.Features(feature={"label": label_feature, "image_raw": image_feature})
    data: bytes = tf.train.Example(features=features).SerializeToString()
    return data
