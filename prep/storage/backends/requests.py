"""Requests to the fsspec filesystem of a URL: with a deadline, and with one kind of error."""

from __future__ import annotations

import contextlib
import errno
import io
import re
import stat
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from prep.storage.backends import stores
from prep.storage.backends.faults import as_os_errors
from prep.storage.backends.filesystems import (
    filesystem,
    forget_connections,
    most_at_once,
)
from prep.storage.backends.grants import OPTIONS
from prep.storage.backends.protocols import filesystem_class
from prep.storage.location import Status
from prep.storage.retry import answer, require_time
from prep.storage.urls import protocol_of

PATIENCE = 120.0  # seconds for one request, with what its filesystem retries
_SLOWEST = 100_000  # bytes a second: an upload that is slower than that is given up
_BLOCK = 1 << 20  # 1 MiB, of what is read in pieces
_UNKNOWN = re.compile(r"unexpected keyword argument '(\w+)'")
_BROKEN = (
    *(errno.ECONNRESET, errno.ENOTCONN, errno.ETIMEDOUT, errno.EPIPE, errno.ECONNREFUSED),
    *(errno.EIO, errno.ECONNABORTED, errno.EHOSTUNREACH),
)


class Requests:
    """Requests to the storage of one URL.

    Whatever can't be done raises OSError; nothing waits for ever.
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
        """Call a method of the filesystem by its name.

        Args:
            at: the path that it is called with, if not this one's.
        """
        return self._ask(name, at or self.path, *arguments, patience=patience, **options)

    @property
    def puts_whole(self) -> bool:
        """True if an upload appears whole or not at all; elsewhere, files can be renamed."""
        return stores.puts_whole(protocol_of(self._url))

    @property
    def most_at_once(self) -> int:
        """The number of requests that the storage takes at the same time."""
        with self.as_os_errors():
            return most_at_once(self._url)

    @property
    def has_links(self) -> bool:
        """True if there are symbolic links, and it can be asked which names are links."""
        return stores.is_sftp(self.filesystem)

    def is_link(self) -> bool:
        """Return True for a link itself, if the storage can be asked."""
        return self.has_links and bool(self.call(stores.is_link_over_sftp))

    def status(self) -> Status:
        """Return type, size and time of what is there."""
        return status_of(self.ask("info"))

    def infos(self, prefix: str = "") -> list[dict[str, Any]]:
        """Return what fsspec says of all in a folder, or at least of names with this prefix."""
        if prefix and stores.is_s3(self.filesystem):
            infos: list[dict[str, Any]] = self.ask("lsdir", prefix=prefix)
        else:
            infos = self.ask("ls", detail=True)
        return infos

    def get(self, expected: int | None = None, most: int | None = None) -> stores.Contents:
        """Return the contents, and the time of their last change if that costs nothing.

        Args:
            expected: bytes; contents of another size are not read, where that can be helped.
            most: bytes; larger contents are not read.
        """
        get = stores.getter(self.filesystem)
        if get is not None:
            found: stores.Contents = self.call(get, expected, most)
            return found
        if most is not None and (size := self.status().st_size) > most:
            return stores.Contents(b"", size, None)
        data = self.ask("cat_file")
        return stores.Contents(data, len(data), None)

    def get_range(self, offset: int, length: int) -> stores.Contents:
        """Return part of the contents; it is shorter if they end before.

        Where the time of the last change is not told, the size is not that of all, either.
        """
        if not length:
            return stores.Contents(b"", 0, None)
        get = stores.range_getter(self.filesystem)
        if get is not None:
            found: stores.Contents = self.call(get, offset, length)
            return found
        data = self.ask("cat_file", start=offset, end=offset + length)
        return stores.Contents(data, len(data), None)

    def put(self, source: bytes | Path) -> None:
        """Put bytes, or the contents of a local file, there."""
        fs = self.filesystem
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        patience = PATIENCE + size / _SLOWEST
        if not isinstance(source, bytes):
            options = stores.part_size(fs)
            self._ask("put_file", str(source), self.path, patience=patience, **options)
        elif stores.is_sftp(fs):
            self.call(stores.put_over_sftp, source)
        else:
            self.ask("pipe_file", source, patience=patience)

    def copy_to(self, target: str, size: int) -> None:
        """Copy so many bytes to another path on the storage's side."""
        self.ask("cp_file", target, patience=PATIENCE + size / _SLOWEST)

    def put_if_absent(self, data: bytes) -> None:
        """Put bytes there unless something is there; raise OSError in that case.

        Raises:
            OSError: that, or the storage is not known to have such a request.
        """
        fs = self.filesystem
        if stores.is_sftp(fs):
            self.call(stores.create_over_sftp, data)
        else:
            self.ask("pipe_file", data, **stores.if_absent(fs))

    def unfinished_uploads(self) -> list[tuple[str, str]]:
        """Return (name, id) of unfinished uploads in parts below this place."""
        if not stores.is_s3(self.filesystem):
            return []
        here = self.path.rstrip("/") + "/"
        return [(path.removeprefix(here), id_) for path, id_ in self.call(stores.unfinished_in_s3)]

    def abort_upload(self, upload: str) -> None:
        """Abort an unfinished upload to this place."""
        self.call(stores.abort_in_s3, upload)

    def call(self, function: Any, *arguments: Any) -> Any:
        """Call a function of a filesystem and a path in it."""
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


def status_of(info: dict[str, Any]) -> Status:
    """Return type, size and time from what fsspec says of a file or folder."""
    kind = stat.S_IFDIR if info["type"] == "directory" else stat.S_IFREG
    version = str(info.get("ETag") or info.get("etag") or "")
    return Status(kind, info.get("size") or 0, stores.time_of(info), version)


@lru_cache(maxsize=64)
def _root_of(url: str) -> str:
    root = filesystem_class(protocol_of(url))._strip_protocol(f"{url}/")
    return str(root)


def given_to_others(url: str) -> dict[str, str]:
    """Return the protocols of other URLs by the options that they share with this one."""
    own = OPTIONS.of(url)
    found: dict[str, str] = {}
    for root, others in OPTIONS.all().items():
        if protocol_of(root) != protocol_of(url):
            same = (name for name, value in own.items() if name in others and others[name] == value)
            found |= dict.fromkeys(same, protocol_of(root))
    return found
