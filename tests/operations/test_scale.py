"""Runs of many shards: bounded numbers of tasks, and each task finished once.

The shards do nothing but say so, and Bags are small, so that there are many of them.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import logging
import os
import pickle
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from distributed import Client
from distributed.utils import nbytes

import prep
from prep.errors import BadImageError, ShardError, StorageUnavailable
from prep.execution import dask, writing
from prep.execution.dask import DaskExecutor
from prep.execution.executor import TaskEvent
from prep.execution.writing import write_counted, write_shards
from prep.images.stats import ChannelStats
from prep.monitoring.counts import ShardState
from prep.monitoring.events import WorkStarted
from prep.monitoring.heartbeat import task_of
from prep.output.journal import Journal
from prep.output.receipt import ShardReceipt, SplitTotals, total_receipts
from prep.output.report.checksums import to_text
from prep.planning.shards import ShardSpec, plan_shards
from prep.shards.tally import Tally
from prep.shards.writer import RunRef
from tests.support.clusters import wait_until
from tests.support.pictures import write_tree
from tests.support.storages import free_port

IMAGES = 1000
BAG = 20
SHARDS = 190  # Not a multiple: the last Bag is smaller.
CHECKSUMS = to_text(range(IMAGES))


@pytest.fixture(autouse=True)
def _small_bags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask, "_LEAST", BAG)


@pytest.fixture
def run(tmp_path: Path) -> RunRef:
    return RunRef(output=str(tmp_path), digest="0" * 64, run=os.urandom(16).hex())


def shards(number: int = SHARDS) -> tuple[ShardSpec, ...]:
    return plan_shards({"train": number * IMAGES}, IMAGES)


# What workers do


def note(shard: ShardSpec, run: RunRef) -> SplitTotals:
    """Notes that the shard was written, once more, in a file in the output."""
    with open(Path(run.output, f"{shard.index}"), "a") as file:
        file.write("x")
    return total_receipts([receipt_of(shard, run)])


def receipt_of(shard: ShardSpec, run: RunRef) -> ShardReceipt:
    return ShardReceipt(
        split=shard.split,
        index=shard.index,
        count=shard.count,
        fingerprint=run.digest,
        file=f"{shard.index}",
        bytes=1 << shard.index % 60,
        sha256="0" * 64,
        written={"cat": shard.images},
        source_bytes=1,
        checksums=CHECKSUMS,
        stats=ChannelStats(images=shard.images),
        findings=(),
        seconds=0.0,
        worker="",
    )


def note_slowly(shard: ShardSpec, run: RunRef) -> SplitTotals:
    time.sleep(0.02)
    return note(shard, run)


def note_and_wait(shard: ShardSpec, run: RunRef) -> SplitTotals:
    """Note some shards, and all others once that is allowed."""
    return note(shard, run) if shard.index <= 3 * BAG else note_once_allowed(shard, run)


def fail_sometimes(shard: ShardSpec, run: RunRef) -> SplitTotals:
    if shard.index % 50 == 3:
        raise OSError(f"no room for {shard.index}")
    return note(shard, run)


def find_no_answer(shard: ShardSpec, run: RunRef) -> SplitTotals:
    note_slowly(shard, run)
    raise OSError(errno.ETIMEDOUT, "no answer")


def note_once_allowed(shard: ShardSpec, run: RunRef) -> SplitTotals:
    wait_until(Path(run.output, "allowed").exists)
    return note(shard, run)


def refuse_an_image(shard: ShardSpec, run: RunRef) -> SplitTotals:
    if shard.index == 30:
        raise BadImageError("an image was refused")
    return note_slowly(shard, run)


def noted(run: RunRef) -> dict[int, int]:
    """Return how often each shard was written."""
    return {int(p.name): p.stat().st_size for p in Path(run.output).iterdir() if p.name.isdigit()}


@dataclass
class Watcher:
    """Notes what it is told, and looks at what the scheduler has meanwhile."""

    client: Client | None = None
    states: Counter[tuple[int, ShardState]] = field(default_factory=Counter)
    known: list[int] = field(default_factory=list)
    results: list[int] = field(default_factory=list)
    futures: list[int] = field(default_factory=list)

    def __call__(self, event: TaskEvent[Any]) -> None:
        task = event.task
        if task is None:
            return
        self.states[task, "failed" if event.error else "committed"] += 1
        if self.client is not None and task % 10 == 0:
            known, results = self.client.run_on_scheduler(_tasks)
            self.known.append(known)
            self.results.append(results)
            self.futures.append(len(self.client.futures))


def _tasks(dask_scheduler: Any) -> tuple[int, int]:
    """All tasks of runs, and those among them of which there is a result in memory."""
    tasks = [task for task in dask_scheduler.tasks.values() if "write_shard" in str(task.key)]
    return len(tasks), sum(task.state == "memory" for task in tasks)


def _priorities(dask_scheduler: Any) -> list[tuple[Any, int]]:
    tasks = ((task, task_of(task.key)) for task in dask_scheduler.tasks.values())
    return [(task.priority, named[1]) for task, named in tasks if named]


def test_of_many_shards_only_a_few_are_held_at_once_by_anyone(
    run: RunRef, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    send = client._send_to_scheduler

    def counting(message: dict[str, Any]) -> None:
        if message["op"] == "update-graph":
            sent.append(sum(map(nbytes, [message["expr_ser"].header, *message["expr_ser"].frames])))
        send(message)

    monkeypatch.setattr(client, "_send_to_scheduler", counting)
    watcher = Watcher(client)
    totals = write_shards(shards(), run, DaskExecutor(client), watcher, write=note)
    assert totals["train"].shards == SHARDS
    assert totals["train"].images == SHARDS * IMAGES
    assert totals["train"].bytes == sum(1 << i % 60 for i in range(SHARDS))
    assert noted(run) == dict.fromkeys(range(SHARDS), 1)
    assert watcher.states == Counter((i, "committed") for i in range(SHARDS))

    assert len(sent) == -(-SHARDS // BAG)
    assert max(sent) < 5_000 * BAG
    # Three Bags that are not settled, of which each has at most three tasks that add up; and what
    # the scheduler has not yet heard that it is let go of.
    assert max(watcher.futures) <= 3 * BAG + 5
    assert max(watcher.known) <= 5 * (BAG + 3)
    assert max(watcher.results) <= 3 * BAG
    wait_until(lambda: client.run_on_scheduler(_tasks) == (0, 0))
    assert not client.futures


def test_earlier_bags_have_priority(run: RunRef, client: Client) -> None:
    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(
            write_shards, shards(), run, DaskExecutor(client), write=note_once_allowed
        )
        wait_until(lambda: client.run_on_scheduler(_tasks)[0] >= 2 * BAG)
        waiting = client.run_on_scheduler(_priorities)
        Path(run.output, "allowed").touch()
        work.result(timeout=60)
    assert [task // BAG for _, task in sorted(waiting)] == [0] * BAG + [1] * BAG


def test_what_leaves_a_worker_is_what_adds_up(run: RunRef) -> None:
    """The checksums of 1,000 images are 16 kB, and on disk."""
    (shard,) = shards(1)
    assert len(pickle.dumps(receipt_of(shard, run))) > 16_000
    assert len(pickle.dumps(note(shard, run))) < 2_000


def test_a_worker_keeps_nothing_of_shards_that_are_written(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "photos", {"train": {"cat": 6}})
    plan = prep.plan(
        prep.Config(source=str(root), output=str(tmp_path / "shards"), images_per_shard=2)
    )
    journal = Journal(plan.config.output)
    journal.begin(plan)
    run = RunRef(output=journal.output, digest=plan.fingerprint.digest, run="run")
    first, *others = plan.shards
    write_counted(first, run)  # Loads what is loaded once.
    handlers = len(logging.getLogger("PIL").handlers)
    gc.collect()
    gc.disable()  # What is only freed by it piles up until it runs.
    try:
        for shard in others:
            assert write_counted(shard, run)["train"].images == 2
        left = [found for found in gc.get_objects() if isinstance(found, Tally)]
    finally:
        gc.enable()
    assert not left
    assert len(logging.getLogger("PIL").handlers) == handlers


def test_shards_that_fail_in_different_bags_are_named_and_all_others_are_written(
    run: RunRef, client: Client
) -> None:
    watcher = Watcher()
    with pytest.raises(ShardError, match=r"4 shards failed: train/3 \(no room for 3\)"):
        write_shards(shards(), run, DaskExecutor(client), watcher, write=fail_sometimes)
    failed = set(range(3, SHARDS, 50))
    assert noted(run) == dict.fromkeys(set(range(SHARDS)) - failed, 1)
    assert watcher.states == Counter(
        (i, "failed" if i in failed else "committed") for i in range(SHARDS)
    )
    wait_until(lambda: client.run_on_scheduler(_tasks) == (0, 0))


def test_a_run_ends_where_for_long_all_shards_fail(
    run: RunRef, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_PATIENCE", 0.0)
    with pytest.raises(StorageUnavailable, match=r"3 shards failed .*no answer.*run the same"):
        write_shards(shards(), run, DaskExecutor(client), write=find_no_answer)
    wait_until(lambda: client.run_on_scheduler(_tasks) == (0, 0))
    assert len(noted(run)) < SHARDS


def test_an_outage_is_one_only_if_all_fail_for_long() -> None:
    now = 0.0
    outage = writing.Outage(lambda: now)
    away = OSError(errno.ETIMEDOUT, "no answer")

    def fail(error: Exception, seconds: float) -> None:
        nonlocal now
        now += seconds
        outage.failed(error, threads=2)

    for error in (away, away, OSError(errno.ENOSPC, "full"), ValueError("its own")):
        fail(error, 1000.0)
    outage.committed()
    for seconds in (0.0, 300.0, 299.0):
        fail(away, seconds)
    with pytest.raises(StorageUnavailable, match=r"4 shards failed \(.*no answer\)"):
        fail(StorageUnavailable("no answer"), 1.0)
    outage.committed()
    waited = StorageUnavailable("no answer")
    waited.lasted = 240.0
    for seconds in (0.0, 0.0):
        fail(waited, seconds)
    with pytest.raises(StorageUnavailable, match="for 10 min, no shard"):
        fail(waited, 360.0)


def test_a_run_that_stops_begins_no_more_bags(run: RunRef, client: Client) -> None:
    with pytest.raises(BadImageError):
        write_shards(shards(), run, DaskExecutor(client), write=refuse_an_image)
    wait_until(lambda: client.run_on_scheduler(_tasks) == (0, 0))
    assert max(noted(run)) < 30 + 3 * BAG
    assert not client.futures


@pytest.mark.slow
def test_a_killed_worker_takes_with_it_what_was_not_added_up(run: RunRef) -> None:
    watcher = Watcher()
    with prep.cluster(workers=2) as own, ThreadPoolExecutor(1) as pool:
        victim = psutil.Process(next(iter(own.run(os.getpid).values())))
        work = pool.submit(
            write_shards, shards(), run, DaskExecutor(own), watcher, write=note_and_wait
        )
        wait_until(lambda: len(watcher.states) > 2 * BAG)
        victim.kill()
        assert not work.done()
        Path(run.output, "allowed").touch()
        totals = work.result(timeout=60)
    assert totals["train"].bytes == sum(1 << i % 60 for i in range(SHARDS))
    assert watcher.states == Counter((i, "committed") for i in range(SHARDS))
    # Again is written what was under way or not added up; a real shard finds that it is committed.
    again = [index for index, times in noted(run).items() if times > 1]
    assert 0 <= len(again) <= 3 * BAG


@pytest.mark.slow
def test_where_the_scheduler_is_gone_the_run_ends_and_says_what_is_missing(run: RunRef) -> None:
    watcher = Watcher()
    with scheduler_of_its_own() as (scheduler, address), ThreadPoolExecutor(1) as pool:
        own = Client(address, set_as_default=False)
        work = pool.submit(
            write_shards, shards(), run, DaskExecutor(own), watcher, write=note_and_wait
        )
        wait_until(lambda: len(watcher.states) > 2 * BAG)
        scheduler.kill()
        with pytest.raises(ShardError, match="scheduler has gone") as caught:
            work.result(timeout=120)
        own.close(timeout=1)
    committed = sum(state == "committed" for _, state in watcher.states)
    assert f"{SHARDS - committed} shards failed" in str(caught.value)


@contextlib.contextmanager
def scheduler_of_its_own() -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A scheduler in a process of its own, with one worker."""
    dask = [sys.executable, "-m", "dask"]
    options: dict[str, Any] = {
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
        "env": {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    }
    port = str(free_port())
    here = ["--host", "127.0.0.1", "--port", port, "--no-dashboard"]
    scheduler = subprocess.Popen([*dask, "scheduler", *here], **options)
    address = f"tcp://127.0.0.1:{port}"
    worker = subprocess.Popen(
        [*dask, "worker", address, "--no-nanny", "--nthreads", "1", "--death-timeout", "60"],
        **options,
    )
    try:
        yield scheduler, address
    finally:
        for process in (worker, scheduler):
            process.kill()
            process.wait()


def test_receipts_from_before_are_let_go_of_while_shards_are_written(tmp_path: Path) -> None:
    source = write_tree(tmp_path / "source", {"train": {"cat": 12}})
    config = prep.Config(source=str(source), output=str(tmp_path / "out"), images_per_shard=2)
    prep.run(config)
    (tmp_path / "out/.prep/receipts/train/00003.json").unlink()
    held = list[int]()

    class Count(prep.Callback):
        def work_started(self, event: WorkStarted) -> None:
            digest = prep.plan(config).fingerprint.digest
            gc.collect()
            found = [each for each in gc.get_objects() if isinstance(each, ShardReceipt)]
            held.append(sum(receipt.fingerprint == digest for receipt in found))

    assert prep.run(config, callbacks=[Count()]).resumed_shards == 5
    assert held == [0]
