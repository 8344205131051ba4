"""Output of the command for people, for a log, and for another program."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import prep
from prep.cli.main import main
from prep.cli.streams import fit_streams
from prep.cli.talk import Talk
from prep.monitoring.events import emitting
from prep.output.report.report import RunReport
from tests.support.clusters import PREP, Terminal, run_prep, wait_until
from tests.support.pictures import write_tree

RUN = ["run", "--source", "photos", "--output", "out", "--size", "32", "--workers", "1"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with 12 photos, one of them empty."""
    write_tree(tmp_path / "photos", {"train": {"cat": 6, "dog": 4}, "val": {"cat": 1}})
    (tmp_path / "photos/val/cat/empty.jpg").write_bytes(b"")
    return tmp_path


@pytest.fixture
def at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(home)
    return home


def here(*arguments: str) -> Result:
    """Run a command in this process, for what needs no cluster."""
    return CliRunner().invoke(main, list(arguments))


def events(stdout: str) -> list[dict[str, Any]]:
    """Read standard output, all of which has to be events."""
    return [json.loads(line) for line in stdout.splitlines()]


def test_events_to_a_closed_standard_output_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    Talk(as_json=True).started("run")
    with emitting(Talk(as_json=True).callbacks("preparing")) as told:
        told.stage("listing")


def test_a_run_tells_programs_how_it_goes_and_ends(home: Path) -> None:
    done = run_prep(*RUN, "--json", cwd=home)
    assert (done.returncode, done.stderr) == (0, "")
    told = events(done.stdout)
    names = [event["event"] for event in told]
    assert names[0] == "started"
    assert names[-1] == "ended"
    assert names.count("started") == names.count("ended") == 1
    assert {"stage", "work", "progress"} < set(names)
    assert [event["time"] for event in told] == sorted(event["time"] for event in told)
    assert told[0]["command"] == "run"
    assert told[0]["version"] == prep.__version__
    work = next(event for event in told if event["event"] == "work")
    assert (work["planned"], work["unit"], work["shards"]) == (12, "images", 2)
    progress = [event for event in told if event["event"] == "progress"][-1]
    counts = [progress[name] for name in ("planned", "done", "written", "refused", "shards")]
    assert counts == [12, 12, 11, 1, 2]
    ended = told[-1]
    assert ended["verdict"]["state"] == "done with refusals"
    assert (ended["exit_code"], ended["error"]) == (0, None)
    assert RunReport.from_json(ended["report"]) == RunReport.read(home / "out")

    for command in (RUN, ["verify", "out"]):
        quiet = run_prep(*command, "--quiet", cwd=home)
        assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")


def test_too_many_refused_come_with_the_summary_and_the_reasons(home: Path) -> None:
    asked = [*RUN, "--max-refused", "0"]
    done = run_prep(*asked, cwd=home)
    assert done.returncode == 1
    assert done.stdout.startswith("too many refused: 1 of 12 images")
    assert "11 written, 1 refused, of 12 planned" in done.stdout
    assert "val/cat/empty.jpg: empty" in done.stdout
    *_, last = done.stderr.splitlines()
    assert last.startswith("prep: 1 of 12 images")

    again = run_prep(*asked, "--json", cwd=home)
    ended = events(again.stdout)[-1]
    assert (again.returncode, ended["exit_code"]) == (1, 1)
    assert ended["verdict"]["state"] == "too many refused"
    assert ended["error"]["type"] == "TooManyRefused"
    assert ended["report"]["images"]["refused"] == 1
    stored = json.loads((home / "out/report.json").read_bytes())
    assert stored["verdict"] == ended["report"]["verdict"] == ended["verdict"]
    assert again.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (["run", "--source", "nowhere", "--output", "out"], "SourceError"),
        (["plan", "--source", "photos", "--output", "out", "--size", "0"], "ConfigError"),
        (["verify", "photos"], "SourceError"),
        (["merge", "photos", "nowhere", "-o", "out"], "SourceError"),
        (["merge", "photos", "-o", "out"], "ConfigError"),
        (["merge", "photos", "nowhere"], "ConfigError"),
        (["mean", "-i", "nowhere", "-o", "mean.json"], "SourceError"),
        (["run", "--nonsense"], "NoSuchOption"),
        (["run", "--source", "photos", "--output", "out", "-q", "-v"], "UsageError"),
    ],
)
def test_an_error_is_told_to_programs_and_in_a_line(
    arguments: list[str], kind: str, at_home: Path
) -> None:
    done = here(*arguments, "--json")
    ended = events(done.stdout)[-1]
    assert (done.exit_code, ended["event"], ended["exit_code"]) == (2, "ended", 2)
    assert ended["error"]["type"] == kind
    assert ended["verdict"] == {"state": "failed", "reason": ended["error"]["message"]}
    assert ended["report"] is None
    assert done.stderr == f"prep: {ended['error']['message']}\n"


