"""Settings: each key of a configuration and what it may be, and the names that outputs may have.

Whatever there is to say of a key is said once, in ``KEYS``: the model (:mod:`prep.config`), the
command line, the settings of an image and the fingerprint are made of it. This module is light, so
that help is shown without loading what it takes to check values.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from prep.errors import ConfigError
from prep.text import quoted

Interpolation = Literal["area", "linear", "cubic", "lanczos"]
Encoding = Literal["jpeg", "raw", "float32"]
Damaged = Literal["refuse", "keep"]
Icc = Literal["ignore", "convert"]
Compression = Literal["GZIP", "ZLIB"]
Format = Literal["tfrecord", "webdataset"]
Layout = Literal["auto", "folders", "classes", "splits", "archive", "imagenet", "list"]
OnStray = Literal["fail", "skip"]
OnMissing = Literal["fail", "skip"]
Unlabelled = Literal["skip", "keep"]
#: The columns of a list that have a meaning.
COLUMN_ROLES = ("image", "label", "split", "group")
#: Red, green and blue, each from 0 to 255.
RGB = tuple[float, float, float]

#: The split of images that lie in class folders without a split folder above them.
DEFAULT_SPLIT = "train"
#: Of an output. What is beside them is a folder of a million files, and more than one client holds.
MOST_SHARDS = 1 << 20
_LONGEST_NAME = 255  # bytes, on nearly all filesystems
#: Names of the files that an output has beside its shards.
RESULTS = frozenset(
    {
        *("mean_rgb.json", "label_map.json", "report.json", "report.html"),
        *(
            f"{table}.{suffix}"
            for table in ("refused", "duplicates")
            for suffix in ("csv", "parquet")
        ),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardFile:
    """The files that a record format makes: how their names end, and how they may be compressed."""

    suffix: str
    compressions: tuple[Compression, ...] = ()


#: The registry of record formats, a line each. ``prep.shards.formats`` has a module of each name.
FORMATS: dict[Format, ShardFile] = {
    "tfrecord": ShardFile(suffix=".tfrecord", compressions=("GZIP", "ZLIB")),
    "webdataset": ShardFile(suffix=".tar"),
}
#: The format of outputs that were begun before there was a choice.
DEFAULT_FORMAT: Format = "tfrecord"

#: The keys of the article's JSON config, and what they are called here.
ARTICLE_KEYS = {
    "image_folder": "source",
    "record_path": "output",
    "batch": "splits",
    "crop_size": "size",
    "image_quality": "quality",
    "split_number": "images_per_shard",
    "tf_record_compression": "compression",
}


class _Required:
    """The default of a key that has none."""

    def __repr__(self) -> str:
        return "required"


REQUIRED = _Required()


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key of a configuration.

    Attributes:
        default: its value where none is given; ``REQUIRED`` where there is none.
        help: what it is for.
        words: what it may be, if it is one of several words.
        bounds: the least and the most that it may be, if it is a number.
        kind: what else it may be.
        decides_bytes: whether shards written with another value are others, as far as a plan can
            tell. If so, a run with another value does not continue what was begun with this one.
        part: the part of the fingerprint that shows it, if not its own value under its own name.
    """

    default: Any
    help: str
    words: tuple[str, ...] = ()
    bounds: tuple[int, int | None] | None = None
    kind: str = ""
    decides_bytes: bool
    part: str | None = None

    @property
    def allowed(self) -> str:
        """The allowed values, for error messages.

        >>> KEYS["icc"].allowed, KEYS["quality"].allowed, KEYS["max_aspect"].allowed
        ('ignore or convert', 'a whole number from 1 to 100', 'a number of at least 1')
        """
        if self.words:
            return f"{', '.join(self.words[:-1])} or {self.words[-1]}"
        if self.bounds is None:
            return self.kind
        least, most = self.bounds
        number = "a number" if isinstance(self.default, float) else "a whole number"
        return (
            f"{number} of at least {least}" if most is None else f"{number} from {least} to {most}"
        )


