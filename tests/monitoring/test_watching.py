"""Progress put together from heartbeats, without any worker."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prep.images.stats import ChannelStats
from prep.monitoring.counts import LiveCounts, Pace, RefusedName, SplitCounts
from prep.monitoring.heartbeat import totals_message
from prep.monitoring.runwatch import RunInfo, RunWatch, WorkerLook
from prep.monitoring.watches import Runs, worker_looks
from prep.output.receipt import ImageNote, Totals
from prep.output.report.history import BUSY, History, Measurement, Recorder, rates
from prep.output.report.verdict import Verdict

CLASSES = {"cat": 7, "dog": 5}
NOTHING = totals_message({}, CLASSES)


def info(**changes: Any) -> RunInfo:
    """Twelve images in five shards: four of train, of which the last is smaller, and one of val.

    So an output of an earlier version is cut up, which is continued.
    """
    values: dict[str, Any] = {
        "run": "r",
        "output": "/out",
        "page": "file:///out/report.html",
        "began": 1000.0,
        "elapsed": 2.0,
        "splits": {"train": 10, "val": 2},
        "images_per_shard": 3,
        "partition": "filled",
        "missing": [0, 1, 2, 3, 4],
        "classes": CLASSES,
        "before": NOTHING,
    }
    return RunInfo(**{**values, **changes})


def tally(images: int = 0, split: str = "train", **changes: Any) -> dict[str, Any]:
    """Return the tally of so many images: black ones of one pixel, all of them cats."""
    return {
        "images": images,
        "read": 100 * images,
        "written": 10 * images,
        "refused": {},
        "refused_in": {},
        "stats": {split: [images, images, 0, 0, 0, 0, 0, 0]},
        "classes": np.array([images, 0], np.uint32).tobytes(),
        "latest": [],
        **changes,
    }


def look(
    process: str = "p", cpu: float = 100.0, finished: Any = NOTHING, **active: Any
) -> WorkerLook:
    """A worker's last heartbeat; ``active`` by shard, ``train_0`` for ``train/0``."""
    runs = {
        "r": {"finished": finished, "active": {k.replace("_", "/"): v for k, v in active.items()}}
    }
    message = {"process": process, "host": "h", "pid": 1, "host_cpu": cpu / 2, "runs": runs}
    return WorkerLook(message, cpu)  # type: ignore[arg-type]


def test_a_shard_under_way_counts_by_what_its_worker_has_told() -> None:
    watch = RunWatch(info(), now=0)
    watch.shard_is(1, "running")
    counts = watch.look(1, [look(train_1=tally(2))])
    assert counts.splits == {
        "train": SplitCounts(planned=10, done=2),
        "val": SplitCounts(planned=2, done=0),
    }
    assert (counts.images, counts.planned, counts.shards) == (2, 12, 0)
    assert (counts.bytes_read, counts.bytes_written) == (200, 20)
    assert counts.shard_states["running"] == 1
    assert counts.seconds == 3.0  # Two of them before anybody watched.
    assert watch.classes_done.tolist() == [2, 0]


def test_a_committed_shard_counts_whole_whatever_its_worker_has_told() -> None:
    watch = RunWatch(info(), now=0)
    watch.shard_is(3, "committed")  # The last of train, of one image.
    watch.shard_is(0, "committed")
    counts = watch.look(1, [look(train_0=tally(2))])
    assert counts.splits["train"].done == 4
    assert counts.shards == 2


def test_what_a_worker_had_begun_is_lost_with_it_and_what_it_had_finished_is_not() -> None:
    watch = RunWatch(info(), now=0)
    watch.shard_is(0, "committed")
    before = watch.look(1, [look(finished=tally(3), train_1=tally(2))])
    after = watch.look(2, [])
    assert (before.images, after.images) == (5, 3)
    assert (before.bytes_read, after.bytes_read) == (500, 300)


def test_a_shard_that_two_workers_are_at_counts_once() -> None:
    watch = RunWatch(info(), now=0)
    counts = watch.look(1, [look("p", train_0=tally(1)), look("q", train_0=tally(2))])
    assert counts.images == 2


def test_a_committed_shard_stays_that_when_its_result_is_lost() -> None:
    watch = RunWatch(info(), now=0)
    watch.shard_is(0, "committed")
    watch.shard_is(0, "waiting")
    watch.shard_is(0, "running")
    assert watch.look(1, []).shard_states["committed"] == 1


