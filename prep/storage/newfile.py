"""New files that appear whole or not at all, and the temporary names that they have until then.

A reader never sees half a file: it is written under a temporary name that is unique to the attempt,
flushed to disk, and only then renamed. Two processes that write the same file at the same time
therefore do each other no harm; the last one to finish wins. No link below an output is followed
(see ``folders``); a link that bears the name of the file is itself replaced.

The writer of a file holds a lock on it, which the kernel releases when the process ends, however
that comes about. So the file of a dead attempt is told from that of a live one. On a filesystem
without locks they can't be told apart, and nothing is removed, unless the caller is alone in the
output.

An attempt at a file with a tag also makes an empty file whose name the tag gives, its trace. While
it is there, the next attempt looks for others; without it, no folder need be listed for a file,
which takes longer than the file itself where there are a hundred thousand.
"""

from __future__ import annotations

import abc
import contextlib
import errno
import fcntl
import hashlib
import os
import re
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from prep.storage import folders

SUFFIX = ".partial"
_NAME = re.compile(rf"\.(?:(?P<tag>\d+)\.)?[0-9a-f]{{32}}{re.escape(SUFFIX)}")
_AT_ONCE = 1 << 18  # 256 KiB to a write
_HANDED_OVER = 1 << 20  # 1 MiB
_MOST_PIECES = os.sysconf("SC_IOV_MAX")  # to a write
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
#: Error numbers of filesystems without locks.
NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)


def temporary_name(tag: str = "") -> str:
    """Return a new temporary name: hidden, and unique to the attempt.

    Args:
        tag: digits by which attempts at the same file are found.
    """
    return f".{tag}{'.' if tag else ''}{uuid.uuid4().hex}{SUFFIX}"


def trace_name(tag: str) -> str:
    """Return the temporary name that says that there may be others with this tag."""
    return f".{tag}.{'0' * 32}{SUFFIX}"


def is_temporary(name: str, tag: str | None = None) -> bool:
    """Return True for a temporary name with this tag; an empty tag stands for names without."""
    return _NAME.fullmatch(name) is not None and tag in (None, tag_of(name) or "")


def tag_of(name: str) -> str | None:
    """Return the tag in a temporary name; None if there is none."""
    match = _NAME.fullmatch(name)
    return match["tag"] if match else None


class NewFile(abc.ABC):
    """A file that appears under its name whole, or not at all.

    Leave the ``with`` block normally to publish it; by an exception, and there is no trace of it.

    Attributes:
        size: bytes written so far.
    """

    def __init__(self, before_publishing: Callable[[], None] | None) -> None:
        self.size = 0
        self._digest = hashlib.sha256()
        self._before_publishing = before_publishing

    def __enter__(self) -> Self:
        self._block = self._writing()
        self._block.__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        try:
            self._block.__exit__(*raised)
        finally:
            # It may know this file, and all of a shard: none of that is to wait for the collector.
            self._before_publishing = None

    @abc.abstractmethod
    def _writing(self) -> contextlib.AbstractContextManager[None]:
        """Make a temporary file on entry; publish it on exit, unless an error is raised."""

    def write(self, data: bytes) -> None:
        """Append some bytes."""
        self.writelines((data,))

    def writelines(self, pieces: Collection[bytes]) -> None:
        """Append some bytes that come in pieces, without joining them."""
        for piece in pieces:
            self._digest.update(piece)
            self.size += len(piece)

    @property
    def sha256(self) -> str:
        """Hexadecimal digest of what was written so far."""
        return self._digest.hexdigest()

    @property
    @abc.abstractmethod
    def others(self) -> Sequence[str]:
        """The temporary names of attempts with the same tag that began before, dead or alive."""


