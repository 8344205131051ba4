"""A sequence of record numbers over all epochs, and which host reads which of them."""

from __future__ import annotations

import copy
import operator
from collections.abc import Iterator
from typing import Self

import numpy as np
import numpy.typing as npt

from prep.errors import UsageError
from prep.text import shown
from prep.training.orders.draws import Ints

#: Positions whose records are computed together: an array operation has a cost of its own.
CHUNK = 1024


class RecordSequence:
    """One endless sequence of record numbers, of which each host reads its part.

    Positions count from 0 over all epochs and hosts. Host h of H reads those positions g for which
    g % H == h, so the numbers of records that hosts read differ by at most one. The position from
    which all hosts are to go on is the whole state: it holds for any number of hosts and workers.

    Attributes:
        size: positions of an epoch.
        hosts: how many hosts there are.
        host: the number of this one, from 0.
        start: position from which all hosts go on.
        epochs: epochs after which iteration ends; None if it never does.
    """

    size: int

    def __init__(self, *, hosts: int, host: int, start: int, epochs: int | None) -> None:
        self.hosts = at_least("hosts", hosts, 1)
        self.host = at_least("host", host, 0)
        self.start = at_least("start", start, 0)
        self.epochs = None if epochs is None else at_least("epochs", epochs, 0)
        if self.host >= self.hosts:
            raise UsageError(f"host: expected 0 to {self.hosts - 1}, found {self.host}")

    def at(self, positions: npt.ArrayLike) -> Ints:
        """Return the number of the record at each position, as an int64 array of its shape."""
        wanted = np.asarray(positions)
        if wanted.size and not np.issubdtype(wanted.dtype, np.integer):
            raise UsageError(f"positions: expected whole numbers, found {wanted.dtype}")
        wanted = wanted.astype(np.int64)
        if wanted.min(initial=0) < 0:
            raise UsageError(f"positions: expected none below 0, found {wanted.min()}")
        return self._at(wanted.ravel()).reshape(wanted.shape)

    def _at(self, positions: Ints) -> Ints:
        """Return the number of the record at each position; shape (n,)."""
        raise NotImplementedError

    @property
    def end(self) -> int | None:
        """The position at which iteration ends; None if it never does."""
        return None if self.epochs is None else self.epochs * self.size

    def positions(self, chunk: int = CHUNK) -> Iterator[Ints]:
        """Yield the positions that this host reads, as arrays of at most ``chunk`` of them."""
        first, end = first_of(self.start, self.hosts, self.host), self.end
        while end is None or first < end:
            stop = first + chunk * self.hosts
            yield np.arange(first, stop if end is None else min(stop, end), self.hosts)
            first = stop

    def __iter__(self) -> Iterator[int]:
        """Yield the numbers of the records that this host reads."""
        for positions in self.positions(min(CHUNK, self.size)):
            yield from self._at(positions).tolist()

    def __len__(self) -> int:
        """Return how many records this host has still to read."""
        if self.end is None:
            raise TypeError("an order without epochs has no length; give epochs=1, or more")
        return len(range(first_of(self.start, self.hosts, self.host), self.end, self.hosts))

    def after(self, records: int) -> Self:
        """Return the order from which to go on once each host has read so many records.

        Its ``start`` is the state to save: one integer.
        """
        return self.resumed(self.start + at_least("records", records, 0) * self.hosts)

    def resumed(self, start: int, *, hosts: int | None = None, host: int | None = None) -> Self:
        """Return the same sequence from a position on, for the same hosts or for others."""
        other = copy.copy(self)
        RecordSequence.__init__(
            other,
            hosts=self.hosts if hosts is None else hosts,
            host=self.host if host is None else host,
            start=start,
            epochs=self.epochs,
        )
        return other


def first_of(start: int, hosts: int, host: int) -> int:
    """Return the first position from ``start`` on that a host reads."""
    return start + (host - start) % hosts


def integer(name: str, number: int) -> int:
    """Return an argument as an integer of Python; raise UsageError if it is none."""
    try:
        return operator.index(number)
    except TypeError:
        raise UsageError(f"{name}: expected a whole number, found {shown(number)}") from None


def at_least(name: str, number: int, least: int) -> int:
    """Return an argument as an integer; raise UsageError if it is none, or too small."""
    value = integer(name, number)
    if value < least:
        raise UsageError(f"{name}: expected {least} or more, found {value}")
    return value
