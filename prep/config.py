"""The configuration: its keys as a pydantic model, the files it is read from, and its errors.

What each key means, and may be, is in :mod:`prep.settings`. Each error is one line for users.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    PlainSerializer,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from prep.errors import ConfigError, UsageError
from prep.parsing import parse_json, parse_toml, parse_yaml, read_text
from prep.settings import (
    ARTICLE_KEYS,
    COLUMN_ROLES,
    FORMATS,
    KEYS,
    REQUIRED,
    RGB,
    Compression,
    Damaged,
    Encoding,
    Format,
    Icc,
    ImageSettings,
    Interpolation,
    Layout,
    OnMissing,
    OnStray,
    Unlabelled,
    canonical_keys,
    require_split_name,
    rgb_of,
)
from prep.sources.labelling.label_rules import LabelRules, names_or_file, read_pairs
from prep.sources.labels import LabelMap
from prep.sources.memory import ListedImages
from prep.sources.naming import Sources
from prep.sources.registry import open_source
from prep.storage.arguments import LOCATIONS, as_stored, parse_count, read_options, split, typed
from prep.storage.backends.grants import grant
from prep.storage.locate import absolute
from prep.storage.urls import hide_credentials, is_url
from prep.text import (
    Displayable,
    brief,
    kind_of,
    nearest,
    one_line,
    quoted,
    reason_of,
    shown,
    unknown,
)


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("true or false")
    return value


def _whole(value: Any) -> Any:
    return parse_count(_no_bool(value))


def _compression_in_any_case(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return {"": None, "none": None, "gzip": "GZIP", "zlib": "ZLIB"}.get(value.lower(), value)


def _splits_as_one_word(value: Any) -> Any:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _split_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Sort the names as they are when all are taken: in whatever order, it is the same run."""
    try:
        distinct = {require_split_name(name) for name in names}
    except ValueError as error:
        raise ConfigError(f"splits: {error}") from None
    if len(distinct) < len(names):
        raise ValueError("one is given twice")
    return tuple(sorted(names, key=os.fsencode))


def _location(value: Any, info: ValidationInfo) -> Any:
    if value == "":
        raise ValueError("nothing")
    if not isinstance(value, str | os.PathLike):
        return value
    path = typed(str(info.field_name), value)
    _require_utf8(str(info.field_name), path)
    return path


def _require_utf8(key: str, path: str) -> None:
    try:
        path.encode()
    except UnicodeEncodeError:
        raise ConfigError(
            f"{key}: got {quoted(path)}, which is not valid UTF-8; rename it, or give the path of "
            "a symbolic link to it"
        ) from None


def _source(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, str) and value[:1] in ("[", "{"):  # As a flag has it.
        with contextlib.suppress(ValueError):
            value = parse_json(value)
    if isinstance(value, Mapping | Sources) or _are_paths(value):
        sources = Sources.parse(value)
        for path in sources.paths:
            _require_utf8("source", path)
        return sources
    if isinstance(value, list | tuple):
        return ListedImages(value)
    if not isinstance(value, str | os.PathLike | ListedImages):
        raise ConfigError(
            f"source: got {kind_of(value)}; expected {KEYS['source'].allowed}, or a list of "
            "(image, label)"
        )
    return _location(value, info)


def _source_json(value: str | ListedImages | Sources) -> Any:
    return value.to_json() if isinstance(value, Sources) else str(value)


def _are_paths(value: Any) -> bool:
    items = value if isinstance(value, list | tuple) else ()
    return any(isinstance(item, str | os.PathLike) for item in items)


def _absolute(value: Any, info: ValidationInfo) -> Any:
    value = _location(value, info)
    return absolute(value) if isinstance(value, str) else value


def _columns(value: Any) -> Any:
    """Read which column is which; see :data:`prep.settings.COLUMN_ROLES`."""
    columns = read_pairs("columns", value)
    for role, name in columns.items():
        if role not in COLUMN_ROLES:
            raise ConfigError(f"columns.{one_line(role)}: {unknown('key', role, COLUMN_ROLES)}")
        names = name if isinstance(name, list | tuple) and role == "label" else [name]
        if not names or not all(isinstance(each, str | int) for each in names):
            raise ConfigError(f"columns.{role}: got {shown(name)}; expected the name of a column")
    return {
        role: tuple(map(str, name)) if isinstance(name, list | tuple) else str(name)
        for role, name in columns.items()
    }


def _excluded(value: Any) -> Any:
    return names_or_file("exclude", value)


