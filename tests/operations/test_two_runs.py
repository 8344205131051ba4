"""Two runs on one output without a lock between them."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import psutil
import pytest
from distributed import Client

import prep
from prep.errors import OutputConflict, ShardError
from prep.execution.writing import write_serially
from prep.images.decoders.process import configure_process
from prep.monitoring.counts import LiveCounts
from prep.monitoring.events import Callback, ImageRefused, ShardCommitted, WorkStarted
from prep.operations.outlook import require_none_refused
from prep.operations.publish import publish
from prep.output import lease
from prep.output.committed import Receipts
from prep.output.journal import Journal
from prep.output.lease import Lease, leased
from prep.output.receipt import ShardReceipt, total_receipts
from prep.output.report.making import Effort
from prep.shards.writer import RunRef, write_shard
from prep.storage.locate import locate, read_file
from prep.storage.location import Stamp
from tests.support.callbacks import Recorder
from tests.support.clusters import PREP, contents, wait_until
from tests.support.gates import Gate
from tests.support.pictures import jpeg, picture, write_tree

SHARDS = 6


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with images, of which one is there twice, far apart, and one is none."""
    root = write_tree(tmp_path / "source", {"train": {"cat": 12, "dog": 10}})
    (root / "train/dog/copy.jpg").write_bytes((root / "train/cat/0000.jpg").read_bytes())
    (root / "train/dog/none.jpg").write_bytes(b"\xff\xd8 no image")
    return tmp_path


def config(home: Path, output: str = "out", **more: Any) -> prep.Config:
    values = {"size": 32, "images_per_shard": 4, **more}
    return prep.Config(source=str(home / "source"), output=str(home / output), **values)


class Thief(Callback):
    """Takes receipts away when all shards of a run are written."""

    def __init__(self, receipts: Path, counts: list[int]) -> None:
        self._receipts = receipts
        self._counts = counts

    def progress(self, event: LiveCounts) -> None:
        if not event.verdict.ended:
            return
        for path in sorted(self._receipts.glob("*/*.json"))[: self._counts.pop()]:
            path.unlink()


def run_with_thief(
    home: Path, client: Client, counts: list[int], *more: Callback
) -> prep.RunReport:
    thief = Thief(home / "out/.prep/receipts", counts)
    return prep.run(config(home), client, callbacks=[thief, *more])


def test_shards_whose_receipts_are_gone_at_the_end_are_written_again(
    home: Path, client: Client
) -> None:
    expected = prep.run(config(home, "undisturbed"), client)
    told = Recorder()
    report = run_with_thief(home, client, [0, 4], told)
    for name in ("images", "shards", "splits", "classes", "duplicates", "refused", "mean"):
        assert getattr(report, name) == getattr(expected, name)
    assert report.resumed_shards == 0
    assert len({shard.path for shard in told.of(ShardCommitted)}) == SHARDS
    assert len(told.of(ShardCommitted)) == SHARDS  # Though four of them were committed twice.
    assert len(told.of(ImageRefused)) == 1
    assert len(list(home.glob("out/.prep/receipts/*/*.json"))) == SHARDS
    for name in ("duplicates.csv", "refused.csv", "mean_rgb.json", "train"):
        pattern = f"{name}*" if "." in name else f"{name}/*"
        assert contents(home / "out", pattern) == contents(home / "undisturbed", pattern)
    assert prep.verify(home / "out", client).clean


def test_a_run_whose_receipts_are_taken_again_and_again_does_not_end_well(
    home: Path, client: Client
) -> None:
    with pytest.raises(ShardError, match=r"2 shards in .*, or their receipts, keep") as caught:
        run_with_thief(home, client, [2] * 3)
    assert caught.value.exit_code == 1
    assert not (home / "out/report.json").exists()
    report = prep.run(config(home), client)
    assert report.images == {"planned": 24, "written": 23, "refused": 1}
    assert report.resumed_shards == SHARDS - 2


