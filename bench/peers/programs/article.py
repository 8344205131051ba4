"""The baseline: a typical multiprocessing script, after an article of 2019.

"Imagenet PreProcessing using TFRecord and Tensorflow 2.0 Data API", by Abhisek Jana, describes it;
this is written anew, with its steps and its habits (the whole image is resized; an odd margin
leaves 257 pixels, which are resized once more). Otherwise it is at its best, better than in the
article: no progress bar, no threads inside OpenCV's functions, and shards dealt out one at a time.

    python -m bench.peers.programs.article SOURCE OUTPUT IMAGES_PER_SHARD
"""

from __future__ import annotations

import multiprocessing
import random
import sys
from itertools import repeat
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from bench.peers.programs.examples import example_of
from bench.settings import QUALITY, SIZE, SPLIT

Image = npt.NDArray[Any]


def scale_image(image: Image, size: int) -> Image:
    """Resize the shorter side to ``size``."""
    height, width = image.shape[:2]
    if height <= width:
        return cv2.resize(image, (int(width / height * size), size))
    return cv2.resize(image, (size, int(height / width * size)))


def center_crop(image: Image, size: int) -> Image:
    """Cut the margins off, and resize what still does not fit."""
    height, width = image.shape[:2]
    if height <= width and abs(width - size) > 1:
        margin = (width - size) // 2
        image = image[:, margin:-margin, :]
    elif abs(height - size) > 1:
        margin = (height - size) // 2
        image = image[margin:-margin, :, :]
    if image.shape[:2] != (size, size):
        image = cv2.resize(image, (size, size))
    return image


def write_shard(files: list[str], path: str, labels: dict[str, int]) -> None:
    """Write one shard."""
    parameters = [int(cv2.IMWRITE_JPEG_QUALITY), QUALITY]
    with tf.io.TFRecordWriter(path, tf.io.TFRecordOptions(compression_type=None)) as writer:
        for file in files:
            image = center_crop(scale_image(np.asarray(cv2.imread(file)), SIZE), SIZE)
            written, encoded = cv2.imencode(".jpg", image, parameters)
            if written:
                label = labels[file.split("/")[-2]]
                writer.write(example_of(encoded.tobytes(), label))
            else:
                print("Error processing " + file)


def main(source: str, output: str, images_per_shard: str) -> None:
    """Write all shards, several processes at a time."""
    files = [str(path) for path in Path(source, SPLIT).glob("*/*.JPEG")]
    labels = {name: i for i, name in enumerate(sorted({file.split("/")[-2] for file in files}))}
    random.shuffle(files)
    step = int(images_per_shard)
    shards = [files[i : i + step] for i in range(0, len(files), step)]
    folder = Path(output, SPLIT)
    folder.mkdir(parents=True)
    paths = [str(folder / f"{SPLIT}-{i}.tfrecord") for i in range(len(shards))]
    cores = multiprocessing.cpu_count()
    with multiprocessing.Pool(cores, cv2.setNumThreads, (1,)) as pool:
        pool.starmap(write_shard, zip(shards, paths, repeat(labels)), chunksize=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
