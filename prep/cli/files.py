"""Files of this machine that commands write."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from prep.admission import typed
from prep.errors import ConfigError
from prep.locations import is_url
from prep.text import quoted, reason_of


def local_path(output: str) -> Path:
    """Return the path that OUTPUT means; raise ConfigError where it is a URL."""
    path = typed("output", output)
    if is_url(path):
        raise ConfigError(f"output: got {quoted(path)}; expected a path on this machine")
    return Path(path)


def writable(output: str) -> Path:
    """Return the path that OUTPUT means; raise ConfigError if no file can be written there."""
    path = local_path(output)
    folder = next((parent for parent in path.absolute().parents if parent.exists()), path)
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ConfigError(f"output: can't write {quoted(path)}; expected the path of a file")
    return path


def write_json(path: Path, value: Any) -> None:
    from prep import storage

    try:
        storage.publish_json(path, value, within=path.parent)
    except OSError as error:
        raise ConfigError(f"output: can't write {quoted(path)}: {reason_of(error)}") from None
