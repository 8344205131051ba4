"""Ray Data, from ``read_binary_files`` to ``write_tfrecords``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import ray

from bench.peers.programs.photo import CORES, convert, labelled_files


def main(source: str, output: str, images_per_shard: str) -> None:
    """Write all shards."""
    labels = {Path(path).parent.name: label for path, label in labelled_files(source)}

    def prepare(row: dict[str, Any]) -> dict[str, Any]:
        return {"image_raw": convert(row["bytes"]), "label": labels[Path(row["path"]).parent.name]}

    ray.init(num_cpus=CORES, include_dashboard=False, log_to_driver=False)
    files = ray.data.read_binary_files(
        source, include_paths=True, shuffle="files", file_extensions=["JPEG"]
    )
    files.map(prepare).write_tfrecords(output, min_rows_per_file=int(images_per_shard))
    ray.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
