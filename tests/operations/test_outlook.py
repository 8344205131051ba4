"""Plans and the state of their output: other runs, finished work, and conflicts."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from distributed import Client

import prep
from prep.cli.main import main
from prep.errors import OutputConflict, TooManyRefused
from prep.images.decoders.process import configure_process
from prep.operations.preparation import plan_images
from prep.output.journal import Journal
from prep.planning.fingerprint import Fingerprint
from prep.planning.plan import RunPlan
from prep.planning.shards import Partition
from prep.shards.writer import RunRef, write_shard
from prep.text import size_text
from tests.support.clusters import contents
from tests.support.pictures import write_tree

PLAN = ".prep/plan.json"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with 17 images of train and 4 of val: five and one shards of at most four."""
    write_tree(tmp_path / "photos", {"train": {"cat": 10, "dog": 7}, "val": {"cat": 2, "dog": 2}})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def config(**more: Any) -> prep.Config:
    values = {"source": "photos", "output": "out", "size": 32, "images_per_shard": 4, **more}
    return prep.Config(**values)


def begun(shards: int, partition: Partition = "even") -> RunPlan:
    """A run that was stopped after so many of its shards."""
    made, journal = plan_images(config()).with_partition(partition), Journal("out")
    configure_process()
    journal.begin(made)
    run = RunRef(output=journal.output, digest=made.fingerprint.digest, run="r")
    for shard in made.shards[:shards]:
        write_shard(shard, run)
    return made


def planned(*flags: str) -> Result:
    """``prep plan`` of that configuration."""
    command = ["plan", "--source", "photos", "--output", "out", "--size", "32"]
    given = CliRunner().invoke(
        main, [*command, "--images-per-shard", "4", *flags], env={"COLUMNS": "200"}
    )
    return given


def sizes(plan: RunPlan) -> list[int]:
    return [shard.images for shard in plan.shards]


# Outputs of earlier versions


def test_what_an_earlier_version_has_begun_is_continued_with_its_shards(
    home: Path, client: Client
) -> None:
    begun(2, "filled")
    assert "partition" not in json.loads(Path("out", PLAN).read_bytes())["fingerprint"]
    assert sizes(prep.plan(config())) == [4, 4, 4, 4, 1, 4]
    before = contents(home / "out", "*/*.tfrecord")
    stored = Path("out", PLAN).read_bytes()
    report = prep.run(config(), client)
    assert (report.resumed_shards, report.images["written"]) == (2, 21)
    assert before.items() <= contents(home / "out", "*/*.tfrecord").items()
    assert Path("out", PLAN).read_bytes() == stored
    assert prep.verify("out", client).clean
    again = prep.run(config(), client)
    assert again.resumed_shards == 6
    prep.run(config(), client, overwrite=True)
    assert sizes(prep.plan(config())) == [3, 3, 4, 3, 4, 4]
    assert json.loads(Path("out", PLAN).read_bytes())["fingerprint"]["partition"] == "even"
    assert prep.verify("out", client).clean


def test_another_configuration_is_told_of_without_a_word_on_the_shards(home: Path) -> None:
    begun(1, "filled")
    state = prep.plan(config(size=24)).state
    assert state is not None
    assert "(size: 32 there, 24 here)" in str(state.obstacle)


@pytest.mark.parametrize("partition", ["filled", "odd", None, 3, ["even"]])
def test_a_stored_plan_has_one_of_two_partitions(partition: object, home: Path) -> None:
    begun(0)
    path = Path("out", PLAN)
    value = json.loads(path.read_bytes())
    value["fingerprint"]["partition"] = partition
    value["digest"] = Fingerprint(parts=value["fingerprint"]).digest
    path.write_text(json.dumps(value))
    with pytest.raises(prep.PrepError, match="not written by prep: partition: expected 'even'"):
        Journal("out").stored_plan()


# What a plan says


def test_a_plan_of_a_new_output(home: Path) -> None:
    shown = planned()
    assert shown.exit_code == 0, shown.output
    for said in (
        "label ┃ train ┃ val ┃ in all",
        "cat    │     0 │    10 │   2 │     12",
        "images │       │    17 │   4 │     21",
        "shards │       │     5 │   1 │      6",
        "2, with 9 to 12 images each",
        "the classes, numbered by name",
        "6, with 3 to 4 images each",
        "size: 32, images_per_shard: 4",
        "less than 1 s on ",
        "after about 1 s to start",
    ):
        assert said in shown.output, said
    assert "done already" not in shown.output
    assert "free space" in shown.output
    assert not Path("out").exists()