def test_a_plan_is_told_to_programs(at_home: Path) -> None:
    done = here("plan", "--source", "photos", "--output", "out", "--json")
    started, *_, ended = events(done.stdout)
    assert (started["command"], ended["verdict"]["state"]) == ("plan", "done")
    report = ended["report"]
    assert (report["images"], report["shards"]) == (12, 2)
    assert report["splits"] == {"train": {"cat": 6, "dog": 4}, "val": {"cat": 2}}
    assert report["labels"] == {"cat": 0, "dog": 1}
    assert report["estimate"]["refused"] == 1
    assert here("plan", "--source", "photos", "--output", "out", "--quiet").output == ""


@pytest.mark.parametrize("buffered", ["", "1"])
@pytest.mark.parametrize(
    "command",
    ["labels photos -o labels.json", "plan photos out --json", "--help", "--version", "run -h"],
)
def test_a_full_disk_behind_standard_output_is_told_in_a_line(
    command: str, buffered: str, home: Path
) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [PREP, *command.split()],
            cwd=home,
            env={**os.environ, "PYTHONUNBUFFERED": buffered},
            stdout=full,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            check=False,
        )
    told = "prep: standard output can't be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, told)


def test_warnings_are_told_to_programs_too(at_home: Path) -> None:
    (at_home / "photos/train/Cat").mkdir()
    (at_home / "photos/train/Cat/1.jpg").write_bytes(b"")
    done = here("plan", "--source", "photos", "--output", "out", "--json")
    warnings = [event for event in events(done.stdout) if event["event"] == "warning"]
    assert "'Cat'" in warnings[0]["message"]
    assert done.stderr == f"prep: {warnings[0]['message']}\n"
    quiet = here("plan", "--source", "photos", "--output", "out", "-q")
    assert (quiet.stdout, quiet.stderr) == ("", done.stderr)
    assert logging.getLogger("prep").handlers == []