#: The keys of a configuration, in their order. The model adds their types, and the command line its
#: flags; this is apart from both, so that help is shown without what it takes to check values.
KEYS: dict[str, Key] = {
    "source": Key(
        default=REQUIRED,
        help="Where the images are: a folder, an archive (tar or zip) or a list (CSV, JSON Lines, "
        "Parquet and others), as a path or a URL. Several: a list of these, or a mapping of "
        "split to source, in JSON; or this flag several times.",
        kind="the path or URL of a folder, an archive or a list, or several of these",
        decides_bytes=True,
        part="images",
    ),
    "output": Key(
        default=REQUIRED,
        help="Folder for shards, mean and report, or its URL; made if missing.",
        kind="the path of a folder, or a URL",
        decides_bytes=False,
    ),
    "label_map": Key(
        default=None,
        help="JSON file that maps class to number or one-hot list. Without it, prep uses "
        "SOURCE/label_map.json, or else numbers the classes by name.",
        kind="the path or URL of a JSON file, or a mapping of class to number or one-hot list",
        decides_bytes=True,
        part="label map",
    ),
    "storage_options": Key(
        default=None,
        help="Options of the storages of URLs, as JSON or @FILE: for all URLs, or by key "
        "(source, output, label_map, mean_file, images). They are kept secret.",
        kind="a mapping of options, or of source, output, label_map, mean_file and images to such "
        "mappings",
        decides_bytes=False,
    ),
    "splits": Key(
        default=None,
        help="Splits to prepare, comma-separated; all by default.",
        kind="a list of names of splits in the source",
        decides_bytes=True,
        part="splits",
    ),
    "layout": Key(
        default="auto",
        help="What SOURCE is: folders (classes, or splits that hold classes), an archive, imagenet "
        "as it is downloaded, or a list. auto goes by names and contents, says what it found, and "
        "is an error where that would be a guess.",
        words=get_args(Layout),
        decides_bytes=False,  # If it makes others of the images, these show it.
    ),
    "on_stray": Key(
        default="fail",
        help="If an image lies outside any class folder: fail before any work, or skip it.",
        words=get_args(OnStray),
        decides_bytes=False,
    ),
    "columns": Key(
        default=None,
        help="Columns of a list, such as image=path,label=dx,split=set,group=patient; by their "
        "usual names, if not given.",
        kind="a mapping of image, label, split and group to names of columns",
        decides_bytes=True,
        part="images",
    ),
    "images": Key(
        default=None,
        help="What the paths in a list are relative to: a folder or an archive, or its URL; by "
        "default, the folder of the list.",
        kind="the path or URL of a folder or an archive",
        decides_bytes=True,
        part="images",
    ),
    "extension": Key(
        default=None,
        help="Extension of the images, such as jpg, for a list that names them without.",
        kind="a file extension, such as jpg",
        decides_bytes=True,
        part="images",
    ),
    "on_missing": Key(
        default="fail",
        help="If an image of a list is not there: fail before any work, or skip it.",
        words=get_args(OnMissing),
        decides_bytes=False,  # If it makes others of the images, these show it.
    ),
    "unlabelled": Key(
        default="skip",
        help="Images without a label, such as ImageNet's test images: skip them, or keep them with "
        "the label -1.",
        words=get_args(Unlabelled),
        decides_bytes=True,
        part="images",
    ),
    "exclude": Key(
        default=None,
        help="File with the images to leave out, one in a line: names, or numbers of ImageNet's "
        "validation images.",
        kind="the path or URL of a text file, or a list of names",
        decides_bytes=True,
        part="images",
    ),
    "labels": Key(
        default=None,
        help="How labels are made of what the source says, such as from=leaf or order=classes.txt: "
        "from, names, order, rename, include and exclude; as KEY=VALUE,… or JSON.",
        kind="a mapping of from, names, order, rename, include and exclude",
        decides_bytes=True,
        part="images",
    ),
    "unpack": Key(
        default=False,
        help="Unpack an archive that is compressed as a whole (.tar.gz), which can't be read in "
        "parts, into the output first.",
        kind="true or false",
        decides_bytes=False,
    ),
    "image_type": Key(
        default=None,
        help="Take only files with this extension (in any case), such as JPEG.",
        kind="a file extension, such as JPEG",
        decides_bytes=True,
        part="images",
    ),
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
    "on_bad_image": Key(
        default="refuse",
        help="If an image can't be used: refuse it (count it, name it and go on), or fail (stop).",
        words=("refuse", "fail"),
        decides_bytes=False,
    ),
    "max_refused": Key(
        default=0.05,
        help="Share of the images that may be refused. A run that refuses more ends with an error, "
        "and keeps all good images. Unless this is set, up to 10 images may be refused anyway.",
        bounds=(0, 1),
        decides_bytes=False,
    ),
    "damaged": Key(
        default="refuse",
        help="Truncated or damaged images: refuse them, or keep what can be decoded, and count "
        "them.",
        words=get_args(Damaged),
        decides_bytes=True,
    ),
    "max_pixels": Key(
        default=100_000_000,
        help="Refuse images with more pixels, without decoding them.",
        bounds=(1, None),
        decides_bytes=True,
    ),
    "max_aspect": Key(
        default=500.0,
        help="Refuse images whose longer side is more than this many times the shorter, without "
        "decoding them.",
        bounds=(1, None),
        decides_bytes=True,
    ),
    "min_size": Key(
        default=1,
        help="Refuse images whose shorter side has fewer pixels.",
        bounds=(1, None),
        decides_bytes=True,
    ),
    "background": Key(
        default="#ffffff",
        help="Colour under transparent images.",
        kind="a colour as #rrggbb",
        decides_bytes=True,
    ),
    "icc": Key(
        default="ignore",
        help="Embedded colour profiles: ignore them, or convert to sRGB.",
        words=get_args(Icc),
        decides_bytes=True,
    ),
    "depth": Key(
        default=16,
        help="Bits in use in images of 16 bits per sample, such as 12.",
        bounds=(8, 16),
        decides_bytes=True,
    ),
    "image_timeout": Key(
        default=60.0,
        help="Refuse an image as too slow after this many seconds.",
        bounds=(1, 86_400),
        decides_bytes=False,
    ),
    "duplicates": Key(
        default="report",
        help="Images with the same bytes: report them, or keep only one of each group.",
        words=("report", "drop"),
        decides_bytes=True,
        part="images",
    ),
    "check": Key(
        default="stat",
        help="How to recognise a changed image: by size and time (stat), or by contents (digest, "
        "which reads all images again).",
        words=("stat", "digest"),
        decides_bytes=False,
    ),
}


