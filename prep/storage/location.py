"""The interface of a location: a file or folder on this machine's disks, or in a storage.

Code outside of this package knows :class:`Location` alone. What only one kind has is reached
through :attr:`Location.local`, so the type checker sees what the other lacks.
"""

from __future__ import annotations

import abc
import errno
import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from io import BufferedReader
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

if TYPE_CHECKING:
    from prep.storage.local import LocalPath
    from prep.storage.newfile import NewFile

S = TypeVar("S")
T = TypeVar("T")

#: Resolutions of file times in ns: of SMB, and others with a microsecond or a second. Two machines
#: may see the same file through different ones.
TIME_UNITS = (100, 1_000, 1_000_000_000)


class FileChanged(OSError):
    """A file is not what it was when it was listed."""


class Stamp(NamedTuple):
    """A version of a file: its size in bytes, and the time of its last change in ns."""

    size: int
    mtime: int

    def require(self, size: int, mtime: int | None) -> None:
        """Raise FileChanged if size or time are others; a time of None is not compared."""
        if size != self.size:
            raise FileChanged(
                f"changed since it was listed: {self.size:,} bytes then, {size:,} now"
            )
        if mtime is not None and not _same_time(mtime, self.mtime):
            raise FileChanged("changed since it was listed: written to in the meantime")


def _same_time(a: int, b: int) -> bool:
    """Return True if two times are equal, or one is the other in a coarser unit."""
    return a == b or any(
        a // unit == b // unit and 0 in (a % unit, b % unit) for unit in TIME_UNITS
    )


class FilePart(NamedTuple):
    """A part of a file.

    Attributes:
        before: the bytes before it, as many as were asked for.
        data: its bytes.
        stamp: of the whole file; None if a storage does not say it in the same reply.
    """

    before: bytes
    data: bytes
    stamp: Stamp | None


class Status(NamedTuple):
    """Type, size and time of what is at a location, named as in ``os.stat_result``.

    Attributes:
        st_mtime_ns: 0 if the storage does not say.
        version: differs for other contents (an ETag); empty if the storage has none.
    """

    st_mode: int
    st_size: int
    st_mtime_ns: int
    version: str = ""

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.st_mode)


