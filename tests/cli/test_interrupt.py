"""Ctrl-C at a terminal, which reaches the command and all of its workers at once."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest
import tensorflow as tf
from distributed import Client

import prep
from prep.output.journal import Journal
from tests.support.clusters import Terminal, contents, run_prep, wait_until
from tests.support.gates import Gate
from tests.support.pictures import link_photos

CTRL_C = b"\x03"
IMAGES = 600
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r(?!\n)")
SIZE = 64
FLAGS = ["--source", "photos", "--output", "out", "--size", str(SIZE), "--workers", "2"]

WHERE = pytest.mark.parametrize("where", [[], ["--dashboard"]], ids=["here", "on a cluster"])


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with photos: one, under many names."""
    link_photos(tmp_path, IMAGES)
    return tmp_path


def receipts(home: Path) -> list[Path]:
    return list(home.glob("out/.prep/receipts/*/*.json"))


# Python runs this as it begins.
STALLED = """
import pathlib, sys, time
command = " ".join(sys.orig_argv)
if "prep.execution.local" in command or "multiprocessing.forkserver" in command:
    here = pathlib.Path(__file__)
    here.with_name("stalled").touch()
    while not here.with_name("pressed").exists():
        time.sleep(0.02)
"""

# A worker comes to this file, and no further.
HANGING = """
import os, sys, time
def open_or_hang(path, *arguments, open=os.open, **options):
    if os.fsencode(path).endswith(b"{name}"):
        time.sleep(3600)
    return open(path, *arguments, **options)
if "prep.execution.local" in sys.orig_argv:
    os.open = open_or_hang
"""


def last_line(terminal: Terminal) -> str:
    """The last that was printed, without control sequences and the terminal's echo of the key."""
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\^C|\r", "", terminal.shown).split("\n")
    return next(line for line in reversed(lines) if line.strip())


def assert_stopped(terminal: Terminal, home: Path, code: int = 130) -> None:
    """Assert what holds whenever Ctrl-C is pressed."""
    assert terminal.wait() == code
    assert last_line(terminal).startswith("prep: stopped")
    assert "Traceback" not in terminal.shown
    assert "distributed." not in terminal.shown  # as Dask's log lines begin, after the time
    wait_until(lambda: terminal.processes() == [])
    assert list(home.glob("out/**/*.partial")) == []


@WHERE
@pytest.mark.parametrize(
    "images_per_shard",
    [
        # Each worker is at its second shard.
        pytest.param(25, marks=pytest.mark.slow),
        # Two of the three are under way, and the third is still to begin.
        pytest.param(200, marks=pytest.mark.slow),
    ],
)
def test_a_stopped_run_leaves_nothing_unfinished_and_goes_on_when_run_again(
    images_per_shard: int, where: list[str], home: Path, client: Client
) -> None:
    flags = ["run", *FLAGS, *where, "--images-per-shard", str(images_per_shard)]
    with Gate(home, first=25), Terminal(*flags, cwd=home) as terminal:
        if images_per_shard < IMAGES / 10:
            wait_until(lambda: receipts(home))
        else:
            wait_until(lambda: re.search(r"[1-9]\d* of 600 images", terminal.shown))
        terminal.press(CTRL_C)
        assert_stopped(terminal, home)

    committed, planned = len(receipts(home)), IMAGES // images_per_shard
    assert committed < planned
    assert f"{committed} of {planned} shards are committed" in last_line(terminal)
    assert "run the same command again" in last_line(terminal)
    assert ("prep report shows what is there" in last_line(terminal)) == (committed > 0)
    assert_committed_shards_are_whole(home / "out", images_per_shard)
    before = contents(home / "out", "*/*.tfrecord")

    again = run_prep(*flags, cwd=home)
    assert again.returncode == 0, again.stderr
    undisturbed = prep.Config(
        source=str(home / "photos"),
        output=str(home / "undisturbed"),
        size=SIZE,
        images_per_shard=images_per_shard,
    )
    prep.run(undisturbed, client)
    after = contents(home / "out", "*/*.tfrecord")
    assert before.items() <= after.items()
    assert after == contents(home / "undisturbed", "*/*.tfrecord")


def assert_committed_shards_are_whole(output: Path, images_per_shard: int) -> None:
    journal = Journal(output)
    plan = journal.stored_plan()
    assert plan is not None
    for path in output.glob(".prep/receipts/train/*.json"):
        receipt = journal.receipts.of(plan.shards[int(path.stem)], plan.fingerprint.digest)
        assert receipt is not None
        dataset = tf.data.TFRecordDataset(str(output / receipt.file))
        assert sum(1 for _ in dataset) == images_per_shard


