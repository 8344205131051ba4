"""A Dask Bag as one writes it first: a partition is a shard, and TensorFlow writes it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from dask import bag
from dask.base import compute
from dask.delayed import delayed
from distributed import Client

from bench.peers.programs.photo import CORES, convert, labelled_files
from bench.settings import SPLIT


def write_shard(files: Iterable[tuple[str, int]], path: str) -> int:
    """Write one shard, and return the number of its images."""
    import tensorflow as tf

    from bench.peers.programs.examples import example_of

    count = 0
    with tf.io.TFRecordWriter(path) as writer:
        for file, label in files:
            writer.write(example_of(convert(Path(file).read_bytes()), label))
            count += 1
    return count


def main(source: str, output: str, images_per_shard: str) -> None:
    """Write all shards, in a process for each core."""
    folder, files = Path(output, SPLIT), labelled_files(source)
    folder.mkdir(parents=True)
    with Client(n_workers=CORES, threads_per_worker=1, dashboard_address=None):
        shards = bag.from_sequence(files, partition_size=int(images_per_shard)).to_delayed()
        paths = [str(folder / f"{SPLIT}-{i}.tfrecord") for i in range(len(shards))]
        written = map(delayed(write_shard), shards, paths)
        assert sum(compute(*written)) == len(files)


if __name__ == "__main__":
    main(*sys.argv[1:])
