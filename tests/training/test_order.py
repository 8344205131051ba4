"""The order of records over all epochs, on all hosts."""

from __future__ import annotations

import itertools
import pickle
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import prep
from prep.errors import UsageError
from prep.training.orders.permutation import key, permuted
from tests.support.outputs import prepare
from tests.support.pages import run_below
from tests.support.pictures import write_tree

few = settings(max_examples=25, deadline=None)
seeds = st.integers(-(2**70), 2**70)
#: Arguments of orders that read each record once an epoch.
exact = st.fixed_dictionaries(
    {},
    optional={
        "block": st.integers(1, 50),
        "window": st.integers(1, 200),
        "lanes": st.integers(1, 9),
    },
)

# What orders were when they were first published: a run that is resumed needs the same.
GOLDEN = [2, 1, 7, 4, 5, 3, 8, 9, 6, 0, 2, 0, 9, 5, 3, 4, 6, 8, 7, 1]
GOLDEN_LARGE = [15402, 420949, 1197463]
GOLDEN_BLOCKED = [19, 14, 17, 10, 0, 11, 2, 5, 16, 15, 3, 4, 18, 12, 1, 13, 9, 6, 8, 7]


class Labelled:
    """A dataset as orders see it."""

    def __init__(self, labels: Any, shard_sizes: list[int]) -> None:
        self.labels = np.asarray(labels)
        self.shard_sizes = shard_sizes

    def __len__(self) -> int:
        return len(self.labels)


def epoch(order: prep.Order, number: int) -> list[int]:
    """The records of an epoch, on all hosts."""
    return order.at(np.arange(number * order.size, (number + 1) * order.size)).tolist()


@few
@given(
    n=st.integers(1, 700), seed=seeds, more=exact, epochs=st.tuples(*[st.integers(0, 10**9)] * 2)
)
def test_an_epoch_has_each_record_once_and_the_next_has_another_order(
    n: int, seed: int, more: dict[str, int], epochs: tuple[int, int]
) -> None:
    order = prep.Order(n, seed=seed, **more)
    orders = [epoch(order, number) for number in epochs]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(n))
    if n > 20 and epochs[0] != epochs[1] and more.get("window", n) > 4 * more.get("lanes", 8):
        assert orders[0] != orders[1]
        assert orders[0] != epoch(prep.Order(n, seed=seed + 1, **more), epochs[0])


@few
@given(
    n=st.integers(1, 300),
    more=exact,
    hosts=st.integers(1, 7),
    start=st.integers(0, 1000),
    epochs=st.integers(0, 3),
)
def test_hosts_share_the_sequence_and_differ_by_at_most_one_record(
    n: int, more: dict[str, int], hosts: int, start: int, epochs: int
) -> None:
    orders = [
        prep.Order(n, hosts=hosts, host=host, start=start, epochs=epochs, **more)
        for host in range(hosts)
    ]
    parts = [list(order) for order in orders]
    assert [len(part) for part in parts] == [len(order) for order in orders]
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    whole = orders[0].at(np.arange(start, max(start, n * epochs))).tolist()
    # Those whose turn it is first, first.
    turns = [parts[(start + turn) % hosts] for turn in range(hosts)]
    taken = [
        record for row in itertools.zip_longest(*turns) for record in row if record is not None
    ]
    assert taken == whole


@few
@given(
    n=st.integers(1, 200),
    more=exact,
    steps=st.lists(st.tuples(st.integers(1, 4), st.integers(0, 60)), min_size=1, max_size=3),
)
def test_one_integer_resumes_it_on_another_number_of_hosts(
    n: int, more: dict[str, int], steps: list[tuple[int, int]]
) -> None:
    state, taken = 0, []
    for hosts, count in steps:
        orders = [
            prep.Order(n, seed=5, hosts=hosts, host=host, start=state, **more)
            for host in range(hosts)
        ]
        turns = [orders[(state + turn) % hosts] for turn in range(hosts)]
        rows = zip(*(itertools.islice(order, count) for order in turns), strict=True)
        taken += [record for row in rows for record in row]
        state = orders[0].after(count).start
    assert taken == prep.Order(n, seed=5, **more).at(np.arange(state)).tolist()


def test_an_order_is_the_same_in_all_versions_and_processes() -> None:
    assert list(prep.Order(10, seed=1, epochs=2)) == GOLDEN
    assert prep.Order(1_281_167, seed=7).at([0, 1, 10**12]).tolist() == GOLDEN_LARGE
    blocked = prep.Order(20, block=4, window=16, lanes=2, epochs=1)
    assert list(pickle.loads(pickle.dumps(blocked))) == list(blocked) == GOLDEN_BLOCKED


