"""Read files, and publish files whole, on this machine and in storages.

All functions take what :func:`prep.storage.location.locate` gives, or the name of it. What is local
is handled by ``local``, all else by ``remote``, where there are no locks and, mostly, no renames.
What changes an output is in ``outputs``.
"""

from __future__ import annotations

import errno
import functools
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BufferedReader
from pathlib import Path
from typing import TypeVar, cast

from prep.errors import StorageUnavailable
from prep.storage import folders, local, remote
from prep.storage.backends.filesystems import answering_within, asking_in_threads, in_a_hurry
from prep.storage.local import NO_LOCKS, AtomicFile
from prep.storage.location import locate
from prep.storage.newfile import FileChanged, NewFile, Stamp, temporary_name
from prep.storage.outputs import (
    abort_uploads,
    create,
    empty_folder,
    has_links,
    leftovers,
    make_folder,
    publish,
    publish_json,
    remove,
    remove_folder,
    remove_leftovers,
    require_folder,
)
from prep.storage.remote import RemotePath, Status
from prep.storage.retry import Retries, is_transient, lasted
from prep.text import reason_and_file


def put_if_absent(path: Path, data: bytes, *, within: Path | None = None) -> None:
    """Makes a small file, unless there is one of its name already.

    Of several processes at the same time one succeeds, on this machine and in storages that decide
    that; in others, the last one may replace what the first has made.

    Args:
        within: the output that it is in; by default, the folder that the file is in.

    Raises:
        FileExistsError: there is one; it may be this process's own, if an answer was lost.
        OSError: it can't be made.
    """
    if isinstance(path, RemotePath):
        path.create(data)
    else:
        _write(path, data, within or path.parent, os.O_CREAT | os.O_EXCL)


def put_over(path: Path, data: bytes, *, within: Path | None = None) -> None:
    """Replaces what is in a small file.

    Args:
        within: the output that it is in; by default, the folder that the file is in.

    Raises:
        FileNotFoundError: there is none. A storage makes it then.
        OSError: it can't be written to.
    """
    if isinstance(path, RemotePath):
        path.upload(data)
    else:
        _write(path, data, within or path.parent)


def _write(path: Path, data: bytes, within: Path, flags: int = 0) -> None:
    flags |= os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    with folders.opened(path.parent, within) as folder:
        descriptor = os.open(path.name, flags, 0o666, dir_fd=folder)
    with open(descriptor, "wb", buffering=0) as file:
        if not folders.is_alone(os.fstat(descriptor)):
            raise FileExistsError(errno.EEXIST, "somebody else's file is in its place", str(path))
        file.truncate(0)
        file.write(data)


__all__ = [
    "NO_LOCKS",
    "AtomicFile",
    "FileChanged",
    "NewFile",
    "Stamp",
    "abort_uploads",
    "absent_bucket",
    "absent_folders",
    "answering_within",
    "create",
    "each",
    "empty_folder",
    "has_links",
    "identity",
    "in_a_hurry",
    "is_remote",
    "leftovers",
    "listing_of",
    "make_folder",
    "most_at_once",
    "names_in",
    "open_regular",
    "patiently",
    "publish",
    "publish_json",
    "put_if_absent",
    "put_over",
    "read_at_most",
    "read_file",
    "read_in_pieces",
    "read_patiently",
    "read_range",
    "remove",
    "remove_folder",
    "remove_leftovers",
    "require_answer",
    "require_folder",
    "require_readable",
    "sizes",
    "stamp_of",
    "temporary_name",
    "walk",
]

S = TypeVar("S")
T = TypeVar("T")

#: Requests to a storage that wait for their answers at the same time.
AT_ONCE = 32
_URL = b"://"
_PAUSES = (0.5, 2.0, 5.0)  # seconds before a storage is asked again


def is_remote(path: Path) -> bool:
    """Whether a location is in a storage, where each question takes a while."""
    return isinstance(path, RemotePath)


def absent_bucket(path: Path) -> str | None:
    """The bucket that a location would be in, if there is no such bucket.

    Raises:
        OSError: that can't be asked.
    """
    return path.absent_bucket() if isinstance(path, RemotePath) else None


def absent_folders(folder: Path) -> list[Path]:
    """Those of this folder and the one that it is in which are to be made, the inner one first.

    Folders of an object store come and go with what is in them.
    """
    if isinstance(folder, RemotePath) and folder.puts_whole:
        return []
    return [place for place in (folder, folder.parent) if not place.exists()]


def most_at_once(path: str) -> int | None:
    """How many requests a storage takes at the same time; None where it is a disk."""
    found = _in_storage(path)
    return None if found is None else found.most_at_once


