"""Plans and runs of splits and subsets that are made: of folders, lists and archives."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import prep
from prep.config.model import Config
from prep.errors import SourceError
from prep.operations.preparation import plan_images
from prep.planning.plan import RunPlan
from prep.planning.splitting.settled import SettledSplits
from tests.support.pictures import write_tree

GROUPS = "groups with images in more than one split"


def plan_of(source: Any, home: Path, **values: Any) -> RunPlan:
    return plan_images(Config(source=source, output=home / "out", **values))


def names_in(plan: RunPlan) -> dict[str, set[str]]:
    """Return the names of the images of each split."""
    names = [path.decode() for path in plan.manifest["path"].to_pylist()]
    found, first = {}, 0
    for split, number in plan.splits.items():
        found[split] = set(names[first : first + number])
        first += number
    return found


def a_list(folder: Path, name: str, rows: list[str]) -> Path:
    path = folder / name
    path.write_text("\n".join(["image,label,split,patient", *rows]) + "\n")
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "photos", {"train": {"cat": 20, "dog": 10}, "val": {"cat": 3}})


def test_splits_are_made_of_class_folders(photos: Path, tmp_path: Path) -> None:
    plan = plan_of(photos, tmp_path, split={"test": 0.2})
    assert plan.counts == {
        "test": {"cat": 4, "dog": 2},
        "train": {"cat": 16, "dog": 8},
        "val": {"cat": 3},
    }
    balance = plan.balance
    assert balance["val"].made is None
    assert balance["test"].made is not None
    assert (balance["test"].made.asked, balance["test"].made.off) == (0.2, 0)
    chosen = plan_of(photos, tmp_path, split={"test": 0.2}, splits=["val", "test"])
    assert names_in(chosen) == {name: names_in(plan)[name] for name in ("test", "val")}
    with pytest.raises(SourceError, match="no images of 'dev' in the source; splits found or made"):
        plan_of(photos, tmp_path, split={"test": 0.2}, splits=["dev"])


def test_a_run_of_made_splits_goes_on_and_another_fold_is_another_run(tmp_path: Path) -> None:
    source = write_tree(tmp_path / "one", {"training": {"cat": 9, "dog": 9}})
    values: dict[str, Any] = {"source": source, "output": tmp_path / "out", "size": 8}
    way = {"folds": 3, "of": "training"}
    report = prep.run(Config(**values, split={**way, "fold": 0}))
    assert report.classes == {"training": {"cat": 6, "dog": 6}, "val": {"cat": 3, "dog": 3}}
    assert prep.run(Config(**values, split={**way, "fold": 0})).was_complete
    assert not prep.verify(tmp_path / "out").problems
    with pytest.raises(prep.PrepError, match="already holds a different run"):
        prep.run(Config(**values, split={**way, "fold": 1}))


def test_groups_of_a_list_stay_together(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_tree(tmp_path, {"photos": {"x": {f"{n}.jpg": b"%d" % n for n in range(40)}}})
    names = sorted(path.name for path in (tmp_path / "photos/x").iterdir())
    rows = [f"photos/x/{name},{'ab'[n % 2]},train,p{n // 5}" for n, name in enumerate(names)]
    source = a_list(tmp_path, "list.csv", rows)
    with caplog.at_level(logging.WARNING):
        assert plan_of(source, tmp_path, split="val=0.25,group=patient").splits["val"] == 10
    assert GROUPS not in caplog.text
    apart = plan_of(source, tmp_path, split="val=0.25")
    assert any(GROUPS in doubt for doubt in apart.doubts)
    leaking = a_list(tmp_path, "leak.csv", [rows[0], rows[1].replace("train", "val")])
    (doubt,) = plan_of(leaking, tmp_path).doubts
    assert doubt.startswith("1 group with images in more than one split: 'p0'")
    two = {"train": str(source), "val": str(a_list(tmp_path, "more.csv", rows[:1]))}
    (tmp_path / "more.csv").write_text((tmp_path / "more.csv").read_text().replace("train", "val"))
    assert plan_of(source, tmp_path).doubts == ()
    with pytest.raises(SourceError, match="1 image in two splits"):
        plan_of(two, tmp_path)


def test_groups_in_several_sources_are_found(tmp_path: Path) -> None:
    write_tree(tmp_path / "one", {"x": {"y": {"1.jpg": b"1"}}})
    write_tree(tmp_path / "two", {"x": {"y": {"2.jpg": b"2"}}})
    lists = {
        folder: a_list(tmp_path / folder, "list.csv", [f"x/y/{n}.jpg,a,{split},p1"])
        for n, folder, split in ((1, "one", "train"), (2, "two", "val"))
    }
    (doubt,) = plan_of([str(path) for path in lists.values()], tmp_path).doubts
    assert doubt.startswith("1 group with images in more than one split: 'p1'")
    folder = write_tree(tmp_path / "three", {"train": {"a": 2}})
    plan = plan_of([str(lists["one"]), str(folder)], tmp_path, split="test=1,group=(?P<group>a)/")
    assert sum(plan.splits.values()) == 3


def test_images_of_a_plan_keep_their_splits_when_the_source_grows(tmp_path: Path) -> None:
    source = write_tree(tmp_path / "photos", {"train": {"cat": 20, "dog": 10}})
    before = plan_of(source, tmp_path, split={"val": 0.2})
    new = {f"new-{n}.jpg": b"new" for n in range(10)}
    write_tree(source, {"train": {"cat": new, "emu": 5}})
    config = Config(source=source, output=tmp_path / "out", split={"val": 0.2})
    after = plan_images(config, SettledSplits.of_plan(before))
    assert after.counts["val"] == {"cat": 6, "dog": 2, "emu": 1}
    for split, names in names_in(before).items():
        assert names <= names_in(after)[split]


def test_a_subset_is_counted_as_passed_over(photos: Path, tmp_path: Path) -> None:
    plan = plan_of(photos, tmp_path, subset={"per_class": 4, "of": "train"})
    assert plan.counts == {"train": {"cat": 4, "dog": 4}, "val": {"cat": 3}}
    assert Counter({i.reason: i.count for i in plan.ignored}) == {
        "image that is not in the subset": 22
    }
    larger = plan_of(photos, tmp_path, subset={"per_class": 9})
    assert names_in(plan)["train"] < names_in(larger)["train"]