def test_labels_are_told_to_people_or_programs_or_not_at_all(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    labels = ["labels", "photos", "-o", "labels.json"]
    assert here(*labels).stdout == "2 classes, written to labels.json\n"
    assert here(*labels, "-q").output == ""
    started, ended = events(here(*labels, "--json").stdout)
    assert started["command"] == "labels"
    assert ended["verdict"]["state"] == "done"
    assert ended["report"] == {"cat": 0, "dog": 1}
    (_, failed) = events(here("labels", "nowhere", "-o", "labels.json", "--json").stdout)
    assert (failed["event"], failed["exit_code"]) == ("ended", 2)


@pytest.mark.slow
def test_a_log_has_times(home: Path) -> None:
    done = run_prep(*RUN, "--verbose", cwd=home)
    logged = re.findall(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} DEBUG (.*)$", done.stderr, re.M)
    assert any(re.fullmatch(r"12 images in 2 shards, 0 of them committed", line) for line in logged)
    assert {"train/0: committed", "val/0: committed"} <= set(logged)


@pytest.mark.parametrize(
    ("variables", "encoding", "text"),
    [
        ({"PYTHONIOENCODING": "ascii"}, "ascii", "1 - 2 x 3 -> ... +/- \\xe9"),
        ({"PYTHONIOENCODING": "latin-1"}, "latin-1", "1 · 2 × 3 -> ... ± é"),
        ({"LC_ALL": "C.UTF-8"}, "utf-8", "1 · 2 × 3 → … ± é"),
        ({"LC_ALL": "C"}, "ascii", "1 - 2 x 3 -> ... +/- \\xe9"),
    ],
    ids=["ascii", "latin-1", "utf-8", "C"],
)
def test_no_encoding_makes_rubbish_of_our_texts(
    variables: dict[str, str], encoding: str, text: str
) -> None:
    script = (
        "import sys; from prep.cli.streams import fit_streams; fit_streams();"
        "print('1 · 2 × 3 → … ± é', file=sys.stderr)"
    )
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(prep.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", script], env={**environment, **variables}, capture_output=True
    )
    assert done.stderr.decode(encoding) == f"{text}\n"


def test_streams_that_are_no_files_are_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    fit_streams({"LC_ALL": "C"})
    print("·")
    assert capsys.readouterr().out == "·\n"


def test_a_terminal_gets_the_report_as_a_link_and_is_told_what_was_complete(home: Path) -> None:
    assert run_prep(*RUN, "-q", cwd=home).returncode == 0
    with Terminal(*RUN, cwd=home) as terminal:
        assert terminal.wait() == 0
    page = home / "out/report.html"
    # OSC 8, as terminals take it: where it leads, and then what is shown.
    assert re.search(rf"\x1b\]8;[^;]*;{re.escape(page.as_uri())}\x1b\\", terminal.shown)
    assert "already complete, nothing to do" in terminal.shown
    assert " \x1b]8;;" not in terminal.shown  # The rest of its column is no link.
    piped = run_prep(*RUN, cwd=home)
    assert "\x1b" not in piped.stdout
    unfolded = re.sub(r"[\s│]", "", piped.stdout)
    assert str(page) in unfolded


@pytest.mark.slow
def test_a_terminal_that_can_not_move_its_cursor_gets_lines(home: Path) -> None:
    with Terminal(*RUN, cwd=home, TERM="dumb") as terminal:
        assert terminal.wait() == 0
    assert "\x1b" not in terminal.shown
    assert re.search(
        r"\d\d:\d\d:\d\d preparing: 100% · 12 of 12 images \(1 refused\)", terminal.shown
    )


@pytest.mark.slow
@pytest.mark.parametrize("key", [b"\n", b"\x03"], ids=["Enter", "Ctrl-C"])
def test_the_dashboard_stays_up_until_told(key: bytes, home: Path) -> None:
    with Terminal(*RUN, "--dashboard-keep", cwd=home, columns=200) as terminal:
        kept = r"stays up at (http://127\.0\.0\.1:\d+/prep); Enter or Ctrl-C ends it"
        (address,) = wait_until(lambda: re.findall(kept, terminal.shown))
        assert "11 written, 1 refused, of 12 planned" in terminal.shown
        with urllib.request.urlopen(address) as page:
            assert page.status == 200
        terminal.press(key)
        assert terminal.wait() == 0
        wait_until(lambda: terminal.processes() == [])
    assert "Traceback" not in terminal.shown


@pytest.mark.slow
def test_without_a_terminal_it_stays_up_until_a_signal(home: Path) -> None:
    command = [PREP, *RUN, "--dashboard-keep", "--json"]
    with subprocess.Popen(
        command, cwd=home, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        told = []
        while not told or told[-1]["event"] != "ended":
            told.append(json.loads(process.stdout.readline()))
        (address,) = (event["dashboard"] for event in told if event["event"] == "work")
        with urllib.request.urlopen(address) as page:
            assert page.status == 200
        process.terminate()
        assert process.wait(60) == 0