def test_nothing_is_under_way_in_a_run_that_was_stopped() -> None:
    watch = RunWatch(info(), now=0)
    watch.shard_is(0, "running")
    watch.shard_is(1, "failed")
    assert watch.look(1, [look(train_0=tally(2))]).images == 2
    watch.finish(Verdict("failed"), 1)
    assert watch.counts.images == 0
    watch.shard_is(2, "running")
    assert watch.counts.shard_states == {
        "waiting": 4,
        "running": 0,
        "committed": 0,
        "failed": 1,
        "resumed": 0,
    }


def test_the_rates_of_a_whole_run_are_those_of_its_work_alone() -> None:
    watch = RunWatch(info(elapsed=8.0), now=0)
    for task in range(len(info().missing)):
        watch.shard_is(task, "committed")
    watch.finish(Verdict("done"), 2)
    counts = watch.counts
    assert counts.seconds == 10
    assert counts.images_per_second == counts.images / 2


def test_tasks_are_those_of_the_missing_shards() -> None:
    watch = RunWatch(info(missing=[2, 4]), now=0)
    watch.shard_is(1, "committed")
    counts = watch.look(1, [])
    assert counts.shard_states == {
        "waiting": 1,
        "running": 0,
        "committed": 1,
        "failed": 0,
        "resumed": 3,
    }
    assert counts.splits["val"].done == 2
    assert counts.splits["train"].done == 3 + 3 + 1


STATS = ChannelStats(images=2, pixels=4, sums=(4, 8, 12), squares=(4, 16, 36))
REFUSED = tuple(ImageNote(path=f"{i}.jpg", reason="damaged", detail="half of it") for i in range(2))
TOTALS = {
    "train": Totals(
        shards=4, bytes=70, source_bytes=700, written={"cat": 5}, stats=STATS, findings=REFUSED
    ),
    "val": Totals(shards=1, bytes=7, source_bytes=70, written={"dog": 2}, stats=STATS),
}


def test_what_is_there_from_before_is_counted_from_the_start() -> None:
    watch = RunWatch(info(before=totals_message(TOTALS, CLASSES)), now=0)
    counts = watch.counts
    assert (counts.refused, counts.reasons) == (2, {"damaged": 2})
    assert (counts.bytes_read, counts.bytes_written) == (770, 77)
    assert counts.mean == {"R": 1.0, "G": 2.0, "B": 3.0}
    assert [image.path for image in counts.latest] == ["1.jpg", "0.jpg"]
    assert watch.classes_done.tolist() == [5, 2]


def test_the_end_sets_right_what_was_told_wrong() -> None:
    watch = RunWatch(info(), now=0)
    watch.look(1, [look(finished=tally(9, refused={"empty": 3}, refused_in={"train": 3}))])
    history = watch.finish(Verdict("done"), 5, totals_message(TOTALS, CLASSES))
    counts = watch.look(6, [look(finished=tally(50))])  # It is over.
    assert (counts.images, counts.shards, counts.seconds) == (12, 5, 7.0)
    assert (counts.bytes_read, counts.reasons) == (770, {"damaged": 2})
    assert [split.refused for split in counts.splits.values()] == [2, 0]
    assert counts.mean == {"R": 1.0, "G": 2.0, "B": 3.0}
    assert watch.classes_done.tolist() == [5, 2]
    assert history.images[-1] == 12
    assert history.began == 1000.0


def test_the_mean_is_that_of_the_train_split_or_of_everything() -> None:
    finished = tally(stats={"train": [1, 1, 9, 9, 9, 81, 81, 81], "val": [1, 1, 1, 1, 1, 1, 1, 1]})
    counts = RunWatch(info(), now=0).look(1, [look(finished=finished)])
    assert counts.mean == {"R": 9.0, "G": 9.0, "B": 9.0}
    finished["stats"] = {"a": finished["stats"]["train"], "b": finished["stats"]["val"]}
    counts = RunWatch(info(splits={"a": 10, "b": 2}), now=0).look(1, [look(finished=finished)])
    assert counts.mean == {"R": 5.0, "G": 5.0, "B": 5.0}