def test_a_plan_of_what_is_half_done_says_what_is_left(home: Path) -> None:
    begun(4)
    before = contents(home / "out")
    shown = planned()
    assert "4 of 6 shards are there; 2 shards with 8 images would be written" in shown.output
    assert contents(home / "out") == before
    state = prep.plan(config()).state
    assert state is not None
    assert (state.committed, state.images_left, state.obstacle) == (4, 8, None)
    assert "done already: 4 of 6 shards are there" in repr(prep.plan(config()))
    assert "4 of 6 shards are there" in prep.plan(config())._repr_html_()


def test_what_is_left_is_what_the_time_is_of(home: Path) -> None:
    from prep.operations.tools.estimating import estimate

    whole = estimate(plan_images(config()))
    begun(5)
    left = estimate(prep.plan(config()), workers=8)
    assert left.cores == 1  # As many as there are shards to write.
    assert left.bytes == whole.bytes
    assert left.bytes_left == pytest.approx(whole.bytes * 4 / 21, abs=1)


def test_a_plan_of_what_is_complete_says_so(home: Path) -> None:
    begun(6)
    shown = planned()
    assert "all shards are there; a run would write none" in shown.output
    assert " to start" not in shown.output
    assert shown.exit_code == 0


def test_a_plan_ends_as_a_run_would_if_too_much_was_refused_before(home: Path) -> None:
    Path("photos/train/cat/0000.jpg").write_bytes(b"<html>")
    begun(5)
    assert planned("--max-refused", "0").exit_code == 0  # What is left may yet be too little.
    shown = planned("--on-bad-image", "fail")
    assert shown.exit_code == 1
    assert "was refused (not an image) by an earlier run" in shown.stderr
    begun(6)
    assert planned().exit_code == 0
    shown = planned("--max-refused", "0")
    assert "all shards are there; a run would write none" in shown.stdout
    told = shown.stderr.splitlines()[-1]
    assert "1 of 21 images was refused (4.8%), more than max_refused allows (0)" in told
    with pytest.raises(TooManyRefused) as error:
        prep.run(config(max_refused=0.0))
    assert told.partition("--")[0] == f"prep: {error.value}".partition("`")[0]
    assert shown.exit_code == error.value.exit_code


def test_a_plan_says_where_labels_are_from_and_what_is_odd_about_them(home: Path) -> None:
    Path("photos/label_map.json").write_text('{"cat": 1, "dog": 1, "eel": 5}')
    shown = planned().output
    assert f"from {home}/photos/label_map.json" in shown
    assert "several classes have the number 1" in shown
    assert "no class has the number 2 to 4" in shown
    assert "no images of 1 class in the map: 'eel'" in shown
    Path("own.json").write_text('{"cat": 0, "dog": 1}')
    assert "from own.json" in planned("--label-map", "own.json").output
    assert prep.plan(config(label_map={"cat": 0, "dog": 1})).labels_from.startswith("given")


def test_another_configuration_there_ends_a_plan_as_it_would_end_a_run(home: Path) -> None:
    begun(1)
    shown = planned("--quality", "50")
    with pytest.raises(OutputConflict) as error:
        prep.run(config(quality=50))
    assert "(quality: 90 there, 50 here)" in str(error.value)
    assert shown.exit_code == 2
    told = f"prep: {error.value}".replace("`overwrite=True`", "--overwrite")
    assert shown.stderr.splitlines()[-1] == told
    assert "images │" in shown.stdout


