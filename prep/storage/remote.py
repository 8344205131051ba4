"""Files and folders in a storage, and files that are written there.

What is written is kept here until it is complete: in memory, and if it grows large, in a temporary
file. Then it is uploaded at once. An object store shows it under its final name when all of it is
there; on a server with folders, it is uploaded beside that name, and renamed.

There are no locks. That an attempt is under way, or was when its process died, shows by an empty
file under a temporary name; live ones can't be told from dead ones.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO, Any, Self, TypeVar

from prep.errors import StorageUnavailable
from prep.storage import folders
from prep.storage.backends import stores
from prep.storage.backends.filesystems import (
    PATIENCE,
    Requests,
    asking_in_threads,
    in_a_hurry,
    most_at_once,
)
from prep.storage.location import Location, Status
from prep.storage.newfile import NewFile, is_temporary, tag_of, temporary_name
from prep.storage.retry import Retries, is_transient, lasted
from prep.storage.urls import bucket_of, canonical, protocol_of
from prep.text import reason_and_file

S = TypeVar("S")
T = TypeVar("T")

#: Requests to a storage that wait for their answers at the same time.
AT_ONCE = 32
_SLOWEST = 100_000  # bytes a second: an upload that is slower than that is given up
_PAUSES = (0.5, 2.0, 5.0)  # seconds before a storage is asked again
_PIECE = 1 << 20  # 1 MiB
_IN_MEMORY = 64 << 20  # 64 MiB


class RemotePath(Location):
    """A URL, and what is done with what is there.

    It holds no options: they are looked up, by its URL, in the process that it is used in. All that
    can't be done raises OSError; nothing waits for ever. Folders of an object store come and go
    with what is in them: making or removing one does nothing.
    """

    __slots__ = ("_requests", "_url")

    def __init__(self, url: str) -> None:
        protocol, _, rest = canonical(url).partition("://")
        self._url = f"{protocol}://{rest.rstrip('/')}"
        self._requests = Requests(self._url)

    def __str__(self) -> str:
        return self._url

    def __repr__(self) -> str:
        return f"RemotePath({self._url!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and self._url == other._url

    def __hash__(self) -> int:
        return hash(self._url)

    def __lt__(self, other: RemotePath, /) -> bool:
        return self._url < other._url

    def __truediv__(self, name: str | PurePosixPath, /) -> RemotePath:
        return RemotePath(f"{self._url}/{name}")

    @property
    def local(self) -> None:
        return None

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

    def relative_to(self, other: RemotePath, /) -> PurePosixPath:
        return PurePosixPath(self._url).relative_to(str(other))

    def as_uri(self) -> str:
        return self._url

    @property
    def puts_whole(self) -> bool:
        """Whether an upload appears whole or not at all; else, a name can be changed."""
        return stores.puts_whole(protocol_of(self._url))

    @property
    def most_at_once(self) -> int:
        with self._requests.as_os_errors():
            return most_at_once(self._url)

    @property
    def has_links(self) -> bool:
        return stores.is_sftp(self._requests.filesystem)

    def stat(self) -> Status:
        return _status(self._requests.ask("info"))

    def exists(self) -> bool:
        return self._mode() != 0

    def is_file(self) -> bool:
        return stat.S_ISREG(self._mode())

    def is_dir(self) -> bool:
        return stat.S_ISDIR(self._mode())

    def is_symlink(self) -> bool:
        return self.has_links and bool(self._requests.call(stores.is_link_over_sftp))

    def absent_bucket(self) -> str | None:
        bucket = bucket_of(self._url)
        try:
            if bucket is not None:  # It is asked for with the options of this place.
                self._requests.ask("info", at=Requests(bucket).path)
        except FileNotFoundError:
            return bucket
        return None

    def _mode(self) -> int:
        try:
            return self.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            return 0

    def iterdir(self) -> Iterator[RemotePath]:
        for name, _ in self._listed():
            yield self / name

    def listed(self) -> list[tuple[str, Status]]:
        return self.patiently(functools.partial(self._listed, nameless=True))

    def names(self, prefix: str = "") -> list[str]:
        try:
            found = self.patiently(functools.partial(self._listed, prefix))
        except FileNotFoundError:
            return []
        return [name for name, _ in found]

    def sizes(self) -> dict[str, int]:
        try:
            return {name: status.st_size for name, status in self.listed() if name}
        except (FileNotFoundError, NotADirectoryError):
            return {}

    def identity(self) -> tuple[int | str, ...] | None:
        try:
            status = self.stat()
        except FileNotFoundError:
            return None
        return (status.version, status.st_size, status.st_mtime_ns)

    def absent_folders(self) -> list[RemotePath]:
        return [] if self.puts_whole else super().absent_folders()

    def _listed(self, prefix: str = "", *, nameless: bool = False) -> list[tuple[str, Status]]:
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
            if info["name"].rstrip("/") == self._requests.path.rstrip("/"):
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
        if prefix and stores.is_s3(self._requests.filesystem):
            infos: list[dict[str, Any]] = self._requests.ask("lsdir", prefix=prefix)
        else:
            infos = self._requests.ask("ls", detail=True)
        return infos

    def read_bytes(self) -> bytes:
        return self.read().data

    def read(self, expected: int | None = None, most: int | None = None) -> stores.Found:
        """The contents, and the time of their last change if that costs nothing.

        Args:
            expected: bytes; if there are more or less, they are not read where that can be helped.
            most: bytes; if there are more, they are not read.
        """
        get = stores.getter(self._requests.filesystem)
        if get is not None:
            found: stores.Found = self._requests.call(get, expected, most)
            return found
        if most is not None and (size := self.stat().st_size) > most:
            return stores.Found(b"", size, None)
        data = self._requests.ask("cat_file")
        return stores.Found(data, len(data), None)

    def read_range(self, offset: int, length: int) -> bytes:
        """Return part of the contents; it is shorter if they end before."""
        if not length:
            return b""
        data: bytes = self._requests.ask("cat_file", start=offset, end=offset + length)
        return data

    def read_at_most(self, largest: int) -> bytes:
        found = self.patiently(functools.partial(self.read, most=largest))
        if found.size > largest:
            raise ValueError(f"it has {found.size:,} bytes; at most {largest:,} are read")
        return found.data

    def open_regular(self) -> io.BufferedReader:
        return self._requests.open()

    def pieces(self) -> Iterator[bytes]:
        """Yield the contents, a megabyte at a time."""
        with self.open_regular() as file:
            while piece := file.read(_PIECE):
                yield piece

    def patiently(self, action: Callable[[], T]) -> T:
        return action() if in_a_hurry() else Retries().call(action, _PAUSES)

    def each(self, function: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
        threads = min(AT_ONCE, self.most_at_once)
        # In this order: at the end, the pool waits for its threads.
        with ThreadPoolExecutor(threads) as pool, asking_in_threads() as call:
            yield from pool.map(functools.partial(call, function), items)

    def require_answer(self, error: OSError, what: str = "can't be read") -> None:
        if is_transient(error):
            unavailable = StorageUnavailable(f"{what}: {reason_and_file(error)}; try again later")
            unavailable.lasted = lasted(error)
            raise unavailable from None

    def create(
        self,
        *,
        within: RemotePath | None = None,
        durable: bool = True,
        tag: str = "",
        before_publishing: Callable[[], None] | None = None,
    ) -> NewFile:
        return Upload(self, tag=tag, before_publishing=before_publishing)

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
        fs = self._requests.filesystem
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        patience = PATIENCE + size / _SLOWEST
        if isinstance(source, bytes) and stores.is_sftp(fs):
            self._requests.call(stores.put_over_sftp, source)
        elif isinstance(source, bytes):
            self._requests.ask("pipe_file", source, patience=patience)
        else:
            self._requests.put_file(source, patience=patience, **stores.part_size(fs))

    def put_over(self, data: bytes, *, within: RemotePath | None = None) -> None:
        self.upload(data)

    def put_if_absent(self, data: bytes, *, within: RemotePath | None = None) -> None:
        fs = self._requests.filesystem
        try:
            if stores.is_sftp(fs):
                self._requests.call(stores.create_over_sftp, data)
            else:
                self._requests.ask("pipe_file", data, **stores.if_absent(fs))
        except OSError:  # Some say no more than that, be it that they can't do it so.
            if self.exists():
                raise FileExistsError(errno.EEXIST, "there already", self._url) from None
            self.upload(data)

    def replace(self, target: RemotePath) -> None:
        """Gives it another name, and so replaces what is there."""
        self._requests.ask("mv", target._requests.path)

    def unlink(self, missing_ok: bool = False) -> None:
        try:
            self._requests.ask("rm_file")
        except FileNotFoundError:
            if not missing_ok:
                raise

    def make_folder(self, *, within: RemotePath | None = None) -> None:
        if not self.puts_whole:
            self._requests.ask("makedirs", exist_ok=True)

    def remove_file(self, *, within: RemotePath | None = None) -> None:
        self.unlink(missing_ok=True)

    def remove_folder(self, *, within: RemotePath | None = None) -> None:
        self.rmdir()

    def rmdir(self) -> None:
        if not self.puts_whole:
            self._requests.ask("rmdir")

    def empty_folder(
        self, *, within: RemotePath | None = None, keep: Callable[[str], bool] = lambda _: False
    ) -> None:
        with contextlib.suppress(FileNotFoundError):
            for name, status in self._listed():
                if status.is_folder:
                    (self / name).empty_folder()
                    (self / name).rmdir()
                elif not keep(name):
                    (self / name).unlink(missing_ok=True)

    def require_unlinked(self, *, within: RemotePath | None = None) -> None:
        if self.is_symlink():
            raise folders.link_in_the_way(self, "another place there")

    def leftovers(self, tag: str | None = None) -> list[RemotePath]:
        with contextlib.suppress(FileNotFoundError):
            listed = self._listed(prefix=f".{tag}." if tag else ".")
            return [self / name for name, _ in listed if is_temporary(name, tag)]
        return []

    def remove_leftovers(
        self,
        tag: str | None = None,
        *,
        within: RemotePath | None = None,
        keep_names: bool = False,
        alone: bool = False,
    ) -> None:
        with contextlib.suppress(OSError):
            for path in self.leftovers(tag):
                if not (keep_names and tag_of(path.name) is not None):
                    path.unlink(missing_ok=True)

    def abort_uploads(self, ours: Callable[[str], bool]) -> None:
        if not stores.is_s3(self._requests.filesystem):
            return
        here = self._requests.path.rstrip("/") + "/"
        for path, upload in self._requests.call(stores.unfinished_in_s3):
            name = path.removeprefix(here)
            if ours(name):
                (self / name)._requests.call(stores.abort_in_s3, upload)


def _status(info: dict[str, Any]) -> Status:
    kind = stat.S_IFDIR if info["type"] == "directory" else stat.S_IFREG
    version = str(info.get("ETag") or info.get("etag") or "")
    return Status(kind, info.get("size") or 0, stores.time_of(info), version)


class Upload(NewFile):
    """One in a storage; made as an :class:`AtomicFile` is."""

    def __init__(
        self,
        path: RemotePath,
        *,
        tag: str = "",
        before_publishing: Callable[[], None] | None = None,
    ) -> None:
        super().__init__()
        self._path = path
        self._tag = tag
        self._before_publishing = before_publishing
        self._temporary = path.parent / temporary_name(tag)
        self._spool = _Spool()
        self._others: list[str] = []

    @property
    def others(self) -> list[str]:
        return self._others

    def __enter__(self) -> Self:
        if self._tag:
            with ThreadPoolExecutor(1) as pool:  # To wait for two answers at once.
                marked = pool.submit(_put, self._temporary, b"")
                found = self._path.parent.leftovers(self._tag)
                marked.result()
            names = [other.name for other in found]
            self._others = [name for name in names if name != self._temporary.name]
        return self

    def write(self, data: bytes) -> None:
        self._spool.write(data)
        super().write(data)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._spool:
            try:
                if kind is None:
                    self._publish()
            finally:
                if self._tag or kind is None:
                    self._remove_temporary()

    def _publish(self) -> None:
        if self._path.puts_whole:
            self._agree()
            _put(self._path, self._spool.content())
        else:
            _put(self._temporary, self._spool.content())
            self._agree()
            self._temporary.replace(self._path)

    def _agree(self) -> None:
        if self._before_publishing is not None:
            self._before_publishing()

    def _remove_temporary(self) -> None:
        """If that fails, somebody will decode with more care than is needed, and no more."""
        if self._tag or not self._path.puts_whole:
            with contextlib.suppress(OSError):
                self._temporary.unlink(missing_ok=True)


class _Spool:
    """Bytes on their way: in memory, or in a temporary file if they are many."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._file: IO[bytes] | None = None

    def __enter__(self) -> _Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._pieces.clear()
        if self._file is not None:
            self._file.close()

    def write(self, data: bytes) -> None:
        if self._file is not None:
            self._file.write(data)
            return
        self._pieces.append(bytes(data))
        self._size += len(data)
        if self._size > _IN_MEMORY:
            # It has no name: nothing of it is left if this process is killed.
            self._file = tempfile.TemporaryFile(buffering=_PIECE)  # noqa: SIM115 (closed at exit)
            self._file.writelines(self._pieces)
            self._pieces.clear()

    def content(self) -> bytes | Path:
        """All of it, or the local file that it is in."""
        if self._file is None:
            return b"".join(self._pieces)
        self._file.flush()
        return Path(f"/dev/fd/{self._file.fileno()}")


def _put(path: RemotePath, content: bytes | Path) -> None:
    try:
        path.upload(content)
    except FileNotFoundError:
        if path.puts_whole:
            raise
        path.parent.make_folder()
        path.upload(content)
