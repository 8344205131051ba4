"""What it takes to open locations, kept apart from them for the length of the process.

Plans, receipts, tasks and reports hold plain paths and URLs. Options of a storage, for there may be
credentials among them, and where this host sees a folder that others see under another path, are
granted to a process and never shown.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from prep.locations.claims import Claims
from prep.locations.filesystems import OPTIONS, forget_filesystems
from prep.locations.remote import RemotePath
from prep.locations.urls import canonical, is_url, local_path

_MOUNTS: Claims[str] = Claims()


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """All options that were granted to one process, to be granted in another; they are not shown.

    Mounts are not among them, for each host has its own.

    Attributes:
        options: fsspec's ``storage_options``, by the URL at and below which they hold.
    """

    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)

    def __reduce__(self) -> Any:
        # At DEBUG, Dask logs the messages that it sends. What is in them can be told apart again by
        # whoever means to: this keeps it from being read by chance, and is no encryption.
        data = pickle.dumps(dict(self.options))
        pad = os.urandom(len(data))
        return _unscrambled, (_scrambled(data, pad), pad)

    def apply(self, holder: str) -> None:
        """Grants all of it in this process, beside what was granted for others.

        Args:
            holder: whom it is for; what was granted for the same one before is replaced.
        """
        OPTIONS.hold(holder, self.options)

    def withdraw(self, holder: str) -> None:
        """Takes it back, unless something else was granted for the same one meanwhile."""
        OPTIONS.release(holder, self.options)
        forget_filesystems()  # They hold what they were opened with.


def _scrambled(data: bytes, pad: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(data, pad, strict=True))


def _unscrambled(data: bytes, pad: bytes) -> Access:
    return Access(options=pickle.loads(_scrambled(data, pad)))


def access() -> Access:
    """What was granted in this process so far."""
    return Access(options=dict(OPTIONS.all()))


def grant(url: str, options: Mapping[str, Any]) -> None:
    """Has everything at and below a URL opened with these options from now on.

    Args:
        options: what fsspec calls ``storage_options``.
    """
    OPTIONS.set(canonical(url).rstrip("/"), dict(options))


@dataclass(frozen=True, slots=True)
class Mounts:
    """Where this host sees folders that others see under other paths.

    Attributes:
        folders: by the path that others use, the one here.
    """

    folders: Mapping[str, str]

    def apply(self, holder: str) -> None:
        """Has the folders, and all below them, found here, beside those of others.

        Args:
            holder: whom it is for; what was mounted for the same one before is replaced.
        """
        _MOUNTS.hold(holder, self.folders)

    def withdraw(self, holder: str) -> None:
        """Ends that, unless other folders were mounted for the same one meanwhile."""
        _MOUNTS.release(holder, self.folders)

    @classmethod
    def of(cls, folders: Mapping[str, str]) -> Mounts:
        """With paths as they are looked up."""
        return cls(
            {os.path.normpath(path): os.path.abspath(here) for path, here in folders.items()}
        )


def absolute(path: str | os.PathLike[str] | RemotePath) -> str:
    """The same without regard to the working directory; of a URL of this machine, its path."""
    name = local_path(str(path) if isinstance(path, RemotePath) else os.fspath(path))
    return str(RemotePath(name)) if is_url(name) else os.path.abspath(name)


def locate(path: str | os.PathLike[str] | RemotePath) -> Path:
    """The path or URL, as something to open: a ``Path``, or what is used like one."""
    if isinstance(path, RemotePath):
        return cast(Path, path)
    name = local_path(os.fspath(path))
    if is_url(name):
        # It has those of a Path's methods that are used here, though it is none.
        return cast(Path, RemotePath(name))
    absolute = os.path.abspath(name)
    mounts = _MOUNTS.all()
    for root in sorted(mounts, key=len, reverse=True):
        if absolute == root or absolute.startswith(root.rstrip("/") + "/"):
            return Path(mounts[root], os.path.relpath(absolute, root))
    return Path(absolute)
