"""Runs in the background, and the cluster that a session keeps for them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from distributed import Client

import prep
from prep.errors import ClusterError, ConfigError, Interrupted, OutputConflict, SourceError
from prep.execution.clusters import session
from prep.execution.clusters.choice import ClusterChoice
from prep.execution.worker import WorkerSetup
from prep.monitoring.counts import LiveCounts
from tests.support.clusters import contents, wait_until
from tests.support.gates import Gate
from tests.support.pictures import write_tree

SHARDS, PER_SHARD = 6, 4
IMAGES = SHARDS * PER_SHARD


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve small images in two splits, one of them broken."""
    root = tmp_path_factory.mktemp("handles") / "source"
    write_tree(root, {"train": {"cat": 5, "dog": 4}, "val": {"cat": 2}})
    return write_tree(root, {"train": {"cat": {"empty.jpg": b""}}})


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source of several shards for each worker."""
    return write_tree(tmp_path_factory.mktemp("long"), {"train": {"cat": IMAGES}})


@pytest.fixture
def no_session() -> Iterator[None]:
    """A test that begins and ends without a session's cluster."""
    prep.close_cluster()
    yield
    prep.close_cluster()


def config(source: Path, output: Path) -> prep.Config:
    return prep.Config(source=source, output=output, size=32, images_per_shard=PER_SHARD)


def scheduler_id(client: Client) -> str:
    identity: str = client.sync(client.scheduler.identity)["id"]
    return identity


def test_a_run_in_the_background_gives_what_a_run_gives(
    source: Path, tmp_path: Path, client: Client
) -> None:
    run = prep.start(config(source, tmp_path / "background"), client)
    report = run.result(60)
    assert (run.state, run.done) == ("done with refusals", True)
    assert run.verdict == report.verdict == run.counters().verdict
    expected = prep.run(config(source, tmp_path / "waiting"), client)
    assert report.images == expected.images == {"planned": 12, "written": 11, "refused": 1}
    shards = contents(tmp_path / "waiting", "*/*.tfrecord")
    assert contents(tmp_path / "background", "*/*.tfrecord") == shards

    counts = run.counters()
    assert (counts.planned, counts.images, counts.refused) == (12, 12, 1)
    assert counts.splits["train"].done == 10
    assert counts.reasons == {"empty": 1}
    assert counts.mean == report.mean
    assert "done with refusals · 12 of 12 images" in repr(run)
    assert run.result() is report
    run.cancel()  # Of what has ended, it changes nothing.
    assert run.state == "done with refusals"


def test_a_cancelled_run_keeps_committed_shards_and_goes_on_from_there(
    long: Path, tmp_path: Path, client: Client
) -> None:
    out = tmp_path / "out"
    with Gate(tmp_path, first=PER_SHARD, client=client):
        run = prep.start(config(long, out), client)
        with pytest.raises(TimeoutError, match="has not ended after"):
            run.result(0.01)
        wait_until(lambda: run.counters().shards)
        assert run.state == "running"
        run.cancel(60)

    assert (run.state, run.done) == ("stopped", True)
    with pytest.raises(Interrupted, match=r"\d+ of 6 shards are committed and stay"):
        run.result()
    before = contents(out, "*/*.tfrecord")
    assert 0 < len(before) <= 2  # One of each worker.
    assert run.counters().shards == len(before)
    assert run.counters().images == len(before) * PER_SHARD
    assert set(re.findall(r"(\d+) of 6 shards", repr(run))) == {f"{len(before)}"}
    assert list(out.glob("**/*.partial")) == []
    wait_until(lambda: not any(client.processing().values()))

    report = prep.start(config(long, out), client).result(60)
    assert report.images["written"] == IMAGES
    assert report.resumed_shards == len(before)
    assert before.items() <= contents(out, "*/*.tfrecord").items()


def test_cancelled_when_all_is_committed_it_ends_as_it_would_have(
    long: Path, tmp_path: Path, client: Client
) -> None:
    run = prep.start(config(long, tmp_path / "out"), client)
    wait_until(lambda: run.counters().shards == SHARDS)
    run.cancel(60)
    assert run.state == "done"
    assert run.result().images["planned"] == run.counters().images


@pytest.mark.slow
def test_cancelled_while_the_cluster_starts(source: Path, tmp_path: Path, no_session: None) -> None:
    with session._lock:  # So that it waits for its cluster.
        run = prep.start(config(source, tmp_path / "out"), workers=1)
        wait_until(lambda: "starting the cluster" in repr(run))
        with pytest.raises(TimeoutError, match="has not stopped after"):
            run.cancel(0.01)
        assert run.state == "starting"
    run.cancel(60)
    assert run.state == "stopped"
    with pytest.raises(Interrupted, match="0 of 4 shards"):
        run.result()
    with session.session_client():  # Which is there for the next.
        pass


def test_workers_keep_no_options_of_a_run_that_has_ended(
    source: Path, tmp_path: Path, client: Client
) -> None:
    def prepared() -> bool:
        names = client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.worker_plugins))
        return any(name.startswith(f"{WorkerSetup.kind}:{own.id}") for name in names)

    with Client(client.scheduler.address) as own:
        with Gate(tmp_path, client=own):
            run = prep.start(config(source, tmp_path / "out"), own)
            wait_until(prepared)
        run.result(60)
        wait_until(lambda: not prepared())


