"""A place in a storage, used like a ``pathlib.Path``."""

from __future__ import annotations

import contextlib
import errno
import io
import stat
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from prep.locations import stores
from prep.locations.faults import as_os_errors
from prep.locations.filesystems import (
    OPTIONS,
    filesystem,
    forget_connections,
    given_to_others,
    most_at_once,
)
from prep.locations.protocols import filesystem_class
from prep.locations.urls import bucket_of, canonical, protocol_of
from prep.locations.waiting import answer, require_time

_PATIENCE = 120.0  # seconds for one request, with what its filesystem retries
_SLOWEST = 100_000  # bytes a second: an upload that is slower than that is given up
_BLOCK = 1 << 20  # 1 MiB, of what is read in pieces
_BROKEN = (
    *(errno.ECONNRESET, errno.ENOTCONN, errno.ETIMEDOUT, errno.EPIPE, errno.ECONNREFUSED),
    *(errno.EIO, errno.ECONNABORTED, errno.EHOSTUNREACH),
)


class Status(NamedTuple):
    """What is at a place; as far as it goes, named as in ``os.stat_result``.

    Attributes:
        st_mtime_ns: 0 where the storage does not say.
        version: tells these contents from others, where the storage has such a thing.
    """

    st_mode: int
    st_size: int
    st_mtime_ns: int
    version: str = ""

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.st_mode)


