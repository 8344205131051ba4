"""Checksums of image files, by which identical files are found.

XXH3 with 64 bits, at a hundredth of the cost of decoding. By chance, two different files have the
same checksum in one of 40 million sets of a million files. It is no protection against forgery.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import xxhash

from prep.sources.base import ImageEntry, Source
from prep.storage.retry import Retries

Checksums = npt.NDArray[np.uint64]

#: The checksum of an empty file, and of one that could not be read.
UNKNOWN = 0
#: Hexadecimal digits of a checksum.
DIGITS = 16


def checksum(data: bytes) -> int:
    """Return the checksum of a file's contents."""
    return xxhash.xxh3_64_intdigest(data) if data else UNKNOWN


def checksum_of_pieces(pieces: Iterable[bytes]) -> int:
    """Return the checksum of contents that come in pieces.

    >>> checksum_of_pieces([b"ab", b"c"]) == checksum(b"abc")
    True
    """
    digest, size = xxhash.xxh3_64(), 0
    for piece in pieces:
        digest.update(piece)
        size += len(piece)
    return digest.intdigest() if size else UNKNOWN


def to_text(checksums: Iterable[int]) -> str:
    """Return checksums as hexadecimal digits, ``DIGITS`` for each.

    >>> to_text([1, 255])
    '000000000000000100000000000000ff'
    """
    return "".join(f"{value:016x}" for value in checksums)


def from_text(text: str) -> Checksums:
    """Return the checksums that :func:`to_text` has written.

    >>> from_text("000000000000000100000000000000ff").tolist()
    [1, 255]
    """
    return np.frombuffer(bytes.fromhex(text), ">u8").astype(np.uint64)


S = TypeVar("S")
T = TypeVar("T")

_THREADS_PER_CORE = 4  # Most of the time goes into waiting for a disk.
_PAUSES = (0.1, 0.5, 2.0)  # seconds before a file is tried again
_CHUNK = 64  # files that a thread takes at once


def checksum_images(source: Source, entries: Sequence[ImageEntry]) -> Checksums:
    """Return the checksum of each image file; ``UNKNOWN`` where it can't be read.

    Those that can only be read together with others are read in the order in which they lie, by
    this thread.
    """
    found: Checksums = np.full(len(entries), UNKNOWN, np.uint64)
    by_row = [number for number, entry in enumerate(entries) if entry.how == "row"]
    by_row.sort(key=lambda number: (entries[number].file, entries[number].offset))
    images = source.read_ahead([entries[number] for number in by_row])
    for number, (_, fetch) in zip(by_row, images, strict=True):
        with contextlib.suppress(OSError):
            found[number] = checksum(Retries().call(fetch, _PAUSES))
    others = [number for number, entry in enumerate(entries) if entry.how != "row"]
    found[others] = _checksums_of_files(source, [entries[number] for number in others])
    return found


def _checksums_of_files(source: Source, entries: Sequence[ImageEntry]) -> Checksums:
    """Return the checksums of images that are read one by one."""

    def checksum_of(entry: ImageEntry) -> int:
        def read() -> int:
            return checksum_of_pieces(source.read_in_pieces(entry))

        try:
            return Retries().call(read, _PAUSES)
        except OSError:
            return UNKNOWN

    return np.fromiter(_in_threads(checksum_of, entries), np.uint64, len(entries))


def find_identical(sizes: npt.NDArray[np.int64], checksums: Checksums) -> list[list[int]]:
    """Return the rows of files with the same bytes, in groups of at least two, in ascending order.

    >>> find_identical(np.array([3, 5, 3, 3]), np.array([7, 7, 7, 8], np.uint64))
    [[0, 2]]
    """
    known = np.flatnonzero(checksums != UNKNOWN)
    order = known[np.lexsort((known, sizes[known], checksums[known]))]
    differs = (np.diff(checksums[order]) != 0) | (np.diff(sizes[order]) != 0)
    starts = np.concatenate([[0], np.flatnonzero(differs) + 1])
    stops = np.append(starts[1:], len(order))
    large = stops - starts > 1  # Few, of what may be millions.
    return [
        order[start:stop].tolist()
        for start, stop in zip(starts[large].tolist(), stops[large].tolist(), strict=True)
    ]


def _in_threads(function: Callable[[S], T], items: Sequence[S]) -> Iterator[T]:
    chunks = [items[at : at + _CHUNK] for at in range(0, len(items), _CHUNK)]
    with ThreadPoolExecutor((os.cpu_count() or 1) * _THREADS_PER_CORE) as pool:
        for results in pool.map(lambda chunk: [function(item) for item in chunk], chunks):
            yield from results
