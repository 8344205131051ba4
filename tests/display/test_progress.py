"""Progress of a run, at a terminal and in a log."""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from prep.display.callbacks import CommandEvents
from prep.display.progress import describe_shards
from prep.display.terminal import AsLines, AtTerminal
from prep.errors import Interrupted
from prep.monitoring.counts import LiveCounts
from prep.monitoring.events import Callback, WorkStarted, emitting
from tests.support.clusters import Terminal, run_prep, wait_until
from tests.support.gates import Gate
from tests.support.pictures import link_photos

IMAGES = 2000
RUN = ["run", "--source", "photos", "--workers", "1", "--dashboard"]
ONE_LONG_SHARD = ["--images-per-shard", "10000", "--size", "64"]
TEN_SHORT_SHARDS = ["--images-per-shard", "200", "--size", "64"]
# Colours, moves of the cursor, and links.
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\]8;[^\x1b]*\x1b\\")
COLOUR = re.compile(r"\x1b\[[0-9;]*(3[0-9]|4[0-9]|9[0-7])(;[0-9]+)*m")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos: one, under many names, and another that is broken."""
    root = tmp_path_factory.mktemp("progress")
    folder = link_photos(root, IMAGES - 1)
    (folder / "broken.jpg").write_bytes((folder / "0.jpg").read_bytes()[:1000])
    return root


@pytest.fixture(scope="module")
def shown(home: Path) -> str:
    """The screen, in all of its states, one after the other, of a run that writes one shard."""
    with (
        Gate(home) as gate,
        Terminal(*RUN, *ONE_LONG_SHARD, "--output", "seen", cwd=home) as terminal,
    ):
        for count in (500, 1000, 1500):
            gate.let(count)
            wait_until(lambda n=count: f"{n:,} of 2,000 images" in plain(terminal.shown))
        gate.open()
        assert terminal.wait() == 0
        wait_until(lambda: terminal.processes() == [])
        return terminal.shown


def plain(shown: str) -> str:
    return CONTROL.sub("", shown)


def test_it_moves_during_a_long_shard(shown: str) -> None:
    during, _, _ = plain(shown).partition("1 of 1 shard")
    during = during[during.index("0 of 2,000 images") :]
    counts = [int(n.replace(",", "")) for n in re.findall(r"([\d,]+) of 2,000 images", during)]
    assert counts == sorted(counts)
    assert {500, 1000, 1500} <= set(counts)


def test_it_shows_rates_and_the_time_left(shown: str) -> None:
    state = r"([\d,]+) of 2,000 images(?: \(1 refused\))? · (\d+)/s · [\d.]+ MB/s · (\d+) s left"
    states = re.findall(state, plain(shown))
    assert states
    for done, rate, left in states:
        # What is left at this rate; all three numbers are rounded.
        ahead = (IMAGES - int(done.replace(",", ""))) / int(rate)
        assert int(left) == pytest.approx(ahead, abs=0.5 + 0.1 * ahead)


def test_it_shows_shards_and_the_dashboard_s_address(shown: str) -> None:
    assert re.search(r"0 of 1 shard · dashboard http://127\.0\.0\.1:\d+/prep", plain(shown))


def test_it_tells_at_once_of_shards_that_could_not_be_written() -> None:
    work = WorkStarted(title="preparing", planned=90, dashboard="", shards=9)
    counts = LiveCounts(shards=4, shard_states={"committed": 4, "failed": 2, "waiting": 3})
    assert describe_shards(work, counts) == "4 of 9 shards, 2 failed"


@pytest.mark.parametrize("kind", [AsLines, AtTerminal])
def test_what_was_stopped_is_told_by_what_stays_of_it(kind: type[AsLines | AtTerminal]) -> None:
    """Shards are committed that nobody had told of when it was drawn last."""
    said = io.StringIO()
    _stop_halfway(kind("preparing", Console(file=said, width=100)))
    assert "stopped at 40% · 40 of 100 images (1 refused) · 4 of 10 shards" in said.getvalue()


def test_events_end_with_what_stays_of_what_was_stopped() -> None:
    said = io.StringIO()
    _stop_halfway(CommandEvents("preparing", said))
    last = json.loads(said.getvalue().splitlines()[-1])
    told = [last[key] for key in ("event", "done", "written", "refused", "shards")]
    assert told == ["progress", 40, 39, 1, 4]


def _stop_halfway(display: Callback) -> None:
    """Four shards are committed; two of them were seen to be, and a part of a fifth one."""
    with contextlib.suppress(KeyboardInterrupt), emitting([display]) as events:
        events.stage("listing")
        events.emit(WorkStarted(title="preparing", planned=100, shards=10))
        events.emit(LiveCounts(planned=100, images=27, refused=3, shards=2))
        events.emit(LiveCounts(planned=100, images=40, refused=1, shards=4))
        raise Interrupted("stopped: 4 of 10 shards are committed")


def test_the_display_gives_way_to_the_summary(shown: str) -> None:
    assert "\x1b[?25h" in shown  # The cursor, which was hidden, is back.
    after = plain(shown[shown.rindex("\x1b[?25h") :])
    assert "1,999 written, 1 refused, of 2,000 planned" in after
    assert "left" not in after


@pytest.fixture(scope="module")
def narrow(home: Path) -> str:
    """Another run at a narrow terminal without colour."""
    flags = [*TEN_SHORT_SHARDS, "--output", "narrow"]
    with Terminal(*RUN, *flags, cwd=home, columns=40, NO_COLOR="1") as terminal:
        assert terminal.wait() == 0
        wait_until(lambda: terminal.processes() == [])
        return terminal.shown


@pytest.mark.slow
def test_it_fits_a_narrow_terminal(narrow: str) -> None:
    lines = plain(narrow).replace("\r", "\n").split("\n")
    # The terminal breaks a sentence by itself: the verdict, and the refused images by name.
    drawn = [line for line in lines if " refused (" not in line and "broken.jpg" not in line]
    assert [line for line in drawn if len(line) > 40] == []
    text = " ".join(" ".join(lines).split())
    assert re.search(r"[1-9][\d,]* of 2,000 images", text)
    assert re.search(r"http://127\.0\.0\.1:\d+/prep", text)
    assert "1,999 written" in text


@pytest.mark.slow
def test_it_has_no_colour_where_none_is_wanted(shown: str, narrow: str) -> None:
    assert COLOUR.search(shown)
    assert not COLOUR.search(narrow)


def test_plain_lines_where_there_is_no_terminal(home: Path) -> None:
    process = run_prep(*RUN, *TEN_SHORT_SHARDS, "--output", "piped", cwd=home)
    assert process.returncode == 0
    assert "\x1b" not in process.stderr + process.stdout
    lines = process.stderr.splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\d preparing: ", line) for line in lines)
    listing, starting, dashboard, *others = (line.partition("preparing: ")[2] for line in lines)
    assert listing == "listing photos …"
    assert starting == "starting 1 worker …"
    assert re.fullmatch(r"dashboard http://127\.0\.0\.1:\d+/prep", dashboard)
    for line in others:
        assert re.match(r"\d+% · [\d,]+ of 2,000 images.* · \d+ of 10 shards", line)
    # One at the beginning, one at the end, and now and then one in between.
    assert 2 <= len(others) < 10
    assert others[-1].startswith("100% · 2,000 of 2,000 images (1 refused)")
    assert others[-1].endswith("10 of 10 shards")
    assert "1,999 written" in process.stdout


@pytest.mark.slow
def test_output_that_is_not_unicode(home: Path) -> None:
    flags = [*RUN, *TEN_SHORT_SHARDS, "--output", "ascii"]
    process = run_prep(*flags, cwd=home, PYTHONIOENCODING="ascii")
    assert process.returncode == 0, process.stderr
    assert "1,999 written" in process.stdout
