"""Types of values of a configuration, and what is made of how users write them."""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ValidationInfo

from prep.admission import parse_count, read_options, typed
from prep.errors import ConfigError
from prep.labels import LabelMap
from prep.layout import require_split_name
from prep.text import quoted


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
    try:
        path.encode()
    except UnicodeEncodeError:
        raise ConfigError(
            f"{info.field_name}: got {quoted(path)}, which is not valid UTF-8; rename it, "
            "or give the path of a symbolic link to it"
        ) from None
    return path


def _labels(value: Any) -> Any:
    if isinstance(value, dict):
        LabelMap.parse(value)
    return value


Interpolation = Literal["area", "linear", "cubic", "lanczos"]
Encoding = Literal["jpeg", "raw", "float32"]
Damaged = Literal["refuse", "keep"]
Icc = Literal["ignore", "convert"]
Compression = Annotated[Literal["GZIP", "ZLIB"] | None, BeforeValidator(_compression_in_any_case)]
Whole = Annotated[int, BeforeValidator(_whole)]
Number = Annotated[float, BeforeValidator(_no_bool)]
Splits = Annotated[
    tuple[str, ...], BeforeValidator(_splits_as_one_word), AfterValidator(_split_names)
]
Location = Annotated[str, BeforeValidator(_location)]
Labels = Annotated[str | dict[str, Any] | None, BeforeValidator(_location), AfterValidator(_labels)]
Options = Annotated[dict[str, Any] | None, BeforeValidator(read_options)]
