"""Sets that grow: images appended to an output, gone from its source, or changed in it."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import prep
from prep.errors import LabelError, OutputConflict, UsageError
from prep.operations.growth.appending import Aim
from prep.output.journal import Journal
from prep.sources.manifest import entries_of
from tests.support.pictures import jpeg, picture
from tests.support.serial import problems_in, run_here

Shards = dict[str, tuple[bytes, int]]
SEEDS = iter(range(1_000_000))


def add(source: Path, *names: str) -> None:
    """Add images to a source, each with pixels of its own."""
    for name in names:
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(picture(20, 24, seed=next(SEEDS))))


def images(split: str, class_name: str, *numbers: int) -> list[str]:
    return [f"{split}/{class_name}/{number:03d}.jpg" for number in numbers]


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source, and a finished output of it: four shards of train, one of val."""
    home = tmp_path_factory.mktemp("append")
    add(home / "source", *images("train", "cat", *range(5)), *images("train", "dog", *range(5)))
    add(home / "source", *images("val", "cat", 0, 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("prep.operations.publish._update_page", lambda *_: None)
        run_here(config(home))
    return home


@pytest.fixture
def home(begun: Path, tmp_path: Path) -> Path:
    shutil.copytree(begun, tmp_path, dirs_exist_ok=True)
    return tmp_path


def config(home: Path, output: str = "out", **more: Any) -> prep.Config:
    values = {"source": str(home / "source"), "size": 16, "images_per_shard": 3, **more}
    return prep.Config(output=str(home / output), **values)


def shards(output: Path) -> Shards:
    """Return contents and time of each shard, by split and index."""
    found = sorted(output.glob("*/*.tfrecord"))
    return {p.name.partition("-of-")[0]: (p.read_bytes(), p.stat().st_mtime_ns) for p in found}


def records(output: Path) -> dict[str, tuple[str, int, str]]:
    """Return split, label and checksum of each image, by its name, as the output has it."""
    journal = Journal(str(output))
    stored = journal.stored_plan()
    assert stored is not None
    plan = journal.whole_plan(stored)
    found: dict[str, tuple[str, int, str]] = {}
    for shard, receipt in zip(plan.shards, journal.committed(plan), strict=True):
        entries = [*entries_of(plan.manifest.slice(shard.start, shard.images), plan.classes)]
        sums = [receipt.checksums[n : n + 16] for n in range(0, len(receipt.checksums), 16)]
        for entry, checksum in zip(entries, sums, strict=True):
            label = plan.labels.number(entry.class_name)
            found[entry.name] = (shard.split, label, checksum)
    return found


def kept(before: Shards, after: Shards) -> bool:
    return {name: after.get(name) for name in before} == before


def test_new_images_go_into_new_shards_and_all_numbers_are_those_of_the_whole(home: Path) -> None:
    before = shards(home / "out")
    add(home / "source", *images("train", "cat", 5, 6), *images("train", "bee", *range(5)))
    add(home / "source", *images("val", "dog", 0), *images("test", "cat", 0))
    report = run_here(config(home), "append")
    after = shards(home / "out")
    assert kept(before, after)
    names = sorted(path.name for path in (home / "out").glob("*/*.tfrecord"))
    assert names == [
        "test-00000-of-00001.tfrecord",
        *(f"train-{index:05d}-of-00007.tfrecord" for index in range(7)),
        *(f"val-{index:05d}-of-00002.tfrecord" for index in range(2)),
    ]
    assert json.loads((home / "out/label_map.json").read_text()) == {"cat": 0, "dog": 1, "bee": 2}
    assert problems_in(home / "out") == ()
    anew = run_here(config(home, "anew", label_map={"cat": 0, "dog": 1, "bee": 2}))
    assert records(home / "out") == records(home / "anew")
    assert (report.mean, report.std, report.classes) == (anew.mean, anew.std, anew.classes)
    assert report.mean_image == anew.mean_image
    assert (report.shards, report.resumed_shards) == (10, 5)
    # The same again, and a run that appends nothing, find it complete.
    assert run_here(config(home), "append").was_complete
    assert run_here(config(home)).was_complete
    assert kept(after, shards(home / "out"))
    # And once more.
    add(home / "source", *images("train", "ant", 0))
    run_here(config(home), "append")
    assert kept(after, shards(home / "out"))
    assert json.loads((home / "out/label_map.json").read_text())["ant"] == 3
    assert problems_in(home / "out") == ()


def test_images_that_are_gone_or_changed_are_named_with_their_shards_until_they_are_compacted(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before, then = shards(home / "out"), records(home / "out")
    gone, changed = home / "source/train/cat/001.jpg", home / "source/train/dog/002.jpg"
    gone.unlink()
    changed.unlink()
    add(home / "source", "train/dog/002.jpg", "train/dog/100.jpg")
    with pytest.raises(OutputConflict, match=r"1 added.*1 gone.*1 changed.*`append=True`"):
        run_here(config(home))
    report = run_here(config(home), "append")
    after = shards(home / "out")
    assert kept(before, after)
    assert len(after) == len(before) + 1
    assert "train/cat/001.jpg' in train-0000" in caplog.text
    assert "train/dog/002.jpg' in train-0000" in caplog.text
    assert problems_in(home / "out") == ()
    now = records(home / "out")
    assert {name: now[name] for name in then} == then
    assert report.outdated == {"gone": 1, "changed": 1}
    listed = (home / "out/outdated.csv").read_text().splitlines()
    assert listed[0] == "path,class,split,shard,difference"
    assert {line.split(",")[0] for line in listed[1:]} == {"train/cat/001.jpg", "train/dog/002.jpg"}

    holding = {line.split(",")[3].partition("-of-")[0] for line in listed[1:]}
    report = run_here(config(home), "compact")
    compacted = shards(home / "out")
    assert {name for name in after if compacted[name] != after[name]} == holding
    assert problems_in(home / "out") == ()
    anew = run_here(config(home, "anew"))
    assert records(home / "out") == records(home / "anew")
    assert (report.mean, report.std) == (anew.mean, anew.std)
    assert report.outdated == {}
    assert not (home / "out/outdated.csv").exists()
    assert run_here(config(home)).was_complete


def test_a_further_split_can_be_prepared_into_an_output(home: Path) -> None:
    run_here(config(home, "some", splits=("train",)))
    before = shards(home / "some")
    run_here(config(home, "some", splits=("val",)), "append")
    assert kept(before, shards(home / "some"))
    assert problems_in(home / "some") == ()
    assert records(home / "some") == records(home / "out")
    for splits in (None, ("val",), ("train", "val")):
        assert run_here(config(home, "some", splits=splits), "append").was_complete
    assert run_here(config(home, "some", splits=("train", "val"))).was_complete


@pytest.mark.parametrize("by", ["hash", "exact"])
def test_images_keep_the_split_that_was_made_for_them(home: Path, by: str) -> None:
    shutil.rmtree(home / "source/val")
    rules = {"val": 0.3, "by": by}
    run_here(config(home, "made", split=rules))
    before = records(home / "made")
    add(home / "source", *images("train", "cat", *range(10, 20)))
    run_here(config(home, "made", split=rules), "append")
    after = records(home / "made")
    assert {name: after[name] for name in before} == before
    if by == "exact":
        cats = [split for name, (split, _, _) in after.items() if "/cat/" in name]
        assert cats.count("val") in (4, 5)
    assert run_here(config(home, "made", split=rules)).was_complete
    assert run_here(config(home, "made", split=rules), "compact").was_complete


def test_a_subset_grows_into_a_larger_one(home: Path) -> None:
    run_here(config(home, "part", subset={"per_class": 2}))
    before = shards(home / "part")
    assert len(records(home / "part")) < 12
    run_here(config(home, "part", subset={"per_class": 9}), "append")
    assert kept(before, shards(home / "part"))
    assert records(home / "part") == records(home / "out")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"size": 17}, "size: 16 there, 17 here"),
        ({"quality": 80}, "quality: 90 there, 80 here"),
        ({"seed": 7}, "seed: 0 there, 7 here"),
        ({"format": "webdataset"}, "format: tfrecord there, webdataset here"),
    ],
)
def test_images_are_appended_with_the_settings_of_those_that_are_there(
    home: Path, more: dict[str, Any], told: str
) -> None:
    add(home / "source", *images("train", "cat", 9))
    before = shards(home / "out")
    with pytest.raises(OutputConflict, match=told):
        run_here(config(home, **more), "append")
    assert shards(home / "out") == before
    assert prep.plan(config(home, **more), append=True).state.obstacle is not None