class RemotePath:
    """A URL, and what is done with what is there.

    It holds no options: they are looked up, by its URL, in the process that it is used in. All that
    can't be done raises OSError; nothing waits for ever. Folders of an object store come and go
    with what is in them: making or removing one does nothing.
    """

    __slots__ = ("_url",)

    def __init__(self, url: str) -> None:
        protocol, _, rest = canonical(url).partition("://")
        self._url = f"{protocol}://{rest.rstrip('/')}"

    def __str__(self) -> str:
        return self._url

    def __repr__(self) -> str:
        return f"RemotePath({self._url!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and self._url == other._url

    def __hash__(self) -> int:
        return hash(self._url)

    def __lt__(self, other: RemotePath) -> bool:
        return self._url < other._url

    def __truediv__(self, name: str | PurePosixPath) -> RemotePath:
        return RemotePath(f"{self._url}/{name}")

    @property
    def name(self) -> str:
        return self._url.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> RemotePath:
        return RemotePath(self._url.rpartition("/")[0])

    def with_suffix(self, suffix: str) -> RemotePath:
        return self.parent / PurePosixPath(self.name).with_suffix(suffix).name

    def relative_to(self, other: RemotePath) -> PurePosixPath:
        """Raises ValueError where this is not below ``other``."""
        return PurePosixPath(self._url).relative_to(str(other))

    def absolute(self) -> RemotePath:
        return self

    @property
    def puts_whole(self) -> bool:
        """Whether an upload appears whole or not at all; else, a name can be changed."""
        return stores.puts_whole(protocol_of(self._url))

    @property
    def most_at_once(self) -> int:
        """How many requests are to wait for their answers at the same time, at the most."""
        with self._as_os_errors():
            return most_at_once(self._url)

    @property
    def has_links(self) -> bool:
        """Whether there are symbolic links there, and it can be asked which names are such."""
        return stores.is_sftp(self._filesystem())

    def stat(self) -> Status:
        return _status(self._ask("info", self._path))

    def exists(self) -> bool:
        return self._mode() != 0

    def is_file(self) -> bool:
        return stat.S_ISREG(self._mode())

    def is_dir(self) -> bool:
        return stat.S_ISDIR(self._mode())

    def is_symlink(self) -> bool:
        """Whether it is a link itself; where that can't be asked, only what it leads to counts."""
        fs = self._filesystem()
        return self.has_links and bool(self._carry_out(stores.is_link_over_sftp, fs, self._path))

    def absent_bucket(self) -> str | None:
        """The URL of the bucket that this would be in, if there is no such bucket."""
        bucket = bucket_of(self._url)
        try:
            if bucket is not None:  # It is asked for with the options of this place.
                self._ask("info", _filesystem_path(bucket))
        except FileNotFoundError:
            return bucket
        return None

    def _mode(self) -> int:
        try:
            return self.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            return 0

    def iterdir(self) -> Iterator[RemotePath]:
        for name, _ in self.listed():
            yield self / name

    def listed(self, prefix: str = "", *, nameless: bool = False) -> list[tuple[str, Status]]:
        """What is in this folder, by name; only what begins with ``prefix``.

        Args:
            nameless: also, as a folder with an empty name, what S3 has below ``folder//``. No path
                leads there.

        Raises:
            FileNotFoundError, NotADirectoryError: it is no folder.
        """
        found = []
        for info in self._infos(prefix):
            name = info["name"].rstrip("/").rpartition("/")[2]
            if info["name"].rstrip("/") == self._path.rstrip("/"):
                marker = info["name"].endswith("/")  # An object that stands for the folder itself.
                if info["type"] == "file" and info.get("size") and not marker:
                    raise NotADirectoryError(errno.ENOTDIR, "not a folder", self._url)
                if nameless and marker and info["type"] == "directory":
                    found.append(("", _status(info)))
                continue
            if name.startswith(prefix):
                found.append((name, _status(info)))
        return sorted(found)

    def _infos(self, prefix: str) -> list[dict[str, Any]]:
        if prefix and stores.is_s3(self._filesystem()):
            infos: list[dict[str, Any]] = self._ask("lsdir", self._path, prefix=prefix)
            return infos
        infos = self._ask("ls", self._path, detail=True)
        return infos

    def read_bytes(self) -> bytes:
        return self.read().data

    def read(self, expected: int | None = None, most: int | None = None) -> stores.Found:
        """The contents, and the time of their last change if that costs nothing.

        Args:
            expected: bytes; if there are more or less, they are not read where that can be helped.
            most: bytes; if there are more, they are not read.
        """
        fs = self._filesystem()
        get = stores.getter(fs)
        if get is not None:
            found: stores.Found = self._carry_out(get, fs, self._path, expected, most)
            return found
        if most is not None and (size := self.stat().st_size) > most:
            return stores.Found(b"", size, None)
        data = self._ask("cat_file", self._path)
        return stores.Found(data, len(data), None)

    def open(self, mode: str = "rb") -> io.BufferedReader:
        """To read it piece by piece."""
        assert mode == "rb"
        fs = self._filesystem()
        with self._asking():
            file = fs.open(self._path, "rb", block_size=_BLOCK)
        return io.BufferedReader(_Pieces(file, self), _BLOCK)

    def upload(self, source: bytes | Path) -> None:
        """Puts these bytes, or those of a local file, here."""
        try:
            self._put(source)
        except FileNotFoundError:
            absent = self.absent_bucket()
            if absent is None:
                raise
            told = f"{absent} does not exist; make it first"
            raise FileNotFoundError(errno.ENOENT, told, self._url) from None

    def _put(self, source: bytes | Path) -> None:
        fs = self._filesystem()
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        patience = _PATIENCE + size / _SLOWEST
        if isinstance(source, bytes) and stores.is_sftp(fs):
            self._carry_out(stores.put_over_sftp, fs, self._path, source)
        elif isinstance(source, bytes):
            self._ask("pipe_file", self._path, source, patience=patience)
        else:
            options = stores.part_size(fs)
            self._ask("put_file", str(source), self._path, patience=patience, **options)

    def create(self, data: bytes) -> None:
        """Puts these bytes here, unless something is here already.

        Between several at the same time the storage decides, where it is known how to have it do
        so; elsewhere, the last one may replace what the first has put here.

        Raises:
            FileExistsError: something is here; it may be what this has put, if an answer was lost.
        """
        fs = self._filesystem()
        try:
            if stores.is_sftp(fs):
                self._carry_out(stores.create_over_sftp, fs, self._path, data)
            else:
                self._ask("pipe_file", self._path, data, **stores.if_absent(fs))
        except OSError:  # Some say no more than that, be it that they can't do it so.
            if self.exists():
                raise FileExistsError(errno.EEXIST, "there already", self._url) from None
            self.upload(data)

    def replace(self, target: RemotePath) -> None:
        """Gives it another name, and so replaces what is there."""
        self._ask("mv", self._path, target._path)

    def unlink(self, missing_ok: bool = False) -> None:
        try:
            self._ask("rm_file", self._path)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def mkdir(self, parents: bool = False, exist_ok: bool = False) -> None:
        if not self.puts_whole:
            self._ask("makedirs", self._path, exist_ok=exist_ok)

    def rmdir(self) -> None:
        if not self.puts_whole:
            self._ask("rmdir", self._path)

    def unfinished_uploads(self) -> list[tuple[RemotePath, str]]:
        """Uploads in parts that were begun below here and not finished, and their ids."""
        fs = self._filesystem()
        if not stores.is_s3(fs):
            return []
        found = self._carry_out(stores.unfinished_in_s3, fs, self._path)
        here = self._path.rstrip("/") + "/"
        return [(self / path.removeprefix(here), upload) for path, upload in found]

    def abort_upload(self, upload: str) -> None:
        self._carry_out(stores.abort_in_s3, self._filesystem(), self._path, upload)

    @property
    def _path(self) -> str:
        """What the filesystem calls it."""
        return _filesystem_path(self._url)

    def _filesystem(self) -> Any:
        with self._as_os_errors():
            try:
                return filesystem(self._url)
            except TypeError as error:
                raise TypeError(self._refusal(str(error))) from None

    def _refusal(self, said: str) -> str:
        """What to tell of options that a storage does not take, or lacks."""
        if "missing" in said:
            return f"{said}; give what is missing in storage_options"
        for name, protocol in given_to_others(self._url).items():
            if f"'{name}'" in said:
                return (
                    f"{said}, which was given for {protocol} as well: storage_options that are not "
                    "by key hold for all URLs; give each its own, under source and output"
                )
        return said

    def _as_os_errors(self) -> Any:
        return as_os_errors(self._url, OPTIONS.of(self._url))

    def _ask(self, name: str, *arguments: Any, patience: float = _PATIENCE, **options: Any) -> Any:
        """Has the filesystem do something."""
        fs = self._filesystem()
        method = getattr(fs, f"_{name}" if fs.async_impl else name)
        return self._carry_out(method, *arguments, patience=patience, **options)

    def _carry_out(
        self, method: Any, *arguments: Any, patience: float = _PATIENCE, **options: Any
    ) -> Any:
        fs = self._filesystem()
        with self._asking():
            if fs.async_impl:
                return answer(fs.loop, method(*arguments, **options), patience)
            require_time()
            return method(*arguments, **options)

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        """Raises OSErrors alone; after one that tells of a broken connection, another is made."""
        try:
            with self._as_os_errors():
                yield
        except OSError as error:
            if error.errno in _BROKEN:
                forget_connections()
            raise


class _Pieces(io.RawIOBase):
    """A file of a filesystem, whose errors are OSErrors too."""

    def __init__(self, file: Any, path: RemotePath) -> None:
        self._file = file
        self._from = path

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with self._from._asking():
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with self._from._as_os_errors():
            self._file.seek(offset, whence)
            position: int = self._file.tell()
        return position

    def close(self) -> None:
        if not self.closed:
            with self._from._as_os_errors():
                self._file.close()
        super().close()


def _status(info: dict[str, Any]) -> Status:
    kind = stat.S_IFDIR if info["type"] == "directory" else stat.S_IFREG
    version = str(info.get("ETag") or info.get("etag") or "")
    return Status(kind, info.get("size") or 0, stores.time_of(info), version)


def _filesystem_path(url: str) -> str:
    # Only the first part is parsed: in the rest, '?' and '#' are parts of names.
    protocol, _, rest = url.partition("://")
    first, slash, below = rest.partition("/")
    return _root_of(f"{protocol}://{first}").rstrip("/") + slash + below


@lru_cache(maxsize=64)
def _root_of(url: str) -> str:
    root = filesystem_class(protocol_of(url))._strip_protocol(f"{url}/")
    return str(root)
