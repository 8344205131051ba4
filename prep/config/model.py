"""The configuration: its keys as a pydantic model.

What each key means, and may be, is in :mod:`prep.settings.keys`. Each error is one line for users.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeAlias

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from prep.config.config_errors import explain
from prep.config.config_files import read_config
from prep.config.config_pictures import require_encoding, require_geometry
from prep.config.config_targets import require_target
from prep.config.config_values import (
    AnyCompression,
    Columns,
    Features,
    Images,
    Labels,
    Location,
    Names,
    Number,
    Options,
    Place,
    Rules,
    SizeOfResults,
    Split,
    Splits,
    Subset,
    Whole,
)
from prep.errors import ConfigError
from prep.settings.choices import (
    RGB,
    Damaged,
    Encoding,
    Enlarge,
    Fit,
    Format,
    Geometry,
    Icc,
    Interpolation,
    Layout,
    Leaks,
    Mode,
    NearDuplicates,
    OnMissing,
    OnStray,
    RecordKind,
    Target,
    Unlabelled,
)
from prep.settings.image_settings import ImageSettings, rgb_of
from prep.settings.key import REQUIRED
from prep.settings.keys import KEYS, canonical_keys
from prep.settings.output_names import FORMATS
from prep.sources.naming import Sources
from prep.sources.registry import open_source
from prep.storage.arguments import LOCATIONS, as_stored, split
from prep.storage.backends.grants import grant
from prep.storage.urls import is_url
from prep.text import Displayable, kind_of

HIDDEN = "hidden"


# Keys whose values are paths, or hold some.
_WITH_PATHS = frozenset((*LOCATIONS, "exclude", "labels"))


#: The accepted forms of a configuration: itself, its keys and values, or the path of a file.
AnyConfig: TypeAlias = "Config | Mapping[str, Any] | str | os.PathLike[str]"


def field(name: str, **more: Any) -> Any:
    """Make a field of a key.

    Args:
        more: what pydantic is told of it, such as the least that it may be.
    """
    key = KEYS[name]
    default = ... if key.default is REQUIRED else key.default
    least, most = key.bounds or (None, None)
    return Field(default, description=key.help, ge=least, le=most, **more)


class Config(Displayable, BaseModel):
    """The images to prepare, the output, and all settings.

    The article's keys are accepted as other names of the same keys (see ``ARTICLE_KEYS``).

    Raises:
        ConfigError: a key is unknown, missing, given twice, or out of range. The message names
            the key, the value, and what is allowed.

    >>> Config(source="photos", output="shards", crop_size=224).size
    224
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    source: Images = field("source")
    output: Location = field("output", min_length=1)
    label_map: Labels = field("label_map")
    storage_options: Options = field("storage_options", exclude=True, repr=False)
    splits: Splits | None = field("splits", min_length=1)
    layout: Layout = field("layout")
    on_stray: OnStray = field("on_stray")
    columns: Columns | None = field("columns")
    images: Place | None = field("images")
    extension: str | None = field("extension", min_length=1)
    on_missing: OnMissing = field("on_missing")
    unlabelled: Unlabelled = field("unlabelled")
    target: Target = field("target")
    exclude: Names | None = field("exclude")
    labels: Rules | None = field("labels")
    label_offset: Whole = field("label_offset")
    first_label: Whole = field("first_label")
    split: Split | None = field("split")
    subset: Subset | None = field("subset")
    unpack: bool = field("unpack")
    image_type: str | None = field("image_type", min_length=1)
    size: SizeOfResults = field("size")
    fit: Fit = field("fit")
    enlarge: Enlarge = field("enlarge")
    geometry: Geometry = field("geometry")
    mode: Mode = field("mode")
    quality: Whole = field("quality")
    images_per_shard: Whole | None = field("images_per_shard")
    shard_count: Whole | None = field("shard_count")
    format: Format = field("format")
    record: RecordKind = field("record")
    features: Features | None = field("features", min_length=1)
    compression: AnyCompression = field("compression")
    seed: Whole = field("seed")
    interpolation: Interpolation = field("interpolation")
    encoding: Encoding = field("encoding")
    keep_fitting: bool = field("keep_fitting")
    mean_file: Location | None = field("mean_file")
    on_bad_image: Literal["refuse", "fail"] = field("on_bad_image")
    max_refused: Number = field("max_refused")
    damaged: Damaged = field("damaged")
    max_pixels: Whole = field("max_pixels")
    max_aspect: Number = field("max_aspect")
    min_size: Whole = field("min_size")
    background: str = field("background", pattern=r"^#[0-9a-fA-F]{6}$")
    icc: Icc = field("icc")
    depth: Whole = field("depth")
    image_timeout: Number = field("image_timeout")
    duplicates: Literal["report", "drop"] = field("duplicates")
    near_duplicates: NearDuplicates = field("near_duplicates")
    leaks: Leaks = field("leaks")
    check: Literal["stat", "digest"] = field("check")

    @property
    def group_column(self) -> str | None:
        """The column of a list that holds the groups of ``split``, if it names one."""
        return None if self.split is None else self.split.group_column

    @property
    def background_rgb(self) -> tuple[int, int, int]:
        """R, G and B, 0 to 255."""
        return rgb_of(self.background)

    def image_settings(self, mean: RGB | None) -> ImageSettings:
        """Return what happens to an image, with the mean that ``mean_file`` holds."""
        values: dict[str, Any] = {"mean": mean, "background": self.background_rgb}
        names = [field.name for field in dataclasses.fields(ImageSettings)]
        return ImageSettings(
            **values, **{name: getattr(self, name) for name in names if name not in values}
        )

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
            values |= canonical_keys(read_config(file))
        return cls(**(values | canonical_keys(overrides)))

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
        return cls(**canonical_keys(given))

    @classmethod
    def stored(cls, values: Mapping[str, Any]) -> Config:
        """Make the configuration that an output holds; its paths were expanded when it was made.

        Raises:
            ConfigError: a value is not allowed.
        """
        if not isinstance(values, Mapping):
            raise ConfigError("config: expected keys and values")
        kept = {
            key: as_stored(value) if key in _WITH_PATHS else value
            for key, value in canonical_keys(values).items()
        }
        # It does not tell what was asked for, so what is as by default counts as not asked for.
        fields = cls.model_fields
        return cls(**{k: v for k, v in kept.items() if k not in fields or v != fields[k].default})

    def require_source(self) -> None:
        """Raise SourceError if a source on this machine is plainly missing."""
        if not isinstance(self.source, str) or not is_url(self.source):
            open_source(self.source).require_there()

    def grant(self) -> None:
        """Let this process and its workers open the URLs with their options from now on."""
        for name, options in (self.storage_options or {}).items():
            value = getattr(self, name)
            for path in value.paths if isinstance(value, Sources) else (value,):
                grant(path, options)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Yield what differs from the default, which is enough to make it again."""
        shown = type(self).model_fields
        return ((name, getattr(self, name)) for name in self.chosen() if shown[name].repr)

    def chosen(self) -> list[str]:
        """Return the keys that have another value than the default."""
        fields = type(self).model_fields.items()
        return [name for name, field in fields if getattr(self, name) != field.default]

    @model_validator(mode="before")
    @classmethod
    def _accept_article_keys(cls, values: Any) -> Any:
        return canonical_keys(values) if isinstance(values, Mapping) else values

    @model_validator(mode="after")
    def _credentials_are_kept_apart(self) -> Config:
        """Sort options by key, and move credentials out of URLs into them."""
        values = {name: getattr(self, name) for name in LOCATIONS}
        shown, options = split(values, self.storage_options)
        if shown != values or options != self.storage_options:
            self.__dict__.update(shown, storage_options=options or None)
        return self

    @model_validator(mode="after")
    def _labels_suit_the_target(self) -> Config:
        require_target(self)
        return self

    @model_validator(mode="after")
    def _compression_suits_the_format(self) -> Config:
        if self.compression not in (None, *FORMATS[self.format].compressions):
            raise ConfigError(
                f"compression: got {self.compression}, which shards of format {self.format} can't "
                "have; leave compression out"
            )
        return self

    @model_validator(mode="after")
    def _records_suit_the_format(self) -> Config:
        if self.record == "prep":
            return self
        if self.format != "tfrecord":
            raise ConfigError(
                f"record: got {self.record}, which names features of TFRecords; format is "
                f"{self.format}; leave record out, or use format tfrecord"
            )
        if self.encoding == "float32":
            raise ConfigError(
                f"record: got {self.record}, whose readers take vectors for uint8; encoding is "
                "float32; use encoding jpeg, png, webp or raw, or record prep"
            )
        return self

    @model_validator(mode="after")
    def _shards_are_counted_one_way(self) -> Config:
        if self.shard_count is not None and self.images_per_shard is not None:
            raise ConfigError(
                f"shard_count: got {self.shard_count:,}, and images_per_shard "
                f"{self.images_per_shard:,}; give one of them"
            )
        return self

    @model_validator(mode="after")
    def _picture_can_be_made(self) -> Config:
        settings = self.image_settings(None)
        require_geometry(settings)
        require_encoding(settings, self.mean_file)
        return self