def test_a_finished_output_that_begins_anew_elsewhere_keeps_its_new_plan(
    home: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rerun of what is finished takes no lock, and so writes nothing that the plan depends on."""
    prep.run(config(home), client)
    journal, other = Journal(home / "out"), prep.plan(config(home, size=24))

    def overtaken(*args: Any) -> None:
        journal.clear(other)
        journal.begin(other)
        require_none_refused(*args)

    monkeypatch.setattr("prep.operations.running.carrying_out.require_none_refused", overtaken)
    prep.run(config(home), client)
    stored = journal.stored_plan()
    assert stored is not None
    assert stored.to_json() == other.to_json()
    assert journal.manifest.read().equals(other.manifest)


def test_what_a_finished_output_lacks_is_made_up_for(home: Path, client: Client) -> None:
    prep.run(config(home), client)
    names = ("label_map.json", ".prep/manifest.parquet", "mean_rgb.json")
    before = {name: (home / "out" / name).read_bytes() for name in names}
    for name in names:
        (home / "out" / name).unlink()
        assert prep.run(config(home), client).resumed_shards == SHARDS
        assert (home / "out" / name).read_bytes() == before[name]


class Written:
    """Shards of a plan, written here, in this process."""

    def __init__(self, home: Path) -> None:
        configure_process()
        self.plan = prep.plan(config(home))
        self.journal = Journal(home / "out")
        self.journal.begin(self.plan)
        self._count = 0

    def run(self) -> RunRef:
        self._count += 1
        digest = self.plan.fingerprint.digest
        return RunRef(output=self.journal.output, digest=digest, run=f"{self._count}")

    def receipts(self) -> list[ShardReceipt]:
        return self.journal.committed(self.plan)


@pytest.mark.parametrize(
    ("last", "absent"),
    [
        (
            "refused.csv",
            {
                *("duplicates.csv", "mean_rgb.json", "images.parquet", "dataset_info.json"),
                *("report.json", "report.html"),
            },
        ),
        ("mean_rgb.json", {"images.parquet", "dataset_info.json", "report.json", "report.html"}),
        ("images.parquet", {"dataset_info.json", "report.json", "report.html"}),
        ("report.html", set[str]()),
    ],
)
def test_who_loses_the_output_while_it_publishes_puts_nothing_more_there(
    last: str, absent: set[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = home / "out/report.html"
    monkeypatch.setattr("prep.operations.publish._update_page", lambda *_: page.write_bytes(b""))
    written = Written(home)
    write_serially(written.plan.shards, written.run())

    class Lost:
        """A lease, until a file is there."""

        def require(self, *, ask: bool) -> None:
            if ask and (home / "out" / last).exists():
                raise OutputConflict("another run has taken it over")

    written.journal._lease = cast(Lease, Lost())
    written.journal.is_locked = True
    effort = Effort(seconds=1.0, images=24, resumed_shards=0)
    with pytest.raises(OutputConflict, match="taken it over"):
        publish(written.plan, written.journal, written.receipts(), effort)
    names = {"refused.csv", "duplicates.csv", "mean_rgb.json", "images.parquet"}
    names |= {"dataset_info.json", "report.json", "report.html"}
    assert names - set(contents(home / "out", "*.*")) == absent


def test_what_workers_tell_is_what_receipts_say(home: Path) -> None:
    written = Written(home)
    told = write_serially(written.plan.shards, written.run())
    assert told == total_receipts(written.receipts())


@pytest.fixture
def unread(home: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Written, Callable[[], None]]:
    """Shards for which an image could not be read, and what makes it readable."""
    forbidden = {"cat/0003.jpg"}

    def read(path: bytes, expected: Stamp | None = None) -> bytes:
        if any(path.endswith(name.encode()) for name in forbidden):
            raise PermissionError(13, "Permission denied")
        return read_file(path, expected)

    monkeypatch.setattr("prep.sources.file_source.read_file", read)
    monkeypatch.setattr("prep.shards.reading._can_be_read", lambda *_: not forbidden)
    written = Written(home)
    write_serially(written.plan.shards, written.run())
    return written, forbidden.clear


def shard_with(written: Written, reason: str) -> tuple[Any, ShardReceipt]:
    """The shard of an image that was refused for this reason, and its receipt."""
    for shard, receipt in zip(written.plan.shards, written.receipts(), strict=True):
        if any(finding.reason == reason for finding in receipt.findings):
            return shard, receipt
    raise AssertionError(reason)


def test_a_receipt_stands_until_its_shard_is_replaced(
    unread: tuple[Written, Callable[[], None]],
) -> None:
    written, make_readable = unread
    shard, before = shard_with(written, "unreadable")
    assert write_shard(shard, written.run()) == before  # It is no better now.
    make_readable()

    class Observer:
        seen = 0

        def attempt_begun(self, tally: object) -> None: ...

        def image_done(self, class_name: str, image: bytes | None) -> None:
            assert written.receipts()[shard.index] == before
            self.seen += 1

    observer = Observer()
    after = write_shard(shard, written.run(), observer)
    assert observer.seen == shard.images
    assert sum(after.written.values()) == sum(before.written.values()) + 1
    assert written.receipts()[shard.index] == after
    assert write_shard(shard, written.run()) == after


@pytest.mark.parametrize("death", ["before the shard", "before the receipt"])
def test_no_receipt_vouches_for_a_shard_that_it_is_not_of(
    death: str, unread: tuple[Written, Callable[[], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the shard be as large by chance."""
    written, make_readable = unread
    shard, before = shard_with(written, "unreadable")
    make_readable()
    if death == "before the shard":
        monkeypatch.setattr("os.replace", killed)
    else:
        monkeypatch.setattr(Receipts, "commit", killed)
    with pytest.raises(Killed):
        write_shard(shard, written.run())
    monkeypatch.undo()
    assert before not in written.receipts()
    assert len(written.receipts()) == SHARDS - 1
    path = written.journal.layout.receipt(shard.split, shard.index)
    assert not path.exists()


class Killed(BaseException):
    """The process ends here."""


def killed(*_: object, **__: object) -> None:
    raise Killed


def test_a_late_twin_takes_no_receipt_away(
    unread: tuple[Written, Callable[[], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin begins before the same bytes are committed, and dies before its receipt."""
    written, make_readable = unread
    shard, _ = shard_with(written, "unreadable")
    make_readable()

    class Twin:
        def attempt_begun(self, tally: object) -> None:
            committed.append(write_shard(shard, written.run()))

        def image_done(self, class_name: str, image: bytes | None) -> None: ...

    committed: list[ShardReceipt] = []
    commit = Receipts.commit

    def once(receipts: Receipts, receipt: ShardReceipt) -> None:
        if committed:
            raise Killed
        commit(receipts, receipt)

    monkeypatch.setattr(Receipts, "commit", once)
    with pytest.raises(Killed):
        write_shard(shard, written.run(), Twin())
    assert written.receipts()[shard.index] == committed[0]


def test_a_run_that_dies_early_has_withdrawn_nothing(home: Path, client: Client) -> None:
    """Receipts are withdrawn one by one, as their shards are written again."""
    prep.run(config(home), client)
    before = contents(home / "out/.prep/receipts")
    gone = home / "out/train/train-00002-of-00006.tfrecord"
    gone.unlink()

    class Killer(Callback):
        def work_started(self, event: WorkStarted) -> None:
            raise Killed

    with pytest.raises(Killed):
        prep.run(config(home), client, callbacks=[Killer()])
    assert contents(home / "out/.prep/receipts") == before
    assert prep.run(config(home), client).resumed_shards == SHARDS - 1
    assert json.loads((home / "out/report.json").read_text())["shards"] == SHARDS


ROUNDS = 20
FATES = ("all are killed", "the client is killed", "the lease is lost")
IMAGES_PER_SHARD, SHARDS_OF_PHOTOS = 4, 21
FLAGS = ("--source", "source", "--output", "out", "--size", "256", "--images-per-shard", "4")


class Runs:
    """Runs on one output, in a folder whose filesystem has no locks; each in a session of its own.

    Args:
        home: a folder with ``source`` in it.
        library: that takes the locks away.
    """

    def __init__(self, home: Path, library: Path) -> None:
        self.home = home
        self.output = home / "out"
        faults = f"flock:{self.output}:{errno.ENOLCK}:1000000"
        self._environment = {"LD_PRELOAD": str(library), "FAULTY_IO": faults}
        self._logs = (home / f"{number}.log" for number in itertools.count())

    def start(self, *flags: str) -> Run:
        log = next(self._logs)
        with open(log, "wb") as file:
            process = psutil.Popen(
                [PREP, "run", *FLAGS, "--workers", "1", *flags],
                cwd=self.home,
                env={**os.environ, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        return Run(process, log)

    def receipts(self) -> int:
        return len(list(self.output.glob(".prep/receipts/*/*.json")))

    def shards(self) -> int:
        return len(list(self.output.glob("train/*.tfrecord")))

    def locks(self) -> list[Path]:
        return list(self.output.glob(".prep/lock-*"))


class Run:
    """One of them."""

    def __init__(self, process: psutil.Popen, log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def kill(self, *, group: bool) -> None:
        """Kills the command, and all its workers with it, or leaves these to find out."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL) if group else self.process.kill()
        self.process.wait(60)

    def wait(self) -> int:
        """Waits for all of it to end, and gives its exit code, once it is known to be true."""
        code: int = self.process.wait(120)
        wait_until(lambda: not self._session())
        said = self.said()
        assert code in (0, 1, 2, -signal.SIGKILL), said
        assert "Traceback" not in said
        if code == 0:
            assert "80 written, 1 refused, of 81 planned" in said
            assert "1 image with the same bytes as another" in said
        return code

    def _session(self) -> list[int]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
                if os.getsid(process.pid) == self.process.pid:
                    found.append(process.pid)
        return found


def photos(home: Path) -> None:
    """Images that take a while: no two have the same bytes, but for two of them; one is none."""
    folder = home / "source/train/cat"
    folder.mkdir(parents=True)
    drawn = [jpeg(picture(700, 800, seed)) for seed in range(4)]
    for number in range(79):
        comment = b"\xff\xfe\x00\x08" + f"{number:06d}".encode()
        data = drawn[number % 4]
        (folder / f"{number:03d}.jpg").write_bytes(data[:2] + comment + data[2:])
    shutil.copy(folder / "000.jpg", folder / "copy.jpg")
    (folder / "none.jpg").write_bytes(b"\xff\xd8 no image")


@pytest.fixture
def runs(tmp_path: Path, faulty_io: Path) -> Runs:
    photos(tmp_path)
    return Runs(tmp_path, faulty_io)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_without_locks_runs_that_are_killed_at_random_leave_nothing_wrong(
    runs: Runs, client: Client
) -> None:
    chance = random.Random(7)
    undisturbed = runs.start()
    assert undisturbed.wait() == 0
    expected = results(runs.output)
    for number in range(ROUNDS):
        disturb(runs.output, chance)
        clash(runs, chance, FATES[number % len(FATES)], killed=number % 2 == 0)
        chance.choice(list(runs.output.glob("train/*.tfrecord"))).unlink(missing_ok=True)
        last = runs.start()
        assert last.wait() == 0, (number, last.said())
        assert results(runs.output) == expected
        found = prep.verify(runs.output, client)
        assert found.clean, (number, found.problems)


def clash(runs: Runs, chance: random.Random, fate: str, *, killed: bool) -> None:
    """Two runs begin at once; something happens to the one that holds the output; a third comes.

    Args:
        fate: what happens.
        killed: whether the third one is killed, too.
    """
    there = runs.shards()
    more = chance.randrange(max(SHARDS_OF_PHOTOS - there, 1))
    with Gate(runs.home, first=IMAGES_PER_SHARD * more):
        first, second = runs.start(), runs.start()
        wait_until(lambda: first.ended or second.ended)
        holder, other = (second, first) if first.ended else (first, second)
        assert other.wait() == 2
        wait_until(lambda: runs.shards() >= there + more or holder.ended)
        if fate == "the lease is lost":  # As a file server might lose it: then both are at work.
            for path in runs.locks():
                path.unlink(missing_ok=True)
        else:
            holder.kill(group=fate == "all are killed")
    follower = runs.start(*chance.choice([(), ("--overwrite",)]))
    if killed:
        receipts = chance.randrange(SHARDS_OF_PHOTOS)
        wait_until(lambda: runs.receipts() >= receipts or follower.ended)
        time.sleep(chance.random())
        follower.kill(group=chance.random() < 0.5)
    assert holder.wait() != 0 or fate != "the lease is lost", holder.said()
    assert follower.wait() == 0 or killed, follower.said()


@pytest.mark.slow
def test_a_run_that_was_suspended_for_longer_than_its_lease_does_not_end_well(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Gate(runs.home, first=2 * IMAGES_PER_SHARD):
        run = runs.start()
        wait_until(lambda: runs.receipts() == 2)
        os.killpg(run.process.pid, signal.SIGSTOP)
    # As if on another machine: on the same one it would be seen to be there.
    monkeypatch.setattr(lease, "_machine", lambda: "elsewhere")
    with leased(locate(runs.output / ".prep"), 0.5):
        os.killpg(run.process.pid, signal.SIGCONT)
        assert run.wait() == 2
    assert f"another run has taken over {runs.output}" in " ".join(run.said().split())
    assert not (runs.output / "report.json").exists()
    assert runs.start().wait() == 0


def disturb(output: Path, chance: random.Random) -> None:
    """Remove an output, or some of its shards at random."""
    if chance.random() < 0.5:
        shutil.rmtree(output)
        return
    for path in output.glob("train/*.tfrecord"):
        if chance.random() < 0.7:
            path.unlink()


def results(output: Path) -> dict[str, Any]:
    """Return the results that a run reports, and its shards."""
    report = json.loads((output / "report.json").read_text())
    of_effort = ("seconds", "start_seconds", "images_per_second", "resumed_shards", "retries")
    return {
        "report": {name: value for name, value in report.items() if name not in of_effort},
        **contents(output, "*.csv"),
        **contents(output, "*/*.tfrecord"),
        **contents(output, "mean_rgb.json"),
    }
