"""tf.data: TensorFlow's own functions in its own threads, and its own writer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import tensorflow as tf

from bench.peers.programs.examples import example_of
from bench.peers.programs.photo import labelled_files
from bench.settings import QUALITY, SIZE, SPLIT


def prepare(path: Any, label: Any) -> Any:
    """Return an encoded image and its label."""
    image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    short = tf.minimum(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    square = tf.image.resize(image[top : top + short, left : left + short], (SIZE, SIZE))
    pixels = tf.cast(tf.round(square), tf.uint8)
    return tf.io.encode_jpeg(pixels, quality=QUALITY, chroma_downsampling=True), label


def main(source: str, output: str, images_per_shard: str) -> None:
    """Write all shards, one after the other, while other images are converted."""
    folder, step = Path(output, SPLIT), int(images_per_shard)
    folder.mkdir(parents=True)
    paths, labels = zip(*labelled_files(source), strict=True)
    images = tf.data.Dataset.from_tensor_slices((list(paths), list(labels)))
    images = images.map(prepare, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    converted = images.as_numpy_iterator()
    for number in range(-(-len(paths) // step)):
        with tf.io.TFRecordWriter(str(folder / f"{SPLIT}-{number}.tfrecord")) as writer:
            for _, (image, label) in zip(range(step), converted, strict=False):
                writer.write(example_of(image, int(label)))


if __name__ == "__main__":
    main(*sys.argv[1:])
