"""Outputs that version 0.1.0 began or finished; see ``version_0_1_0/README.md``."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

import prep
from prep.errors import OutputConflict
from tests.support.clusters import contents
from tests.support.outputs import placed_here, prepare

MADE = Path(__file__).with_name("version_0_1_0")
MODIFIED = 1_000_000_000  # seconds since 1970
OF_ONE_ATTEMPT = ("seconds", "worker", "began")
NOT_YET_NOTED = ("measures",)
NOT_YET_ADDED_UP = "products"  # of channels


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy, elsewhere than it was made: plans hold the absolute path of the source."""
    shutil.copytree(MADE, tmp_path, dirs_exist_ok=True)
    for photo in tmp_path.glob("photos/*/*/*"):
        os.utime(photo, (MODIFIED, MODIFIED))
    plan = json.loads((tmp_path / "complete/.prep/plan.json").read_text())
    versions = {
        name.removeprefix("version of "): version
        for name, version in plan["fingerprint"].items()
        if name.startswith("version of ")
    }
    # Other libraries would make it another run, whatever bytes they write.
    monkeypatch.setattr("prep.operations.preparation.versions_here", lambda: versions)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def config(output: str) -> prep.Config:
    return prep.Config(
        source="photos", output=output, size=16, images_per_shard=3, interpolation="area"
    )


def receipts(output: Path) -> dict[str, dict[str, Any]]:
    found = {
        name: json.loads(data) for name, data in contents(output, ".prep/receipts/*/*").items()
    }
    return {
        name: {
            key: value
            for key, value in receipt.items()
            if key not in OF_ONE_ATTEMPT + NOT_YET_NOTED
        }
        | {"stats": {k: v for k, v in receipt["stats"].items() if k != NOT_YET_ADDED_UP}}
        for name, receipt in found.items()
    }


def test_a_stopped_output_is_continued_to_the_bytes_that_the_version_before_wrote(
    home: Path,
) -> None:
    stopped, complete = home / "stopped", home / "complete"
    assert prep.verify(stopped).committed == 3
    state = prep.plan(config("stopped")).state
    assert state is not None
    assert (state.committed, state.images_left) == (3, 4)
    report = prep.run(config("stopped"))
    assert (report.resumed_shards, report.shards) == (3, 5)
    for files in ("*/*.tfrecord", "*.csv", "label_map.json"):
        assert contents(stopped, files) == contents(complete, files)
    mean, before = (
        json.loads((root / "mean_rgb.json").read_text()) for root in (stopped, complete)
    )
    assert {name: mean[name] for name in before} == before
    assert mean["std"] == report.std
    assert "covariance" not in mean  # Three receipts lack the products.
    assert receipts(stopped) == receipts(complete)
    assert list(stopped.glob("**/*.partial")) == []
    assert prep.verify(stopped).clean


def test_one_begun_with_the_default_of_its_time_asks_for_that_interpolation(home: Path) -> None:
    today = config("stopped").model_copy(update={"interpolation": "bilinear"})
    assert today == prep.Config(source="photos", output="stopped", size=16, images_per_shard=3)
    with pytest.raises(OutputConflict, match="interpolation: area there, bilinear here") as e:
        prep.run(today)
    assert "to continue it, ask for interpolation area" in str(e.value)
    with pytest.raises(OutputConflict) as e:
        prep.run(today.model_copy(update={"size": 17}))
    assert "to continue" not in str(e.value)


def test_complete_outputs_are_merged(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("growth.merge", "verify"):
        monkeypatch.setattr(f"prep.operations.{module}.placed", placed_here)
    new = home / "new"
    prepare(
        prep.Config(
            source="photos",
            output=str(new),
            size=16,
            seed=3,
            images_per_shard=4,
            interpolation="area",
        )
    )
    report = prep.merge(["complete", new], "merged")
    assert report.images["planned"] == 2 * prep.RunReport.read("complete").images["planned"]
    assert prep.verify("merged").clean
    before = [*(home / "complete").glob("*/*.tfrecord"), *new.glob("*/*.tfrecord")]
    after = (home / "merged").glob("*/*.tfrecord")
    assert sorted(path.read_bytes() for path in after) == sorted(p.read_bytes() for p in before)


def test_a_complete_output_is_clean_and_there_is_nothing_to_do(home: Path) -> None:
    before = contents(home / "complete", "**/*.*")
    assert prep.verify("complete").clean
    plan = prep.plan(config("complete"))
    assert plan.state is not None
    assert plan.state.complete
    assert prep.run(config("complete")).was_complete
    after = contents(home / "complete", "**/*.*")
    changed = {name for name in before if after[name] != before[name]}
    # The first two name the places anew, the third says more than before.
    assert changed == {".prep/plan.json", "report.json", "mean_rgb.json"}
    then, now = (json.loads(files[".prep/plan.json"]) for files in (before, after))
    assert list(now) == list(then)
    assert now == {**then, "source": str(home / "photos")}


def test_images_are_appended_to_a_complete_output(home: Path) -> None:
    before = contents(home / "complete", "*/*.tfrecord")
    first = next(home.glob("photos/*/*/*"))
    shutil.copy2(first, first.with_name(f"more{first.suffix}"))
    report = prep.run(config("complete"), append=True)
    after = contents(home / "complete", "*/*.tfrecord")
    assert (report.shards, report.resumed_shards) == (6, 5)
    assert sorted(data for data in after.values() if data in before.values()) == sorted(
        before.values()
    )
    assert prep.verify("complete").clean
