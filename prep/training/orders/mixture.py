"""Several orders in fixed shares: ``prep.mix``."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from prep.errors import UsageError
from prep.text import shown
from prep.training.orders.draws import Ints
from prep.training.orders.order import Order
from prep.training.orders.permutation import key, permuted
from prep.training.orders.sequence import RecordSequence, integer

_MIXED = 64  # What keys of mixtures are made for: another number than those of ``draws``.
_FINEST = 10_000  # Shares are fractions of at most this denominator.


def mix(
    parts: Sequence[tuple[Order, float | Fraction]],
    *,
    seed: int = 0,
    hosts: int = 1,
    host: int = 0,
    start: int = 0,
    epochs: int | None = None,
) -> Mixture:
    """Return the order that reads several datasets in fixed shares, from one seed and state.

    Records are numbered through: those of the second dataset after those of the first, as in
    torch's ``ConcatDataset``. ``which`` gives the dataset and the record in it. Each dataset is
    read in its own order, from its beginning again whenever it ends. In each period of
    ``period`` positions, each has exactly its share::

        order = prep.mix([(prep.Order(photos), 0.75), (prep.Order(drawings), 0.25)], seed=1)

    Args:
        parts: an order of each dataset, and its share: a positive number. Only their ratios
            count. Orders say how a dataset is drawn; hosts and positions are those of the mixture.
        seed: any integer.
        hosts: how many hosts read at the same time.
        host: the number of this one, from 0.
        start: position from which all hosts go on.
        epochs: when iteration ends. An epoch has as many positions as there are records.

    Raises:
        UsageError: there is no part, a share is not positive, or an order is for one of several
            hosts, or does not begin at its beginning.
    """
    return Mixture(parts, seed=seed, hosts=hosts, host=host, start=start, epochs=epochs)


class Mixture(RecordSequence):
    """Several orders in fixed shares; see :func:`prep.mix`.

    Attributes:
        shares: the exact share of each dataset. They add up to 1.
        period: positions in which each dataset has exactly its share.
        records: how many records each dataset has.
    """

    def __init__(
        self,
        parts: Sequence[tuple[Order, float | Fraction]],
        *,
        seed: int = 0,
        hosts: int = 1,
        host: int = 0,
        start: int = 0,
        epochs: int | None = None,
    ) -> None:
        super().__init__(hosts=hosts, host=host, start=start, epochs=epochs)
        self.seed = integer("seed", seed)
        self._orders = tuple(order for order, _ in parts)
        for order in self._orders:
            if not isinstance(order, Order):
                raise UsageError(
                    f"mix: expected a prep.Order of each dataset, found {shown(order)}"
                )
        if any(order.hosts > 1 or order.start for order in self._orders):
            raise UsageError("mix: orders have hosts or a start; give these to prep.mix instead")
        self.shares = _exact([share for _, share in parts])
        self.period = math.lcm(*(share.denominator for share in self.shares))
        self.records = tuple(order.records for order in self._orders)
        self.size = sum(order.size for order in self._orders)
        self._offsets: Ints = np.concatenate([[0], np.cumsum(self.records)]).astype(np.int64)
        counts = [int(share * self.period) for share in self.shares]
        self._counts: Ints = np.array(counts, np.int64)
        self._ends: Ints = np.cumsum(self._counts)

    def __repr__(self) -> str:
        """Return the mixture as it was asked for, in short."""
        told = ", ".join(
            f"{share} of {records:,} records"
            for share, records in zip(self.shares, self.records, strict=True)
        )
        return f"Mixture({told}, seed={self.seed}, start={self.start})"

    def which(self, records: npt.ArrayLike) -> tuple[Ints, Ints]:
        """Return the number of the dataset, and that of the record in it, for each record."""
        found = np.asarray(records, np.int64)
        datasets = np.searchsorted(self._offsets, found, side="right") - 1
        return datasets, found - self._offsets[datasets]

    def _at(self, positions: Ints) -> Ints:
        wanted, places = np.divmod(positions, self.period)
        periods, rows = np.unique(wanted, return_inverse=True)
        turns = self._turns(periods)[rows, places]
        datasets = np.searchsorted(self._ends, turns, side="right")
        counts = self._counts[datasets]
        turns += wanted * counts - (self._ends[datasets] - counts)
        result = np.empty_like(turns)
        for number, order in enumerate(self._orders):
            here = datasets == number
            result[here] = order.at(turns[here]) + self._offsets[number]
        return result

    def _turns(self, periods: Ints) -> Ints:
        """Return whose turn it is at each place: shape (periods, ``period``).

        The turns of the first dataset are numbered first, then those of the second, and so on;
        those of one dataset follow each other.
        """
        size = self.period
        keys = key(self.seed, _MIXED, np.repeat(periods, size))
        drawn = permuted(np.tile(np.arange(size), periods.size), size, keys)
        datasets = np.searchsorted(self._ends, drawn, side="right").reshape(-1, size)
        turns = np.empty(datasets.shape, np.int64)
        sorted_places = np.argsort(datasets, axis=1, kind="stable")
        np.put_along_axis(turns, sorted_places, np.arange(size)[np.newaxis], axis=1)
        return turns


def _exact(shares: Sequence[float | Fraction]) -> tuple[Fraction, ...]:
    """Return shares that add up to 1, as fractions with a small common denominator."""
    if not shares:
        raise UsageError("mix: expected orders and their shares, found none")
    for share in shares:
        if not isinstance(share, numbers.Real) or not 0 < share < math.inf:
            raise UsageError(f"mix: expected a share above 0, found {shown(share)}")
    # 0.1 means a tenth, not the nearest number in base 2.
    exact = [
        Fraction(share if isinstance(share, numbers.Rational) else str(share)) for share in shares
    ]
    exact = [share / sum(exact) for share in exact]
    if math.lcm(*(share.denominator for share in exact)) <= _FINEST:
        return tuple(exact)
    counts = [max(1, round(share * _FINEST)) for share in exact]
    return tuple(Fraction(count, sum(counts)) for count in counts)