def _labels(value: Any) -> Any:
    if isinstance(value, dict):
        LabelMap.parse(value)
    return value


AnyCompression = Annotated[Compression | None, BeforeValidator(_compression_in_any_case)]
Whole = Annotated[int, BeforeValidator(_whole)]
Number = Annotated[float, BeforeValidator(_no_bool)]
Splits = Annotated[
    tuple[str, ...], BeforeValidator(_splits_as_one_word), AfterValidator(_split_names)
]
Location = Annotated[str, BeforeValidator(_location)]
Images = Annotated[
    str | InstanceOf[ListedImages] | InstanceOf[Sources],
    BeforeValidator(_source),
    # For the whole: pydantic takes the first serializer in a union for any value.
    PlainSerializer(_source_json, when_used="json"),
]
Place = Annotated[str, BeforeValidator(_absolute)]
Columns = Annotated[dict[str, str | tuple[str, ...]], BeforeValidator(_columns)]
Names = Annotated[str | tuple[str, ...], BeforeValidator(_excluded)]
Rules = Annotated[
    InstanceOf[LabelRules],
    BeforeValidator(LabelRules.parse),
    PlainSerializer(LabelRules.to_json, when_used="json"),
]
Labels = Annotated[str | dict[str, Any] | None, BeforeValidator(_location), AfterValidator(_labels)]
Options = Annotated[dict[str, Any] | None, BeforeValidator(read_options)]


def explain(error: ValidationError) -> str:
    """Name each key that is wrong, its value, and what is allowed."""
    lines: dict[str, str] = {}
    meant = set[str | None]()
    for item in error.errors():
        key = str(item["loc"][0]) if item["loc"] else "config"
        raised = item.get("ctx", {}).get("error")
        if isinstance(raised, UsageError):
            lines[key] = str(raised)
        elif item["type"] == "extra_forbidden":
            known = (*KEYS, *ARTICLE_KEYS)
            lines[key] = f"{brief(one_line(key))}: {unknown('key', key, known)}"
            near = nearest(key, known)
            meant.add(ARTICLE_KEYS.get(near, near) if near else None)
        elif item["type"] == "missing":
            lines[key] = f"{key}: missing; expected {KEYS[key].allowed}"
        else:
            found, expected = _shown(key, item["input"]), KEYS[key].allowed
            lines.setdefault(key, f"{key}: got {found}; expected {expected}")
    missing = {item["loc"][0] for item in error.errors() if item["type"] == "missing"}
    return "; ".join(line for key, line in lines.items() if key not in missing & meant)


def _shown(key: str, value: Any) -> str:
    if key == "storage_options":
        return kind_of(value)
    if key in LOCATIONS and isinstance(value, (list, tuple, bytes)):
        return kind_of(value)  # There may be URLs with credentials in it.
    return shown(hide_credentials(value) if isinstance(value, str) else value)


_PARSERS: dict[str, Callable[[str], Any]] = {
    ".json": parse_json,
    ".yaml": parse_yaml,
    ".yml": parse_yaml,
    ".toml": parse_toml,
}


def read_config(file: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the keys and values of a JSON, YAML or TOML file.

    Raises:
        ConfigError: it can't be read or parsed, or holds something else.
    """
    path = Path(typed("config file", file))
    parser = _PARSERS.get(path.suffix.lower())
    if parser is None:
        raise ConfigError(f"config file {path}: expected one that ends in {', '.join(_PARSERS)}")
    try:
        values = parser(read_text(path))
    except (OSError, ValueError) as error:
        raise ConfigError(f"config file {path}: can't be read: {reason_of(error)}") from None
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise ConfigError(f"config file {path}: expected keys and values at the top level")
    return values


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
    exclude: Names | None = field("exclude")
    labels: Rules | None = field("labels")
    unpack: bool = field("unpack")
    image_type: str | None = field("image_type", min_length=1)
    size: Whole = field("size")
    quality: Whole = field("quality")
    images_per_shard: Whole | None = field("images_per_shard")
    format: Format = field("format")
    compression: AnyCompression = field("compression")
    seed: Whole = field("seed")
    interpolation: Interpolation = field("interpolation")
    encoding: Encoding = field("encoding")
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
    check: Literal["stat", "digest"] = field("check")

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
    def _compression_suits_the_format(self) -> Config:
        if self.compression not in (None, *FORMATS[self.format].compressions):
            raise ConfigError(
                f"compression: got {self.compression}, which shards of format {self.format} can't "
                "have; leave compression out"
            )
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
