"""Files of keys and values: JSON, YAML and TOML."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prep.errors import ConfigError
from prep.parsing import parse_json, parse_toml, parse_yaml, read_text
from prep.storage.arguments import typed
from prep.text import (
    reason_of,
)

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