def read_file(path: str | bytes, expected: Stamp | None = None) -> bytes:
    """The contents of a regular file, or of an object in a storage: one request, and no more.

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
        return local.read_file(path, expected)
    data, size, mtime = found.read(expected.size if expected else None)
    if expected is not None:
        expected.require(size, mtime)
    return data


def read_range(path: str | bytes, offset: int, length: int) -> bytes:
    """Return part of the contents of a regular file, or of an object: one request, and no more.

    Raises:
        FileChanged: it ends before.
        OSError: it can't be read, or is something else.
    """
    found = _in_storage(path)
    if found is None:
        return local.read_range(path, offset, length)
    data = found.read_range(offset, length)
    if len(data) != length:
        raise FileChanged(f"changed since it was listed: {len(data):,} bytes of {length:,}")
    return data


def read_patiently(path: Path) -> bytes:
    """The contents of a small file; of one in a storage, tried again where that may help.

    Raises:
        OSError: it can't be read.
    """
    return patiently(path, path.read_bytes)


def read_at_most(path: Path, largest: int) -> bytes:
    """The contents of a regular file that somebody else may have put there.

    Raises:
        OSError: it can't be read, or is something else.
        ValueError: it is larger, and was not read.
    """

    def read() -> bytes:
        if not isinstance(path, RemotePath):
            return local.read_at_most(path, largest)
        data, size, _ = path.read(most=largest)
        if size > largest:
            raise ValueError(f"it has {size:,} bytes; at most {largest:,} are read")
        return data

    return patiently(path, read)


def open_regular(path: Path) -> BufferedReader:
    """A regular file, or an object in a storage, open for reading.

    Raises:
        OSError: it can't be opened, or is something else (a pipe would block for ever).
    """
    return path.open("rb") if isinstance(path, RemotePath) else local.open_regular(path)


def patiently(path: Path, action: Callable[[], T]) -> T:
    """What ``action`` returns; of a location in a storage, tried again where that may help.

    Args:
        path: what it asks for.
        action: what to do; it must leave nothing half-done when it fails.

    Raises:
        OSError: ``action`` did, for a reason that will not pass, or every time.
    """
    if in_a_hurry() or not isinstance(path, RemotePath):
        return action()
    return Retries().call(action, _PAUSES)


def require_answer(path: Path, error: OSError, what: str = "can't be read") -> None:
    """Raises StorageUnavailable where an error says nothing of what is at a location.

    On this machine's disks, an error that stays is a finding.

    Args:
        path: what was asked for.
        what: what can't be done with it, and what it is called.
    """
    if isinstance(path, RemotePath) and is_transient(error):
        unavailable = StorageUnavailable(f"{what}: {reason_and_file(error)}; try again later")
        unavailable.lasted = lasted(error)
        raise unavailable from None


def read_in_pieces(path: str | bytes) -> Iterator[bytes]:
    """The contents of a file, a megabyte at a time.

    Raises:
        OSError: it can't be read, or is something else.
    """
    found = _in_storage(path)
    return local.read_in_pieces(path) if found is None else remote.read_in_pieces(found)


def require_readable(path: str | bytes) -> None:
    """Raises OSError where :func:`read_file` would."""
    for _ in read_in_pieces(path):
        break


def stamp_of(path: str | bytes) -> Stamp:
    """Size and time of a file.

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
    found = locate(os.fsdecode(path))
    return found if isinstance(found, RemotePath) else None


def listing_of(folder: RemotePath) -> list[tuple[str, Status]]:
    """What is in a folder of a storage, by name; by an empty one, what no path leads to.

    Raises:
        OSError: it can't be listed, however often that is tried.
    """
    return patiently(cast(Path, folder), functools.partial(folder.listed, nameless=True))


def walk(place: Path) -> Iterator[Path]:
    """All files at a location in a storage and below it, folders of one level at the same time.

    Raises:
        OSError: it can't be listed, or there are files that no path leads to.
    """
    if not patiently(place, place.is_dir):
        yield from [place] if place.is_file() else []
        return
    folders = [place]
    while folders:
        listed = each(listing_of, cast(list[RemotePath], folders), place)
        found: list[tuple[Path, bool]] = []
        for folder, entries in zip(folders, listed, strict=True):
            if any(not name for name, _ in entries):
                raise OSError(errno.EINVAL, "no path leads to what is there", f"{folder}//")
            found += [(folder / name, status.is_folder) for name, status in entries]
        yield from (path for path, is_folder in found if not is_folder)
        folders = [path for path, is_folder in found if is_folder]


def sizes(folder: Path) -> dict[str, int] | None:
    """Sizes of all that is in a folder of a storage, by name; None of one of this machine.

    There, asking for what is wanted is quicker than listing.
    """
    if not isinstance(folder, RemotePath):
        return None
    try:
        return {name: status.st_size for name, status in listing_of(folder) if name}
    except (FileNotFoundError, NotADirectoryError):
        return {}


def names_in(folder: Path, prefix: str) -> list[str]:
    """The names in a folder that begin with ``prefix``; none where there is no such folder.

    Raises:
        OSError: it can't be listed.
    """
    try:
        if isinstance(folder, RemotePath):
            listed = patiently(folder, functools.partial(folder.listed, prefix))
            return [name for name, _ in listed]
        return sorted(name for name in os.listdir(folder) if name.startswith(prefix))
    except FileNotFoundError:
        return []


def identity(path: Path) -> tuple[int | str, ...] | None:
    """Tells a file from any other that is ever put in its place; None where there is none."""
    if not isinstance(path, RemotePath):
        return local.identity(path)
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return (status.version, status.st_size, status.st_mtime_ns)


def each(function: Callable[[S], T], items: Iterable[S], where: Path) -> Iterator[T]:
    """Calls a function for each item, in their order: for a storage, many at a time.

    Args:
        where: the location that all of it is about.
    """
    if not isinstance(where, RemotePath):
        yield from map(function, items)
        return
    # In this order: at the end, the pool waits for its threads.
    with ThreadPoolExecutor(min(AT_ONCE, where.most_at_once)) as pool, asking_in_threads() as call:
        yield from pool.map(functools.partial(call, function), items)