def test_what_can_be_told_at_once_is(source: Path, tmp_path: Path, client: Client) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        prep.start(config(tmp_path / "absent", tmp_path / "out"), client)
    with pytest.raises(ConfigError, match="but a client was given"):
        prep.start(config(source, tmp_path / "out"), client, workers=2)
    with pytest.raises(ConfigError, match="workers: got 0"):
        prep.start(config(source, tmp_path / "out"), workers=0)
    assert not (tmp_path / "out").exists()


def test_what_goes_wrong_later_is_told_and_shown(tmp_path: Path, client: Client) -> None:
    (tmp_path / "source").mkdir()
    run = prep.start(config(tmp_path / "source", tmp_path / "out"), client)
    with pytest.raises(SourceError, match="no images"):
        run.result(60)
    assert run.state == "failed"
    assert run.verdict == run.counters().verdict
    assert run.counters() == LiveCounts(verdict=run.verdict)
    assert "failed" in repr(run)
    assert "no images" in repr(run)
    html = run._repr_html_()
    assert '<span class="prep-bad">failed</span>' in html
    assert "no images" in html


def test_a_second_run_on_the_same_output_is_refused(
    long: Path, tmp_path: Path, client: Client
) -> None:
    with Gate(tmp_path, client=client):
        first = prep.start(config(long, tmp_path / "out"), client)
        wait_until(lambda: first.state == "running")
        second = prep.start(config(long, tmp_path / "out"), client)
        with pytest.raises(OutputConflict, match=f"another run is at work.*process {os.getpid()} "):
            second.result(60)
        assert (second.state, first.state) == ("failed", "running")
        first.cancel(60)


@pytest.mark.slow
def test_a_session_s_cluster_is_used_again(source: Path, tmp_path: Path, no_session: None) -> None:
    run = prep.start(config(source, tmp_path / "first"), workers=1)
    run.result(120)
    with session.session_client(ClusterChoice(workers=1)) as client:
        first = scheduler_id(client)
        with pytest.raises(ClusterError, match="a run is using it"):
            prep.close_cluster()
        with pytest.raises(ClusterError, match="not the one asked for"):
            prep.start(config(source, tmp_path / "other"), workers=2).result(60)
    prep.start(config(source, tmp_path / "second"), workers=1).result(60)
    # A run that waits uses it, too, and so does one that asks for nothing.
    prep.run(config(source, tmp_path / "third"))
    prep.start(config(source, tmp_path / "fourth")).result(60)
    with session.session_client() as client:
        assert scheduler_id(client) == first

        # One whose workers are gone is of no use.
        client.retire_workers()
        wait_until(lambda: not client.sync(client.scheduler.identity)["n_workers"])
    with session.session_client(ClusterChoice(workers=1)) as client:
        assert scheduler_id(client) != first
        (worker,) = client.run(os.getpid).values()
    prep.close_cluster()
    assert client.status == "closed"
    wait_until(lambda: not psutil.pid_exists(worker))


# As in a queue, while nobody has any work, or where hosts may be taken away.
GROWING = """
version: 1
module: dask.distributed
class: LocalCluster
adapt: {minimum: 0, maximum: 1}
kwargs: {threads_per_worker: 1, host: 127.0.0.1, dashboard_address: "127.0.0.1:0"}
"""


def test_a_session_s_cluster_without_workers_is_not_closed_under_a_run(
    tmp_path: Path, no_session: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cluster.yaml").write_text(GROWING)
    choice = ClusterChoice(file=tmp_path / "cluster.yaml")
    with session.session_client(choice) as client:
        for other in (choice, ClusterChoice()):
            with session.session_client(other) as second:
                assert second is client
        assert client.sync(client.scheduler.identity)["n_workers"] == 0

        # It may have been cut off for a while. The run at work will hear of it soon enough.
        monkeypatch.setattr(session._Kept, "identity", lambda _: None)
        with (
            pytest.raises(ClusterError, match=r"a run is using .* does not answer"),
            session.session_client(choice),
        ):
            pass
        assert client.status == "running"
        monkeypatch.undo()
    with session.session_client(choice) as later:
        assert later is client


@pytest.mark.slow
def test_another_number_of_workers_is_another_cluster(no_session: None) -> None:
    with session.session_client(ClusterChoice(workers=1)) as client:
        first = scheduler_id(client)
    with session.session_client(ClusterChoice(workers=2)) as client:
        assert scheduler_id(client) != first
        assert len(client.scheduler_info(n_workers=-1)["workers"]) == 2
        second = scheduler_id(client)
    with session.session_client() as client:
        assert scheduler_id(client) == second


SCRIPT = """
import sys, time, prep
if __name__ == "__main__":
    config = prep.Config(source=sys.argv[1], output=sys.argv[2], size=32, images_per_shard=4)
    run = prep.start(config, workers=1)
    while run.counters().shards < 1:
        time.sleep(0.05)
    kept = prep.execution.clusters.session._kept
    print(*kept.client.run(__import__("os").getpid).values(), flush=True)
"""


@pytest.mark.slow
def test_a_process_that_ends_stops_its_run_and_closes_the_cluster(
    long: Path, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(long), str(tmp_path / "out")]
    with Gate(tmp_path, first=PER_SHARD):
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    (worker,) = map(int, done.stdout.split())
    assert not psutil.pid_exists(worker)
    assert list(tmp_path.glob("out/**/*.partial")) == []
    receipts = list(tmp_path.glob("out/.prep/receipts/*/*.json"))
    assert len(receipts) == 1
