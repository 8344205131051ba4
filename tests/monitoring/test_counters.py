"""Counters of a worker process, and their form in a heartbeat."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
from collections import Counter
from typing import Any

import msgpack
import numpy as np
import pytest

import prep
from prep.errors import RefusedImage, StoppedShard
from prep.images.processor import Processed
from prep.images.stats import ChannelStats
from prep.monitoring.counters import ProcessCounters, shard_key
from prep.planning.plan import RunPlan
from prep.planning.shards import ShardSpec
from prep.shards import tally as tally_module
from prep.shards.tally import NOTHING_READ, Read, Tally
from prep.sources.base import ImageEntry
from prep.storage.location import Stamp
from tests.support.pictures import write_tree

SHARD = ShardSpec(split="train", index=3, count=9, start=0, stop=100)
TALLY = tally_module.__file__
ONE = ChannelStats(images=1, pixels=4, sums=(4, 8, 12), squares=(4, 16, 36))


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> RunPlan:
    root = write_tree(tmp_path_factory.mktemp("photos"), {"train": {"cat": 1, "dog": 1}})
    return prep.plan(prep.Config(source=str(root), output=str(root / "out")))


def entry(name: str, class_name: str) -> ImageEntry:
    path = os.fsencode(name)
    return ImageEntry(path, class_name, Stamp(5, 0), path)


def fill(tally: Tally, images: int, class_name: str = "cat") -> Tally:
    for number in range(images):
        processed = Processed(b"123", ONE, width=2, height=2)
        tally.accept(entry(f"{number}.jpg", class_name), Read.of(b"12345"), processed)
        tally.add_record(number, class_name, processed, length=7)
        tally.file_bytes += 3
    return tally


def test_a_shard_counts_while_it_is_written_and_after_it(plan: RunPlan) -> None:
    counters = ProcessCounters()
    with counters.shard(SHARD, "run", plan) as counter:
        tally = Tally()
        counter.attempt_begun(tally)
        fill(tally, 2)
        tally.refuse(entry("x.jpg", "dog"), Read.of(b"1"), RefusedImage("damaged", "half of it"))
        told = counters.snapshot()["runs"]["run"]
        assert told["finished"]["read"] == 0
        (active,) = told["active"].items()
        assert active[0] == "train/3"
        assert active[1]["images"] == 3
        assert active[1]["read"] == 11
        assert active[1]["written"] == 6
        assert active[1]["refused"] == {"damaged": 1}
        assert active[1]["latest"] == [["x.jpg", "damaged", "half of it"]]
        assert np.frombuffer(active[1]["classes"], np.uint32).tolist() == [2, 0]
        assert counters.busy("run")
        tally.file_bytes = 1000
    told = counters.snapshot()["runs"]["run"]
    assert told["active"] == {}
    assert told["finished"]["written"] == 1000  # The file, with all that is around the images.
    assert told["finished"]["stats"] == {"train": [2, 8, 8, 16, 24, 8, 32, 72]}
    assert not counters.busy("run")
    assert counters.totals() == {
        "images": 2,
        "refused": 1,
        "read": 11,
        "written": 1000,
        "active": 0,
    }


def test_counts_only_grow_whenever_another_thread_looks(plan: RunPlan) -> None:
    """Another thread may look between any two lines of the one that counts."""
    counters = ProcessCounters()
    seen: list[Counter[str]] = []

    def look(*_: object) -> Any:
        seen.append(Counter(counters.totals()))
        return look

    with counters.shard(SHARD, "run", plan) as counter:
        counting, error = counter.tally, RefusedImage("damaged", "half of it")
        before = sys.gettrace()
        sys.settrace(lambda frame, *_: look if frame.f_code.co_filename == TALLY else None)
        try:
            fill(counting, 2)
            counting.refuse(entry("x.jpg", "dog"), Read.of(b"1"), error)
            fill(counting, 1)
        finally:
            sys.settrace(before)
    assert len(seen) > 20
    assert all(one <= other for one, other in itertools.pairwise(seen))
    assert (seen[-1]["images"], seen[-1]["refused"]) == (3, 1)


def test_a_shard_that_fails_counts_for_nothing(plan: RunPlan) -> None:
    counters = ProcessCounters()
    with contextlib.suppress(ZeroDivisionError), counters.shard(SHARD, "run", plan) as counter:
        fill(counter.tally, 5)
        raise ZeroDivisionError
    told = counters.snapshot()["runs"]["run"]
    assert (told["finished"]["read"], told["active"]) == (0, {})


def test_another_attempt_begins_with_nothing(plan: RunPlan) -> None:
    counters = ProcessCounters()
    with counters.shard(SHARD, "run", plan) as counter:
        counter.attempt_begun(fill(Tally(), 5))
        counter.attempt_begun(Tally())
        assert counters.snapshot()["runs"]["run"]["active"]["train/3"]["images"] == 0


def test_a_stopped_run_ends_at_its_next_image(plan: RunPlan) -> None:
    counters = ProcessCounters()
    with counters.shard(SHARD, "other", plan) as other, counters.shard(SHARD, "run", plan) as mine:
        counters.stop("run")
        other.image_done("cat", b"")
        with pytest.raises(StoppedShard, match="train/3"):
            mine.image_done("cat", b"")
    with counters.shard(SHARD, "run", plan) as late, pytest.raises(StoppedShard):
        late.image_done("cat", b"")


def test_a_crop_is_kept_only_if_somebody_asks(plan: RunPlan) -> None:
    counters = ProcessCounters()
    with counters.shard(SHARD, "run", plan) as counter:
        counter.image_done("cat", b"1")
        assert counters.spotlight.take() is None
        counter.image_done("cat", None)  # It was refused.
        counter.image_done("dog", b"2")
        counter.image_done("cat", b"3")
        crop = counters.spotlight.take()
        assert crop is not None
        assert (crop.split, crop.class_name, crop.image) == ("train", "dog", b"2")
        assert counters.spotlight.take() is None


def test_what_travels_does_not_grow_with_the_images(plan: RunPlan) -> None:
    sizes = []
    for images in (10, 10_000):
        counters = ProcessCounters()
        with counters.shard(SHARD, "run", plan) as counter:
            fill(counter.tally, images)
            for number in range(images):
                counter.tally.refuse(
                    entry(f"{number}", "cat"), NOTHING_READ, RefusedImage("empty", "")
                )
            sizes.append(len(msgpack.packb(counters.snapshot())))
    assert sizes[1] - sizes[0] < 100


def test_names_that_are_no_text_travel_all_the_same(plan: RunPlan) -> None:
    counters = ProcessCounters()
    odd = ShardSpec(split="caf\udce9", index=0, count=1, start=0, stop=1)
    with counters.shard(odd, "run", plan) as counter:
        counter.tally.refuse(
            entry("\udce9\n.jpg", "cat"), NOTHING_READ, RefusedImage("empty", "\udce9")
        )
        msgpack.packb(counters.snapshot())
    assert shard_key(odd).isprintable()
    assert msgpack.unpackb(msgpack.packb(counters.snapshot()))["process"] == counters.process


def test_only_the_last_few_runs_are_told_of(plan: RunPlan) -> None:
    counters = ProcessCounters()
    for number in range(20):
        with counters.shard(SHARD, str(number), plan):
            pass
    assert list(counters.snapshot()["runs"]) == [str(number) for number in range(12, 20)]


def test_totals_never_become_less(plan: RunPlan) -> None:
    counters = ProcessCounters()
    for number in range(20):
        with counters.shard(SHARD, str(number), plan) as counter:
            fill(counter.tally, 2)
    assert counters.totals()["images"] == 40
    with contextlib.suppress(ZeroDivisionError), counters.shard(SHARD, "x", plan) as counter:
        counter.attempt_begun(fill(Tally(), 3))
        counter.attempt_begun(Tally())
        assert counters.totals()["images"] == 43
        fill(counter.tally, 5)
        raise ZeroDivisionError
    assert counters.totals() == {
        "images": 48,
        "refused": 0,
        "read": 5 * 48,
        "written": 3 * 48,
        "active": 0,
    }


def test_a_run_under_way_is_told_of_however_many_come_after_it(plan: RunPlan) -> None:
    counters = ProcessCounters()
    with counters.shard(SHARD, "long", plan) as counter:
        fill(counter.tally, 3)
        for number in range(20):
            with counters.shard(SHARD, str(number), plan):
                pass
        assert counters.snapshot()["runs"]["long"]["active"]["train/3"]["images"] == 3


def test_a_host_s_processor_time_is_a_percentage() -> None:
    counters = ProcessCounters()
    for _ in range(3):
        assert 0 <= counters.snapshot()["host_cpu"] <= 100
