"""The positions of an order that one host reads in one pass over a dataset."""

from __future__ import annotations

from dataclasses import dataclass

from prep.errors import UsageError
from prep.training.orders.sequence import first_of


@dataclass(frozen=True, slots=True, kw_only=True)
class HostShare:
    """The share of one host in the positions of all epochs.

    With ``epochs``, there is one pass, over all positions up to the end of the last epoch. Without,
    a pass ends with its epoch, and the next one begins with the next epoch.

    Attributes:
        size: positions of an epoch.
        hosts: how many hosts read at the same time.
        host: the number of this one, from 0.
        start: the position from which all hosts go on.
        epochs: the number of epochs; None for one each pass, without end.
        multiple: records of a full batch if each pass has full batches alone: then each host has as
            many of them as any other. None if every record is read.
    """

    size: int
    hosts: int = 1
    host: int = 0
    start: int = 0
    epochs: int | None = None
    multiple: int | None = None

    def __post_init__(self) -> None:
        """Raise UsageError if it starts after the last epoch."""
        if self.epochs is not None and self.start > self.epochs * self.size:
            raise UsageError(
                f"start: expected at most {self.epochs * self.size}, where the last epoch ends, "
                f"found {self.start}"
            )

    def positions(self, number: int = 0) -> range:
        """Return the positions of a pass, from 0.

        >>> share = HostShare(size=5, hosts=2, host=1)
        >>> list(share.positions()), list(share.positions(1))
        ([1, 3], [6, 8])
        >>> list(HostShare(size=5, hosts=2, host=1, epochs=2).positions())
        [1, 3, 5, 7, 9]
        """
        if self.epochs is not None:
            return self._dealt(0, self.start, self.epochs * self.size)
        epoch = self.start // self.size + number
        first = epoch * self.size
        return self._dealt(first, first if number else self.start, first + self.size)

    def _dealt(self, origin: int, begin: int, end: int) -> range:
        """Return every so many positions, counted from ``origin``."""
        if self.multiple is not None:
            together = self.hosts * self.multiple
            end = begin + (end - begin) // together * together
        first = origin + first_of(begin - origin, self.hosts, self.host)
        return range(first, max(first, end), self.hosts)

    @property
    def length(self) -> int | None:
        """Number of records of each pass; None if the first has fewer than the others."""
        if self.epochs is None and self.start % self.size:
            return None
        return len(self.positions())
