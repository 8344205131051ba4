"""Files of this machine: reading them, and publishing them atomically.

A reader never sees half a file: it is written under a temporary name that is unique to the attempt,
flushed to disk, and only then renamed. Two processes that write the same file at the same time
therefore do each other no harm; the last one to finish wins. No link below an output is followed
on the way (see ``folders``); one that bears the name of the file is itself replaced.

Who writes a file holds a lock on it, which the kernel lets go of when the process ends, however
that comes about. So what a dead attempt has left is told from what a live one is at. Where the
filesystem has no locks it can't be told, and is left, unless whoever asks is alone in the output.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from prep.storage import folders
from prep.storage.newfile import (
    SUFFIX,
    FileChanged,
    NewFile,
    Stamp,
    is_temporary,
    tag_of,
    temporary_name,
)

_BUFFER = 1 << 20  # 1 MiB
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_MOST_AT_ONCE = 1 << 31  # bytes that Linux gives in one read, less a page
#: What filesystems without locks answer with.
NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)


def read_file(path: str | bytes, expected: Stamp | None = None) -> bytes:
    """The contents of a regular file.

    Args:
        path: which.
        expected: what it must be.

    Raises:
        FileChanged: it is not what was expected, or is being written to.
        OSError: it can't be read, or is something else (a pipe would block for ever).
    """
    with _opened(path) as (descriptor, status):
        if expected is not None:
            expected.require(status.st_size, status.st_mtime_ns)
        data = os.read(descriptor, status.st_size + 1)
        if len(data) != status.st_size:  # More than one read returns, or the file is changing.
            data += b"".join(_pieces(descriptor))
        if expected is not None:
            after = os.fstat(descriptor)
            expected.require(after.st_size, after.st_mtime_ns)
        return data


def read_range(path: str | bytes, offset: int, length: int) -> bytes:
    """Return part of the contents of a regular file.

    Raises:
        FileChanged: it ends before.
        OSError: it can't be read, or is something else.
    """
    with _opened(path) as (descriptor, status):
        if status.st_size < offset + length:
            raise FileChanged(f"changed since it was listed: ends at byte {status.st_size:,}")
        return os.pread(descriptor, length, offset)


def read_at_most(path: Path, largest: int) -> bytes:
    """The contents of a regular file of at most so many bytes.

    Raises:
        OSError: it can't be read, or is something else.
        ValueError: it is larger, and was not read.
    """
    assert largest < _MOST_AT_ONCE
    with _opened(os.fspath(path)) as (descriptor, status):
        if status.st_size > largest:
            raise ValueError(f"it has {status.st_size:,} bytes; at most {largest:,} are read")
        return os.read(descriptor, status.st_size)  # A regular file gives all of it at once.


def read_in_pieces(path: str | bytes) -> Iterator[bytes]:
    """The contents of a regular file, a megabyte at a time.

    Raises:
        OSError: it can't be read, or is something else.
    """
    with _opened(path) as (descriptor, _):
        yield from _pieces(descriptor)


def open_regular(path: Path) -> BufferedReader:
    """A regular file, open for reading.

    Raises:
        OSError: it can't be opened, or is something else.
    """
    with _opened(os.fspath(path)) as (descriptor, _):
        return os.fdopen(os.dup(descriptor), "rb")


@contextlib.contextmanager
def _opened(path: str | bytes) -> Iterator[tuple[int, os.stat_result]]:
    """Opens a regular file to read it; gives its descriptor, and what it is like.

    Raises:
        OSError: it can't be opened, or is something else.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        yield descriptor, status
    finally:
        os.close(descriptor)


def _pieces(descriptor: int) -> Iterator[bytes]:
    while chunk := os.read(descriptor, _BUFFER):
        yield chunk


