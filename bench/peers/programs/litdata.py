"""LitData's ``optimize``, to chunks of its own format."""

from __future__ import annotations

import sys
from pathlib import Path

from litdata import optimize

from bench.peers.programs.photo import CORES, convert, labelled_files


def prepare(file: tuple[str, int]) -> tuple[bytes, int]:
    """Return a sample."""
    path, label = file
    return convert(Path(path).read_bytes()), label


def main(source: str, output: str, images_per_shard: str) -> None:
    """Write all chunks."""
    optimize(
        fn=prepare,
        inputs=labelled_files(source),
        output_dir=output,
        chunk_size=int(images_per_shard),
        num_workers=CORES,
        verbose=False,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