class AtomicFile(NewFile):
    """A new file on this machine's disks; see :meth:`prep.storage.location.Location.create`."""

    def __init__(
        self,
        path: Path,
        *,
        within: Path | None = None,
        durable: bool = True,
        tag: str = "",
        before_publishing: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(before_publishing)
        self._path = path
        self._within = within or path.parent
        self._durable = durable
        self._tag = tag
        self._waiting: list[bytes] = []
        self._written = self._handed_over = 0
        self._others: list[str] = []

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        with (
            folders.opened_folder(self._path.parent, self._within, make=True) as self._folder,
            self._leaving_a_trace(),
        ):
            with folders.naming(self._path):
                self._temporary, self._descriptor = _create(self._folder, self._tag)
            try:
                yield
                self._publish()
                self._close()  # After it is renamed, for that lets go of the lock.
                if self._durable:
                    os.fsync(self._folder)  # Makes the rename survive a power failure.
            finally:
                try:
                    self._close()
                finally:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(self._temporary, dir_fd=self._folder)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    @contextlib.contextmanager
    def _leaving_a_trace(self) -> Iterator[None]:
        """Keep a trace of this attempt meanwhile; look for others if there is one already."""
        if not self._tag:
            yield
            return
        trace, descriptor = trace_name(self._tag), None
        with contextlib.suppress(FileExistsError), folders.naming(self._path):
            while descriptor is None:
                descriptor = _create_locked(self._folder, trace)
        try:
            if descriptor is None:
                self._others = temporaries(self._folder, self._tag)
            yield
        finally:
            if descriptor is not None:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(trace, dir_fd=self._folder)
                os.close(descriptor)

    @property
    def others(self) -> list[str]:
        return self._others

    def writelines(self, pieces: Collection[bytes]) -> None:
        super().writelines(pieces)
        self._waiting += pieces
        if self.size - self._written >= _AT_ONCE or len(self._waiting) >= _MOST_PIECES:
            self._flush()
            if self._durable and self.size - self._handed_over >= _HANDED_OVER:
                self._hand_over()

    def _flush(self) -> None:
        """Give the system what is waiting, from where it lies: copying it first costs as much."""
        pieces, self._waiting = self._waiting, []
        if len(pieces) > _MOST_PIECES:
            pieces = [b"".join(pieces)]
        if pieces:
            self._written += os.writev(self._descriptor, pieces)
        if self._written < self.size:  # A disk that is nearly full takes a part, and then fails.
            rest = memoryview(b"".join(pieces))[self._written - self.size :]
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            self._written = self.size

    def _hand_over(self) -> None:
        """Start to write to disk, so that little is left to wait for at the end.

        Linux does that when told that the pages are not needed any more.
        """
        if hasattr(os, "posix_fadvise"):
            start, length = self._handed_over, self.size - self._handed_over
            os.posix_fadvise(self._descriptor, start, length, os.POSIX_FADV_DONTNEED)
        self._handed_over = self.size

    def _publish(self) -> None:
        self._flush()
        if self._durable:
            os.fsync(self._descriptor)
        # Some file servers tell only at closing that there was no room: this closes it once before.
        os.close(os.dup(self._descriptor))
        if self._before_publishing is not None:
            self._before_publishing()
        with folders.naming(self._path):
            names = (self._temporary, self._path.name)
            os.replace(*names, src_dir_fd=self._folder, dst_dir_fd=self._folder)


@contextlib.contextmanager
def new_file_by_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path for a library that opens files itself, and publish what it wrote.

    The file is flushed to disk, and renamed to ``path``; after an exception, it is removed. It is
    not locked, so whoever removes leftovers of dead attempts has to be alone in the folder.
    """
    temporary = path.with_name(temporary_name())
    try:
        yield temporary
        descriptor = os.open(temporary, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _create(folder: int, tag: str) -> tuple[str, int]:
    """Open a file under a temporary name, and lock it; return its name and descriptor."""
    while True:
        name = temporary_name(tag)
        descriptor = _create_locked(folder, name)
        if descriptor is not None:
            return name, descriptor


def _create_locked(folder: int, name: str) -> int | None:
    """Make and lock a file, and return its descriptor.

    Returns:
        None if somebody who clears leftovers took it for one before it was locked.

    Raises:
        FileExistsError: there is one of this name.
    """
    descriptor = os.open(name, _NEW, 0o666, dir_fd=folder)
    try:
        lock_file(descriptor)
        if os.fstat(descriptor).st_nlink:
            return descriptor
    except BlockingIOError:
        pass
    except BaseException:
        os.close(descriptor)
        os.unlink(name, dir_fd=folder)
        raise
    os.close(descriptor)
    return None


def lock_file(descriptor: int) -> bool:
    """Lock a file; return False if the filesystem has no locks.

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


def remove_if_dead(folder: int, name: str, *, keep_name: bool, alone: bool) -> None:
    """Remove what a dead attempt left in an open folder.

    Args:
        keep_name: leave the trace of an attempt with its tag.
        alone: without locks, the attempt counts as dead. If it is alive after all, it fails when it
            would publish its file.
    """
    mode = os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(name, mode, dir_fd=folder)
    try:
        locked = lock_file(descriptor)
        if not (locked or alone):
            return
        if keep_name:
            trace = trace_name(tag_of(name) or "")
            if name == trace:
                return
            with contextlib.suppress(FileExistsError):
                os.close(os.open(trace, _NEW, 0o666, dir_fd=folder))
        os.unlink(name, dir_fd=folder)
    finally:
        os.close(descriptor)


def temporaries(folder: int | Path, tag: str | None) -> list[str]:
    """Return the temporary names in a folder, sorted; with a tag, only those that bear it."""
    return sorted(
        name for name in os.listdir(folder) if name.endswith(SUFFIX) and is_temporary(name, tag)
    )
