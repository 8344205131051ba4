"""Which records are read, when, and by which rank: ``prep.torch.sampler``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sized
from typing import Any

import numpy as np
import torch.distributed
from torch.utils.data import Sampler

from prep.errors import UsageError
from prep.text import counted
from prep.training.orders.host_share import HostShare
from prep.training.orders.order import Order
from prep.training.orders.sequence import CHUNK, RecordSequence, at_least
from prep.training.pytorch.drawn import Drawn


def sampler(
    images: Sized | RecordSequence,
    *,
    seed: int = 0,
    shuffle: bool = True,
    ranks: int | None = None,
    rank: int | None = None,
    start: int = 0,
    full_batches: int | None = None,
) -> PositionSampler:
    """Return a sampler that reads every record once an epoch, on any number of ranks.

    Each iteration is an epoch in another order; ``set_epoch`` is not needed. No record is read
    twice to fill up an epoch. The state of a run is one integer, which holds for any number of
    ranks and workers: ``sampler.after(step + 1, batch)`` in the loop, or :func:`position` of the
    state of torchdata's ``StatefulDataLoader``. Go on from there with ``start``::

        train = prep.torch.dataset("shards", "train", crop=227, flip=True)
        loader = DataLoader(train, 128, sampler=prep.torch.sampler(train, seed=1), num_workers=2)

    Args:
        images: a dataset; or a :class:`prep.Order` or :func:`prep.mix` of one host, for weights,
            balanced classes, blocks and several datasets.
        seed: of the order. Another seed gives other orders.
        shuffle: False for the order of the shards.
        ranks: how many processes read at the same time; by default, those of torch.distributed.
        rank: the number of this one.
        start: position from which all ranks go on.
        full_batches: the size of a batch, if each epoch is to have full batches alone, and as many
            on each rank. Up to ``ranks * full_batches - 1`` records are left out at the end of an
            epoch: others each time. By default, ranks may differ by one record.

    Raises:
        UsageError: an argument is out of range, or does not go with another.
    """
    if not isinstance(images, RecordSequence):
        order: RecordSequence = Order(images, seed=seed, shuffle=shuffle, start=start)
    elif seed or not shuffle or start:
        raise UsageError("sampler: seed, shuffle and start are those of the order; give them to it")
    elif images.hosts > 1 or images.epochs is not None:
        raise UsageError("sampler: expected an order without hosts and epochs; give it ranks")
    else:
        order = images
    ranks, rank = _ranks(ranks, rank)
    return PositionSampler(order, ranks=ranks, rank=rank, full_batches=full_batches)


def _ranks(ranks: int | None, rank: int | None) -> tuple[int, int]:
    """Return how many ranks there are, and the number of this one."""
    known = torch.distributed.is_available() and torch.distributed.is_initialized()
    if ranks is None and rank is None:
        return (
            (torch.distributed.get_world_size(), torch.distributed.get_rank()) if known else (1, 0)
        )
    if ranks is None or rank is None:
        raise UsageError("sampler: expected ranks and rank; give both, or neither")
    ranks, rank = at_least("ranks", ranks, 1), at_least("rank", rank, 0)
    if rank >= ranks:
        raise UsageError(f"rank: expected 0 to {ranks - 1}, found {rank}")
    return ranks, rank


class PositionSampler(Sampler[int]):
    """The record numbers of one epoch after another; see :func:`sampler`.

    Attributes:
        order: the order of the records over all epochs.
        ranks: how many processes read at the same time.
        rank: the number of this one.
        full_batches: the size of batches if all are to be full; None if not.
        start: position from which the next iteration reads to the end of its epoch.
    """

    def __init__(
        self, order: RecordSequence, *, ranks: int, rank: int, full_batches: int | None
    ) -> None:
        self.order = order.resumed(order.start, hosts=ranks, host=rank)
        self.ranks, self.rank, self.full_batches = ranks, rank, full_batches
        if full_batches is not None:
            at_least("full_batches", full_batches, 1)
        self.start = self._begun = order.start

    def __repr__(self) -> str:
        """Return what is read, in short."""
        return (
            f"<PositionSampler: {counted(self.order.size, 'record')} an epoch, rank {self.rank} of "
            f"{self.ranks}, from position {self.start}>"
        )

    @property
    def epoch(self) -> int:
        """The number of the epoch that the next iteration reads."""
        return self.start // self.order.size

    def set_epoch(self, epoch: int) -> None:
        """Have the next iteration read this epoch, from its beginning unless it goes on in it."""
        if at_least("epoch", epoch, 0) != self.epoch:
            self.start = self._begun = epoch * self.order.size

    def after(self, batches: int, batch_size: int = 1) -> int:
        """Return the position from which all ranks go on after so many batches of an iteration.

        Args:
            batches: that this rank has read since the iteration in progress began; if there is
                none, since ``start``.
            batch_size: records of each, on each rank.
        """
        records = at_least("batches", batches, 0) * at_least("batch_size", batch_size, 1)
        end = (self._begun // self.order.size + 1) * self.order.size
        each = -(-(end - self._begun) // self.ranks)  # records of the rank that has most
        if self.full_batches:
            each = (end - self._begun) // (self.ranks * self.full_batches) * self.full_batches
        return end if records >= each else self._begun + records * self.ranks

    def __len__(self) -> int:
        """Return how many records the next iteration has on this rank."""
        return len(self._share().positions())

    def __iter__(self) -> PositionIterator:
        """Return an iterator over the rest of an epoch; the one after it begins with the next."""
        return PositionIterator(self)

    def _share(self) -> HostShare:
        return HostShare(
            size=self.order.size,
            hosts=self.ranks,
            host=self.rank,
            start=self.start,
            multiple=self.full_batches,
        )

    def taken(self) -> tuple[range, int, int]:
        """Return this rank's positions in the rest of an epoch, and where that begins and ends.

        The next iteration begins at its end.
        """
        begin, end = self.start, (self.epoch + 1) * self.order.size
        positions = self._share().positions()
        self._begun, self.start = begin, end
        return positions, begin, end


class PositionIterator(Iterator[int]):
    """The record numbers of an epoch, or of the rest of one.

    ``StatefulDataLoader`` saves and restores it. Its state is a position that all ranks go on from.
    It begins when its first number is asked for: loaders throw some iterators away before.
    """

    def __init__(self, sampler: PositionSampler) -> None:
        self._sampler = sampler
        self._begun = False
        self._positions, self._begin, self._end = range(0), 0, 0
        self._given = 0
        self._chunk: list[Drawn] = []

    def __next__(self) -> Drawn:
        """Return the next record number, with its position."""
        if not self._begun:
            self._start()
        if self._given >= len(self._positions):
            raise StopIteration
        place = self._given % CHUNK
        if place == 0:
            self._chunk = self._read(self._given)
        self._given += 1
        return self._chunk[place]

    def _start(self) -> None:
        """Take what is left of the sampler's epoch."""
        self._positions, self._begin, self._end = self._sampler.taken()
        self._begun, self._given = True, 0

    def _read(self, first: int) -> list[Drawn]:
        """Return the record numbers from one on, as many as are computed together."""
        positions = np.asarray(self._positions[first : first + CHUNK], np.int64)
        records = self._sampler.order.at(positions).tolist()
        return [*map(Drawn, records, positions.tolist())]

    def state_dict(self) -> dict[str, Any]:
        """Return the position from which all ranks go on, and whether this epoch is at its end."""
        if not self._begun:
            return {"position": self._sampler.start, "done": False}
        done = self._given >= len(self._positions)
        position = self._end if done else self._begin + self._given * self._sampler.ranks
        return {"position": position, "done": done}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a position; at the end of an epoch, give nothing more."""
        self._sampler.start = state["position"]
        self._begun, self._positions, self._given = state["done"], range(0), 0
        self._end = state["position"]


def position(state: Mapping[str, Any]) -> int:
    """Return the position in the state of a torchdata ``StatefulDataLoader``.

    With it, a run goes on with another number of ranks or workers, for which torchdata refuses its
    own state: ``prep.torch.sampler(images, start=prep.torch.position(loader.state_dict()))``.

    Raises:
        UsageError: the loader has no sampler of prep, or the state is not of its last batch.
    """
    found = [*_positions_in(state)]
    if len(found) != 1 or state.get("_steps_since_snapshot"):
        raise UsageError(
            "position: expected the state of a StatefulDataLoader with a sampler of prep.torch "
            "and snapshot_every_n_steps=1; found another one"
        )
    return found[0]


def _positions_in(state: Any) -> Iterator[int]:
    """Yield the positions that iterators have left in a state."""
    if isinstance(state, Mapping):
        if isinstance(state.get("position"), int) and "done" in state:
            yield state["position"]
        for value in state.values():
            yield from _positions_in(value)
