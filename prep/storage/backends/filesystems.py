"""What several clients ask of one process, which serves them at the same time.

How long an answer of a storage is waited for, and who is in a hurry.

The open filesystems of this process: one for each storage and its options.

Requests to the filesystem of a URL: with a deadline, and with one kind of error.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import inspect
import io
import math
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar, copy_context
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from prep.storage.backends import stores
from prep.storage.backends.faults import as_os_errors
from prep.storage.backends.protocols import filesystem_class
from prep.storage.options import OPTIONS
from prep.storage.urls import protocol_of

if TYPE_CHECKING:
    import asyncio


S = TypeVar("S")
T = TypeVar("T")

_IN_A_HURRY = 1.5  # seconds
_LOOK = 0.5  # seconds: how often it is looked whether an answer is still of use


class _Limit:
    """Until when answers are of use, by time.monotonic()."""

    def __init__(self, until: float) -> None:
        self.until = until


_limit: ContextVar[_Limit] = ContextVar("limit", default=_Limit(math.inf))  # noqa: B039


@contextlib.contextmanager
def answering_within(seconds: float = _IN_A_HURRY) -> Iterator[None]:
    """Has all that is asked in the block be answered in this time, taken together, or not at all.

    What a storage that takes one question at a time (SFTP) is at is not cut short.

    Args:
        seconds: by default, as many as somebody who has stopped a run is made to wait.
    """
    token = _limit.set(_Limit(min(_limit.get().until, time.monotonic() + seconds)))
    try:
        yield
    finally:
        _limit.reset(token)


def in_a_hurry() -> bool:
    """Whether this is within :func:`answering_within`."""
    return _limit.get().until < math.inf


@contextlib.contextmanager
def asking_in_threads() -> Iterator[Callable[[Callable[[S], T], S], T]]:
    """Gives what calls a function in another thread, in as much of a hurry as this one.

    What is still asked there when the block ends is given up: nobody wants to know any more.
    """
    limit = _Limit(_limit.get().until)
    context = copy_context()
    context.run(_limit.set, limit)
    try:
        # One thread at a time may use a context.
        yield lambda function, item: context.copy().run(function, item)
    finally:
        limit.until = -math.inf


def answer(loop: Any, question: Any, patience: float) -> Any:
    """What a coroutine gives, in the event loop of another thread.

    Args:
        patience: seconds.

    Raises:
        OSError: that takes too long, or is of no use to anyone any more.
    """
    # They take a while to load, and who asks has them.
    import asyncio
    from concurrent.futures import wait

    deadline = time.monotonic() + patience
    future = asyncio.run_coroutine_threadsafe(question, loop)
    try:
        while not future.done():
            wait([future], min(_LOOK, require_time(deadline)))
        return future.result()
    finally:
        future.cancel()  # If it is not done.


def require_time(deadline: float = math.inf) -> float:
    """Seconds that are left to wait for an answer; raises OSError where there are none."""
    until = _limit.get().until
    if until == -math.inf:
        raise OSError(errno.ECANCELED, "not asked for any more")
    left = min(deadline, until) - time.monotonic()
    if left <= 0:
        raise TimeoutError(errno.ETIMEDOUT, "no answer in time")
    return left


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
    """The fsspec filesystem of a URL, opened with the options that were granted for it.

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


def given_to_others(url: str) -> dict[str, str]:
    """Options of a URL that were granted just so for URLs of another protocol, which is told."""
    own = OPTIONS.of(url)
    found: dict[str, str] = {}
    for root, others in OPTIONS.all().items():
        if protocol_of(root) != protocol_of(url):
            same = (name for name, value in own.items() if name in others and others[name] == value)
            found |= dict.fromkeys(same, protocol_of(root))
    return found


def most_at_once(url: str) -> int:
    """How many requests a storage is to be asked at the same time, at the most.

    Raises:
        ImportError, ValueError: there is no filesystem for its protocol.
    """
    shared = filesystem_class(protocol_of(url)).async_impl
    return _MOST_AT_ONCE if shared else _MOST_CONNECTIONS


def forget_connections() -> None:
    """Has this thread connect anew to whatever it asks: a connection of its own has broken."""
    _own.opened.clear()


def forget_filesystems() -> None:
    """Has all be opened anew when they are next needed; whoever is using one goes on with it."""
    global _own
    with _lock:
        _shared.clear()
        _own = _Own()


def _defaults(kind: Any, protocol: str) -> dict[str, Any]:
    if protocol in ("sftp", "ssh"):
        from prep.storage.backends.sftp import KnownHosts  # It needs paramiko.

        return {**_TIMEOUTS, "host_key_policy": KnownHosts}
    if protocol in ("abfs", "abfss", "az"):
        return {**_NO_CACHE, **_AZURE_TIMEOUTS}
    return _NO_CACHE if kind.async_impl else {}


