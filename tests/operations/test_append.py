"""Sets that grow: images appended to an output, gone from its source, or changed in it."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import prep
from prep.errors import LabelError, OutputConflict, UsageError
from prep.operations.growth.appending import Aim
from prep.output.journal import Journal
from prep.shards.opened import versions_here
from prep.sources.manifest import entries_of
from tests.support.clusters import wait_until
from tests.support.outputs import placed_here, without_derived
from tests.support.pictures import jpeg, picture
from tests.support.serial import problems_in, run_here
from tests.support.storages import S3

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


def test_images_are_appended_in_as_many_shards_of_one_size_again(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prep.operations.growth.merge.placed", placed_here)
    given = {"images_per_shard": None, "shard_count": 3, "splits": ["train"]}
    run_here(config(home, "equal", **given))
    before = shards(home / "equal")
    assert counts(home / "equal") == [3, 3, 4]
    assert run_here(config(home, "equal", **given)).was_complete
    with pytest.raises(OutputConflict, match="shard_count: 3 there, 2 here"):
        run_here(config(home, "equal", **{**given, "shard_count": 2}))
    add(home / "source", *images("train", "cat", *range(5, 9)))
    run_here(config(home, "equal", **given), "append")
    assert kept(before, shards(home / "equal"))
    assert counts(home / "equal") == [3, 3, 4, 2, 1, 1]
    assert run_here(config(home, "equal", **given)).was_complete
    add(home / "source", *images("train", "cat", 9))  # One image makes one shard.
    run_here(config(home, "equal", **given), "append")
    assert counts(home / "equal") == [3, 3, 4, 2, 1, 1, 1]
    assert problems_in(home / "equal") == ()
    prep.merge([home / "equal", home / "out"], home / "merged")
    assert counts(home / "merged")[:7] == counts(home / "equal")


def test_new_classes_get_the_next_numbers_wherever_these_begin(home: Path) -> None:
    run_here(config(home, "one", first_label=1, splits=["val"]))
    add(home / "source", *images("val", "bee", 0), *images("val", "eel", 0))
    run_here(config(home, "one", first_label=1, splits=["val"]), "append")
    labels = json.loads((home / "one/label_map.json").read_text())
    assert labels == {"cat": 1, "dog": 2, "bee": 3, "eel": 4}


def counts(output: Path) -> list[int]:
    """Return the number of records in each shard, as receipts have it."""
    plan = Journal(output).stored_plan()
    assert plan is not None
    return [receipt.images for receipt in Journal(output).committed(plan)]


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


def test_new_shards_may_be_written_with_other_versions_which_is_told(
    home: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = {**versions_here(), "opencv": "4.0"}
    monkeypatch.setattr("prep.operations.preparation.versions_here", lambda: there)
    before = shards(home / "out")
    assert run_here(config(home), "append").was_complete  # Nothing is written with them.
    assert '"4.0"' not in (home / "out/.prep/plan.json").read_text()
    assert "opencv" not in caplog.text
    add(home / "source", *images("train", "cat", 9))
    run_here(config(home), "append")
    assert kept(before, shards(home / "out"))
    assert f"opencv {versions_here()['opencv']} there, 4.0 here" in caplog.text


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


def test_without_an_output_an_append_is_a_run(home: Path) -> None:
    report = run_here(config(home, "new"), "append")
    assert {n: d for n, (d, _) in shards(home / "new").items()} == {
        n: d for n, (d, _) in shards(home / "out").items()
    }
    assert (report.shards, report.resumed_shards) == (5, 0)


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
    for seed in range(6):
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


def test_an_output_is_verified_wherever_the_change_of_its_plan_was_stopped(home: Path) -> None:
    changes(home)  # Which moves the rows of val, and has other rows in shards of train.
    found: set[str] = set()
    for steps in range(1, 17):
        output = home / f"stopped{steps}"
        shutil.copytree(home / "out", output)
        assert stopped_after(steps, config(home, output.name), "compact")
        found |= {problem.where for problem in problems_in(output)}
    # They follow the shards.
    assert without_derived(found) <= {"report.json", "label_map.json"}


def test_a_plan_counts_shards_that_a_stopped_append_has_not_taken_over_yet(home: Path) -> None:
    add(home / "source", *images("train", "cat", 8, 9))
    for steps in (4, 8, 12):
        output = home / f"stopped{steps}"
        shutil.copytree(home / "out", output)
        asked = config(home, output.name)
        assert stopped_after(steps, asked, "append")
        add(home / "source", *images("train", "dog", 10 * steps))
        state = prep.plan(asked, append=True).state
        assert state is not None
        assert state.committed == 5


def test_what_a_stopped_append_has_left_to_do_can_be_done_by_a_plain_run(home: Path) -> None:
    add(home / "source", *images("train", "cat", 8, 9), *images("train", "bee", 0))
    assert stopped_after(25, config(home), "append")
    assert run_here(config(home)).shards == 6
    assert problems_in(home / "out") == ()


def test_more_images_can_come_while_an_append_is_stopped(home: Path) -> None:
    before = shards(home / "out")
    for steps in (14, 14, 20):
        add(home / "source", *images("train", "cat", 10 * steps, 10 * steps + 1))
        assert stopped_after(steps, config(home), "append")
    run_here(config(home), "append")
    assert kept(before, shards(home / "out"))
    assert records(home / "out").keys() == {
        str(path.relative_to(home / "source")) for path in (home / "source").glob("*/*/*")
    }
    assert problems_in(home / "out") == ()


def in_archive(home: Path, kind: str) -> None:
    """Put the source in an archive, as one would add to one: what was in it stays where it is."""
    archive = home / f"images.{kind}"
    names = sorted(path.relative_to(home / "source") for path in (home / "source").glob("*/*/*"))
    if kind == "zip":
        with zipfile.ZipFile(archive, "a") as file:
            for name in [name for name in names if str(name) not in file.namelist()]:
                file.write(home / "source" / name, str(name))
        return
    with tarfile.open(archive, "a") as tar:
        for name in [name for name in names if str(name) not in tar.getnames()]:
            tar.add(home / "source" / name, str(name))


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_members_are_appended_to_an_archive(home: Path, kind: str) -> None:
    in_archive(home, kind)
    asked = config(home, "archived", source=str(home / f"images.{kind}"))
    run_here(asked)
    before = shards(home / "archived")
    add(home / "source", *images("train", "cat", 8, 9), *images("train", "bee", 0))
    in_archive(home, kind)
    report = run_here(asked, "append")
    assert report.outdated == {}
    assert kept(before, shards(home / "archived"))
    assert problems_in(home / "archived") == ()
    run_here(config(home), "append")
    assert records(home / "archived") == records(home / "out")
    assert run_here(asked).was_complete


def test_a_table_is_appended_group_by_group(home: Path) -> None:
    def write(name: str, first: int) -> None:
        rows = range(first, first + 10)
        images = [{"bytes": jpeg(picture(20, 24, seed=n)), "path": f"{n}.jpg"} for n in rows]
        table = pa.table({"image": images, "label": ["dog" if n % 2 else "cat" for n in rows]})
        (home / "tables/train").mkdir(parents=True, exist_ok=True)
        pq.write_table(table, home / "tables/train" / name, row_group_size=4)

    write("0000.parquet", 0)
    asked = config(home, "rows", source=str(home / "tables"), images_per_shard=5)
    run_here(asked)
    before = shards(home / "rows")
    write("0001.parquet", 10)
    report = run_here(asked, "append")
    assert kept(before, shards(home / "rows"))
    assert (report.images["written"], report.outdated) == (20, {})
    assert problems_in(home / "rows") == ()
    journal = Journal(str(home / "rows"))
    plan = journal.whole_plan(journal.stored_plan())
    files = plan.manifest["file"].to_pylist()
    for shard in plan.shards:  # What is read together is written together.
        assert len(set(files[shard.start : shard.stop])) == 1
    assert run_here(asked).was_complete


def test_rows_of_a_list_may_change_their_class_and_their_split(home: Path) -> None:
    rows = [
        (str(path.relative_to(home)), "val" if number % 4 == 0 else "train", "ba"[number % 2])
        for number, path in enumerate(sorted((home / "source").glob("*/*/*")))
    ]

    def write(rows: list[tuple[str, str, str]]) -> prep.Config:
        lines = [f"{path},{split},{label}" for path, split, label in rows]
        (home / "list.csv").write_text("\n".join(["image,split,label", *lines]) + "\n")
        return config(home, "listed", source=str(home / "list.csv"))

    run_here(write(rows))
    before = shards(home / "listed")
    (path, split, _), (other, _, label) = rows[1], rows[2]
    add(home / "source", "train/cat/new.jpg")
    changed = [rows[0], (path, split, "c"), (other, "val", label), *rows[3:]]
    asked = write([*changed, ("source/train/cat/new.jpg", "train", "a")])
    report = run_here(asked, "append")
    assert report.outdated == {"relabelled": 1, "moved": 1}
    assert kept(before, shards(home / "listed"))
    assert run_here(asked, "compact").outdated == {}
    now = records(home / "listed")
    assert (now[path][1], now[other][0]) == (2, "val")
    assert len(now) == 13
    assert problems_in(home / "listed") == ()


def test_an_image_that_an_output_holds_is_not_dropped_for_a_copy(home: Path) -> None:
    asked = config(home, "once", duplicates="drop")
    run_here(asked)
    before = records(home / "once")
    # In the smallest split, and first by name, either of which would be kept otherwise.
    for number in range(3):
        path = home / f"source/val/ape/{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        shutil.copy2(home / f"source/train/cat/00{number}.jpg", path)
    add(home / "source", *images("train", "dog", 20))
    report = run_here(asked, "append")
    assert report.outdated == {}
    assert records(home / "once").keys() == {*before, "train/dog/020.jpg"}


def test_an_output_that_was_stopped_is_continued_with_what_its_source_has_now(home: Path) -> None:
    assert stopped_after(14, config(home, "partly"), "continue")
    assert 0 < len(shards(home / "partly")) < 5
    before = shards(home / "partly")
    changes(home)
    run_here(config(home, "partly"), "append")
    assert kept(before, shards(home / "partly"))
    assert problems_in(home / "partly") == ()
    run_here(config(home, "partly"), "compact")
    run_here(config(home, "anew", label_map={"cat": 0, "dog": 1, "bee": 2}))
    assert records(home / "partly") == records(home / "anew")


def test_all_images_of_a_shard_may_be_gone(home: Path) -> None:
    for path in (home / "source/val").glob("*/*"):
        path.unlink()
    run_here(config(home, splits=("train",)), "append")  # Does not ask for val.
    report = run_here(config(home), "append")
    assert report.outdated == {"gone": 2}
    report = run_here(config(home), "compact")
    assert report.splits["val"]["written"] == 0
    assert problems_in(home / "out") == ()
    assert run_here(config(home), "append").was_complete


def test_a_broken_shard_of_a_grown_output_is_written_again(home: Path) -> None:
    add(home / "source", *images("train", "cat", 8, 9))
    run_here(config(home), "append")
    before = shards(home / "out")
    broken = home / "out/train/train-00001-of-00005.tfrecord"
    broken.write_bytes(broken.read_bytes()[:-1])
    assert run_here(config(home)).resumed_shards == 5
    assert {name: data for name, (data, _) in shards(home / "out").items()} == {
        name: data for name, (data, _) in before.items()
    }


@pytest.mark.pages
def test_the_page_tells_of_outdated_records(home: Path) -> None:
    (home / "source/train/cat/001.jpg").unlink()
    run_here(config(home), "append")
    page = (home / "out/report.html").read_text()
    assert "records of 1 image gone from the source" in page
    assert 'href="outdated.csv"' in page


def test_images_are_appended_to_what_was_merged(home: Path) -> None:
    for split in ("train", "val"):
        run_here(config(home, split, splits=(split,)))
    prep.merge([home / "train", home / "val"], home / "merged")
    before = shards(home / "merged")
    add(home / "source", *images("train", "cat", 8), *images("val", "bee", 0))
    run_here(config(home, "merged"), "append")
    assert kept(before, shards(home / "merged"))
    assert problems_in(home / "merged") == ()
    run_here(config(home), "append")
    assert records(home / "merged") == records(home / "out")


def test_a_grown_output_is_repaired_unless_the_images_of_a_shard_are_gone(home: Path) -> None:
    add(home / "source", *images("train", "cat", 8, 9))
    (home / "source/train/dog/001.jpg").unlink()
    report = run_here(config(home), "append")
    assert report.outdated == {"gone": 1}
    before = shards(home / "out")
    (holding,) = (home / "out/outdated.csv").read_text().splitlines()[1:]
    holding = holding.split(",")[3]
    for path in (home / "out").glob("train/*.tfrecord"):
        path.write_bytes(path.read_bytes()[:-1])
    found = prep.verify(home / "out", repair=True)
    wrong = {problem.where for problem in found.problems}
    assert {where for where in wrong if where.startswith("train/")} == {f"train/{holding}"}
    assert "dataset_info.json" in wrong  # Nobody is told of shards of which one is broken.
    assert "1 image of its 3 changed or gone" in " ".join(map(str, found.problems))
    after = shards(home / "out")
    intact = {name for name in before if after[name][0] == before[name][0]}
    assert before.keys() - intact == {holding.partition("-of-")[0]}
    assert prep.RunReport.read(home / "out").outdated == {"gone": 1}


def test_without_its_manifest_a_grown_output_can_only_be_replaced(home: Path) -> None:
    add(home / "source", *images("train", "cat", 8))
    run_here(config(home), "append")
    (home / "out/.prep/manifest.parquet").unlink()
    for aim in ("continue", "append"):
        with pytest.raises(OutputConflict, match=r"manifest.parquet.*restore it, or"):
            run_here(config(home), aim)
    run_here(config(home), "overwrite")
    assert problems_in(home / "out") == ()


@pytest.mark.slow
def test_an_output_in_a_storage_grows_by_renaming_what_is_there(home: Path, s3: S3) -> None:
    s3.upload(home / "source", "photos")
    places = {"source": f"{s3.url}/photos", "output": f"{s3.url}/shards"}
    asked = prep.Config(**places, size=16, images_per_shard=3, storage_options=dict(s3.options))
    run_here(asked)
    before = s3.contents("shards/train")
    add(home / "source", *images("train", "cat", 8, 9))
    for name in images("train", "cat", 8, 9):
        s3.write(f"photos/{name}", (home / "source" / name).read_bytes())
    requests = len(s3.requests())
    run_here(asked, "append")
    named = [path for method, path, _ in s3.requests()[requests:] if method == "PUT"]
    # Four of them are copied there.
    assert sum(path.endswith("of-00005.tfrecord") for path in named) == 5
    after = s3.contents("shards/train")
    assert sorted(after) == [f"train-{index:05d}-of-00005.tfrecord" for index in range(5)]
    for name, data in before.items():
        assert after[name.replace("of-00004", "of-00005")] == data
    assert problems_in(asked.output) == ()
    assert run_here(asked).was_complete


@pytest.mark.slow
def test_an_append_that_is_killed_at_random_is_continued_to_the_same_output(home: Path) -> None:
    small = {"images_per_shard": 2}
    add(home / "source", *images("train", "cat", *range(10, 60)))
    run_here(config(home, "first", **small))
    add(home / "source", *images("train", "cat", *range(60, 100)), *images("train", "bee", 0))
    shutil.copytree(home / "first", home / "whole")
    before = shards(home / "first")
    run_here(config(home, "whole", **small), "append")
    draw = random.Random(5)
    kills = 0
    for number in range(4):
        output = home / f"killed{number}"
        shutil.copytree(home / "first", output)
        for _ in range(3):
            kills += killed_append(home, output, seconds=draw.random() / 2)
        run_here(config(home, output.name, **small), "append")
        assert outcome(output) == outcome(home / "whole")
        assert kept(before, shards(output))
        assert problems_in(output) == ()
    assert kills >= 6


def killed_append(home: Path, output: Path, seconds: float) -> bool:
    """Kill an append some time after it has published its plan; return False if it ended before."""
    command = [sys.executable, "-m", "prep", "run", "--append", "--size=16", "--images-per-shard=2"]
    places = [f"--source={home / 'source'}", f"--output={output}"]
    plan = output / ".prep/plan.json"
    process = psutil.Popen([*command, *places], stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    wait_until(lambda: process.poll() is not None or "continues" in plan.read_text())
    time.sleep(seconds)
    if process.poll() is not None:
        assert process.returncode == 0
        return False
    for each in (*process.children(recursive=True), process):
        each.kill()
    process.wait()
    return True
