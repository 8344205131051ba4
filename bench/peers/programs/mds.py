"""MosaicML's Streaming: an ``MDSWriter`` in each process, and one index for all of them."""

from __future__ import annotations

import multiprocessing
import sys
from pathlib import Path

from streaming import MDSWriter
from streaming.base.util import merge_index

from bench.peers.programs.photo import CORES, convert, labelled_files

_COLUMNS = {"image": "bytes", "label": "int"}


def write_part(files: list[tuple[str, int]], folder: str, shard_bytes: int) -> None:
    """Write the images of one process."""
    with MDSWriter(out=folder, columns=_COLUMNS, size_limit=shard_bytes) as out:
        for path, label in files:
            out.write({"image": convert(Path(path).read_bytes()), "label": label})


def main(source: str, output: str, images_per_shard: str) -> None:
    """Write all shards, and the index of all."""
    files = labelled_files(source)
    # Shards are limited by bytes; an image has about 24 kB.
    size = int(images_per_shard) * 24_000
    jobs = [(files[i::CORES], f"{output}/{i}", size) for i in range(CORES)]
    with multiprocessing.Pool(CORES) as pool:
        pool.starmap(write_part, jobs)
    merge_index(output, keep_local=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
