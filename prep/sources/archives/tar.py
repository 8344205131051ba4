"""The index of a tar file, and of tar files in it."""

from __future__ import annotations

import os
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from prep.errors import SourceError
from prep.sources.archives.archive_bytes import reading
from prep.sources.archives.members import HOWS, Members, marks_of
from prep.sources.archives.tars.tar_members import Found, settle
from prep.sources.archives.tars.tar_scan import scan
from prep.storage.location import Location, Stamp, Status
from prep.text import reason_and_file

_MOST_LEVELS = 8  # of tar files in each other
_FEW = 4  # tar files beside each other: each is read ahead
# Such as those that macOS adds, with attributes of others.
_HIDDEN = re.compile(rb"(^|/)\.[^/]*$")
# Seconds of waiting for a disk after which several tar files in one are read at a time.
_MOST_WAITING = 1.0
_THREADS = 16
# Members of all indexes that are kept: a storage takes minutes to give those of a large tar.
_MOST_KEPT = 2_000_000


def index_tar(archive: Location) -> Members:
    """Return the index of a tar file; of the same file, the one that was made before.

    Members named ``*.tar`` are looked into, unless they are hidden. A hard or symbolic link has the
    place of the member that it leads to. Callers share the index, and leave it as it is.

    Raises:
        SourceError: it is damaged, truncated, or holds what can't be read.
        StorageUnavailable: it is in a storage that does not answer.
    """
    try:
        status = archive.patiently(archive.stat)
        key = (str(archive), status.st_size, status.st_mtime_ns, _version(status))
        found = _KEPT.get(key)
        if found is None:
            found = _index(archive, Stamp(status.st_size, status.st_mtime_ns))
            _KEPT.put(key, found)
        return found
    except OSError as error:
        archive.require_answer(error, "source: can't read an archive")
        raise SourceError(f"source: can't read an archive: {reason_and_file(error)}") from None


def _version(status: os.stat_result | Status) -> object:
    """Return what nobody can set back when they change a file."""
    if isinstance(status, Status):
        return status.version
    return status.st_dev, status.st_ino, status.st_ctime_ns


class _Kept:
    """The indexes that were made last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._indexes: OrderedDict[tuple[object, ...], Members] = OrderedDict()

    def get(self, key: tuple[object, ...]) -> Members | None:
        with self._lock:
            if key in self._indexes:
                self._indexes.move_to_end(key)
            return self._indexes.get(key)

    def put(self, key: tuple[object, ...], index: Members) -> None:
        with self._lock:
            self._indexes[key] = index
            while sum(map(len, self._indexes.values())) > _MOST_KEPT:
                self._indexes.popitem(last=False)


_KEPT = _Kept()


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