def fingerprint_part(key: str) -> str | None:
    """Name the part of a plan's fingerprint that shows a key; None if it does not decide the bytes.

    >>> fingerprint_part("size"), fingerprint_part("image_type"), fingerprint_part("output")
    ('size', 'images', None)
    """
    told = KEYS[key]
    return told.part or key if told.decides_bytes else None


def canonical_keys(values: Mapping[str, Any]) -> dict[str, Any]:
    """Rename the article's keys to this package's.

    Raises:
        ConfigError: a key is given under both names.
    """
    out: dict[str, Any] = {}
    for name, value in values.items():
        ours = ARTICLE_KEYS.get(name, name)
        if ours in out:
            raise ConfigError(f"{ours}: given twice, also as {quoted(name)}; keep one of them")
        out[ours] = value
    return out


#: The distribution; the import, the command and the page of the dashboard are called ``prep``.
NAME = "dask-prep"


def version() -> str:
    """Return the installed version, such as ``0.1.0``."""
    import importlib.metadata  # It takes a while to load.

    return importlib.metadata.version(NAME)


def install_command(*extras: str) -> str:
    """Return the command that adds extras to this installation.

    >>> install_command("s3")
    "pip install 'dask-prep[s3]'"
    """
    return f"pip install '{NAME}[{','.join(extras)}]'"


def require_split_name(name: object) -> str:
    """Return a split's name, if an output can have a folder of that name with its shards in it.

    The same rule holds for what a user asks for, what a source holds, and what an output says.

    Raises:
        ValueError: it can't; the message says why.

    >>> require_split_name("../escaped")
    Traceback (most recent call last):
    ValueError: a split can't be called '../escaped': it has to be the name of one folder
    """
    shown = repr(name if len(str(name)) <= 80 else f"{str(name)[:80]}…")
    longest = _LONGEST_NAME - len(os.fsencode(shard_name("", MOST_SHARDS, MOST_SHARDS)))
    if not isinstance(name, str):
        why = "it has to be text"
    elif not name or "/" in name or "\0" in name:
        why = "it has to be the name of one folder"
    elif name.startswith("."):
        why = "names that begin with a dot are hidden, and ours"
    elif name.casefold() in RESULTS:
        why = "that is a file of the output"
    elif _length(name) > longest:
        why = f"at most {longest} bytes leave room for the names of its shards"
    else:
        return name
    raise ValueError(f"a split can't be called {shown}: {why}")


def _length(name: str) -> int:
    """Bytes of a name; more than any can have where it can't be the name of a file at all."""
    try:
        return len(os.fsencode(name))
    except UnicodeEncodeError:
        return _LONGEST_NAME + 1


def shard_name(split: str, index: int, count: int, format: Format = DEFAULT_FORMAT) -> str:
    """Return the file name of shard ``index`` of ``count``.

    >>> shard_name("train", 0, 214)
    'train-00000-of-00214.tfrecord'
    """
    return f"{split}-{index:05d}-of-{count:05d}{FORMATS[format].suffix}"


def rgb_of(colour: str) -> tuple[int, int, int]:
    """Return R, G and B, 0 to 255, of a colour as ``#rrggbb``.

    >>> rgb_of("#ff0080")
    (255, 0, 128)
    """
    r, g, b = bytes.fromhex(colour.removeprefix("#"))
    return r, g, b


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSettings:
    """Settings of the processing of an image; see :class:`prep.Config` for each.

    ``mean`` is what encoding ``float32`` subtracts, per channel, 0 to 255; ``background`` is what
    transparent images are laid over, R, G and B.
    """

    size: int = KEYS["size"].default
    interpolation: Interpolation = KEYS["interpolation"].default
    encoding: Encoding = KEYS["encoding"].default
    quality: int = KEYS["quality"].default
    mean: RGB | None = None
    damaged: Damaged = KEYS["damaged"].default
    max_pixels: int = KEYS["max_pixels"].default
    max_aspect: float = KEYS["max_aspect"].default
    min_size: int = KEYS["min_size"].default
    background: tuple[int, int, int] = rgb_of(KEYS["background"].default)
    icc: Icc = KEYS["icc"].default
    depth: int = KEYS["depth"].default
