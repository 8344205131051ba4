"""What a user may ask for, checked before any work begins."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.config import JsonDict

from prep import markup
from prep.admission import LOCATIONS, Stored, read_options, split, typed
from prep.errors import ConfigError
from prep.labels import LabelMap
from prep.layout import require_split_name
from prep.locations import grant, hide_credentials
from prep.parsing import parse_json, parse_toml, parse_yaml, read_text
from prep.splits import Layout, OnStray
from prep.text import one_line, reason_of, unknown

Interpolation = Literal["area", "linear", "cubic", "lanczos"]
Encoding = Literal["jpeg", "raw", "float32"]
Damaged = Literal["refuse", "keep"]
Icc = Literal["ignore", "convert"]

_HIDDEN = "hidden"

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


def _key(
    default: Any,
    help: str,
    allowed: str,
    *,
    decides_bytes: bool,
    part: str | None = None,
    **constraints: Any,
) -> Any:
    """Describe a key.

    Args:
        help: what it is for.
        allowed: what it may be, for error messages.
        decides_bytes: whether shards written with another value are others, as far as a plan can
            tell. If so, a run with another value does not continue what was begun with this one.
        part: the part of the fingerprint that shows it, if not its own value under its own name.
    """
    extra: JsonDict = {"allowed": allowed, "decides_bytes": decides_bytes, "part": part}
    return Field(default, description=help, json_schema_extra=extra, **constraints)


class Config(BaseModel):
    """What to prepare, where to, and how.

    The article's keys are accepted as other names for the same things (see ``ARTICLE_KEYS``).

    Raises:
        ConfigError: a key is unknown, missing, given twice, or out of range. The message names
            the key, the value, and what is allowed.

    >>> Config(source="photos", output="shards", crop_size=224).size
    224
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    source: str = _key(
        ...,
        "Folder of images, or its URL: SOURCE/<split>/<class>/* or SOURCE/<class>/*.",
        "the path of a folder, or a URL",
        decides_bytes=True,
        part="images",
        min_length=1,
    )
    output: str = _key(
        ...,
        "Folder for shards, mean and report, or its URL; made if missing.",
        "the path of a folder, or a URL",
        decides_bytes=False,
        min_length=1,
    )
    label_map: str | dict[str, Any] | None = _key(
        None,
        "JSON file that maps class to number or one-hot list. "
        "Without it SOURCE/label_map.json is used, or else one is built (classes by name).",
        "the path or URL of a JSON file, or a mapping of class to number or one-hot list",
        decides_bytes=True,
        part="label map",
    )
    storage_options: dict[str, Any] | None = _key(
        None,
        "Options of the storages of URLs, as JSON or @FILE: for all of them, or by key "
        "(source, output, label_map, mean_file). They are kept secret.",
        "a mapping of options, or of source, output, label_map and mean_file to such mappings",
        decides_bytes=False,
        exclude=True,
        repr=False,
    )
    splits: tuple[str, ...] | None = _key(
        None,
        "Splits to prepare, comma-separated; all by default.",
        "a list of names of folders in the source",
        decides_bytes=True,
        part="splits",
        min_length=1,
    )
    layout: Layout = _key(
        "auto",
        "What folders in the source are: classes, splits that hold classes, or what they look "
        "like (auto), with an error where that would be a guess.",
        "auto, classes or splits",
        decides_bytes=False,  # If it makes others of the images, these show it.
    )
    on_stray: OnStray = _key(
        "fail",
        "Images that lie in no class folder: fail (stop before any work), or skip them.",
        "fail or skip",
        decides_bytes=False,
    )
    image_type: str | None = _key(
        None,
        "Only files with this extension (any case), such as JPEG.",
        "a file extension, such as JPEG",
        decides_bytes=True,
        part="images",
        min_length=1,
    )
    size: int = _key(
        256,
        "Width and height of the result, in pixels.",
        "a whole number from 1 to 4096",
        decides_bytes=True,
        ge=1,
        le=4096,
    )
    quality: int = _key(
        90,
        "JPEG quality.",
        "a whole number from 1 to 100",
        decides_bytes=True,
        ge=1,
        le=100,
    )
    images_per_shard: int | None = _key(
        None,
        "Images in a shard. By default 1000, and fewer for small sets, "
        "so that there are shards for many cores.",
        "a whole number of at least 1",
        decides_bytes=True,
        ge=1,
    )
    compression: Literal["GZIP", "ZLIB"] | None = _key(
        None,
        "Compression of the shards: none, GZIP or ZLIB.",
        "none, GZIP or ZLIB",
        decides_bytes=True,
    )
    seed: int = _key(
        0,
        "Seed of the shuffle.",
        "a whole number from 0 to 4294967295",
        decides_bytes=True,
        ge=0,
        lt=1 << 32,
    )
    interpolation: Interpolation = _key(
        "area",
        "area (cubic where an image is enlarged), linear (fast, but aliases), cubic or lanczos "
        "(no aliasing, exact centre; 1 to 3 ms an image more).",
        "area, linear, cubic or lanczos",
        decides_bytes=True,
    )
    encoding: Encoding = _key(
        "jpeg",
        "jpeg, raw (uint8 vector) or float32 (vector, mean subtracted; needs mean_file).",
        "jpeg, raw or float32",
        decides_bytes=True,
    )
    mean_file: str | None = _key(
        None,
        "JSON file {R, G, B} with the mean that encoding float32 subtracts.",
        "the path or URL of a JSON file",
        decides_bytes=True,
        part="mean",
    )
    on_bad_image: Literal["refuse", "fail"] = _key(
        "refuse",
        "refuse (count, name and go on) or fail (stop) at an image that can't be used.",
        "refuse or fail",
        decides_bytes=False,
    )
    max_refused: float = _key(
        0.05,
        "Share of the images that may be refused; a run that refuses more ends in an error, "
        "with everything good kept. By default, 10 images may be in any case.",
        "a number from 0 to 1",
        decides_bytes=False,
        ge=0,
        le=1,
    )
    damaged: Damaged = _key(
        "refuse",
        "What to do with images of which a part is lost: refuse them, or keep and count them.",
        "refuse or keep",
        decides_bytes=True,
    )
    max_pixels: int = _key(
        100_000_000,
        "Images of more pixels are refused, unread.",
        "a whole number of at least 1",
        decides_bytes=True,
        ge=1,
    )
    max_aspect: float = _key(
        500.0,
        "Images whose longer side is more than so many times the shorter are refused, unread.",
        "a number of at least 1",
        decides_bytes=True,
        ge=1,
    )
    min_size: int = _key(
        1,
        "Images whose shorter side has fewer pixels are refused.",
        "a whole number of at least 1",
        decides_bytes=True,
        ge=1,
    )
    background: str = _key(
        "#ffffff",
        "Colour under transparent images.",
        "a colour as #rrggbb",
        decides_bytes=True,
        pattern=r"^#[0-9a-fA-F]{6}$",
    )
    icc: Icc = _key(
        "ignore",
        "Colour profiles in images: ignore them, or convert to sRGB.",
        "ignore or convert",
        decides_bytes=True,
    )
    depth: int = _key(
        16,
        "Bits that are in use of images of 16 bits a sample, such as 12; the others are cut off.",
        "a whole number from 8 to 16",
        decides_bytes=True,
        ge=8,
        le=16,
    )
    image_timeout: float = _key(
        60.0,
        "Seconds after which an image is refused as too slow.",
        "a number from 1 to 86400",
        decides_bytes=False,
        ge=1,
        le=86_400,
    )
    duplicates: Literal["report", "drop"] = _key(
        "report",
        "Images with the same bytes: report them, or keep only one of each.",
        "report or drop",
        decides_bytes=True,
        part="images",
    )
    check: Literal["stat", "digest"] = _key(
        "stat",
        "How a changed image is recognised: by size and time, or by its contents (reads all).",
        "stat or digest",
        decides_bytes=False,
    )

    @property
    def background_rgb(self) -> tuple[int, int, int]:
        """R, G and B, 0 to 255."""
        r, g, b = bytes.fromhex(self.background[1:])
        return r, g, b

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigError(_explain(error)) from None

    @classmethod
    def from_file(cls, path: str | Path, **overrides: Any) -> Config:
        """Reads a JSON, YAML or TOML file; ``overrides`` win over what it says.

        Relative paths in it are relative to the working directory.

        Raises:
            ConfigError: it can't be read or parsed, or a value is not allowed.
        """
        file = Path(typed("config file", path))
        return cls(**(_canonical(_parse(file)) | _canonical(overrides)))

    @classmethod
    def stored(cls, values: Mapping[str, Any]) -> Config:
        """The configuration that an output holds, whose paths were understood when it was made.

        Raises:
            ConfigError: a value is not allowed.
        """
        if not isinstance(values, Mapping):
            raise ConfigError("config: expected keys and values")
        kept = {
            key: Stored(value) if key in LOCATIONS and isinstance(value, str) else value
            for key, value in _canonical(values).items()
        }
        return cls(**kept)

    def grant(self) -> None:
        """Has its URLs opened with its options in this process, and in workers from now on."""
        for name, options in (self.storage_options or {}).items():
            grant(getattr(self, name), options)

    def _repr_html_(self) -> str:
        """In a notebook: each key, its value, and what it is for."""
        fields = type(self).model_fields.items()
        values = {name: getattr(self, name) for name, _ in fields}
        if values["storage_options"]:
            values["storage_options"] = _HIDDEN
        rows = [
            (name, "none" if values[name] is None else str(values[name]), field.description or "")
            for name, field in fields
        ]
        table = markup.table(("key", "value", ""), rows, most=len(rows))
        return markup.panel(markup.heading("Config"), table)

    @model_validator(mode="before")
    @classmethod
    def _accept_article_keys(cls, values: Any) -> Any:
        return _canonical(values) if isinstance(values, Mapping) else values

    @field_validator("label_map")
    @classmethod
    def _labels_are_numbers_or_one_hot(cls, value: Any) -> Any:
        if isinstance(value, dict):
            LabelMap.parse(value)
        return value

    @field_validator("compression", mode="before")
    @classmethod
    def _compression_in_any_case(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return {"": None, "none": None, "gzip": "GZIP", "zlib": "ZLIB"}.get(value.lower(), value)

    @field_validator(
        *("size", "quality", "images_per_shard", "seed", "min_size", "max_pixels", "depth"),
        *("max_refused", "max_aspect", "image_timeout"),
        mode="before",
    )
    @classmethod
    def _true_is_no_number(cls, value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError("true or false")
        return value

    @field_validator("splits", mode="before")
    @classmethod
    def _splits_as_one_word(cls, value: Any) -> Any:
        if isinstance(value, (set, frozenset)):
            raise ValueError("in no order")
        return [part.strip() for part in value.split(",")] if isinstance(value, str) else value

    @field_validator("splits")
    @classmethod
    def _splits_are_folder_names(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        names = value or ()
        try:
            distinct = {require_split_name(name) for name in names}
        except ValueError as error:
            raise ConfigError(f"splits: {error}") from None
        if len(distinct) < len(names):
            raise ValueError("one is given twice")
        return value

    @field_validator(*LOCATIONS, mode="before")
    @classmethod
    def _as_typed(cls, value: Any, info: ValidationInfo) -> Any:
        if value == "":
            raise ValueError("nothing")
        if not isinstance(value, str | os.PathLike):
            return value
        path = typed(str(info.field_name), value)
        try:
            path.encode()
        except UnicodeEncodeError:
            raise ConfigError(
                f"{info.field_name}: got {reprlib.repr(path)}, which is no UTF-8; expected a path "
                "that is: rename it, or give a link to it"
            ) from None
        return path

    @field_validator("storage_options", mode="before")
    @classmethod
    def _options_as_text(cls, value: Any) -> Any:
        return read_options(value)

    @model_validator(mode="after")
    def _credentials_are_kept_apart(self) -> Config:
        """Options by key, and no credentials in URLs."""
        values = {name: getattr(self, name) for name in LOCATIONS}
        shown, options = split(values, self.storage_options)
        if shown != values or options != self.storage_options:
            self.__dict__.update(shown, storage_options=options or None)
        return self

    @model_validator(mode="after")
    def _float32_needs_a_mean(self) -> Config:
        if self.encoding == "float32" and self.mean_file is None:
            raise ConfigError(
                "mean_file: missing; encoding float32 needs a JSON file "
                "with the mean to subtract, such as one made by 'prep mean'"
            )
        if self.encoding != "float32" and self.mean_file is not None:
            raise ConfigError(
                f"mean_file: got {self.mean_file!r}, which only encoding float32 "
                f"uses; encoding is {self.encoding}"
            )
        return self


def allowed(key: str) -> str:
    """What a key may be, in words."""
    return str(_extra(key)["allowed"])


def fingerprint_part(key: str) -> str | None:
    """The part of a plan's fingerprint that shows a key; None where it has no say in the bytes.

    >>> fingerprint_part("size"), fingerprint_part("image_type"), fingerprint_part("output")
    ('size', 'images', None)
    """
    extra = _extra(key)
    return str(extra["part"] or key) if extra["decides_bytes"] else None


def _extra(key: str) -> dict[str, Any]:
    extra = Config.model_fields[key].json_schema_extra
    assert isinstance(extra, dict)
    return extra


def _canonical(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same values under this package's names for them."""
    out: dict[str, Any] = {}
    for key, value in values.items():
        name = ARTICLE_KEYS.get(key, key)
        if name in out:
            raise ConfigError(f"{name}: given twice, also as {key!r}; keep one of them")
        out[name] = value
    return out


def _parse(path: Path) -> dict[str, Any]:
    parsers: dict[str, Callable[[str], Any]] = {
        ".json": parse_json,
        ".yaml": parse_yaml,
        ".yml": parse_yaml,
        ".toml": parse_toml,
    }
    parser = parsers.get(path.suffix.lower())
    if parser is None:
        raise ConfigError(f"config file {path}: expected one that ends in {', '.join(parsers)}")
    try:
        values = parser(read_text(path))
    except (OSError, ValueError) as error:
        raise ConfigError(f"config file {path}: can't be read: {reason_of(error)}") from None
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise ConfigError(f"config file {path}: expected keys and values at the top level")
    return values


def _shown(key: str, value: Any) -> str:
    if key == "storage_options":
        return f"a {type(value).__name__}"
    if key in LOCATIONS and isinstance(value, (list, tuple, bytes)):
        return f"a {type(value).__name__}"  # There may be URLs with credentials in it.
    return reprlib.repr(hide_credentials(value) if isinstance(value, str) else value)


def _explain(error: ValidationError) -> str:
    """One line that names each key, its value, and what is allowed."""
    lines = {}
    for item in error.errors():
        key = str(item["loc"][0]) if item["loc"] else "config"
        raised = item.get("ctx", {}).get("error")
        if isinstance(raised, ConfigError):
            lines[key] = str(raised)
        elif item["type"] == "extra_forbidden":
            lines[key] = (
                f"{one_line(key)}: {unknown('key', key, (*Config.model_fields, *ARTICLE_KEYS))}"
            )
        elif item["type"] == "missing":
            lines[key] = f"{key}: missing; expected {allowed(key)}"
        else:
            lines.setdefault(
                key, f"{key}: got {_shown(key, item['input'])}; expected {allowed(key)}"
            )
    return "; ".join(lines.values())
