"""The graphs of tasks: a Dask Bag with a partition for each item, and its reduction.

Work is a chain of Bags. The next one is submitted before the last runs out of tasks, so that no
core waits, and scheduler and client never hold more than a few of them. Three facts of Dask shape
this (SCALING.md has figures):

- A Bag needs at least four tasks for each thread; the scheduler assigns smaller ones all at once
  instead of queueing them.
- A Bag and its reduction are submitted as one graph. Two would run every task twice, and the
  reduction alone would fuse the tasks into itself and hide them from the dashboard.
- ``Bag.reduction`` adds a task for every partition, which doubles the scheduler's work. So the
  tree of merges is built here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, TypeVar

import dask.bag as db
from dask.highlevelgraph import HighLevelGraph

T = TypeVar("T")
S = TypeVar("S")

_MERGE_AT_ONCE = 16


def bag_of(function: Callable[[S], T], items: Sequence[S], name: str) -> db.Bag:
    """Return a Bag with a partition for each item, and one task for each partition.

    ``from_sequence(items).map(function)`` has two tasks, which Dask fuses and then shows under the
    name of the first.

    Args:
        name: the first part of the tasks' keys.
    """
    graph: dict[Any, Any] = {
        (name, i): (_run_partition, function, item) for i, item in enumerate(items)
    }
    return db.Bag(graph, name, len(items))


def reduced(bag: db.Bag, merge: Callable[[Iterable[T]], T]) -> db.Bag:
    """Return a Bag with one item, to which ``merge`` has added up all items.

    ``Bag.reduction`` has one more task for each partition, which is as much again for the
    scheduler.
    """
    while True:
        name = f"{merge.__name__}-{bag.npartitions}-{bag.name}"
        starts = range(0, bag.npartitions, _MERGE_AT_ONCE)
        keys = bag.__dask_keys__()
        graph: dict[Any, Any] = {
            (name, i): (_merge_partitions, merge, keys[start : start + _MERGE_AT_ONCE])
            for i, start in enumerate(starts)
        }
        # A Bag is a collection, whatever Dask's own annotations say.
        layers = HighLevelGraph.from_collections(name, graph, [bag])  # type: ignore[list-item]
        bag = db.Bag(layers, name, len(starts))
        if bag.npartitions == 1:
            return bag


def _run_partition(function: Callable[[S], T], item: S) -> list[T]:
    return [function(item)]


def _merge_partitions(
    merge: Callable[[Iterable[T]], T], partitions: Sequence[Sequence[T]]
) -> list[T]:
    return [merge(chain.from_iterable(partitions))]