def test_other_versions_are_told(home: Path, caplog: pytest.LogCaptureFixture, monkeypatch) -> None:
    from prep.shards.opened import versions_here

    there = {**versions_here(), "opencv": "4.0"}
    monkeypatch.setattr("prep.operations.preparation.versions_here", lambda: there)
    assert run_here(config(home), "append").was_complete  # Nothing is written with them.
    monkeypatch.undo()
    monkeypatch.setattr("prep.operations.publish._update_page", lambda *_: None)
    plan = Path(home / "out/.prep/plan.json")
    assert "4.0" not in plan.read_text()


def test_a_source_without_any_of_the_images_is_an_error(home: Path) -> None:
    add(home / "other", *images("train", "cat", 100))
    with pytest.raises(OutputConflict, match="none of the 12 images"):
        run_here(config(home, source=str(home / "other")), "append")


def test_keeping_and_replacing_can_not_be_asked_for_together(home: Path) -> None:
    with pytest.raises(UsageError, match="overwrite: got it together with append"):
        prep.run(config(home), overwrite=True, append=True)


def test_one_hot_lists_have_no_place_for_another_class(home: Path) -> None:
    labels = {"cat": [1, 0], "dog": [0, 1]}
    run_here(config(home, "hot", label_map=labels))
    add(home / "source", *images("train", "bee", 0))
    with pytest.raises(LabelError):
        run_here(config(home, "hot", label_map=labels), "append")
    longer = {"cat": [1, 0, 0], "dog": [0, 1, 0], "bee": [0, 0, 1]}
    with pytest.raises(LabelError, match="one-hot lists of 2 there, one-hot lists of 3 here"):
        run_here(config(home, "hot", label_map=longer), "append")


