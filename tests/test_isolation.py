"""Images that crash, hang or starve the decoder: each costs itself, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import poison
import pytest
from clusters import contents
from distributed import Client
from pictures import jpeg, picture, write_tree

import prep
from prep.images import ImageSettings
from prep.journal import Journal
from prep.pipeline import write_serially
from prep.shards import RunRef

SIZE = 32
TIMEOUT = 1.5
SETTINGS = ImageSettings(size=SIZE, max_pixels=1_000_000)
GOOD = jpeg(picture(40, 50))
# What the decoder does, and what is said of the image then.
CRASHES = {
    "crash.jpg": (poison.CRASH, "crashed the decoder", "SIGSEGV"),
    "abort.jpg": (poison.ABORT, "crashed the decoder", "SIGABRT"),
    "suicide.jpg": (poison.SUICIDE, "crashed the decoder", "SIGKILL"),
    "exit.jpg": (poison.EXIT, "crashed the decoder", "exit status 3"),
    "raise.jpg": (poison.RAISE, "crashed the decoder", "SystemError: this codec has a bug"),
}
HANGS = {
    "python.jpg": (poison.HANG_IN_PYTHON, "too slow", "not done after 1.5 s"),
    "c.jpg": (poison.HANG_IN_C, "too slow", "not done after 1.5 s"),
    "pattern.jpg": (poison.HANG_IN_A_PATTERN, "too slow", "not done after 1.5 s"),
}
HOGS = {"hog.jpg": (poison.HOG, "crashed the decoder", "it takes more than 1,113.7 MB of memory")}
Poison = Mapping[str, tuple[bytes, str, str]]


@pytest.fixture(autouse=True)
def _decoders_that_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREP_TEST_FAULT", poison.NAME)


def files(poisoned: Poison) -> dict[str, bytes]:
    return {name: GOOD + mark for name, (mark, _, _) in poisoned.items()}


def config(source: Path, output: Path, **more: Any) -> prep.Config:
    values = {"size": SIZE, "image_timeout": TIMEOUT, "max_refused": 1.0, **more}
    return prep.Config(source=str(source), output=str(output), **values)


def refused(report: prep.RunReport) -> dict[str, tuple[str, str]]:
    return {Path(r["path"]).name: (r["reason"], r["detail"]) for r in report.refused}


def expected(poisoned: Poison) -> dict[str, tuple[str, str]]:
    return {name: (reason, detail) for name, (_, reason, detail) in poisoned.items()}


def records_without(made: prep.RunPlan, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The shards of a plan as they are when its poisoned images are refused for another reason."""
    output = Path(made.config.output).with_name("undisturbed")
    journal = Journal(output)
    journal.begin(made)
    marked = [p for p in Path(made.source).glob("*/*/*") if p.read_bytes().endswith(b"]")]
    kept = {path: path.read_bytes() for path in marked}
    for path in marked:
        path.unlink()
    write_serially(
        made.shards, RunRef(output=str(output), digest=made.fingerprint.digest, run=output.name)
    )
    for path, data in kept.items():
        path.write_bytes(data)
        os.utime(path, ns=(10**18, 10**18))
    return contents(output, "*/*.tfrecord")


def check_run(
    client: Client | None,
    home: Path,
    poisoned: Poison,
    monkeypatch: pytest.MonkeyPatch,
    **more: Any,
) -> prep.RunReport:
    """Runs good images with poisoned ones among them, of which only those may be lost."""
    source = write_tree(home / "source", {"train": {"cat": 30, "dog": files(poisoned)}})
    asked = config(source, home / "out", **more)
    made = prep.plan(asked)
    undisturbed = records_without(made, monkeypatch)
    report = prep.run(asked, client)
    assert refused(report) == expected(poisoned)
    assert report.images["written"] == 30
    assert contents(home / "out", "*/*.tfrecord") == undisturbed
    assert not list((home / "out").glob("**/.*.partial"))
    return report


@pytest.fixture
def own_client() -> Iterator[Client]:
    """Two workers that no other test has, for they will die."""
    with prep.cluster(workers=2) as client:
        yield client


def test_crashes_in_many_shards_at_once_cost_nothing_but_the_images(
    own_client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_run(own_client, tmp_path, CRASHES, monkeypatch, images_per_shard=5)


def test_crashes_in_one_shard(
    own_client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_run(own_client, tmp_path, CRASHES, monkeypatch, images_per_shard=100)


def test_hangs(own_client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_run(own_client, tmp_path, HANGS, monkeypatch, images_per_shard=9)
