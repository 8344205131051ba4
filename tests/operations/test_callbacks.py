"""Callbacks: the events of a run, and how callbacks stop it."""

from __future__ import annotations

import io
import json
import logging
import os
import queue
import sys
import threading
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from distributed import Client

import prep
from prep.errors import BadImageError, ConfigError, Interrupted, SourceError, UsageError
from prep.monitoring.counts import LiveCounts
from prep.monitoring.events import (
    ImageRefused,
    RunEnded,
    RunStarted,
    ShardCommitted,
    StageStarted,
    WorkStarted,
    emitting,
)
from prep.output.report.verdict import Verdict
from tests.support.callbacks import Recorder
from tests.support.clusters import contents
from tests.support.gates import Gate
from tests.support.pictures import write_tree

SHARDS = 4


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve images in two splits, one of them empty."""
    root = write_tree(
        tmp_path_factory.mktemp("callbacks"), {"train": {"cat": 5, "dog": 4}, "val": {"cat": 2}}
    )
    return write_tree(root, {"train": {"cat": {"empty.jpg": b""}}})


def config(source: Path, output: Path, **more: Any) -> prep.Config:
    return prep.Config(source=source, output=output, size=32, images_per_shard=4, **more)


class NotToBePickled(Recorder):
    def __reduce__(self) -> Any:
        raise AssertionError("a callback was to be sent to a worker")


@pytest.mark.parametrize("where", ["on a cluster", "here", "in the background"])
def test_events_of_a_run_come_in_order_in_one_thread_and_once(
    where: str, source: Path, tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = NotToBePickled()
    asked = config(source, tmp_path / "out")
    if where == "here":
        monkeypatch.setattr("prep.execution.clusters.session._kept", None)
        report = prep.run(asked, workers=1, callbacks=[told])
    elif where == "on a cluster":
        report = prep.run(asked, client, callbacks=[told])
    else:
        report = prep.start(asked, client, callbacks=[told]).result(60)

    kinds = [type(event) for event in told.events if type(event) is not StageStarted]
    assert kinds[:2] == [RunStarted, WorkStarted]
    assert kinds[-2:] == [LiveCounts, RunEnded]
    assert told.events[0] == StageStarted(doing=f"listing {source}")
    assert len(told.threads) == 1
    assert (told.threads == {threading.get_ident()}) is (where != "in the background")

    (started,) = told.of(RunStarted)
    assert (started.plan.images, len(started.plan.shards), started.resumed_shards) == (12, 4, 0)
    shards = {(shard.split, shard.index): shard for shard in told.of(ShardCommitted)}
    assert len(shards) == len(told.of(ShardCommitted)) == SHARDS
    for shard in shards.values():
        assert os.path.getsize(shard.path) == shard.bytes
    assert sum(shard.images for shard in shards.values()) == report.images["written"] == 11
    (refused,) = told.of(ImageRefused)
    assert (refused.path, refused.split, refused.class_name) == (
        "train/cat/empty.jpg",
        "train",
        "cat",
    )
    assert (refused.reason, refused.detail) == (
        report.refused[0]["reason"],
        report.refused[0]["detail"],
    )
    last = told.of(LiveCounts)[-1]
    assert (last.images, last.refused, last.shards) == (12, 1, SHARDS)
    assert last.verdict == report.verdict
    assert told.of(RunEnded) == [RunEnded(verdict=report.verdict, report=report)]


def test_shards_of_earlier_runs_are_counted_and_not_reported(
    source: Path, tmp_path: Path, client: Client
) -> None:
    asked = config(source, tmp_path / "out")
    prep.run(asked, client)
    complete, resumed = Recorder(), Recorder()
    report = prep.run(asked, client, callbacks=[complete])
    kinds = [type(event) for event in complete.events]
    assert kinds == [StageStarted, RunStarted, RunEnded]
    assert complete.events[1].complete
    assert complete.events[2] == RunEnded(verdict=report.verdict, report=report)

    next((tmp_path / "out/val").glob("*.tfrecord")).unlink()
    prep.run(asked, client, callbacks=[resumed])
    (started,) = resumed.of(RunStarted)
    assert (started.resumed_shards, started.complete) == (SHARDS - 1, False)
    assert [(shard.split, shard.index) for shard in resumed.of(ShardCommitted)] == [("val", 0)]
    assert resumed.of(ImageRefused) == []


class Stops(Recorder):
    """Raises an error at the first shard."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def shard_committed(self, event: ShardCommitted) -> None:
        self._keep(event)
        if len(self.of(ShardCommitted)) == 1:
            raise self.error


