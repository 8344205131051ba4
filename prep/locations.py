"""Where a path or URL leads, from this process.

Plans, receipts, tasks and reports hold plain paths and URLs. What it takes to open them is kept
apart from them, for the length of the process: the options of a storage, for there may be
credentials among them, and where this host sees a folder that others see under another path.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from upath import UPath

_SCHEME = "://"

_options: dict[str, Mapping[str, Any]] = {}
_mounts: dict[str, str] = {}


def is_url(path: str) -> bool:
    """Whether this names something in a storage that is not a folder of this machine.

    >>> is_url("s3://bucket/photos"), is_url("/photos")
    (True, False)
    """
    return _SCHEME in path


def grant(url: str, options: Mapping[str, Any]) -> None:
    """Has everything at and below a URL opened with these options from now on.

    Args:
        options: what fsspec calls ``storage_options``.
    """
    _options[url.rstrip("/")] = dict(options)


def granted() -> Mapping[str, Mapping[str, Any]]:
    """What was granted so far, by URL: to grant it in another process, and never to show it."""
    return dict(_options)


def mount(path: str, here: str) -> None:
    """Has the folder ``path``, and all below it, found at ``here`` from now on."""
    _mounts[os.path.normpath(path)] = os.path.abspath(here)


def locate(path: str | os.PathLike[str]) -> Path:
    """The path or URL, as something to open: a ``Path``, or what is used like one."""
    name = os.fspath(path)
    if is_url(name):
        # It has the methods of a Path, though it is none.
        return cast(Path, UPath(name, **_longest_match(name, _options, {})))
    absolute = os.path.abspath(name)
    for root in sorted(_mounts, key=len, reverse=True):
        if _is_in(absolute, root):
            return Path(_mounts[root], os.path.relpath(absolute, root))
    return Path(absolute)


def _longest_match(
    name: str, by_root: Mapping[str, Mapping[str, Any]], default: Mapping[str, Any]
) -> Mapping[str, Any]:
    roots = [root for root in by_root if _is_in(name, root)]
    return by_root[max(roots, key=len)] if roots else default


def _is_in(name: str, root: str) -> bool:
    return name == root or name.startswith(root.rstrip("/") + "/")
