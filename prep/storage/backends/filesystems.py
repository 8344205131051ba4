"""The open fsspec filesystems of this process: one for each storage and its options."""

from __future__ import annotations

import difflib
import errno
import inspect
import os
import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from prep.storage.backends import stores
from prep.storage.backends.grants import OPTIONS
from prep.storage.backends.protocols import filesystem_class
from prep.storage.urls import protocol_of

if TYPE_CHECKING:
    import asyncio


S = TypeVar("S")
T = TypeVar("T")

_NO_CACHE = {"use_listings_cache": False}  # Others write there too.
# In seconds, so that nothing waits for ever. S3's are s3fs's own. What a user sets wins.
_TIMEOUTS = dict.fromkeys(("timeout", "banner_timeout", "auth_timeout", "channel_timeout"), 30)
_AZURE_TIMEOUTS = {"connection_timeout": 30, "read_timeout": 60}
_SILENCE = 60.0  # seconds after which an SFTP server that answers nothing is given up
_KEEPALIVE = 30  # seconds
# Requests that wait for their answers at the same time; where each needs a connection of its own,
# as many as an SSH server lets in at once besides others.
_MOST_AT_ONCE, _MOST_CONNECTIONS = 128, 6


# Filesystems that wait for many answers at once may be used from all threads; others are asked from
# one at a time, so each thread has its own.
_shared: dict[str, Any] = {}
_lock = threading.Lock()


class _Own(threading.local):
    def __init__(self) -> None:
        self.opened: dict[str, Any] = {}


_own = _Own()


def filesystem(url: str) -> Any:
    """Return the fsspec filesystem of a URL, opened with the options that were granted for it.

    Raises:
        ImportError, ValueError: there is none for its protocol.
        Exception: whatever it raises when it is opened.
    """
    kind = filesystem_class(protocol_of(url))
    _require_no_typo(kind, OPTIONS.of(url))
    options = {
        **_defaults(kind, protocol_of(url)),
        **kind._get_kwargs_from_urls(_without_path(url)),
        **OPTIONS.of(url),
    }
    key = f"{kind.__name__} {sorted(options.items(), key=str)!r}"
    if not kind.async_impl:
        if key not in _own.opened:
            _own.opened[key] = _open(kind, options)
        return _own.opened[key]
    with _lock:
        if key not in _shared:
            _shared[key] = _open(kind, options)
        return _shared[key]


def _require_no_typo(kind: Any, options: Mapping[str, Any]) -> None:
    """Raise an OSError where an option looks like a misspelt one that would be passed over."""
    if not kind.async_impl:
        return  # What these don't know is an error of theirs.
    known = {name for base in kind.__mro__ for name in _taken_by(base)}
    for name in options.keys() - known:
        if near := difflib.get_close_matches(str(name), known, n=1, cutoff=0.8):
            told = f"storage_options: got {name!r}; did you mean {near[0]!r}?"
            raise OSError(errno.EINVAL, told)


def _taken_by(kind: type) -> Iterable[str]:
    return inspect.signature(kind.__init__).parameters  # type: ignore[misc]


def most_at_once(url: str) -> int:
    """Return the number of requests that a storage is sent at the same time, at most.

    Raises:
        ImportError, ValueError: there is no filesystem for its protocol.
    """
    shared = filesystem_class(protocol_of(url)).async_impl
    return _MOST_AT_ONCE if shared else _MOST_CONNECTIONS


def forget_connections() -> None:
    """Forget the connections of this thread, one of which has broken."""
    _own.opened.clear()


def forget_filesystems() -> None:
    """Forget all filesystems; they are opened anew when next needed."""
    global _own
    with _lock:
        _shared.clear()
        _own = _Own()


def _forget_what_the_parent_opened() -> None:
    """Give a forked process no filesystem of its parent's, nor a lock that a thread of it held.

    They are not closed, for the connections are the parent's.
    """
    global _shared, _lock, _own
    _of_parents.append((_shared, _own, _own.__dict__))
    _shared, _lock, _own = {}, threading.Lock(), _Own()


_of_parents: list[Any] = []
os.register_at_fork(after_in_child=_forget_what_the_parent_opened)


def _defaults(kind: Any, protocol: str) -> dict[str, Any]:
    if protocol in ("sftp", "ssh"):
        from prep.storage.backends.sftp import KnownHosts  # It needs paramiko.

        return {**_TIMEOUTS, "host_key_policy": KnownHosts}
    if protocol in ("abfs", "abfss", "az"):
        return {**_NO_CACHE, **_AZURE_TIMEOUTS}
    return _NO_CACHE if kind.async_impl else {}


def _without_path(url: str) -> str:
    """Return a URL without its path, a name in which may look like a query."""
    protocol, _, rest = url.partition("://")
    return f"{protocol}://{rest.partition('/')[0]}/"


def _open(kind: Any, options: Mapping[str, Any]) -> Any:
    if "s3" in kind.protocol and not options.keys() & {"session", "profile"}:
        options = {**options, "session": stores.s3_session()}
    if "gs" in kind.protocol and "token" not in options:
        options = {**options, "token": _google_token()}
    # fsspec's own cache would keep what was opened, connections and all, for ever.
    opened = kind(**options, skip_instance_cache=True)
    if kind.async_impl and opened.loop.get_exception_handler() is None:
        opened.loop.set_exception_handler(_told_by_its_request)
    sftp: Any = getattr(opened, "ftp", None)
    if hasattr(sftp, "get_channel"):
        sftp.get_channel().settimeout(_SILENCE)
        sftp.get_channel().get_transport().set_keepalive(_KEEPALIVE)
    return opened


def _google_token() -> Any:
    if os.environ.get("STORAGE_EMULATOR_HOST"):
        return "anon"
    from prep.storage.backends.google import credentials  # It needs google-auth.

    return credentials()


def _told_by_its_request(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log errors of tasks that nobody waits for, except of broken connections of aiohttp.

    aiohttp sends the headers of an upload in such a task. The request itself fails as well, and is
    tried again or reported.
    """
    error = context.get("exception")
    of_aiohttp = type(error).__module__.startswith("aiohttp.")
    if not (of_aiohttp and isinstance(error, ConnectionResetError)):
        loop.default_exception_handler(context)
