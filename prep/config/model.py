"""The keys of a configuration."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from prep import markup
from prep.admission import LOCATIONS, Stored, split
from prep.config.explain import explain
from prep.config.file import read_config
from prep.config.keys import canonical, described, key
from prep.config.values import (
    Compression,
    Damaged,
    Encoding,
    Icc,
    Interpolation,
    Labels,
    Location,
    Number,
    Options,
    Splits,
    Whole,
)
from prep.errors import ConfigError
from prep.locations import grant
from prep.splits import Layout, OnStray
from prep.text import quoted

_HIDDEN = "hidden"

#: What a configuration may be given as: itself, its keys and values, or the path of a file of them.
AnyConfig: TypeAlias = "Config | Mapping[str, Any] | str | os.PathLike[str]"


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

    source: Location = key(
        ...,
        "Folder of images, or its URL: SOURCE/<split>/<class>/* or SOURCE/<class>/*.",
        "the path of a folder, or a URL",
        decides_bytes=True,
        part="images",
        min_length=1,
    )
    output: Location = key(
        ...,
        "Folder for shards, mean and report, or its URL; made if missing.",
        "the path of a folder, or a URL",
        decides_bytes=False,
        min_length=1,
    )
    label_map: Labels = key(
        None,
        "JSON file that maps class to number or one-hot list. "
        "Without it SOURCE/label_map.json is used, or else one is built (classes by name).",
        "the path or URL of a JSON file, or a mapping of class to number or one-hot list",
        decides_bytes=True,
        part="label map",
    )
    storage_options: Options = key(
        None,
        "Options of the storages of URLs, as JSON or @FILE: for all of them, or by key "
        "(source, output, label_map, mean_file). They are kept secret.",
        "a mapping of options, or of source, output, label_map and mean_file to such mappings",
        decides_bytes=False,
        exclude=True,
        repr=False,
    )
    splits: Splits | None = key(
        None,
        "Splits to prepare, comma-separated; all by default.",
        "a list of names of folders in the source",
        decides_bytes=True,
        part="splits",
        min_length=1,
    )
    layout: Layout = key(
        "auto",
        "What folders in the source are: classes, splits that hold classes, or what they look "
        "like (auto), with an error where that would be a guess.",
        "auto, classes or splits",
        decides_bytes=False,  # If it makes others of the images, these show it.
    )
    on_stray: OnStray = key(
        "fail",
        "Images that lie in no class folder: fail (stop before any work), or skip them.",
        "fail or skip",
        decides_bytes=False,
    )
    image_type: str | None = key(
        None,
        "Only files with this extension (any case), such as JPEG.",
        "a file extension, such as JPEG",
        decides_bytes=True,
        part="images",
        min_length=1,
    )
    size: Whole = key(
        256,
        "Width and height of the result, in pixels.",
        "a whole number from 1 to 4096",
        decides_bytes=True,
        ge=1,
        le=4096,
    )
    quality: Whole = key(
        90,
        "JPEG quality.",
        "a whole number from 1 to 100",
        decides_bytes=True,
        ge=1,
        le=100,
    )
    images_per_shard: Whole | None = key(
        None,
        "Images in a shard. By default 1000, and fewer for small sets, "
        "so that there are shards for many cores.",
        "a whole number of at least 1",
        decides_bytes=True,
        ge=1,
    )
    compression: Compression = key(
        None,
        "Compression of the shards: none, GZIP or ZLIB.",
        "none, GZIP or ZLIB",
        decides_bytes=True,
    )
    seed: Whole = key(
        0,
        "Seed of the shuffle.",
        "a whole number from 0 to 4294967295",
        decides_bytes=True,
        ge=0,
        lt=1 << 32,
    )
    interpolation: Interpolation = key(
        "area",
        "area (cubic where an image is enlarged), linear (fast, but aliases), cubic or lanczos "
        "(no aliasing, exact centre; 1 to 3 ms an image more).",
        "area, linear, cubic or lanczos",
        decides_bytes=True,
    )
    encoding: Encoding = key(
        "jpeg",
        "jpeg, raw (uint8 vector) or float32 (vector, mean subtracted; needs mean_file).",
        "jpeg, raw or float32",
        decides_bytes=True,
    )
    mean_file: Location | None = key(
        None,
        "JSON file {R, G, B} with the mean that encoding float32 subtracts.",
        "the path or URL of a JSON file",
        decides_bytes=True,
        part="mean",
    )
    on_bad_image: Literal["refuse", "fail"] = key(
        "refuse",
        "refuse (count, name and go on) or fail (stop) at an image that can't be used.",
        "refuse or fail",
        decides_bytes=False,
    )
    max_refused: Number = key(
        0.05,
        "Share of the images that may be refused; a run that refuses more ends in an error, "
        "with everything good kept. By default, 10 images may be in any case.",
        "a number from 0 to 1",
        decides_bytes=False,
        ge=0,
        le=1,
    )
    damaged: Damaged = key(
        "refuse",
        "What to do with images of which a part is lost: refuse them, or keep and count them.",
        "refuse or keep",
        decides_bytes=True,
    )
    max_pixels: Whole = key(
        100_000_000,
        "Images of more pixels are refused, unread.",
        "a whole number of at least 1",
        decides_bytes=True,
        ge=1,
    )
    max_aspect: Number = key(
        500.0,
        "Images whose longer side is more than so many times the shorter are refused, unread.",
        "a number of at least 1",
        decides_bytes=True,
        ge=1,
    )
    min_size: Whole = key(
        1,
        "Images whose shorter side has fewer pixels are refused.",
        "a whole number of at least 1",
        decides_bytes=True,
        ge=1,
    )
    background: str = key(
        "#ffffff",
        "Colour under transparent images.",
        "a colour as #rrggbb",
        decides_bytes=True,
        pattern=r"^#[0-9a-fA-F]{6}$",
    )
    icc: Icc = key(
        "ignore",
        "Colour profiles in images: ignore them, or convert to sRGB.",
        "ignore or convert",
        decides_bytes=True,
    )
    depth: Whole = key(
        16,
        "Bits that are in use of images of 16 bits a sample, such as 12; the others are cut off.",
        "a whole number from 8 to 16",
        decides_bytes=True,
        ge=8,
        le=16,
    )
    image_timeout: Number = key(
        60.0,
        "Seconds after which an image is refused as too slow.",
        "a number from 1 to 86400",
        decides_bytes=False,
        ge=1,
        le=86_400,
    )
    duplicates: Literal["report", "drop"] = key(
        "report",
        "Images with the same bytes: report them, or keep only one of each.",
        "report or drop",
        decides_bytes=True,
        part="images",
    )
    check: Literal["stat", "digest"] = key(
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
            return
        except ValidationError as error:
            told = explain(error, type(self).model_fields)
        # Raised here, for what is being handled stays with an error, and holds all values.
        raise ConfigError(told)

    @classmethod
    def from_file(
        cls,
        path: str | os.PathLike[str],
        *overlays: str | os.PathLike[str],
        **overrides: Any,
    ) -> Config:
        """Read a JSON, YAML or TOML file; ``overrides`` win over what it says.

        Relative paths in it are relative to the working directory.

        Args:
            overlays: other such files, of which each wins over those before it.
            overrides: keys and values.

        Raises:
            ConfigError: it can't be read or parsed, or a value is not allowed.
        """
        values: dict[str, Any] = {}
        for file in (path, *overlays):
            values |= canonical(read_config(file))
        return cls(**(values | canonical(overrides)))

    @classmethod
    def of(cls, given: AnyConfig) -> Config:
        """Return a configuration as it is; make one of a mapping, or of the path of a file.

        Raises:
            ConfigError: it is none of these, or says what is not allowed.
        """
        if isinstance(given, Config):
            return given
        if isinstance(given, str | os.PathLike):
            return cls.from_file(given)
        if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
            raise ConfigError(
                "config: expected a prep.Config, a mapping of keys to values, or the path of a "
                f"file of them; got {type(given).__name__}"
            )
        return cls(**canonical(given))

    @classmethod
    def stored(cls, values: Mapping[str, Any]) -> Config:
        """Make the configuration that an output holds; its paths were expanded when it was made.

        Raises:
            ConfigError: a value is not allowed.
        """
        if not isinstance(values, Mapping):
            raise ConfigError("config: expected keys and values")
        kept = {
            key: Stored(value) if key in LOCATIONS and isinstance(value, str) else value
            for key, value in canonical(values).items()
        }
        return cls(**kept)

    def grant(self) -> None:
        """Let this process and its workers open the URLs with their options from now on."""
        for name, options in (self.storage_options or {}).items():
            grant(getattr(self, name), options)

    def _repr_html_(self) -> str:
        """Show in a notebook what was asked for, and the keys at their defaults when unfolded."""
        fields = type(self).model_fields
        values = {name: getattr(self, name) for name in fields}
        if values["storage_options"]:
            values["storage_options"] = _HIDDEN
        rows = {
            name: (name, "none" if value is None else str(value), fields[name].description or "")
            for name, value in values.items()
        }
        chosen = [rows.pop(name) for name in self._chosen()]
        return markup.panel(
            markup.heading("Config"),
            markup.described(chosen),
            markup.folded(
                f"{len(rows)} more keys, at their default", markup.described(rows.values())
            ),
        )

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Yield what differs from the default, which is enough to make it again."""
        shown = type(self).model_fields
        return ((name, getattr(self, name)) for name in self._chosen() if shown[name].repr)

    def _chosen(self) -> list[str]:
        """The keys that have another value than the default."""
        fields = type(self).model_fields.items()
        return [name for name, field in fields if getattr(self, name) != field.default]

    @model_validator(mode="before")
    @classmethod
    def _accept_article_keys(cls, values: Any) -> Any:
        return canonical(values) if isinstance(values, Mapping) else values

    @model_validator(mode="after")
    def _credentials_are_kept_apart(self) -> Config:
        """Sort options by key, and move credentials out of URLs into them."""
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
                "with the mean to subtract, such as one made by `prep.mean_rgb`"
            )
        if self.encoding != "float32" and self.mean_file is not None:
            raise ConfigError(
                f"mean_file: got {quoted(self.mean_file)}, which only encoding float32 "
                f"uses; encoding is {self.encoding}"
            )
        return self


def allowed(key: str) -> str:
    """Say in words what a key may be."""
    return str(described(Config.model_fields[key])["allowed"])


def fingerprint_part(key: str) -> str | None:
    """Name the part of a plan's fingerprint that shows a key; None if it does not decide the bytes.

    >>> fingerprint_part("size"), fingerprint_part("image_type"), fingerprint_part("output")
    ('size', 'images', None)
    """
    told = described(Config.model_fields[key])
    return str(told["part"] or key) if told["decides_bytes"] else None