FAULT = (ZeroDivisionError("a fault of the callback"), ZeroDivisionError, "failed")
STOP = (prep.StopRun("enough"), Interrupted, "stopped")
CTRL_C = (KeyboardInterrupt(), Interrupted, "stopped")


@pytest.mark.parametrize(
    ("where", "error", "raised", "state"),
    [
        ("here", *FAULT),
        ("on a cluster", *STOP),
        pytest.param("on a cluster", *FAULT, marks=pytest.mark.slow),
        pytest.param("here", *STOP, marks=pytest.mark.slow),
        pytest.param("here", *CTRL_C, marks=pytest.mark.slow),
        pytest.param("on a cluster", *CTRL_C, marks=pytest.mark.slow),
    ],
)
def test_a_callback_stops_a_run_and_what_is_committed_stays(
    where: str,
    error: BaseException,
    raised: type[BaseException],
    state: str,
    tmp_path: Path,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("prep.execution.clusters.session._kept", None)
    source = write_tree(tmp_path / "source", {"train": {"cat": 24}})
    asked, stops, other = config(source, tmp_path / "out"), Stops(error), Recorder()
    how: dict[str, Any] = {"client": client} if where == "on a cluster" else {"workers": 1}
    gate = Gate(tmp_path, first=4, client=how.get("client"))
    with gate, pytest.raises(raised) as caught:
        prep.run(asked, callbacks=[stops, other], **how)
    for each in (stops, other):
        ended = each.events[-1]
        assert (ended.verdict.state, ended.error, ended.report) == (state, caught.value, None)
        assert len(each.of(RunEnded)) == 1

    committed = contents(tmp_path / "out", "*/*.tfrecord")
    assert 0 < len(committed) <= 2  # One of each worker.
    assert not list((tmp_path / "out").glob("**/*.partial"))
    assert {shard.path for shard in other.of(ShardCommitted)} == {
        str(tmp_path / "out" / name) for name in committed
    }
    if state == "stopped":
        why = f"{error}; " if str(error) else ""
        assert f"stopped: {why}{len(committed)} of 6 shards are committed" in str(caught.value)
        assert other.of(LiveCounts)[-1].images == 4 * len(committed)
    report = prep.run(asked, client)
    assert (report.resumed_shards, report.images["written"]) == (len(committed), 24)


def test_what_a_callback_fails_of_others_are_told_to_the_last_image(
    source: Path, tmp_path: Path, client: Client
) -> None:
    stops, other = Stops(OSError("disk full")), MagicMock(spec=prep.Callback)
    with Gate(tmp_path, first=4, client=client), pytest.raises(OSError, match="disk full"):
        prep.run(config(source, tmp_path / "out"), client, callbacks=[stops, other])
    told = [call.args[0] for call in other.shard_committed.call_args_list]
    committed = contents(tmp_path / "out", "*/*.tfrecord")
    assert {shard.path for shard in told} == {str(tmp_path / "out" / name) for name in committed}
    refused = [call.args[0].path for call in other.image_refused.call_args_list]
    assert len(refused) == sum(shard.refused for shard in told)
    assert other.run_ended.call_count == 1


def test_a_callback_can_cancel_its_run_and_can_not_wait_for_it(
    source: Path, tmp_path: Path, client: Client
) -> None:
    handles: queue.SimpleQueue[prep.RunHandle] = queue.SimpleQueue()
    seen: list[str] = []

    class Cancels(prep.Callback):
        def run_started(self, event: RunStarted) -> None:
            handle = handles.get()
            handle.cancel()
            with pytest.raises(UsageError, match="called by a callback of this run"):
                handle.result()
            seen.append(handle.state)

    handle = prep.start(config(source, tmp_path / "out"), client, callbacks=[Cancels()])
    handles.put(handle)
    with pytest.raises(Interrupted, match=r"^stopped: 0 of 4 shards"):
        handle.result(60)
    assert (seen, handle.state) == (["starting"], "stopped")


def test_a_callback_that_fails_is_left_alone_until_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Fails(Recorder):
        def stage_started(self, event: StageStarted) -> None:
            self._keep(event)
            error = ValueError("first")
            error.report = "of its own"  # type: ignore[attr-defined]
            raise error

        def run_ended(self, event: RunEnded) -> None:
            self._keep(event)
            raise ValueError("last")

    def fail(*callbacks: prep.Callback) -> None:
        with emitting(callbacks) as events:
            try:
                events.stage("one")
            finally:
                events.emit(LiveCounts())

    fails, other = Fails(), Recorder()
    with pytest.raises(ValueError, match="first") as caught:
        fail(fails, other)
    end = RunEnded(verdict=Verdict.of_error(caught.value), error=caught.value)
    assert fails.events == [StageStarted(doing="one"), end]
    assert other.events == [StageStarted(doing="one"), LiveCounts(), end]
    assert "a callback failed: ValueError: last" in caplog.text

    with pytest.raises(ValueError, match="last"), emitting([Fails()]) as events:
        events.end()


@pytest.mark.parametrize("given", [[Recorder], [print], Recorder(), None])
def test_what_is_no_callback_is_told_before_any_work(
    given: Any, source: Path, tmp_path: Path
) -> None:
    expected = pytest.raises(ConfigError, match=r"callbacks: got .*expected a list of objects")
    for call in (prep.run, prep.start):
        with expected:
            call(config(source, tmp_path / "out"), callbacks=given)
    assert not (tmp_path / "out").exists()
    for function in (prep.mean_rgb, prep.verify):
        with expected:
            function(source, callbacks=given)


def test_the_end_is_told_of_runs_that_fail_too(
    source: Path, tmp_path: Path, client: Client
) -> None:
    told = Recorder()
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError) as caught:
        prep.run(config(tmp_path / "empty", tmp_path / "out"), client, callbacks=[told])
    assert [type(event) for event in told.events] == [StageStarted, RunEnded]
    assert told.events[1].error is caught.value

    told = Recorder()
    with pytest.raises(BadImageError):
        prep.run(config(source, tmp_path / "out", on_bad_image="fail"), client, callbacks=[told])
    assert told.of(ImageRefused) == []  # Its shard is not committed.
    assert told.events[-1].verdict.state == "failed"

    told = Recorder()
    with pytest.raises(prep.PrepError) as refused:
        prep.run(config(source, tmp_path / "few", max_refused=0), client, callbacks=[told])
    ended = told.events[-1]
    assert ended.verdict.state == "too many refused"
    assert (ended.error, ended.report.images["refused"]) == (refused.value, 1)