def _without_path(url: str) -> str:
    """A name may hold what would be taken for a query."""
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
    """Logs what went wrong in a task nobody waits for, unless a connection of aiohttp's broke.

    It sends the headers of an upload in such a task. The request fails by itself, and is tried
    again or told of.
    """
    error = context.get("exception")
    of_aiohttp = type(error).__module__.startswith("aiohttp.")
    if not (of_aiohttp and isinstance(error, ConnectionResetError)):
        loop.default_exception_handler(context)


PATIENCE = 120.0  # seconds for one request, with what its filesystem retries
_BLOCK = 1 << 20  # 1 MiB, of what is read in pieces
_UNKNOWN = re.compile(r"unexpected keyword argument '(\w+)'")
_BROKEN = (
    *(errno.ECONNRESET, errno.ENOTCONN, errno.ETIMEDOUT, errno.EPIPE, errno.ECONNREFUSED),
    *(errno.EIO, errno.ECONNABORTED, errno.EHOSTUNREACH),
)


class Requests:
    """Asks what is at a URL, and changes it.

    All that can't be done raises OSError; nothing waits for ever.
    """

    __slots__ = ("_url",)

    def __init__(self, url: str) -> None:
        self._url = url

    @property
    def path(self) -> str:
        """The place, as the filesystem names it."""
        # Only the first part is parsed: in the rest, '?' and '#' are parts of names.
        protocol, _, rest = self._url.partition("://")
        first, slash, below = rest.partition("/")
        return _root_of(f"{protocol}://{first}").rstrip("/") + slash + below

    @property
    def filesystem(self) -> Any:
        with self.as_os_errors():
            return filesystem(self._url)

    def ask(
        self,
        name: str,
        *arguments: Any,
        at: str = "",
        patience: float = PATIENCE,
        **options: Any,
    ) -> Any:
        """Calls a method of the filesystem by its name.

        Args:
            at: the path that it is called with, if not this one's.
        """
        return self._ask(name, at or self.path, *arguments, patience=patience, **options)

    def put_file(self, source: Path, *, patience: float, **options: Any) -> None:
        """Uploads a local file."""
        self._ask("put_file", str(source), self.path, patience=patience, **options)

    def call(self, function: Any, *arguments: Any) -> Any:
        """Calls a function of a filesystem and a path in it."""
        fs = self.filesystem
        return self._answer(fs, function, fs, self.path, *arguments)

    def _ask(self, name: str, *arguments: Any, patience: float, **options: Any) -> Any:
        fs = self.filesystem
        method = getattr(fs, f"_{name}" if fs.async_impl else name)
        return self._answer(fs, method, *arguments, patience=patience, **options)

    def _answer(
        self, fs: Any, method: Any, *arguments: Any, patience: float = PATIENCE, **options: Any
    ) -> Any:
        with self.asking():
            if fs.async_impl:
                return answer(fs.loop, method(*arguments, **options), patience)
            require_time()
            return method(*arguments, **options)

    def open(self) -> io.BufferedReader:
        """Open the file to read it piece by piece."""
        fs = self.filesystem
        with self.asking():
            file = fs.open(self.path, "rb", block_size=_BLOCK)
        return io.BufferedReader(_Pieces(file, self), _BLOCK)

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Raise nothing but OSErrors; drop the connections after one that tells of a broken one."""
        try:
            with self.as_os_errors():
                yield
        except OSError as error:
            if error.errno in _BROKEN:
                forget_connections()
            raise

    @contextlib.contextmanager
    def as_os_errors(self) -> Iterator[None]:
        with as_os_errors(self._url, OPTIONS.of(self._url)):
            try:
                yield
            except TypeError as error:  # Some options are looked at when something is asked.
                raise OSError(errno.EINVAL, self._refusal(str(error))) from None

    def _refusal(self, said: str) -> str:
        """Explain options that a storage does not take, or lacks."""
        if "missing" in said:
            return f"{said}; give what is missing in storage_options"
        unknown = _UNKNOWN.search(said)
        if unknown is None:
            return f"storage_options: {said}"
        name, others = unknown[1], given_to_others(self._url)
        told = f"storage_options: {protocol_of(self._url)}:// knows no {name!r}"
        if name in others:
            return (
                f"{told}, which was given for {others[name]} as well: storage_options that are not "
                "by key hold for all URLs; give each its own, under source and output"
            )
        return f"{told}; remove it, or correct its name"


class _Pieces(io.RawIOBase):
    """A file of a filesystem, whose errors are OSErrors too."""

    def __init__(self, file: Any, requests: Requests) -> None:
        self._file = file
        self._requests = requests

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with self._requests.asking():
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with self._requests.as_os_errors():
            self._file.seek(offset, whence)
            position: int = self._file.tell()
        return position

    def close(self) -> None:
        if not self.closed:
            with self._requests.as_os_errors():
                self._file.close()
        super().close()


@lru_cache(maxsize=64)
def _root_of(url: str) -> str:
    root = filesystem_class(protocol_of(url))._strip_protocol(f"{url}/")
    return str(root)