class AtomicFile(NewFile):
    """One on this machine.

    Args:
        path: where it is to appear.
        within: the output that it is in, below which no link is followed; by default, the folder
            that the file is in.
        durable: whether to wait until it is on disk. Otherwise a power failure may undo it.
        tag: digits to put into the temporary name, by which :attr:`others` finds attempts at the
            same thing.
        before_publishing: is called right before the file appears; what it raises prevents that.
    """

    def __init__(
        self,
        path: Path,
        *,
        within: Path | None = None,
        durable: bool = True,
        tag: str = "",
        before_publishing: Callable[[], None] | None = None,
    ) -> None:
        super().__init__()
        self._path = path
        self._within = within or path.parent
        self._durable = durable
        self._tag = tag
        self._before_publishing = before_publishing
        self._handed_over = 0

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            folder = folders.opened(self._path.parent, self._within, make=True)
            self._folder = stack.enter_context(folder)
            with folders.naming(self._path):
                self._temporary, self._file = _create(self._folder, self._tag)
            self._open = stack.pop_all()
        return self

    @property
    def others(self) -> list[Path]:
        """What other attempts with the same tag have left here, or are at."""
        found = temporaries(self._folder, self._tag)
        return [self._path.parent / name for name in found if name != self._temporary]

    def write(self, data: bytes) -> None:
        self._file.write(data)
        super().write(data)
        if self.size - self._handed_over >= _BUFFER and self._durable:
            self._hand_over()

    def _hand_over(self) -> None:
        """Has the system begin to write to disk, so that little is left to wait for at the end.

        Linux does that when told that the pages are not needed any more.
        """
        self._file.flush()
        if hasattr(os, "posix_fadvise"):
            start, length = self._handed_over, self.size - self._handed_over
            os.posix_fadvise(self._file.fileno(), start, length, os.POSIX_FADV_DONTNEED)
        self._handed_over = self.size

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._open:
            try:
                with self._file:  # Closed after it is renamed, for that lets go of the lock.
                    if kind is None:
                        self._publish()
                if kind is None and self._durable:
                    os.fsync(self._folder)  # Makes the rename survive a power failure.
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._temporary, dir_fd=self._folder)

    def _publish(self) -> None:
        self._complete()
        if self._before_publishing is not None:
            self._before_publishing()
        names = (self._temporary, self._path.name)
        with folders.naming(self._path):
            os.replace(*names, src_dir_fd=self._folder, dst_dir_fd=self._folder)

    def _complete(self) -> None:
        self._file.flush()
        if self._durable:
            os.fsync(self._file.fileno())
        # Some file servers tell only at closing that there was no room: this closes it once before.
        os.close(os.dup(self._file.fileno()))


def _create(folder: int, tag: str) -> tuple[str, BinaryIO]:
    """Opens a file under a temporary name, and locks it."""
    while True:
        name = temporary_name(tag)
        file = os.fdopen(os.open(name, _NEW, 0o666, dir_fd=folder), "wb", buffering=_BUFFER)
        try:
            _lock(file.fileno())
            if os.fstat(file.fileno()).st_nlink:
                return name, file
        except BlockingIOError:
            pass
        except BaseException:
            file.close()
            os.unlink(name, dir_fd=folder)
            raise
        file.close()  # Somebody who clears leftovers took it for one before it was locked.


def _lock(descriptor: int) -> bool:
    """Locks a file, and says whether there is such a thing here.

    Raises:
        BlockingIOError: another process holds the lock.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return False
    return True


def remove_leftovers(
    path: Path,
    tag: str | None = None,
    *,
    within: Path | None = None,
    keep_names: bool = False,
    alone: bool = False,
) -> None:
    """Removes what dead attempts left in a folder under temporary names.

    Args:
        path: of the folder.
        tag: only those with this tag.
        within: the output that it is in, below which no link is followed.
        keep_names: of those with a tag, remove what is in them, but not the trace that an attempt
            has died there.
        alone: whether all of them are to be taken for dead where the filesystem has no locks. One
            that is alive after all then fails when it would publish its file.
    """
    with contextlib.suppress(OSError), folders.opened(path, within or path) as folder:
        for name in temporaries(folder, tag):
            # It may have become a file, or be another user's.
            with contextlib.suppress(OSError):
                keep_name = keep_names and tag_of(name) is not None
                _remove_if_dead(folder, name, keep_name=keep_name, alone=alone)


def _remove_if_dead(folder: int, name: str, *, keep_name: bool, alone: bool) -> None:
    mode = os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(name, mode, dir_fd=folder)
    try:
        locked = _lock(descriptor)
        if not (locked or alone):
            return
        if keep_name and locked:
            if folders.is_alone(os.fstat(descriptor)):
                os.ftruncate(descriptor, 0)
            return
        if keep_name:  # Under another name: a live one would publish what is here, with a hole.
            trace = temporary_name(tag_of(name) or "")
            os.close(os.open(trace, _NEW, 0o666, dir_fd=folder))
        os.unlink(name, dir_fd=folder)
    finally:
        os.close(descriptor)


def temporaries(folder: int | Path, tag: str | None) -> list[str]:
    """The temporary names in a folder, in their order; those with this tag, if one is given."""
    return sorted(
        name for name in os.listdir(folder) if name.endswith(SUFFIX) and is_temporary(name, tag)
    )


def identity(path: Path) -> tuple[int, ...] | None:
    """Tells a file from any other that is ever put in its place; None where there is none."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
