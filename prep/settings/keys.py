"""All keys of a configuration, in their order, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prep.errors import ConfigError
from prep.settings.key import Key
from prep.settings.record_keys import RECORD_KEYS
from prep.settings.refusal_keys import REFUSAL_KEYS
from prep.settings.source_keys import SOURCE_KEYS
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

#: The keys of a configuration, in their order. The model adds their types, and the command line its
#: flags; this is apart from both, so that help is shown without what it takes to check values.
KEYS: dict[str, Key] = {**SOURCE_KEYS, **RECORD_KEYS, **REFUSAL_KEYS}


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
