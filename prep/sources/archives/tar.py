"""The index of a tar file, and of tar files in it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from prep.errors import SourceError
from prep.sources.archives.archive_bytes import reading
from prep.sources.archives.members import Members, marks_of
from prep.sources.archives.tars.kept_indexes import KeptIndexes
from prep.sources.archives.tars.tar_members import Found, settle
from prep.sources.archives.tars.tar_scan import scan
from prep.sources.base import HOWS
from prep.storage.location import Location, Stamp, Status
from prep.text import reason_and_file

_MOST_LEVELS = 8  # of tar files in each other
_FEW = 4  # tar files beside each other: each is read ahead
# Such as those that macOS adds, with attributes of others.
_HIDDEN = re.compile(rb"(^|/)\.[^/]*$")
# Seconds of waiting for a disk after which several tar files in one are read at a time.
_MOST_WAITING = 1.0
_THREADS = 16
# Seconds that an index must have taken to be kept for other processes.
_WORTH_KEEPING = 1.0


def index_tar(archive: Location) -> Members:
    """Return the index of a tar file; of the same file, the one that was made before.

    That of a file in a storage is also kept for other processes, if it took long.

    Members named ``*.tar`` are looked into, unless they are hidden. A hard or symbolic link has the
    place of the member that it leads to. Callers share the index, and leave it as it is.

    Raises:
        SourceError: it is damaged, truncated, or holds what can't be read.
        StorageUnavailable: it is in a storage that does not answer.
    """
    try:
        status = archive.patiently(archive.stat)
        key = (str(archive), status.st_size, status.st_mtime_ns, _version(status))
        stored = archive.is_remote and bool(status.st_mtime_ns or _version(status))
        found = _KEPT.get(key, stored=stored)
        if found is None:
            began = time.monotonic()
            found = _index(archive, Stamp(status.st_size, status.st_mtime_ns))
            slow = time.monotonic() - began > _WORTH_KEEPING
            _KEPT.put(key, found, stored=stored and slow)
        return found
    except OSError as error:
        archive.require_answer(error, "source: can't read an archive")
        raise SourceError(f"source: can't read an archive: {reason_and_file(error)}") from None


def _version(status: os.stat_result | Status) -> object:
    """Return what nobody can set back when they change a file."""
    if isinstance(status, Status):
        return status.version
    return status.st_dev, status.st_ino, status.st_ctime_ns


_KEPT = KeptIndexes()


@dataclass(frozen=True, slots=True)
class _Tar:
    """A tar file, or one in it.

    Attributes:
        archive: the outermost.
        begin, end: where it lies in that, in bytes.
        prefix: of the names of its members: nothing, or ``n01440764.tar/``.
        levels: how many others it lies in.
        alone: whether few others are read at the same time.
    """

    archive: Location
    begin: int
    end: int
    prefix: bytes = b""
    levels: int = 0
    alone: bool = True

    def __str__(self) -> str:
        inner = os.fsdecode(self.prefix.rstrip(b"/"))
        return f"{self.archive}/{inner}" if inner else str(self.archive)


def _index(archive: Location, stamp: Stamp) -> Members:
    found = _indexed(_Tar(archive, 0, stamp.size))
    return Members(
        names=found.names,
        offsets=found.offsets,
        sizes=found.sizes,
        marks=marks_of(found.checksums, stamp),
        hows=np.full(len(found.names), HOWS.index("bytes"), np.uint8),
        passed=found.passed,
        outside=found.outside,
    )


def _indexed(tar: _Tar) -> Found:
    """Return the members of a tar file and of those in it."""
    with reading(tar.archive, tar.end, ahead=tar.alone) as read:
        raw = scan(read, tar.begin, tar.end, str(tar))
    return _with_inner(tar, settle(raw).below(tar.prefix))


def _with_inner(tar: _Tar, found: Found) -> Found:
    """Return members with those of tar files among them in their places."""
    inner = {  # By place, for many links may lead to one.
        int(found.offsets[row]): row
        for row, name in enumerate(found.names)
        if name[-4:].lower() == b".tar" and not _HIDDEN.search(name)
    }
    if not inner or tar.levels == _MOST_LEVELS:
        return found
    rows = sorted(inner.values())
    tars = [
        replace(
            tar,
            begin=int(found.offsets[row]),
            end=int(found.offsets[row] + found.sizes[row]),
            prefix=found.names[row] + b"/",
            levels=tar.levels + 1,
            alone=len(rows) < _FEW,
        )
        for row in rows
    ]
    each = tar.archive.each if tar.archive.is_remote else _each_on_disk
    return found.spliced(zip(rows, (each if tar.alone else map)(_indexed, tars), strict=True))


def _each_on_disk(function: Callable[[_Tar], Found], tars: list[_Tar]) -> Iterator[Found]:
    """Call a function for each tar file; in threads, where reading keeps waiting."""
    began, worked = time.perf_counter(), time.thread_time()
    for number, tar in enumerate(tars):
        waited = time.perf_counter() - began - (time.thread_time() - worked)
        if waited > _MOST_WAITING:  # A file server, say, that takes a millisecond for each header.
            with ThreadPoolExecutor(_THREADS) as pool:
                yield from pool.map(function, tars[number:])
            return
        yield function(tar)
