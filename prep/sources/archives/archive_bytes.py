"""Bytes of an archive, while its index is made: few requests to a storage, and no copies."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from functools import partial

from prep.storage.location import Location

# What a request of a storage takes before the first byte, a megabyte or two take after it.
_WINDOW = 2 << 20  # 2 MiB
_FIRST = 64 << 10  # 64 KiB
_NEAR = 1 << 20  # 1 MiB
# Windows that are asked for at the same time where one follows another.
_AHEAD = 8
_IN_A_ROW = 3


#: Returns as many bytes as its first argument says, at the position of its second; fewer where the
#: archive ends before.
Read = Callable[[int, int], bytes]


@contextlib.contextmanager
def reading(archive: Location, end: int, *, ahead: bool = True) -> Iterator[Read]:
    """Open an archive, to read from places that mostly follow one another.

    Args:
        end: the size of the archive, or where the part of it ends that is read.
        ahead: ask a storage for several pieces at the same time; False where others do so already.

    Raises:
        OSError: it can't be opened.
    """
    if archive.is_remote:
        yield _Windows(archive, end, ahead).read
        return
    with archive.open_regular() as file:
        yield partial(os.pread, file.fileno())  # Called a million times.


class _Windows:
    """The part of an archive in a storage that was read last."""

    def __init__(self, archive: Location, end: int, ahead: bool) -> None:
        self._archive = archive
        self._end = end
        self._ahead = ahead
        self._start, self._data = 0, b""
        self._in_a_row = 0

    def read(self, length: int, position: int) -> bytes:
        at = position - self._start
        if at < 0 or at + length > len(self._data):
            self._load(length, position)
            at = 0
        return self._data[at : at + length]

    def _load(self, length: int, position: int) -> None:
        beyond = position - self._start - len(self._data)
        near = bool(self._data) and -_WINDOW < beyond < _NEAR
        self._in_a_row = self._in_a_row + 1 if near else 0
        windows = _AHEAD if self._ahead and self._in_a_row >= _IN_A_ROW else 1
        stop = min(self._end, position + max(length, windows * _WINDOW if near else _FIRST))
        places = [(at, min(_WINDOW, stop - at)) for at in range(position, stop, _WINDOW)]
        self._data = b"".join(
            self._archive.each(self._ask, places) if len(places) > 1 else map(self._ask, places)
        )
        self._start = position

    def _ask(self, place: tuple[int, int]) -> bytes:
        return self._archive.patiently(partial(self._archive.read_range, *place))