HOLD = """
import sys
from prep.output.journal import Journal
with Journal("out").lock():
    print("held", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def another_process() -> Iterator[int]:
    """Holds the output, as a run does."""
    held = subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with held:
        assert held.stdout is not None
        assert held.stdout.readline() == "held\n"
        yield held.pid
        held.communicate()


@pytest.mark.parametrize("leased", [False, True])
def test_another_run_at_work_is_told_of(leased: bool, home: Path) -> None:
    begun(1)
    before = contents(home / "out")
    with another_process() as process:
        if leased:  # As where a filesystem has no locks.
            os.rename("out/.prep/lock", "out/.prep/lock-000001")
        shown = planned()
        assert shown.exit_code == 2
        assert f"another run is at work in {home}/out (process {process} on " in shown.stderr
        with pytest.raises(OutputConflict, match=f"process {process} on"):
            prep.run(config())
        if leased:
            os.rename("out/.prep/lock-000001", "out/.prep/lock")
    assert planned().exit_code == 0  # It has ended.
    Path("out/.prep/lock").unlink()
    before.pop(".prep/lock", None)
    assert contents(home / "out") == before


def test_a_run_that_was_killed_does_not_count(home: Path) -> None:
    begun(1)
    with another_process():
        Path("left").write_bytes(Path("out/.prep/lock").read_bytes())
    Path("out/.prep/lock").write_bytes(Path("left").read_bytes())
    assert planned().exit_code == 0


def test_one_on_another_machine_may_be_at_work(home: Path) -> None:
    begun(1)
    with another_process():
        owner = json.loads(Path("out/.prep/lock").read_bytes())
    owner |= {"host": "far-away", "machine": "another"}
    Path("out/.prep/lock-000001").write_text(json.dumps(owner))
    shown = planned()
    assert shown.exit_code == 0
    assert "far-away, since" in shown.output
    assert "may be at work in the output" in shown.output


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("file", "output: {home}/file is a file; choose another folder"),
        (
            "file/below/out",
            "output: {home}/file/below/out lies below {home}/file, which is a file; choose another "
            "folder",
        ),
    ],
)
def test_an_output_that_is_or_lies_below_a_file(output: str, said: str, home: Path) -> None:
    Path("file").touch()
    shown = planned("--output", output)
    assert shown.exit_code == 2
    assert shown.stderr.splitlines()[-1] == f"prep: {said.format(home=home)}"
    with pytest.raises(OutputConflict) as error:
        prep.run(config(output=output))
    assert str(error.value) == said.format(home=home)
    assert sorted(os.listdir()) == ["file", "photos"]


@pytest.fixture
def small_disk(home: Path) -> Iterator[Path]:
    """A disk of 4 kB at ``out``."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs root, to mount a small disk")
    Path("out").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", "out"], check=True)
    yield home / "out"
    subprocess.run(["umount", home / "out"], check=True)


def test_a_disk_that_is_too_small_is_told_of(small_disk: Path) -> None:
    shown = planned()
    assert shown.exit_code == 0
    free = shutil.disk_usage(small_disk).free
    assert re.search(rf"{size_text(free)}; too little for about .*: make room first", shown.output)


def test_an_output_that_can_not_be_written_to_is_told_of(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    shown = planned()
    assert shown.exit_code == 2
    told = f"prep: output: can't write to {small_disk}: Read-only file system"
    assert shown.stderr.splitlines()[-1] == told
    with pytest.raises(OutputConflict, match="Read-only file system"):
        prep.run(config())


@pytest.fixture
def read_only() -> Iterator[Callable[[Path], None]]:
    """Make folders read-only until the test ends, also for root."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs root, to mount a folder read-only")
    with contextlib.ExitStack() as stack:

        def make(folder: Path) -> None:
            subprocess.run(["mount", "--bind", folder, folder], check=True)
            stack.callback(subprocess.run, ["umount", folder], check=True)
            subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)

        yield make


def test_a_finished_output_that_was_moved_is_complete(
    home: Path, read_only: Callable[[Path], None]
) -> None:
    prep.run(config())
    (home / "out").rename(home / "moved")
    read_only(home / "moved")
    before = contents(home / "moved", "**/*.*")
    state = prep.plan(config(output="moved")).state
    assert state is not None
    assert (state.complete, state.obstacle) == (True, None)
    assert prep.run(config(output="moved")).was_complete
    assert contents(home / "moved", "**/*.*") == before


def test_the_report_of_a_finished_output_that_was_moved_says_where_it_is(home: Path) -> None:
    prep.run(config())
    (home / "out").rename(home / "moved")
    assert prep.run(config(output="moved")).was_complete
    report = json.loads((home / "moved/report.json").read_text())
    assert (report["output"], report["config"]["output"]) == (str(home / "moved"), "moved")
    assert prep.verify("moved").clean
