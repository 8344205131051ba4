"""Files and folders in a storage."""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import TypeVar

from prep.errors import StorageUnavailable
from prep.storage import folders
from prep.storage.backends.requests import Requests, status_of
from prep.storage.backends.stores import Contents
from prep.storage.location import Location, Status
from prep.storage.newfile import NewFile, is_temporary, tag_of
from prep.storage.retry import Retries, asking_in_threads, in_a_hurry, is_transient, lasted
from prep.storage.upload import Upload
from prep.storage.urls import bucket_of, canonical_url
from prep.text import reason_and_file

S = TypeVar("S")
T = TypeVar("T")

#: Requests to a storage that wait for their answers at the same time.
AT_ONCE = 32
_PAUSES = (0.5, 2.0, 5.0)  # seconds before a storage is asked again
_PIECE = 1 << 20  # 1 MiB


class RemotePath(Location):
    """A URL of a storage.

    It holds no options: they are looked up, by its URL, in the process that it is used in. Nothing
    waits for ever. Folders of an object store come and go with what is in them: making or removing
    one does nothing. Links in an output, which only SFTP servers have, are looked for before the
    work (:meth:`require_unlinked`), and not again.
    """

    __slots__ = ("_requests", "_url")

    def __init__(self, url: str) -> None:
        protocol, _, rest = canonical_url(url).partition("://")
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
        """True if an upload appears whole or not at all; elsewhere, files can be renamed."""
        return self._requests.puts_whole

    @property
    def most_at_once(self) -> int:
        return self._requests.most_at_once

    @property
    def has_links(self) -> bool:
        return self._requests.has_links

    def stat(self) -> Status:
        return self._requests.status()

    def exists(self) -> bool:
        return self._mode() != 0

    def is_file(self) -> bool:
        return stat.S_ISREG(self._mode())

    def is_dir(self) -> bool:
        return stat.S_ISDIR(self._mode())

    def is_symlink(self) -> bool:
        return self._requests.is_link()

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
        """Return names and status of what is in this folder and begins with ``prefix``.

        Args:
            nameless: add a folder with an empty name for what S3 has below ``folder//``.

        Raises:
            FileNotFoundError, NotADirectoryError: it is no folder.
        """
        found = []
        for info in self._requests.infos(prefix):
            name = info["name"].rstrip("/").rpartition("/")[2]
            if info["name"].rstrip("/") == self._requests.path.rstrip("/"):
                marker = info["name"].endswith("/")  # An object that stands for the folder itself.
                if info["type"] == "file" and info.get("size") and not marker:
                    raise NotADirectoryError(errno.ENOTDIR, "not a folder", self._url)
                if nameless and marker and info["type"] == "directory":
                    found.append(("", status_of(info)))
                continue
            if name.startswith(prefix):
                found.append((name, status_of(info)))
        return sorted(found)

    def read_bytes(self) -> bytes:
        return self.read().data

    def read(self, expected: int | None = None, most: int | None = None) -> Contents:
        """Return the contents, and the time of their last change if that costs nothing.

        Args:
            expected: bytes; contents of another size are not read, where that can be helped.
            most: bytes; larger contents are not read.
        """
        return self._requests.get(expected, most)

    def read_range(self, offset: int, length: int) -> bytes:
        return self.read_part(offset, length).data

    def read_part(self, offset: int, length: int) -> Contents:
        """Return part of the contents, and the time of their last change if that costs nothing."""
        return self._requests.get_range(offset, length)

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
        """Put bytes, or the contents of a local file, here."""
        try:
            self._requests.put(source)
        except FileNotFoundError:
            absent = self.absent_bucket()
            if absent is None:
                raise
            told = f"{absent} does not exist; make it first"
            raise FileNotFoundError(errno.ENOENT, told, self._url) from None

    def put_over(self, data: bytes, *, within: RemotePath | None = None) -> None:
        self.upload(data)

    def put_if_absent(self, data: bytes, *, within: RemotePath | None = None) -> None:
        try:
            self._requests.put_if_absent(data)
        except OSError:  # Some say no more than that, be it that they can't do it so.
            if self.exists():
                raise FileExistsError(errno.EEXIST, "there already", self._url) from None
            self.upload(data)

    def replace(self, target: RemotePath) -> None:
        """Rename to ``target``, and so replace what is there."""
        self._requests.ask("mv", target._requests.path)

    def make_folder(self, *, within: RemotePath | None = None) -> None:
        if not self.puts_whole:
            self._requests.ask("makedirs", exist_ok=True)

    def remove_file(self, *, within: RemotePath | None = None) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._requests.ask("rm_file")

    def rename_files(self, names: Mapping[str, str], *, within: RemotePath | None = None) -> None:
        deque(self.each(lambda pair: self._rename(*pair), names.items()), maxlen=0)

    def _rename(self, name: str, target: str) -> None:
        """Rename a file in this folder, unless an earlier attempt has."""
        old, new = self / name, self / target
        try:
            if self.puts_whole:
                size = self.patiently(old.file_size)
                self.patiently(lambda: old._requests.copy_to(new._requests.path, size))
                self.patiently(old.remove_file)
            else:
                self.patiently(lambda: old.replace(new))
        except FileNotFoundError:
            if not self.patiently(new.exists):
                raise

    def remove_folder(self, *, within: RemotePath | None = None) -> None:
        if not self.puts_whole:
            self._requests.ask("rmdir")

    def empty_folder(
        self, *, within: RemotePath | None = None, keep: Callable[[str], bool] = lambda _: False
    ) -> None:
        with contextlib.suppress(FileNotFoundError):
            for name, status in self._listed():
                if status.is_folder:
                    (self / name).empty_folder()
                    (self / name).remove_folder()
                elif not keep(name):
                    (self / name).remove_file()

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
                    path.remove_file()

    def abort_uploads(self, ours: Callable[[str], bool]) -> None:
        for name, upload in self._requests.unfinished_uploads():
            if ours(name):
                (self / name)._requests.abort_upload(upload)
