"""What is said of each key of a configuration, and what it is called in the article."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field
from pydantic.config import JsonDict
from pydantic.fields import FieldInfo

from prep.errors import ConfigError
from prep.text import quoted

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


def key(
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


def described(field: FieldInfo) -> dict[str, Any]:
    """Return what :func:`key` was told."""
    assert isinstance(field.json_schema_extra, dict)
    return field.json_schema_extra


def canonical(values: Mapping[str, Any]) -> dict[str, Any]:
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
