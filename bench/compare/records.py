"""Count the images in an output, by the format of each program."""

from __future__ import annotations

import gzip
import json
import os
import tarfile
from pathlib import Path

_FRAME = 16  # bytes around a record's data: its length, and two checksums
_GZIP = b"\x1f\x8b"


def count_tfrecords(output: Path) -> int:
    """Count the records of all TFRecord files in a folder and those below it."""
    return sum(map(_count_records, output.rglob("*.tfrecord")))


def count_records_of_ray(output: Path) -> int:
    """Count the records of Ray's TFRecord files, whose names end with ``.tar``."""
    return sum(map(_count_records, output.rglob("*.tar")))


def count_tars(output: Path) -> int:
    """Count the JPEGs in the tars of a folder, as WebDataset has them."""
    count = 0
    for path in output.rglob("*.tar"):
        with tarfile.open(path) as tar:
            count += sum(name.endswith(".jpg") for name in tar.getnames())
    return count


def count_chunks(output: Path) -> int:
    """Count the samples that LitData's index names."""
    index = json.loads((output / "index.json").read_text())
    return sum(int(chunk["chunk_size"]) for chunk in index["chunks"])


def count_mds(output: Path) -> int:
    """Count the samples that the index of Streaming (MDS) names."""
    index = json.loads((output / "index.json").read_text())
    return sum(int(shard["samples"]) for shard in index["shards"])


def _count_records(path: Path) -> int:
    with open(path, "rb") as plain:
        compressed = plain.read(2) == _GZIP
    count = 0
    with gzip.open(path) if compressed else open(path, "rb") as file:
        while length := file.read(8):
            file.seek(int.from_bytes(length, "little") + _FRAME - 8, os.SEEK_CUR)
            count += 1
    return count
