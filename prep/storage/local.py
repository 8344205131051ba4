"""Files and folders on this machine's disks."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from io import BufferedReader
from pathlib import PosixPath

from prep.storage import folders
from prep.storage.location import FileChanged, FilePart, Location, Stamp, Status
from prep.storage.newfile import AtomicFile, NewFile, remove_if_dead, tag_of, temporaries

_BUFFER = 1 << 20  # 1 MiB
_MOST_AT_ONCE = 1 << 31  # bytes that Linux gives in one read, less a page
# A pipe would wait for somebody to write to it.
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_KEPT_OPEN = 64  # files, of those that are read in parts


class LocalPath(PosixPath, Location):
    """A path on this machine's disks, with all that a ``pathlib.Path`` has."""

    __slots__ = ()

    @property
    def local(self) -> LocalPath:
        return self

    @property
    def has_links(self) -> bool:
        return True

    def listed(self) -> list[tuple[str, Status]]:
        with os.scandir(self) as entries:
            found = [(entry.name, _status_of(entry)) for entry in entries]
        return sorted((name, Status(s.st_mode, s.st_size, s.st_mtime_ns)) for name, s in found)

    def names(self, prefix: str = "") -> list[str]:
        try:
            return sorted(name for name in os.listdir(self) if name.startswith(prefix))
        except FileNotFoundError:
            return []

    def identity(self) -> tuple[int, ...] | None:
        try:
            status = os.stat(self)
        except FileNotFoundError:
            return None
        return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)

    def read_at_most(self, largest: int) -> bytes:
        assert largest < _MOST_AT_ONCE
        with _opened(os.fspath(self)) as (descriptor, status):
            if status.st_size > largest:
                raise ValueError(f"it has {status.st_size:,} bytes; at most {largest:,} are read")
            return os.read(descriptor, status.st_size)  # A regular file gives all of it at once.

    def read_range(self, offset: int, length: int) -> bytes:
        with _opened(os.fspath(self)) as (descriptor, _):
            return _pread(descriptor, length, offset)

    def open_regular(self) -> BufferedReader:
        with _opened(os.fspath(self)) as (descriptor, _):
            return os.fdopen(os.dup(descriptor), "rb")

    def create(
        self,
        *,
        within: LocalPath | None = None,
        durable: bool = True,
        tag: str = "",
        before_publishing: Callable[[], None] | None = None,
    ) -> NewFile:
        return AtomicFile(
            self, within=within, durable=durable, tag=tag, before_publishing=before_publishing
        )

    def put_if_absent(self, data: bytes, *, within: LocalPath | None = None) -> None:
        self._write(data, within, os.O_CREAT | os.O_EXCL)

    def put_over(self, data: bytes, *, within: LocalPath | None = None) -> None:
        self._write(data, within)

    def _write(self, data: bytes, within: LocalPath | None, flags: int = 0) -> None:
        flags |= os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
        with folders.opened_folder(self.parent, within or self.parent) as folder:
            descriptor = os.open(self.name, flags, 0o666, dir_fd=folder)
        with open(descriptor, "wb", buffering=0) as file:
            if not folders.is_alone(os.fstat(descriptor)):
                told = "somebody else's file is in its place"
                raise FileExistsError(errno.EEXIST, told, str(self))
            file.truncate(0)
            file.write(data)

    def make_folder(self, *, within: LocalPath) -> None:
        with folders.opened_folder(self, within, make=True):
            pass

    def remove_file(self, *, within: LocalPath) -> None:
        with (
            contextlib.suppress(FileNotFoundError),
            folders.opened_folder(self.parent, within) as folder,
            folders.naming(self),
        ):
            os.unlink(self.name, dir_fd=folder)

    def rename_files(self, names: Mapping[str, str], *, within: LocalPath) -> None:
        with folders.opened_folder(self, within) as folder:
            for name, target in names.items():
                with folders.naming(self / name), _unless_renamed(self / target):
                    os.replace(name, target, src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)

    def remove_folder(self, *, within: LocalPath) -> None:
        with folders.opened_folder(self.parent, within) as folder, folders.naming(self):
            os.rmdir(self.name, dir_fd=folder)

    def empty_folder(self, *, within: LocalPath, keep: Callable[[str], bool]) -> None:
        with contextlib.suppress(FileNotFoundError), folders.opened_folder(self, within) as folder:
            for name in os.listdir(folder):
                if keep(name):
                    continue
                if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                    shutil.rmtree(name, dir_fd=folder)  # Which follows no link either.
                else:
                    os.unlink(name, dir_fd=folder)

    def require_unlinked(self, *, within: LocalPath) -> None:
        with contextlib.suppress(OSError), folders.opened_folder(self, within):
            pass

    def leftovers(self) -> list[LocalPath]:
        with contextlib.suppress(OSError):
            return [self / name for name in temporaries(self, None)]
        return []

    def remove_leftovers(
        self,
        tag: str | None = None,
        *,
        within: LocalPath | None = None,
        keep_names: bool = False,
        alone: bool = False,
    ) -> None:
        with contextlib.suppress(OSError), folders.opened_folder(self, within or self) as folder:
            for name in temporaries(folder, tag):
                # It may have become a file, or be another user's.
                with contextlib.suppress(OSError):
                    keep_name = keep_names and tag_of(name) is not None
                    remove_if_dead(folder, name, keep_name=keep_name, alone=alone)


