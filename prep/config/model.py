"""The keys of a configuration."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from prep import markup
from prep.admission import LOCATIONS, Stored, split
from prep.config.explain import explain
from prep.config.file import read_config
from prep.config.keys import KEYS, REQUIRED, canonical
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
from prep.text import kind_of, quoted

_HIDDEN = "hidden"

#: What a configuration may be given as: itself, its keys and values, or the path of a file of them.
AnyConfig: TypeAlias = "Config | Mapping[str, Any] | str | os.PathLike[str]"


def field(name: str, **more: Any) -> Any:
    """Make a field of a key.

    Args:
        more: what pydantic is told of it, such as the least that it may be.
    """
    told = KEYS[name]
    default = ... if told.default is REQUIRED else told.default
    return Field(default, description=told.help, **more)


class Config(BaseModel):
    """What to prepare, where to write it, and how.

    The article's keys are accepted as other names of the same keys (see ``ARTICLE_KEYS``).

    Raises:
        ConfigError: a key is unknown, missing, given twice, or out of range. The message names
            the key, the value, and what is allowed.

    >>> Config(source="photos", output="shards", crop_size=224).size
    224
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    source: Location = field("source", min_length=1)
    output: Location = field("output", min_length=1)
    label_map: Labels = field("label_map")
    storage_options: Options = field("storage_options", exclude=True, repr=False)
    splits: Splits | None = field("splits", min_length=1)
    layout: Layout = field("layout")
    on_stray: OnStray = field("on_stray")
    image_type: str | None = field("image_type", min_length=1)
    size: Whole = field("size", ge=1, le=4096)
    quality: Whole = field("quality", ge=1, le=100)
    images_per_shard: Whole | None = field("images_per_shard", ge=1)
    compression: Compression = field("compression")
    seed: Whole = field("seed", ge=0, lt=1 << 32)
    interpolation: Interpolation = field("interpolation")
    encoding: Encoding = field("encoding")
    mean_file: Location | None = field("mean_file")
    on_bad_image: Literal["refuse", "fail"] = field("on_bad_image")
    max_refused: Number = field("max_refused", ge=0, le=1)
    damaged: Damaged = field("damaged")
    max_pixels: Whole = field("max_pixels", ge=1)
    max_aspect: Number = field("max_aspect", ge=1)
    min_size: Whole = field("min_size", ge=1)
    background: str = field("background", pattern=r"^#[0-9a-fA-F]{6}$")
    icc: Icc = field("icc")
    depth: Whole = field("depth", ge=8, le=16)
    image_timeout: Number = field("image_timeout", ge=1, le=86_400)
    duplicates: Literal["report", "drop"] = field("duplicates")
    check: Literal["stat", "digest"] = field("check")

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
            told = explain(error)
        # Raised here, for what is being handled stays with an error, and holds all values.
        raise ConfigError(told)

    @classmethod
    def from_file(
        cls,
        path: str | os.PathLike[str],
        *overlays: str | os.PathLike[str],
        **overrides: Any,
    ) -> Config:
        """Read a JSON, YAML or TOML file; ``overrides`` win over it.

        Relative paths in the file are relative to the working directory.

        Args:
            overlays: more such files; each wins over those before it.
            overrides: keys and values.

        Raises:
            ConfigError: a file can't be read or parsed, or a value is not allowed.
        """
        values: dict[str, Any] = {}
        for file in (path, *overlays):
            values |= canonical(read_config(file))
        return cls(**(values | canonical(overrides)))

    @classmethod
    def of(cls, given: AnyConfig) -> Config:
        """Return a configuration as it is; make one of a mapping, or of the path of a file.

        Raises:
            ConfigError: it is none of these, or a value is not allowed.
        """
        if isinstance(given, Config):
            return given
        if isinstance(given, str | os.PathLike):
            return cls.from_file(given)
        if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
            raise ConfigError(
                "config: expected a prep.Config, a mapping of keys to values, or the path of a "
                f"file of them; got {kind_of(given)}"
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
        # It does not tell what was asked for, so what is as by default counts as not asked for.
        fields = cls.model_fields
        return cls(**{k: v for k, v in kept.items() if k not in fields or v != fields[k].default})

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