def test_names_of_refused_images_come_once_each_and_the_newest_first() -> None:
    watch = RunWatch(info(), now=0)
    told = [[f"{i}.jpg", "empty", ""] for i in range(5)]
    for last in range(1, 6):
        newest_first = told[:last][::-1]
        watch.look(last, [look("p", train_0=tally(latest=newest_first)), look("q", cpu=last)])
    counts = watch.look(9, [look("p", finished=tally(latest=told[::-1]))])
    assert counts.latest == tuple(
        RefusedName(path=f"{i}.jpg", reason="empty") for i in (4, 3, 2, 1, 0)
    )


def test_many_workers_with_many_names_do_not_push_each_other_out_for_ever() -> None:
    watch = RunWatch(info(), now=0)

    def heartbeat() -> list[WorkerLook]:
        return [
            look(f"p{w}", finished=tally(latest=[[f"{w}-{i}", "empty", ""] for i in range(5)]))
            for w in range(4)
        ]

    first = watch.look(1, heartbeat()).latest
    assert len(first) == 8
    assert watch.look(2, heartbeat()).latest == first


@given(st.lists(st.tuples(st.sampled_from("pq"), st.integers(0, 3)), max_size=12))
def test_heartbeats_replace_each_other(told: list[tuple[str, int]]) -> None:
    """Only the last of each worker counts, in whatever order they come."""
    watch = RunWatch(info(), now=0)
    last: dict[str, int] = {}
    for now, (process, images) in enumerate(told):
        last[process] = images
        looks = [look(p, finished=tally(n)) for p, n in last.items()]
        counts = watch.look(now, looks)
        assert counts.bytes_read == 100 * sum(last.values())


def test_the_info_survives_the_way_to_the_scheduler() -> None:
    given_info = info(before=totals_message(TOTALS, CLASSES))
    assert RunInfo.from_json(given_info.to_json()) == given_info


def test_counts_survive_the_way_back() -> None:
    watch = RunWatch(info(before=totals_message(TOTALS, CLASSES)), now=0)
    counts = watch.look(1, [look(train_0=tally(1))])
    assert LiveCounts.from_json(json.loads(json.dumps(counts.to_json()))) == counts


def test_a_run_that_ends_otherwise_than_its_shards_is_told_of_so() -> None:
    watch = RunWatch(info(), now=0)
    watch.finish(Verdict("done"), 5, totals_message(TOTALS, CLASSES))
    before = watch.counts
    history = watch.finish(Verdict("failed", "disk full"), 9)
    assert watch.counts == dataclasses.replace(before, verdict=Verdict("failed", "disk full"))
    assert str(history.verdict) == "failed: disk full"
    assert History.from_json(json.loads(json.dumps(history.to_json()))) == history


def test_a_client_that_goes_takes_its_runs_with_it() -> None:
    runs = Runs()
    for run, owner in (("a", "mine"), ("b", "other")):
        runs.begin(info(run=run), 0, owner)
    runs.abandon("mine", 1)
    assert [watch.info.run for watch in runs.running] == ["b"]
    assert runs["a"].verdict.state == "stopped"


def test_only_the_last_few_runs_are_remembered() -> None:
    runs = Runs()
    assert runs.current is None
    runs.begin(info(run="long"), 0)
    for number in range(12):
        runs.begin(info(run=str(number)), 0)
        runs[str(number)].finish(Verdict("done"), 1)
    assert runs.get("0") is None
    assert runs.running == [runs["long"]]
    assert runs.current is runs["long"]
    runs["long"].finish(Verdict("done"), 2)
    assert runs.current is runs["11"]


def test_workers_that_tell_nothing_are_left_out() -> None:
    metrics: list[Mapping[str, Any]] = [{"cpu": 3}, {"prep": None}, {"prep": {"a": 1}, "cpu": 5.0}]
    assert worker_looks(metrics) == [WorkerLook({"a": 1}, 5.0)]  # type: ignore[typeddict-item]


# Rates


def counts_at(images: int) -> LiveCounts:
    return LiveCounts(planned=1000, images=images, bytes_read=10 * images, bytes_written=images)


def test_the_clock_starts_with_the_first_image() -> None:
    pace = Pace()
    assert pace.add_rates(counts_at(100), 0).images_per_second is None  # From before.
    assert pace.add_rates(counts_at(100), 50).images_per_second is None
    pace.add_rates(counts_at(110), 51)
    counts = pace.add_rates(counts_at(130), 53)
    assert counts.images_per_second == pytest.approx(10)
    assert counts.read_per_second == pytest.approx(100)
    assert counts.written_per_second == pytest.approx(10)
    assert counts.seconds_left == pytest.approx(87)