class Location(abc.ABC):
    """A file or folder, be it there or not.

    Whatever can't be done raises OSError, with a number that says whether it may pass. All that
    changes an output is told ``within`` which output: on this machine's disks, no symbolic link
    below that folder is followed. Without it, the folder of the file counts as the output.
    """

    __slots__ = ()

    # Its kind, and what it can do

    @property
    @abc.abstractmethod
    def local(self) -> LocalPath | None:
        """This location if it is on this machine's disks; None if it is in a storage."""

    @property
    def is_remote(self) -> bool:
        """True in a storage, where each question takes a while and there are no locks."""
        return self.local is None

    @property
    @abc.abstractmethod
    def has_links(self) -> bool:
        """True if there may be symbolic links; raises OSError if a storage does not say."""

    @property
    def most_at_once(self) -> int | None:
        """The number of requests that a storage takes at the same time; None for a disk."""
        return None

    # Its names

    @property
    @abc.abstractmethod
    def name(self) -> str: ...

    @property
    @abc.abstractmethod
    def suffix(self) -> str: ...

    @property
    @abc.abstractmethod
    def parent(self) -> Self: ...

    @abc.abstractmethod
    def __truediv__(self, name: str, /) -> Self: ...

    @abc.abstractmethod
    def __lt__(self, other: Self, /) -> bool: ...

    @abc.abstractmethod
    def with_suffix(self, suffix: str) -> Self: ...

    @abc.abstractmethod
    def relative_to(self, other: Self, /) -> PurePosixPath:
        """Return the path from ``other`` to here; raise ValueError if it is not below."""

    @abc.abstractmethod
    def as_uri(self) -> str:
        """Return the address that a browser takes."""

    # Questions

    @abc.abstractmethod
    def stat(self) -> os.stat_result | Status: ...

    @abc.abstractmethod
    def exists(self) -> bool: ...

    @abc.abstractmethod
    def is_file(self) -> bool: ...

    def file_size(self) -> int:
        """Return the bytes of a regular file.

        Raises:
            OSError: there is none, or it is something else: reading from a pipe would never end.
        """
        status = self.stat()
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(self))
        return status.st_size

    @abc.abstractmethod
    def is_dir(self) -> bool: ...

    @abc.abstractmethod
    def is_symlink(self) -> bool:
        """Return True for a link itself; False where the storage can't be asked."""

    @abc.abstractmethod
    def iterdir(self) -> Iterator[Self]: ...

    @abc.abstractmethod
    def listed(self) -> list[tuple[str, Status]]:
        """Return names and status of what is in this folder, in the order of the names.

        The status of a link is that of what it leads to, if it leads anywhere. An empty name
        stands for keys of an object store below ``folder//``: no path leads there.
        """

    @abc.abstractmethod
    def names(self, prefix: str = "") -> list[str]:
        """Return the names in this folder that begin with ``prefix``; none if it is absent."""

    def sizes(self) -> dict[str, int] | None:
        """Return the sizes of all that is in this folder, by name, if one request tells them.

        None for a folder on a disk: there, it is quicker to ask for what is wanted.
        """
        return None

    @abc.abstractmethod
    def identity(self) -> tuple[int | str, ...] | None:
        """Return what differs for any other file put here; None if there is no file."""

    def absent_bucket(self) -> str | None:
        """Return the URL of the bucket that this would be in, if there is no such bucket."""
        return None

    def absent_folders(self) -> list[Self]:
        """Return this folder and its parent, as far as they have to be made, this one first."""
        return [place for place in (self, self.parent) if not place.exists()]

    def files_below(self) -> Iterator[Self]:
        """Yield this file, or all files below this folder, level by level.

        Raises:
            OSError: it can't be listed, or there are files that no path leads to.
        """
        if not self.patiently(self.is_dir):
            yield from [self] if self.is_file() else []
            return
        folders = [self]
        while folders:
            listed = list(self.each(type(self).listed, folders))
            found: list[tuple[Self, bool]] = []
            for folder, entries in zip(folders, listed, strict=True):
                if any(not name for name, _ in entries):
                    raise OSError(errno.EINVAL, "no path leads to what is there", f"{folder}//")
                found += [(folder / name, status.is_folder) for name, status in entries]
            yield from (place for place, is_folder in found if not is_folder)
            folders = [place for place, is_folder in found if is_folder]

    # Reading

    @abc.abstractmethod
    def read_bytes(self) -> bytes: ...

    def read_patiently(self) -> bytes:
        """Return the contents of a small file; in a storage, try again if that may help."""
        return self.patiently(self.read_bytes)

    @abc.abstractmethod
    def read_at_most(self, largest: int) -> bytes:
        """Return the contents of a regular file that somebody else may have put here.

        Raises:
            OSError: it can't be read, or is something else.
            ValueError: it is larger, and was not read.
        """

    @abc.abstractmethod
    def read_range(self, offset: int, length: int) -> bytes:
        """Return part of the contents of a regular file; it is shorter if the file ends before.

        Raises:
            OSError: it can't be read, or is something else.
        """

    @abc.abstractmethod
    def open_regular(self) -> BufferedReader:
        """Open a regular file, or an object, for reading.

        Raises:
            OSError: it can't be opened, or is something else (a pipe would block for ever).
        """

    # Waiting for a storage

    def patiently(self, action: Callable[[], T]) -> T:
        """Call ``action``; in a storage, again while it fails for a reason that may pass.

        Args:
            action: asks something of this location; leaves nothing half-done when it fails.

        Raises:
            OSError: the last failure.
        """
        return action()

    def each(self, function: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
        """Call a function for each item, and yield the results in their order.

        In a storage, many calls run at the same time. All items are about this location.
        """
        return map(function, items)

    def require_answer(self, error: OSError, what: str = "can't be read") -> None:
        """Raise StorageUnavailable if an error tells only that a storage did not answer.

        On this machine's disks, an error that stays is a finding.

        Args:
            what: what can't be done, and with what.
        """
        return

    # Changing it

    @abc.abstractmethod
    def create(
        self,
        *,
        within: Self | None = None,
        durable: bool = True,
        tag: str = "",
        before_publishing: Callable[[], None] | None = None,
    ) -> NewFile:
        """Return a new file that will appear here whole, or not at all.

        Args:
            durable: wait until it is on disk. Otherwise a power failure may undo it; a storage
                always says when it has it.
            tag: digits by which attempts at the same file see each other's.
            before_publishing: called right before the file appears; what it raises prevents that.
        """

    def publish(self, data: bytes, *, within: Self | None = None, durable: bool = True) -> None:
        """Write a small file that appears whole, or not at all."""
        with self.create(within=within, durable=durable) as file:
            file.write(data)

    def publish_json(self, value: Any, *, within: Self | None = None, durable: bool = True) -> None:
        """Publish ``value`` as indented JSON; names that are not valid Unicode are escaped."""
        data = (json.dumps(value, indent=2) + "\n").encode()
        self.publish(data, within=within, durable=durable)

    @abc.abstractmethod
    def put_if_absent(self, data: bytes, *, within: Self | None = None) -> None:
        """Make a small file, unless there is one here already.

        Of several processes at the same time, one succeeds: on this machine, and in storages that
        decide that. In others, the last one may replace what the first has made.

        Raises:
            FileExistsError: there is one; it may be this process's own, if an answer was lost.
            OSError: it can't be made.
        """

    @abc.abstractmethod
    def put_over(self, data: bytes, *, within: Self | None = None) -> None:
        """Replace the contents of a small file.

        Raises:
            FileNotFoundError: there is none. A storage makes it then.
            OSError: it can't be written to.
        """

    @abc.abstractmethod
    def make_folder(self, *, within: Self) -> None:
        """Make this folder and all above it, as far as they are absent."""

    @abc.abstractmethod
    def remove_file(self, *, within: Self) -> None:
        """Remove this file, if it exists; of a symbolic link, the link itself."""

    @abc.abstractmethod
    def rename_files(self, names: Mapping[str, str], *, within: Self) -> None:
        """Rename files in this folder, and wait until that is on disk.

        A storage that can't rename copies each file on its side, and removes it. A file that was
        renamed before an earlier attempt ended is passed over.

        Args:
            names: the new name of each file, which replaces what has it.
        """

    @abc.abstractmethod
    def remove_folder(self, *, within: Self) -> None:
        """Remove this folder; raise OSError if it is not empty."""

    @abc.abstractmethod
    def empty_folder(self, *, within: Self, keep: Callable[[str], bool]) -> None:
        """Remove all that is in this folder, if it exists, but names that ``keep`` accepts."""

    @abc.abstractmethod
    def require_unlinked(self, *, within: Self) -> None:
        """Raise OutputConflict if this folder, or one above it, is a symbolic link.

        Raises:
            OSError: a storage does not say.
        """

    @abc.abstractmethod
    def leftovers(self) -> Sequence[Self]:
        """Return the files with temporary names in this folder: of attempts dead or alive."""

    @abc.abstractmethod
    def remove_leftovers(
        self,
        tag: str | None = None,
        *,
        within: Self | None = None,
        keep_names: bool = False,
        alone: bool = False,
    ) -> None:
        """Remove what dead attempts left in this folder under temporary names.

        In a storage, where dead ones can't be told from live ones, this removes the traces of
        both, which does the live ones no harm.

        Args:
            tag: remove only those with this tag.
            keep_names: of those with a tag, remove the contents, but keep the trace that an
                attempt has died here.
            alone: nobody else has any business here; without locks, all attempts count as dead.
        """

    def abort_uploads(self, ours: Callable[[str], bool]) -> None:
        """Abort unfinished multipart uploads below this folder.

        Args:
            ours: returns True for a relative name that we would upload to.
        """
        return
