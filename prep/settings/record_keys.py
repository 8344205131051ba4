"""The keys about what becomes of an image, and about shards."""

from __future__ import annotations

from typing import get_args

from prep.settings.choices import (
    Compression,
    Encoding,
    Enlarge,
    Fit,
    Format,
    Geometry,
    Interpolation,
    Mode,
    RecordKind,
)
from prep.settings.key import Key
from prep.settings.output_names import DEFAULT_FORMAT, MOST_SHARDS
from prep.settings.record_features import DEFAULT_RECORD, EXTRA_FEATURES

#: By name, in the order in which people are shown them.
RECORD_KEYS: dict[str, Key] = {
    "size": Key(
        default=256,
        help="Height and width of the results, in pixels: one number for both, or HEIGHTxWIDTH.",
        kind="a whole number from 1 to 4096, or HEIGHTxWIDTH such as 224x336",
        decides_bytes=True,
    ),
    "fit": Key(
        default="crop",
        help="How images take that size: crop (the centre), pad (the whole image, on the "
        "background), stretch (to the size), or shorter (the whole image, so that it just covers "
        "the size; results then differ in size).",
        words=get_args(Fit),
        decides_bytes=True,
    ),
    "enlarge": Key(
        default="always",
        help="Whether smaller images are enlarged: always, or never (results then differ in size, "
        "unless fit is pad).",
        words=get_args(Enlarge),
        decides_bytes=True,
    ),
    "geometry": Key(
        default="exact",
        help="Where results begin and end in an image: exact (at fractions of a pixel), or "
        "torchvision (rounded as by its Resize and CenterCrop, to repeat published numbers).",
        words=get_args(Geometry),
        decides_bytes=True,
    ),
    "mode": Key(
        default="rgb",
        help="Colours of the results: rgb, or gray (one channel of luma).",
        words=get_args(Mode),
        decides_bytes=True,
    ),
    "quality": Key(
        default=90,
        help="Quality of JPEG and WebP.",
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
    "shard_count": Key(
        default=None,
        help="Shards in each split, in place of images_per_shard: they differ by at most one "
        "image, so that as many hosts get the same.",
        bounds=(1, MOST_SHARDS),
        decides_bytes=True,
    ),
    "format": Key(
        default=DEFAULT_FORMAT,
        help="Format of the shards: tfrecord (tf.train.Examples), or webdataset (tar files).",
        words=get_args(Format),
        decides_bytes=True,
    ),
    "record": Key(
        default=DEFAULT_RECORD,
        help="Names of the features of TFRecords: prep (image_raw and label), or tf-slim "
        "(image/encoded, image/class/label and others, as TF-Slim reads them).",
        words=get_args(RecordKind),
        decides_bytes=True,
    ),
    "features": Key(
        default=None,
        help="Features that records have besides, comma-separated: filename, class_name, and "
        "width and height of the source image.",
        kind=f"a list of some of {', '.join(EXTRA_FEATURES)}",
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
        help="Seed of the shuffle, and of split and subset.",
        bounds=(0, (1 << 32) - 1),
        decides_bytes=True,
    ),
    "interpolation": Key(
        default="bilinear",
        help="How to resize: bilinear or bicubic (antialiased, exact centre, as Pillow and "
        "torchvision), area (soft; cubic where an image is enlarged), linear (aliases), cubic or "
        "lanczos (Pillow itself, 1 to 3 ms more per image).",
        words=get_args(Interpolation),
        decides_bytes=True,
    ),
    "encoding": Key(
        default="jpeg",
        help="How to store images: jpeg; png (lossless); webp (lossy, smaller, slower); raw (uint8 "
        "vector), or float32 (vector, mean subtracted; needs mean_file).",
        words=get_args(Encoding),
        decides_bytes=True,
    ),
    "keep_fitting": Key(
        default=False,
        help="Keep a JPEG that has the size already as it is, to the byte, in place of encoding it "
        "again. For encoding jpeg.",
        kind="true or false",
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