def test_json_lines_to_a_file_a_stream_and_a_logger(
    source: Path, tmp_path: Path, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    path, stream = tmp_path / "events.jsonl", io.StringIO()
    path.write_text('{"event": "of an earlier run"}\n')
    logger = logging.getLogger("tests.events")
    with caplog.at_level(logging.INFO, logger="tests.events"):
        report = prep.run(
            config(source, tmp_path / "out"),
            client,
            callbacks=[prep.JsonLinesCallback(target) for target in (path, stream, logger)],
        )
    _, *events = [json.loads(line) for line in path.read_text().splitlines()]
    names = [event["event"] for event in events]
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == names
    logged = [record.message for record in caplog.records if record.name == logger.name]
    assert [json.loads(line)["event"] for line in logged] == names
    assert (names[0], names[-1]) == ("stage", "run_ended")
    assert names.count("shard_committed") == SHARDS
    by_name = {event["event"]: event for event in events}
    assert by_name["run_started"]["splits"] == {"train": 10, "val": 2}
    assert by_name["image_refused"]["path"] == "train/cat/empty.jpg"
    assert (by_name["progress"]["done"], by_name["progress"]["shards"]) == (12, SHARDS)
    assert by_name["run_ended"]["report"] == json.loads(json.dumps(report.to_json()))
    assert by_name["run_ended"]["error"] is None


def test_a_tqdm_bar_shows_runs_means_and_verifications(
    source: Path, tmp_path: Path, client: Client
) -> None:
    asked, shown = config(source, tmp_path / "out"), io.StringIO()
    bar = prep.TqdmCallback(file=shown, ascii=True)
    prep.run(asked, client, callbacks=[bar])
    prep.mean_rgb(source, client, callbacks=[bar])
    assert prep.verify(tmp_path / "out", client, callbacks=[bar]).clean
    drawn = shown.getvalue().replace("\r", "\n")
    assert "preparing: 100%|##########| 12/12 " in drawn
    assert "refused=1" in drawn
    assert "mean RGB: 100%|##########| 12/12 " in drawn
    assert "verifying: 100%|##########| 12/12 " in drawn


def test_a_tqdm_bar_without_tqdm_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ConfigError, match="pip install tqdm"):
        prep.TqdmCallback()