def test_the_rate_is_that_of_late() -> None:
    pace = Pace()
    for second in range(100):
        pace.add_rates(counts_at(second), second)
    for second in range(100, 140):
        counts = pace.add_rates(counts_at(100 + 5 * (second - 100)), second)
    assert counts.images_per_second == pytest.approx(5, rel=0.01)


def test_no_rate_where_nothing_moves() -> None:
    pace = Pace()
    for second in range(60):
        counts = pace.add_rates(counts_at(min(second, 5)), second)
    assert counts.images_per_second is None
    assert counts.seconds_left is None


def test_rates_are_averaged_over_a_while() -> None:
    seconds = [float(second) for second in range(10)]
    steady = rates(seconds, [5 * second for second in seconds])
    assert steady.tolist() == [5.0] * 10
    jump = rates(seconds, [0.0] * 5 + [10.0] * 5)
    assert jump.tolist() == [0, 0, 0, 0, 5, 5, 0, 0, 0, 0]
    assert rates([], []).tolist() == []
    assert rates([3.0], [7.0]).tolist() == [0.0]
    assert (rates(seconds, [20.0 - second for second in seconds]) == 0).all()  # Set right.


# History


def sample(second: float, cpu: float = 100.0, workers: tuple[str, ...] = ("h:1",)) -> Measurement:
    return Measurement(
        seconds=second,
        images=int(second),
        bytes_read=0,
        bytes_written=0,
        workers=dict.fromkeys(workers, cpu),
        hosts={"h": cpu / 2},
    )


def test_a_history_is_columns_of_the_same_length() -> None:
    recorder = Recorder(1000.0)
    recorder.add(sample(0, workers=("h:1",)))
    recorder.add(sample(1, workers=("h:1", "h:2")))
    recorder.add(sample(2, workers=("h:2",), cpu=50))
    history = recorder.history(Verdict("done"))
    assert history.seconds == (0, 1, 2)
    assert history.workers == {"h:1": (100, 100, None), "h:2": (None, 100, 50)}
    assert history.busy == {"h:1": 1.0, "h:2": 0.5, "h": 0.0}
    assert History.from_json(json.loads(json.dumps(history.to_json()))) == history


def test_a_long_run_is_thinned_out_from_its_beginning_to_its_end() -> None:
    recorder = Recorder(0.0)
    for second in range(5000):
        recorder.add(sample(second, cpu=BUSY if second < 2500 else 0))
    history = recorder.history(Verdict("done"))
    assert 300 <= len(history.seconds) <= 600
    steps = np.diff(history.seconds)
    assert steps.min() == steps.max() == recorder.every
    assert history.seconds[0] == 0
    assert history.seconds[-1] >= 5000 - 2 * recorder.every
    assert history.busy["h:1"] == 0.5  # Of all samples, those too that were not kept.


GOOD = History(began=1.0, seconds=(0.0, 1.0), images=(0, 1)).to_json()


def test_a_sample_right_after_another_takes_its_place() -> None:
    recorder = Recorder(0.0)
    for second in (0, 1, 1.003):
        recorder.add(sample(second))
    assert recorder.history(Verdict("done")).seconds == (0, 1.0)
    assert len(recorder.samples) == 2


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {**GOOD, "workers": []},
        {**GOOD, "surprise": 1},
        {**GOOD, "seconds": ["0", "1"]},
        {**GOOD, "images": [None, 1]},
        {**GOOD, "hosts": {"h": ["busy"]}},
        {**GOOD, "verdict": {"state": "splendid", "reason": ""}},
    ],
)
def test_what_is_no_history_is_an_error(broken: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        History.from_json(broken)


def test_workers_beyond_a_number_are_not_sampled_one_by_one() -> None:
    watch = RunWatch(info(), now=0)
    many = [look(f"p{number}") for number in range(200)]
    for number, each in enumerate(many):
        each.message["pid"] = number
    watch.look(1, many)
    (only,) = watch.recorder.samples
    assert len(only.workers) == 64
    assert only.hosts == {"h": 50.0}


def test_counts_can_not_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        LiveCounts().images = 3  # type: ignore[misc]
