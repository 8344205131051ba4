"""The words that keys may have, and constants that go with them."""

from __future__ import annotations

from typing import Literal

Interpolation = Literal["bilinear", "bicubic", "area", "linear", "cubic", "lanczos"]
#: The library that resizes for some interpolations, and these.
RESIZER = "cykooz-resizer"
CONVOLVED: frozenset[Interpolation] = frozenset(("bilinear", "bicubic"))
Fit = Literal["crop", "pad", "shorter", "stretch"]
Enlarge = Literal["always", "never"]
Geometry = Literal["exact", "torchvision"]
Mode = Literal["rgb", "gray"]
Encoding = Literal["jpeg", "png", "webp", "raw", "float32"]
#: The extensions of those encodings that are image files.
IMAGE_FILES: dict[Encoding, str] = {"jpeg": "jpg", "png": "png", "webp": "webp"}
#: The encodings that change pixels.
LOSSY: frozenset[Encoding] = frozenset(("jpeg", "webp"))
Damaged = Literal["refuse", "keep"]
Icc = Literal["ignore", "convert"]
Compression = Literal["GZIP", "ZLIB"]
Format = Literal["tfrecord", "webdataset"]
#: The names that the features of a record have: ours, or those of TF-Slim.
RecordKind = Literal["prep", "tf-slim"]
Layout = Literal[
    "auto",
    "folders",
    "classes",
    "splits",
    "archive",
    "imagenet",
    "list",
    "webdataset",
    "tfrecord",
    "parquet",
    "arrow",
]
OnStray = Literal["fail", "skip"]
OnMissing = Literal["fail", "skip"]
NearDuplicates = Literal["ignore", "report", "drop"]
Leaks = Literal["report", "fail"]
Unlabelled = Literal["skip", "keep"]
#: What labels say of an image: its one class, several classes, a number, or a share of each class.
Target = Literal["class", "multi", "value", "soft"]
#: The columns of a list that have a meaning.
COLUMN_ROLES = ("image", "label", "split", "group")
#: Red, green and blue, each from 0 to 255.
RGB = tuple[float, float, float]

#: The split of images that lie in class folders without a split folder above them.
DEFAULT_SPLIT = "train"