def test_a_label_map_that_is_given_must_keep_the_numbers(home: Path) -> None:
    add(home / "source", *images("train", "bee", 0))
    with pytest.raises(LabelError, match="2 moved"):
        run_here(config(home, label_map={"bee": 0, "cat": 1, "dog": 2}), "append")
    run_here(config(home, label_map={"bee": 7, "cat": 0, "dog": 1}), "append")
    assert json.loads((home / "out/label_map.json").read_text())["bee"] == 7


def test_a_plan_tells_what_would_be_appended(home: Path) -> None:
    add(home / "source", *images("train", "cat", 9))
    (home / "source/train/dog/001.jpg").unlink()
    plan = prep.plan(config(home), append=True)
    assert plan.state is not None
    assert (plan.state.committed, plan.state.images_left) == (5, 1)
    assert plan.state.growth == "1 image to append"
    assert [image.path for image in plan.outdated] == ["train/dog/001.jpg"]
    assert "train/dog/001.jpg" in repr(plan)
    compacted = prep.plan(config(home), compact=True)
    assert compacted.state is not None
    assert (compacted.state.committed, compacted.outdated) == (4, ())
    assert prep.plan(config(home)).state.obstacle is not None


def changes(home: Path) -> None:
    """Change a source in all ways."""
    add(home / "source", *images("train", "cat", 8, 9), *images("train", "bee", 0))
    (home / "source/train/cat/001.jpg").unlink()
    os.utime(home / "source/train/dog/002.jpg", (1, 1))


def outcome(output: Path) -> Any:
    """Return all that has to be the same, however often a run was stopped on the way."""
    names = ("mean_rgb.json", "label_map.json", "refused.csv", "duplicates.csv", "outdated.csv")
    found = [(output / name).read_bytes() for name in names if (output / name).exists()]
    return found, {name: data for name, (data, _) in shards(output).items()}, records(output)


@pytest.mark.parametrize("aim", ["append", "compact"])
def test_a_run_that_is_stopped_anywhere_is_continued_to_the_same_output(
    home: Path, aim: Aim, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes(home)
    shutil.copytree(home / "out", home / "whole")
    before = shards(home / "out")
    run_here(config(home, "whole"), aim)
    expected = outcome(home / "whole")
    draw = random.Random(aim)
    for seed in range(10):
        output = home / f"stopped{seed}"
        shutil.copytree(home / "out", output)
        tries = 0
        while stopped_after(draw.randrange(45), config(home, output.name), aim):
            tries += 1
        if draw.random() < 0.5 and tries:
            run_here(config(home, output.name), aim)
        assert outcome(output) == expected
        assert problems_in(output) == ()
        if aim == "append":
            assert kept(before, shards(output))


def stopped_after(steps: int, config: prep.Config, aim: Aim) -> bool:
    """Begin a run that is stopped after some files were written; return False if it ended before.

    Nothing in this process may tidy up then: it is as if it were killed.
    """
    from prep.storage.local import LocalPath
    from prep.storage.newfile import AtomicFile

    left = steps

    def counting(function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise SystemExit("killed")
            return function(*arguments, **options)

        return counted

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in ((AtomicFile, "_publish"), (LocalPath, "remove_file")):
            patch.setattr(owner, name, counting(getattr(owner, name)))
        patch.setattr("prep.storage.local.os.replace", counting(os.replace))
        try:
            run_here(config, aim)
        except SystemExit:
            return True
    return False


def test_what_a_stopped_append_has_left_to_do_can_be_done_by_a_plain_run(home: Path) -> None:
    add(home / "source", *images("train", "cat", 8, 9), *images("train", "bee", 0))
    assert stopped_after(16, config(home), "append")
    assert run_here(config(home)).shards == 6
    assert problems_in(home / "out") == ()


def test_more_images_can_come_while_an_append_is_stopped(home: Path) -> None:
    before = shards(home / "out")
    for steps in (8, 14, 20):
        add(home / "source", *images("train", "cat", 10 * steps, 10 * steps + 1))
        assert stopped_after(steps, config(home), "append")
    run_here(config(home), "append")
    assert kept(before, shards(home / "out"))
    assert records(home / "out").keys() == {
        str(path.relative_to(home / "source")) for path in (home / "source").glob("*/*/*")
    }
    assert problems_in(home / "out") == ()
