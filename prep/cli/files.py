"""Files of this machine that commands write."""

from __future__ import annotations

import tempfile
from typing import Any

from prep.errors import ConfigError
from prep.storage.arguments import typed
from prep.storage.local import LocalPath
from prep.storage.urls import is_url
from prep.text import quoted, reason_of


def require_local(output: str, key: str = "output") -> LocalPath:
    """Return the path that OUTPUT means; raise ConfigError where it is a URL."""
    path = typed(key, output)
    if is_url(path):
        raise ConfigError(f"{key}: got {quoted(path)}; expected a path on this machine")
    return LocalPath(path)


def writable(output: str, key: str = "output") -> LocalPath:
    """Return the path that OUTPUT means; raise ConfigError if no file can be written there.

    That is found out before the work: by making a file in the folder, which is gone at once.

    Args:
        output: as it was typed.
        key: what errors call it.
    """
    path = require_local(output, key)
    folder = path.parent
    if path.is_dir():
        raise ConfigError(f"{key}: {quoted(path)} is a folder; expected the path of a file")
    if not folder.exists():
        raise ConfigError(
            f"{key}: can't write {quoted(path)}: the folder {quoted(folder)} does not exist"
        )
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise _not_written(path, error, key) from None
    return path


def write_json(path: LocalPath, value: Any) -> None:
    """Write a JSON file as a whole; raise ConfigError where that fails."""
    try:
        path.publish_json(value, within=path.parent)
    except OSError as error:
        raise _not_written(path, error) from None


def write(path: LocalPath, data: bytes) -> None:
    """Write a file as a whole; raise ConfigError where that fails."""
    try:
        path.publish(data, within=path.parent)
    except OSError as error:
        raise _not_written(path, error) from None


def _not_written(path: LocalPath, error: OSError, key: str = "output") -> ConfigError:
    return ConfigError(f"{key}: can't write {quoted(path)}: {reason_of(error)}")