@pytest.mark.slow
@WHERE
def test_pressed_again_and_again_it_stops_and_goes_on_when_run_again(
    where: list[str], home: Path
) -> None:
    """The last presses may come as it is ending: then they end it as any program."""
    flags = ["run", *FLAGS, *where, "--images-per-shard", "25"]
    with Gate(home, first=25), Terminal(*flags, cwd=home) as terminal:
        wait_until(lambda: receipts(home))
        for times in range(1, 4):
            terminal.press(CTRL_C)
            wait_until(lambda t=times: terminal.shown.count("^C") >= t)  # The terminal shows it.
        assert terminal.wait() in (130, -signal.SIGINT)
        assert "Traceback" not in terminal.shown
        assert "distributed." not in terminal.shown
        wait_until(lambda: terminal.processes() == [])
        assert list(home.glob("out/**/*.partial")) == []
    done = run_prep(*flags, cwd=home)
    assert done.returncode == 0, done.stderr
    assert len(receipts(home)) == IMAGES // 25
    assert list(home.glob("out/**/*.partial")) == []


@pytest.mark.slow
@WHERE
@pytest.mark.parametrize(("signal_sent", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_from_elsewhere_stops_it_as_cleanly(
    signal_sent: signal.Signals, code: int, where: list[str], home: Path
) -> None:
    """As a batch system sends one to end a job."""
    flags = ["run", *FLAGS, *where, "--images-per-shard", "25"]
    with Gate(home, first=25), Terminal(*flags, cwd=home) as terminal:
        wait_until(lambda: receipts(home))
        terminal.process.send_signal(signal_sent)
        wait_until(lambda: "stopping …" in terminal.shown)  # At once: the process is still there.
        assert_stopped(terminal, home, code)
    # What was drawn in place is gone, but for where it had come to.
    after = CONTROL.sub("", terminal.shown[terminal.shown.rindex("\x1b[?25h") :])
    last = r"preparing: stopped at \d+% · [\d,]+ of 600 images · (\d+) of 24 shards\r?\n"
    assert re.search(last + r"prep: stopped: \1 of 24 shards", after)
    assert after.count("of 600 images") == 1


@pytest.mark.slow
@WHERE
def test_a_terminal_that_is_closed_stops_it_as_cleanly(where: list[str], home: Path) -> None:
    flags = ["run", *FLAGS, *where, "--images-per-shard", "25"]
    with Gate(home, first=25), Terminal(*flags, cwd=home) as terminal:
        wait_until(lambda: receipts(home))
        terminal.close()  # The kernel sends SIGHUP; what is printed from now on is an error.
        assert terminal.wait() == 129
        wait_until(lambda: terminal.processes() == [])
    assert list(home.glob("out/**/*.partial")) == []
    assert 0 < len(receipts(home)) <= 2  # One of each worker.
    again = run_prep(*flags, cwd=home)
    assert again.returncode == 0, again.stderr


@pytest.mark.parametrize(
    "where",
    [
        pytest.param([], id="here"),
        pytest.param(["--dashboard"], marks=pytest.mark.slow, id="on a cluster"),
    ],
)
def test_pressed_while_workers_start(where: list[str], home: Path) -> None:
    # The workers' processes are there, and load their libraries only once the key is pressed.
    (home / "sitecustomize.py").write_text(STALLED)
    with Terminal("run", *FLAGS, *where, cwd=home, PYTHONPATH=str(home)) as terminal:
        wait_until(lambda: (home / "stalled").exists() and "starting 2 workers" in terminal.shown)
        terminal.press(CTRL_C)
        wait_until(lambda: "^C" in terminal.shown)
        (home / "pressed").touch()
        assert_stopped(terminal, home)
    assert receipts(home) == []
    assert "run the same command again" in terminal.shown


@pytest.mark.slow
@pytest.mark.parametrize("file", ["lock", "plan.json"])  # Before the cluster starts, and after.
def test_pressed_before_a_shard_is_begun(home: Path, file: str) -> None:
    with Gate(home), Terminal("run", *FLAGS, cwd=home) as terminal:
        wait_until((home / "out/.prep" / file).exists)
        terminal.press(CTRL_C)
        assert_stopped(terminal, home)


@pytest.mark.slow
def test_a_mean_stops_as_cleanly(home: Path) -> None:
    (home / "sitecustomize.py").write_text(HANGING.format(name="/599.jpg"))
    command = ["mean", "-i", "photos", "-o", "mean.json"]
    with Terminal(*command, cwd=home, PYTHONPATH=str(home)) as terminal:
        wait_until(lambda: terminal.shown.count("of 600 images") > 1)
        terminal.press(CTRL_C)
        assert_stopped(terminal, home)
    assert not (home / "mean.json").exists()


@pytest.mark.slow
def test_a_verification_that_is_ended_stops_as_cleanly(home: Path) -> None:
    small = ["--source", "photos", "--output", "out", "--size", "16", "--images-per-shard", "2"]
    assert run_prep("run", *small, cwd=home).returncode == 0
    before = contents(home / "out")
    (home / "sitecustomize.py").write_text(HANGING.format(name="-00299-of-00300.tfrecord"))
    with Terminal("verify", "out", cwd=home, PYTHONPATH=str(home)) as terminal:
        wait_until(lambda: terminal.shown.count("of 600 images") > 1)
        terminal.process.terminate()
        assert_stopped(terminal, home, 143)
    assert contents(home / "out") == before
