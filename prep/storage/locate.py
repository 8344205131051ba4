"""From a string to a location: where a path or URL leads from this process, and reading there.

A host may see folders that others see under another path; see :class:`Mounts`.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from prep.storage import local
from prep.storage.backends.filesystems import forget_filesystems
from prep.storage.backends.grants import OPTIONS, Claims, grant
from prep.storage.local import LocalPath
from prep.storage.location import FileChanged, FilePart, Location, Stamp
from prep.storage.remote import RemotePath
from prep.storage.urls import is_url, local_path

_URL = b"://"
_MOUNTS: Claims[str] = Claims()


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """All options that were granted to one process, to be granted in another; never shown.

    Mounts are not among them, for each host has its own.

    Attributes:
        options: fsspec's ``storage_options``, by the URL at and below which they hold.
    """

    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)

    def __reduce__(self) -> Any:
        # At DEBUG, Dask logs the messages that it sends. What is in them can be told apart again by
        # whoever means to: this keeps it from being read by chance, and is no encryption.
        data = pickle.dumps(dict(self.options))
        pad = os.urandom(len(data))
        return _unscrambled, (_scrambled(data, pad), pad)

    def apply(self, owner: str) -> None:
        """Grant all of them in this process, beside those of other owners.

        Args:
            owner: names the caller; what it was granted before is replaced.
        """
        OPTIONS.hold(owner, self.options)

    def withdraw(self, owner: str) -> None:
        """Take them back, unless the owner was granted others meanwhile."""
        OPTIONS.release(owner, self.options)
        forget_filesystems()  # They hold what they were opened with.


def _scrambled(data: bytes, pad: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(data, pad, strict=True))


def _unscrambled(data: bytes, pad: bytes) -> Access:
    return Access(options=pickle.loads(_scrambled(data, pad)))


def granted() -> Access:
    """Return all that was granted in this process so far."""
    return Access(options=dict(OPTIONS.all()))


@dataclass(frozen=True, slots=True)
class Mounts:
    """Folders that this host sees under other paths than others do.

    Attributes:
        folders: the path here, by the path that others use.
    """

    folders: Mapping[str, str]

    def apply(self, owner: str) -> None:
        """Find these folders, and all below them, where they are here.

        Args:
            owner: names the caller; what it has mounted before is replaced.
        """
        _MOUNTS.hold(owner, self.folders)

    def withdraw(self, owner: str) -> None:
        """Undo :meth:`apply`, unless the owner has mounted other folders meanwhile."""
        _MOUNTS.release(owner, self.folders)

    @classmethod
    def of(cls, folders: Mapping[str, str]) -> Mounts:
        """Normalize the paths, as they are looked up."""
        return cls(
            {os.path.normpath(path): os.path.abspath(here) for path, here in folders.items()}
        )


def open_alike(url: str, other: str) -> None:
    """Open everything at and below a URL as another one, unless it has options of its own."""
    options = OPTIONS.of(other) if is_url(url) else {}
    if options and not OPTIONS.of(url):
        grant(url, options)


def absolute(path: str | os.PathLike[str]) -> str:
    """Return a path made absolute, or a URL in its usual form; of a file: URL, its path."""
    name = local_path(os.fspath(path))
    return str(RemotePath(name)) if is_url(name) else os.path.abspath(name)


def locate(path: str | os.PathLike[str] | Location) -> Location:
    """Return the location that a path or URL leads to from this process."""
    if isinstance(path, Location):
        return path
    name = local_path(os.fspath(path))
    if is_url(name):
        return RemotePath(name)
    absolute = os.path.abspath(name)
    mounts = _MOUNTS.all()
    for root in sorted(mounts, key=len, reverse=True):
        if absolute == root or absolute.startswith(root.rstrip("/") + "/"):
            return LocalPath(mounts[root], os.path.relpath(absolute, root))
    return LocalPath(absolute)


def read_file(path: str | bytes, expected: Stamp | None = None) -> bytes:
    """Return the contents of a regular file, or of an object in a storage: one request, no more.

    Args:
        path: an absolute path, or a URL.
        expected: what it must be. Of an object, its time is compared where the storage tells it in
            the same reply (S3, SFTP).

    Raises:
        FileChanged: it is not what was expected, or is being written to.
        OSError: it can't be read, or is something else (a pipe would block for ever).
    """
    found = _in_storage(path)
    if found is None:
        return local.read_local_file(path, expected)
    data, size, mtime = found.read(expected.size if expected else None)
    if expected is not None:
        expected.require(size, mtime)
    return data


def read_range(path: str | bytes, offset: int, length: int) -> bytes:
    """Return part of the contents of a regular file, or of an object: one request, and no more.

    A file on a disk stays open: if it is replaced, it is read as it was. ``close_kept_files`` ends
    that.

    Raises:
        FileChanged: it ends before.
        OSError: it can't be read, or is something else.
    """
    return read_part(path, offset, length).data


def read_part(path: str | bytes, offset: int, length: int, before: int = 0) -> FilePart:
    """Return part of a file as :func:`read_range`, with some bytes before it, and its stamp.

    Args:
        path: an absolute path, or a URL.
        offset: where the part begins.
        length: how many bytes it has.
        before: how many bytes before ``offset`` are wanted, too.
    """
    found = _in_storage(path)
    if found is None:
        return local.read_local_part(path, offset, length, before)
    data, size, mtime = found.read_part(offset - before, length + before)
    if len(data) != length + before:
        wanted = length + before
        raise FileChanged(f"changed since it was listed: {len(data):,} bytes of {wanted:,}")
    stamp = None if mtime is None else Stamp(size, mtime)
    return FilePart(data[:before], data[before:], stamp)


def read_in_pieces(path: str | bytes) -> Iterator[bytes]:
    """Yield the contents of a file, a megabyte at a time.

    Raises:
        OSError: it can't be read, or is something else.
    """
    found = _in_storage(path)
    return local.read_local_in_pieces(path) if found is None else found.pieces()


def stamp_of(path: str | bytes) -> Stamp:
    """Return size and time of a file.

    Raises:
        OSError: there is none, or it can't be asked.
    """
    found = _in_storage(path)
    status = os.stat(path) if found is None else found.stat()
    return Stamp(status.st_size, status.st_mtime_ns)


def _in_storage(path: str | bytes) -> RemotePath | None:
    # For each image; an absolute path never holds two slashes after a colon.
    name = path if isinstance(path, bytes) else os.fsencode(path)
    if _URL not in name:
        return None
    url = local_path(os.fsdecode(name))
    return RemotePath(url) if is_url(url) else None
