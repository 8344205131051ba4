"""Where a path or URL leads, from this process, and how what is there is opened.

``storage_options`` as a user gives them → which hold for which URL.

What it takes to open locations, kept apart from them for the length of the process.

Plans, receipts, tasks and reports hold plain paths and URLs. Options of a storage, for there may be
credentials among them, and where this host sees a folder that others see under another path, are
granted to a process and never shown.

Whether a path that somebody else may have written stays within the source that it is of.

Links in the source are followed: what they lead to is its owner's business.
"""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from prep.storage.backends.filesystems import (
    OPTIONS,
    Claims,
    answering_within,
    asking_in_threads,
    forget_filesystems,
    in_a_hurry,
)
from prep.storage.remote import RemotePath, Status
from prep.storage.urls import (
    Bare,
    canonical,
    hide_credentials,
    is_url,
    lacks_slash,
    local_path,
    require_supported,
    without_credentials,
)

__all__ = [
    "Access",
    "Bare",
    "Mounts",
    "RemotePath",
    "Status",
    "absolute",
    "access",
    "answering_within",
    "asking_in_threads",
    "grant",
    "hide_credentials",
    "in_a_hurry",
    "is_url",
    "lacks_slash",
    "local_path",
    "locate",
    "require_supported",
    "split_options",
    "without_credentials",
]


def split_options(
    values: Mapping[str, Any], given: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Takes credentials out of URLs, and says which options hold for each.

    Args:
        values: what may be a URL, by its key.
        given: options that hold for all, or by key.

    Returns:
        The values without credentials, and the options by key; keys without any are left out.

    Raises:
        ValueError: the options are partly by key, and partly not; most storages say nothing of
            options that they don't know.

    >>> split_options({"source": "s3://a:secret@bucket", "output": "out"}, {"use_ssl": False})
    ({'source': 's3://bucket', 'output': 'out'}, {'source': {'use_ssl': False, 'key': 'a', \
'secret': 'secret'}})
    """
    by_key = not values.keys().isdisjoint(given)
    if by_key:
        _require_by_key(values, given)
    shown: dict[str, Any] = {}
    options: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        shown[key] = local_path(value) if isinstance(value, str) else value
        if not isinstance(shown[key], str) or not is_url(shown[key]):
            continue
        bare = without_credentials(shown[key])
        shown[key] = bare.url
        options[key] = {**(given.get(key, {}) if by_key else given), **bare.options}
    return shown, {key: value for key, value in options.items() if value}


def _require_by_key(values: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    # What is in them is not shown.
    unknown = sorted(str(key) for key in given if key not in values)
    plain = sorted(key for key, value in given.items() if not isinstance(value, Mapping))
    if unknown or plain:
        known = next(key for key in given if key in values)
        what = "no such key" if unknown else "no mapping"
        raise ValueError(
            f"storage_options: given by key, for {known!r} is among them, but {what}: "
            f"{', '.join(unknown or plain)}; expected a mapping for each of {', '.join(values)}"
        )


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


# Empty parts, "." and ".."; in URLs also encoded, for a server decodes them.
_LEADS_OUT = r"(\A|/)\.{{0,2}}(/|{end})|\x00"
_LEADS_OUT_OF_URL = r"(?i)(\A|/|%2f|%5c)(\.|%2e){{0,2}}(/|%2f|%5c|{end})|\x00|%00"
_END_OF_TEXT = r"\Z"  # Python's; RE2, which Arrow has, calls it \z.


def leading_out(source: str, end_of_text: str = _END_OF_TEXT) -> str:
    """The regular expression that is found in paths which do not stay within a source."""
    pattern = _LEADS_OUT_OF_URL if is_url(source) else _LEADS_OUT
    return pattern.format(end=end_of_text)


def stays_within(path: str, source: str = "") -> bool:
    """Whether a relative path leads to something below a source.

    >>> stays_within("train/cat/1.jpg"), stays_within("../1.jpg"), stays_within("/etc/passwd")
    (True, False, False)
    """
    return re.search(leading_out(source), path) is None
