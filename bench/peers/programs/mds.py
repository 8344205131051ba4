"""MosaicML's Streaming: an ``MDSWriter`` in each process, and one index for all of them."""

from __future__ import annotations

import multiprocessing
import sys
from pathlib import Path
from types import ModuleType

from bench.peers.programs.photo import CORES, convert, labelled_files

# Data sets of images, which need torchvision with operators for the same torch, and no writer does.
sys.modules["streaming.vision"] = ModuleType("streaming.vision")

from streaming import MDSWriter  # noqa: E402
from streaming.base.util import merge_index  # noqa: E402

_COLUMNS = {"image": "bytes", "label": "int"}
_IMAGE_BYTES = 24_000  # of a result, about: shards are limited by bytes


def write_part(files: list[tuple[str, int]], folder: str, shard_bytes: int) -> None:
    """Write the images of one process."""
    with MDSWriter(out=folder, columns=_COLUMNS, size_limit=shard_bytes) as out:
        for path, label in files:
            out.write({"image": convert(Path(path).read_bytes()), "label": label})


def main(source: str, output: str, images_per_shard: str) -> None:
    """Write all shards, and the index of all."""
    files, shard_bytes = labelled_files(source), int(images_per_shard) * _IMAGE_BYTES
    jobs = [(files[i::CORES], f"{output}/{i}", shard_bytes) for i in range(CORES)]
    with multiprocessing.Pool(CORES) as pool:
        pool.starmap(write_part, jobs)
    merge_index(output, keep_local=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
