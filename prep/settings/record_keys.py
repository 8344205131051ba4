"""The keys about what becomes of an image, and about shards."""

from __future__ import annotations

from typing import get_args

from prep.settings.choices import Compression, Encoding, Format, Interpolation
from prep.settings.key import Key
from prep.settings.output_names import DEFAULT_FORMAT

#: By name, in the order in which people are shown them.
RECORD_KEYS: dict[str, Key] = {
    "size": Key(
        default=256,
        help="Width and height of the results, in pixels.",
        bounds=(1, 4096),
        decides_bytes=True,
    ),
    "quality": Key(
        default=90,
        help="JPEG quality.",
        bounds=(1, 100),
        decides_bytes=True,
    ),
    "images_per_shard": Key(
        default=None,
        help="Images in a shard. By default 1000, and fewer for small sets, so that every core has "
        "work.",
        bounds=(1, None),
        decides_bytes=True,
    ),
    "format": Key(
        default=DEFAULT_FORMAT,
        help="Format of the shards: tfrecord (tf.train.Examples), or webdataset (tar files).",
        words=get_args(Format),
        decides_bytes=True,
    ),
    "compression": Key(
        default=None,
        help="Compression of TFRecord shards: none, GZIP or ZLIB.",
        words=("none", *get_args(Compression)),
        decides_bytes=True,
    ),
    "seed": Key(
        default=0,
        help="Seed of the shuffle.",
        bounds=(0, (1 << 32) - 1),
        decides_bytes=True,
    ),
    "interpolation": Key(
        default="area",
        help="How to resize: area (cubic where an image is enlarged), linear (fast, but aliases), "
        "cubic or lanczos (no aliasing, exact centre; 1 to 3 ms more per image).",
        words=get_args(Interpolation),
        decides_bytes=True,
    ),
    "encoding": Key(
        default="jpeg",
        help="How to store images: jpeg, raw (uint8 vector), or float32 (vector, mean subtracted; "
        "needs mean_file).",
        words=get_args(Encoding),
        decides_bytes=True,
    ),
    "mean_file": Key(
        default=None,
        help="JSON file with R, G and B: the mean that encoding float32 subtracts.",
        kind="the path or URL of a JSON file",
        decides_bytes=True,
        part="mean",
    ),
}