def test_it_takes_no_memory_and_reaches_any_position() -> None:
    order = prep.Order(2**52, seed=3)
    found = order.at(np.arange(2**60, 2**60 + 1000))
    assert len(set(found.tolist())) == 1000
    assert found.min() >= 0
    assert found.max() < 2**52
    assert len(pickle.dumps(order)) < 1000


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_every_permutation_of_a_few_is_as_likely(n: int) -> None:
    rounds = 4000
    found = permuted(
        np.tile(np.arange(n), rounds), n, key(7, np.repeat(np.arange(rounds), n))
    ).reshape(rounds, n)
    counts = Counter(map(tuple, found.tolist()))
    assert set(counts) == set(itertools.permutations(range(n)))
    assert chi_squared(np.array([*counts.values()])) < 4.5


@pytest.mark.parametrize("n", [379, 4097, 100_003])
def test_records_stand_anywhere_and_next_to_any_other(n: int) -> None:
    rounds = 400_000 // n
    order = prep.Order(n, seed=11).at(np.arange(rounds * n)).reshape(rounds, n)
    places, parts = np.arange(n) * 16 // n, 16
    tables = np.zeros((parts, parts))
    np.add.at(tables, (np.tile(places, rounds), (order * 16 // n).ravel()), 1)
    expected = np.outer(np.bincount(places), np.bincount(places)) * rounds / n
    assert chi_squared(tables, expected) < 4.5
    steps = (order[:, 1:] - order[:, :-1]) % n
    counts = np.bincount(steps.ravel() * 16 // n, minlength=16)
    expected = np.bincount(places).astype(float)
    expected[0] -= 1  # No record follows itself.
    assert chi_squared(counts, expected / expected.sum() * counts.sum()) < 4.5


def chi_squared(counts: Any, expected: Any = None) -> float:
    """How many standard deviations Pearson's statistic is above what chance gives."""
    expected = counts.mean() if expected is None else expected
    freedom = np.size(counts) - 1
    return float((((counts - expected) ** 2 / expected).sum() - freedom) / (2 * freedom) ** 0.5)


def test_a_subset_is_read_alone_in_each_epoch() -> None:
    chosen = [3, 5, 8, 13, 21]
    order = prep.Order(30, subset=chosen, epochs=3)
    assert (order.size, len(order), order.records) == (5, 15, 30)
    assert [sorted(epoch(order, number)) for number in range(3)] == [chosen] * 3
    mask = np.isin(np.arange(30), chosen)
    assert list(prep.Order(30, subset=mask, epochs=3)) == list(order)
    assert list(prep.Order(30, subset=chosen[::-1], shuffle=False, epochs=1)) == chosen


def test_weights_say_how_often_a_record_is_read() -> None:
    weights = np.array([0, 1, 1, 2, 4, 0.5, 0.5, 0.5, 0.5, 0])
    order = prep.Order(10, seed=2, weights=weights)
    counts = np.zeros((200, 10))
    for number in range(200):
        counts[number] = np.bincount(epoch(order, number), minlength=10)
    # Never more than one away from the share, in any epoch, and on average it.
    assert (np.abs(counts - weights) < 1).all()
    assert np.abs(counts.mean(0) - weights).max() < 0.15
    # Those that are rounded up together differ from epoch to epoch.
    assert len({tuple(row) for row in counts}) == 6


def test_weights_are_of_the_records_also_in_a_subset() -> None:
    order = prep.Order(6, subset=[1, 3, 5], weights=[9, 1, 9, 0, 9, 2])
    assert Counter(epoch(order, 0)) == {1: 1, 5: 2}


def test_balance_reads_each_class_as_often_and_its_records_as_often_as_one_another() -> None:
    labels = np.repeat([4, 0, 7], [50, 7, 3])
    order = prep.Order(Labelled(labels, []), seed=1, balance="class", epochs=21)
    taken = np.array(list(order))
    assert Counter(labels[taken[:60]].tolist()) == {0: 20, 4: 20, 7: 20}
    for number, size in ((4, 50), (0, 7), (7, 3)):
        drawn = taken[labels[taken] == number]
        counts = np.array([*Counter(drawn.tolist()).values()])
        assert len(counts) == size
        assert counts.max() - counts.min() <= 1
        assert abs(len(drawn) - 420) <= 1
    one_hot = np.eye(8, dtype=np.int64)[labels]
    drawn = labels[list(prep.Order(60, seed=1, balance=one_hot, epochs=1))]
    assert Counter(drawn.tolist()) == {0: 20, 4: 20, 7: 20}


def test_blocks_are_read_together_and_each_lane_has_its_own() -> None:
    sizes = [100] * 32
    order = prep.Order(Labelled(np.zeros(3200), sizes), block="shard", window=800, lanes=4)
    for number in range(3):
        shards = np.array(epoch(order, number)).reshape(-1, 4) // 100
        for lane in shards.T:
            assert [len(set(window)) for window in lane.reshape(-1, 200)] == [2] * 4
        lanes = [set(lane) for lane in shards.T]
        assert sum(map(len, lanes)) == len(set.union(*lanes)) == 32
    # Two hosts read different shards; the blocks of an epoch are those of no other.
    hosts = [prep.Order(3200, block=100, lanes=4, hosts=2, host=host, epochs=1) for host in (0, 1)]
    read = [{record // 100 for record in order} for order in hosts]
    assert read[0] & read[1] == set()
    assert set(np.array(epoch(order, 0))[::4] // 100) != set(np.array(epoch(order, 1))[::4] // 100)


def test_blocks_of_a_subset_are_what_is_left_of_them() -> None:
    chosen = np.flatnonzero(np.arange(1000) % 250 < 10)
    order = prep.Order(1000, subset=chosen, block=[250, 250, 0, 500], window=10, lanes=1)
    taken = epoch(order, 0)
    assert sorted(taken) == chosen.tolist()
    assert [len({record // 250 for record in taken[at : at + 10]}) for at in (0, 10, 20, 30)] == [
        1
    ] * 4


def test_an_output_tells_orders_its_shards_and_classes(tmp_path: Path) -> None:
    source = write_tree(tmp_path / "source", {"train": {"cat": 7, "dog": 4}})
    prepare(prep.Config(source=source, output=tmp_path / "out", size=8, images_per_shard=4))
    images = prep.open(tmp_path / "out")
    assert images.shard_sizes == [3, 4, 4]
    assert images.subset(ids=[0, 1, 9, 10, 3]).shard_sizes == [2, 2, 1]
    order = prep.Order(images, block="shard", window=1, lanes=1, epochs=1)
    # A window of one record leaves each shard as it is.
    runs = [[*run] for _, run in itertools.groupby(order, lambda record: (record + 1) // 4)]
    assert sorted(runs) == [[0, 1, 2], [3, 4, 5, 6], [7, 8, 9, 10]]
    drawn = images.class_rows[list(prep.Order(images, balance="class", epochs=2))]
    assert Counter(drawn.tolist()) == {0: 11, 1: 11}


def test_orders_are_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = {"train": {"cat": 7, "dog": 4}, "val": {"dog": 3}}
    source = write_tree(tmp_path / "source", tree)
    prepare(prep.Config(source=source, output=tmp_path / "shards", size=8))
    monkeypatch.chdir(tmp_path)
    found = run_below("training.md", "Orders and resuming")
    assert found["order"].period == 4
    assert np.bincount(found["datasets"][:12]).tolist() == [9, 3]


@few
@given(
    shares=st.lists(st.sampled_from([0.1, 0.25, 0.5, 1, 2, 3.7]), min_size=1, max_size=4),
    period=st.integers(0, 50),
)
def test_each_dataset_has_exactly_its_share_of_a_period(shares: list[float], period: int) -> None:
    orders = [prep.Order(size, seed=size) for size in (5, 50, 7, 100)[: len(shares)]]
    order = prep.mix(list(zip(orders, shares, strict=True)), seed=4)
    assert order.period <= 10_000
    at = np.arange(period * order.period, (period + 1) * order.period)
    datasets, _ = order.which(order.at(at))
    counts = np.bincount(datasets, minlength=len(shares))
    assert counts.tolist() == [share * order.period for share in order.shares]
    assert np.allclose([float(share) for share in order.shares], np.array(shares) / sum(shares))


def test_a_mixture_reads_each_dataset_in_its_own_order() -> None:
    parts = [prep.Order(30, seed=1), prep.Order(100, seed=2, subset=range(10))]
    order = prep.mix([(parts[0], 0.75), (parts[1], 0.25)], seed=9, epochs=2)
    assert (order.size, order.records, len(order)) == (40, (30, 100), 80)
    datasets, records = order.which(list(order))
    assert records[datasets == 0].tolist() == parts[0].at(np.arange(60)).tolist()
    assert records[datasets == 1].tolist() == parts[1].at(np.arange(20)).tolist()
    # Of two hosts, none is left with one dataset.
    halves = prep.mix([(parts[0], 1), (parts[1], 1)], hosts=2, epochs=2)
    assert 10 <= halves.which(list(halves))[0].sum() <= 30
    resumed = order.resumed(33, hosts=3, host=1)
    assert list(resumed) == order.at(np.arange(34, 80, 3)).tolist()


def test_shares_may_be_of_numpy() -> None:
    order = prep.mix([(prep.Order(5), np.float32(0.1)), (prep.Order(5), np.int64(1))])
    assert order.shares == (Fraction(1, 11), Fraction(10, 11))


def test_shares_that_have_no_small_denominator_are_rounded() -> None:
    order = prep.mix([(prep.Order(5), 1 / 3), (prep.Order(5), 2**0.5), (prep.Order(5), 1e-9)])
    assert order.period <= 10_002
    assert order.shares[2] > 0
    assert float(order.shares[1]) == pytest.approx(2**0.5 / (2**0.5 + 1 / 3), abs=2e-4)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"records": 0}, "records: expected at least one, found 0"),
        ({"hosts": 0}, "hosts: expected 1 or more, found 0"),
        ({"hosts": 3, "host": 3}, "host: expected 0 to 2, found 3"),
        ({"start": -1}, "start: expected 0 or more, found -1"),
        ({"weights": [1, 2]}, "weights: expected one for each of 5 records, found 2 values"),
        (
            {"weights": [0.0] * 5},
            "weights: expected finite numbers of 0 or more, not all of them 0",
        ),
        ({"weights": [1, 1, 1, 1, np.nan]}, "weights: expected finite numbers"),
        ({"weights": [1] * 5, "balance": [0] * 5}, "weights and balance: do not go together"),
        ({"shuffle": False, "block": 2}, "shuffle=False and block: do not go together"),
        ({"balance": "class"}, "balance: 'class' needs a dataset with labels"),
        ({"balance": "size"}, "balance: expected 'class' or an array, found 'size'"),
        ({"balance": [0, 1]}, "balance: expected 5 labels, found 2"),
        ({"block": "shard"}, "block: 'shard' needs a dataset with shard_sizes"),
        ({"block": [2, 2]}, "block: expected sizes that add up to 5, found 4"),
        ({"block": [6, -1]}, "block: expected a list of whole numbers of 0 or more"),
        ({"block": 2.5}, "block: expected a whole number, found 2.5"),
        ({"weights": [1, 1, 0, 0, 0], "subset": [2, 3]}, "weights: expected finite numbers"),
        ({"balance": 3}, "balance: expected 5 labels, found 0"),
        ({"seed": None}, "seed: expected a whole number, found nothing"),
        ({"hosts": 2.0}, "hosts: expected a whole number, found 2.0"),
        ({"subset": []}, "subset: expected numbers of records, or a boolean for each; found none"),
        ({"subset": [0.0]}, "subset: expected numbers of records, or a boolean for each; found fl"),
        ({"subset": [0, 5]}, "subset: expected numbers from 0 to 4, found 5"),
        ({"subset": [1, 1]}, "subset: a record is named twice; for that, give weights"),
        ({"subset": [True, False]}, "subset: expected one for each of 5 records, found 2 values"),
    ],
)
def test_what_can_not_be_is_said(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        prep.Order(**{"records": 5, **arguments})
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_a_mixture_that_can_not_be_is_said() -> None:
    with pytest.raises(UsageError, match="mix: expected orders and their shares, found none"):
        prep.mix([])
    with pytest.raises(UsageError, match="mix: expected a share above 0, found 0"):
        prep.mix([(prep.Order(5), 0)])
    with pytest.raises(UsageError, match=r"mix: expected a prep.Order of each dataset, found \[1"):
        prep.mix([([1, 2], 1)])  # type: ignore[list-item]
    with pytest.raises(UsageError, match="orders have hosts or a start"):
        prep.mix([(prep.Order(5, hosts=2), 1)])
    with pytest.raises(TypeError, match="an order without epochs has no length"):
        len(prep.Order(5))
    with pytest.raises(UsageError, match="positions: expected none below 0, found -1"):
        prep.Order(5).at([-1])
    with pytest.raises(UsageError, match="positions: expected whole numbers, found float64"):
        prep.Order(5).at([1.5])
