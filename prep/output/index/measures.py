"""The measures of records, which the receipt of a shard holds.

Records follow each other from the start of a shard, so their lengths tell where each one begins.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

#: Hexadecimal digits of the measures of one record: three numbers of 32 bits.
DIGITS = 24


class Measure(NamedTuple):
    """What is measured of a record.

    Attributes:
        length: bytes that it takes in its file, with its framing, before any compression.
        width, height: of its source image, upright, in pixels.
    """

    length: int
    width: int
    height: int


class Measures(NamedTuple):
    """The measures of the records of a shard, in order, int64 (records,) each; see ``Measure``."""

    lengths: npt.NDArray[np.int64]
    widths: npt.NDArray[np.int64]
    heights: npt.NDArray[np.int64]

    @property
    def offsets(self) -> npt.NDArray[np.int64]:
        """Where each record begins in the file, before any compression."""
        return np.cumsum(self.lengths) - self.lengths


def measures_to_text(measures: Iterable[Measure]) -> str:
    """Return measures as hexadecimal digits, ``DIGITS`` for each record.

    >>> measures_to_text([Measure(255, 16, 1)])
    '000000ff0000001000000001'
    """
    return np.array(list(measures), ">u4").tobytes().hex()


def measures_from_text(text: str) -> Measures:
    """Return the measures that :func:`measures_to_text` has written.

    >>> measures_from_text("000000ff0000001000000001" * 2).offsets.tolist()
    [0, 255]
    """
    found = np.frombuffer(bytes.fromhex(text), ">u4").astype(np.int64).reshape(-1, 3)
    return Measures(found[:, 0], found[:, 1], found[:, 2])


def sizes_from_text(text: str, records: int) -> list[tuple[int, int]]:
    """Return (width, height) of the source image of each record; zeros if not noted.

    >>> sizes_from_text("000000ff0000001000000001", 1), sizes_from_text("", 1)
    ([(16, 1)], [(0, 0)])
    """
    if not text:
        return [(0, 0)] * records
    found = measures_from_text(text)
    return list(zip(found.widths.tolist(), found.heights.tolist(), strict=True))
