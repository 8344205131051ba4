"""Paths, URLs and options of storages, as they come from outside."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from prep.errors import ConfigError
from prep.locations import grant, is_url, require_supported, split_options
from prep.parsing import parse_json, read_text

#: The keys of a configuration that may be URLs; options may be given by them.
LOCATIONS = ("source", "output", "label_map", "mean_file")


def admit(key: str, path: str | os.PathLike[str], storage_options: Mapping[str, Any] | None) -> str:
    """Has a URL opened with these options from now on, and gives back what of it may be shown.

    Args:
        key: what it is called in an error message.
        path: a path, which stays as it is, or a URL.
        storage_options: of the URL; where they are given by key, as to a run, those of ``key``.

    Raises:
        ConfigError: the URL's storage can't be opened here, or options are partly by key.
    """
    values = {**dict.fromkeys(LOCATIONS), key: os.fspath(path)}
    shown, options = split(values, storage_options)
    url = str(shown[key])
    if is_url(url):
        require_openable(key, url)
    if key in options:
        grant(url, options[key])
    return url


def split(
    values: Mapping[str, Any], storage_options: Mapping[str, Any] | None
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """:func:`prep.locations.split_options`, with errors for users.

    Raises:
        ConfigError: they are partly by key.
    """
    try:
        return split_options(values, storage_options or {})
    except ValueError as error:
        raise ConfigError(str(error)) from None


def require_openable(key: str, url: str) -> None:
    """Raises ConfigError, which says what to do, where a URL's storage can't be opened here."""
    try:
        require_supported(url)
    except ValueError as error:
        raise ConfigError(f"{key}: {error}") from None


def read_options(value: Any) -> Any:
    """``storage_options`` that were given as JSON text, or as ``@FILE``; others as they are.

    Raises:
        ConfigError: they can't be read; the message does not show them.
    """
    if not isinstance(value, str):
        return value
    try:
        text = read_text(value[1:]) if value[:1] == "@" else value
        found = parse_json(text)
    except (OSError, ValueError) as error:
        # What is in them is not shown, be it malformed.
        why = error.strerror if isinstance(error, OSError) else "no JSON"
        where = value if value[:1] == "@" else "the text"
        raise ConfigError(f"storage_options: {where} can't be read: {why}") from None
    if not isinstance(found, dict):
        raise ConfigError(f"storage_options: got a {type(found).__name__}; expected a mapping")
    return found