@contextlib.contextmanager
def _unless_renamed(target: LocalPath) -> Iterator[None]:
    """Ignore that a file to rename is absent if it has its new name already."""
    try:
        yield
    except FileNotFoundError:
        if not target.exists():
            raise


def _status_of(entry: os.DirEntry[str]) -> os.stat_result:
    """Return the status of a file or folder; of a link that leads nowhere, its own."""
    try:
        return entry.stat()
    except OSError:
        return entry.stat(follow_symlinks=False)


def read_local_file(path: str | bytes, expected: Stamp | None = None) -> bytes:
    """Return the contents of a regular file; see :func:`prep.storage.locate.read_file`."""
    if expected is None:
        with _opened(path) as (descriptor, status):
            return _read(descriptor, status.st_size)
    # Of each image: what was read is what was expected if the file is that afterwards.
    descriptor = os.open(path, _READ)
    try:
        data = _read_once(descriptor, expected.size, path)
        status = _status_of_regular(descriptor, path)
        expected.require(status.st_size, status.st_mtime_ns)
        if len(data) != expected.size:  # It is larger than one read returns.
            data += _read(descriptor, expected.size - len(data))
            status = os.fstat(descriptor)
            expected.require(status.st_size, status.st_mtime_ns)
        return data
    finally:
        os.close(descriptor)


def _read_once(descriptor: int, size: int, path: str | bytes) -> bytes:
    """Read so many bytes and one more, or as many as the system gives at once."""
    try:
        return os.read(descriptor, min(size + 1, _MOST_AT_ONCE))
    except OSError:
        _status_of_regular(descriptor, path)
        raise


def _read(descriptor: int, size: int) -> bytes:
    """Read an open file to its end; ``size`` is what it probably has."""
    data = os.read(descriptor, size + 1)
    return data if len(data) == size else data + b"".join(_pieces(descriptor))


def read_local_range(path: str | bytes, offset: int, length: int) -> bytes:
    """Return part of the contents of a regular file; see :func:`prep.storage.locate.read_range`."""
    return read_local_part(path, offset, length).data


def read_local_part(path: str | bytes, offset: int, length: int, before: int = 0) -> FilePart:
    """Return part of a regular file; see :func:`prep.storage.locate.read_part`."""
    file = _keep_open(path)
    try:
        head = os.pread(file.descriptor, before, offset - before) if before else b""
        data = _pread(file.descriptor, length, offset)
        status = os.fstat(file.descriptor)
    except OSError:  # A file server that was started anew knows no file that was open.
        close_kept_files()
        raise
    if len(data) != length or len(head) != before:
        raise FileChanged(f"changed since it was listed: ends at byte {status.st_size:,}")
    return FilePart(head, data, Stamp(status.st_size, status.st_mtime_ns))


class _KeptOpen:
    """A regular file that is open until nobody refers to it."""

    __slots__ = ("descriptor",)

    def __init__(self, path: str | bytes) -> None:
        with _opened(path) as (descriptor, _):
            self.descriptor = os.dup(descriptor)

    def __del__(self) -> None:
        # Not while another thread reads from it: that has a reference.
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)


# Opening takes as long as reading a small image. A file that was replaced is read as it was.
_keep_open = lru_cache(maxsize=_KEPT_OPEN)(_KeptOpen)


def close_kept_files() -> bool:
    """Close the files that are kept open, once nobody reads from them; return False without any."""
    there = _keep_open.cache_info().currsize > 0
    _keep_open.cache_clear()
    return there


def _pread(descriptor: int, length: int, offset: int) -> bytes:
    """Return part of a file; it is shorter if the file ends before."""
    if length > _MOST_AT_ONCE:  # A forged length would take memory that there is not.
        length = max(0, min(length, os.fstat(descriptor).st_size - offset))
    data = os.pread(descriptor, length, offset)
    if len(data) == length:
        return data
    pieces = [data]  # More than one read returns, or the end.
    while pieces[-1] and (rest := length - sum(map(len, pieces))):
        pieces.append(os.pread(descriptor, rest, offset + length - rest))
    return b"".join(pieces)


def read_local_in_pieces(path: str | bytes) -> Iterator[bytes]:
    """Yield the contents of a regular file, a megabyte at a time."""
    with _opened(path) as (descriptor, _):
        yield from _pieces(descriptor)


@contextlib.contextmanager
def _opened(path: str | bytes) -> Iterator[tuple[int, os.stat_result]]:
    """Open a regular file for reading; yield its descriptor and status.

    Raises:
        OSError: it can't be opened, or is something else.
    """
    descriptor = os.open(path, _READ)
    try:
        yield descriptor, _status_of_regular(descriptor, path)
    finally:
        os.close(descriptor)


def _status_of_regular(descriptor: int, path: str | bytes) -> os.stat_result:
    """Return the status of an open file; raise OSError if it is something else than a file."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", path)
    return status


def _pieces(descriptor: int) -> Iterator[bytes]:
    while chunk := os.read(descriptor, _BUFFER):
        yield chunk
