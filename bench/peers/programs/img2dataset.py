"""img2dataset, on local files by their ``file:`` URLs, to WebDataset."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bench.peers.programs.photo import CORES, labelled_files
from bench.settings import QUALITY, SIZE

_THREADS = 32  # that read files, in each process


def main(source: str, output: str, images_per_shard: str) -> None:
    """Write all shards."""
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # It would ask a server for its version.
    from img2dataset import download

    files = labelled_files(source)
    with tempfile.TemporaryDirectory() as folder:
        urls = [Path(path).resolve().as_uri() for path, _ in files]
        captions = [str(label) for _, label in files]
        table = Path(folder, "images.parquet")
        pq.write_table(pa.table({"url": urls, "caption": captions}), table)
        download(
            url_list=str(table),
            input_format="parquet",
            caption_col="caption",
            output_folder=output,
            output_format="webdataset",
            image_size=SIZE,
            resize_mode="center_crop",
            upscale_interpolation="linear",
            downscale_interpolation="linear",
            encode_quality=QUALITY,
            extract_exif=False,
            compute_hash=None,
            number_sample_per_shard=int(images_per_shard),
            processes_count=CORES,
            thread_count=_THREADS,
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
