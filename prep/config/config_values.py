"""The types of the values that keys have, as people write them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    InstanceOf,
    PlainSerializer,
    ValidationInfo,
)

from prep.config.split_rules import SplitRules
from prep.config.subset_rules import SubsetRules
from prep.errors import ConfigError
from prep.parsing import parse_json
from prep.settings.choices import (
    COLUMN_ROLES,
    Compression,
)
from prep.settings.image_settings import Size, read_size
from prep.settings.keys import KEYS
from prep.settings.output_names import require_split_name
from prep.settings.record_features import EXTRA_FEATURES
from prep.sources.labelling.label_rules import LabelRules, names_or_file, read_pairs
from prep.sources.labels import LabelMap
from prep.sources.memory import ListedImages
from prep.sources.naming import Sources
from prep.storage.arguments import parse_count, read_options, typed
from prep.storage.locate import absolute
from prep.text import (
    kind_of,
    one_line,
    quoted,
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


def _as_one_word(value: Any) -> Any:
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


def _extra_features(names: tuple[str, ...]) -> tuple[str, ...]:
    """Sort the names, for their order makes no difference to a record."""
    for name in names:
        if name not in EXTRA_FEATURES:
            raise ConfigError(
                f"features: {quoted(name)}: {unknown('feature', name, EXTRA_FEATURES)}"
            )
    return tuple(name for name in EXTRA_FEATURES if name in names)


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


def _size(value: Any) -> int | Size:
    return read_size(parse_count(_no_bool(value)))


Whole = Annotated[int, BeforeValidator(_whole)]


Number = Annotated[float, BeforeValidator(_no_bool)]


SizeOfResults = Annotated[
    int | InstanceOf[Size],
    BeforeValidator(_size),
    PlainSerializer(lambda size: str(size) if isinstance(size, Size) else size, when_used="json"),
]


Splits = Annotated[tuple[str, ...], BeforeValidator(_as_one_word), AfterValidator(_split_names)]


Features = Annotated[
    tuple[str, ...], BeforeValidator(_as_one_word), AfterValidator(_extra_features)
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


Split = Annotated[
    InstanceOf[SplitRules],
    BeforeValidator(SplitRules.parse),
    PlainSerializer(SplitRules.to_json, when_used="json"),
]


Subset = Annotated[
    InstanceOf[SubsetRules],
    BeforeValidator(SubsetRules.parse),
    PlainSerializer(SubsetRules.to_json, when_used="json"),
]


Labels = Annotated[str | dict[str, Any] | None, BeforeValidator(_location), AfterValidator(_labels)]


Options = Annotated[dict[str, Any] | None, BeforeValidator(read_options)]
