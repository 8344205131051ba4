"""Images that look alike in a run: named, counted as leaks and conflicts, and dropped."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import prep
from prep.errors import LeaksFound, SourceError
from prep.images.likeness.hashing import UNKNOWN
from prep.operations.outlook import require_as_asked
from prep.output.receipt import ShardReceipt
from prep.output.report.near_copies import hashes_by_row
from prep.planning.plan import RunPlan
from prep.settings.image_settings import ImageSettings
from prep.shards.image_hashes import hash_images
from prep.sources.registry import open_source
from tests.support import poison
from tests.support.outputs import examine, prepare, write_plan
from tests.support.pictures import Pixels, image_file, jpeg, picture


def photo(seed: int) -> Pixels:
    """Return a picture with coarse and fine structure, as photos have."""
    fine = np.random.default_rng(seed).integers(0, 256, (24, 24, 3), np.uint8)
    smooth = Image.fromarray(fine).resize((160, 160), Image.Resampling.BICUBIC)
    return (picture(160, 160, seed) // 2 + np.asarray(smooth) // 2).astype(np.uint8)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six photos, five that look like one of them, two of one colour, and one that is damaged."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    photos = [photo(seed) for seed in range(6)]
    half = np.asarray(Image.fromarray(photos[1]).resize((80, 80)))
    files = {
        **{f"train/cat/{n}.jpg": jpeg(photos[n]) for n in range(4)},
        "val/cat/4.jpg": jpeg(photos[4]),
        "test/dog/5.jpg": jpeg(photos[5]),
        "train/cat/worse.jpg": jpeg(photos[0], quality=40),
        "val/cat/half.jpg": jpeg(half),
        "test/cat/mirrored.jpg": jpeg(photos[2][:, ::-1]),
        "train/dog/other.png": image_file(photos[3], "PNG"),
        "train/dog/same.jpg": jpeg(photos[3]),
        "train/cat/black.jpg": jpeg(np.zeros((160, 160, 3), np.uint8)),
        "val/cat/black.jpg": jpeg(np.zeros((90, 90, 3), np.uint8)),
        "train/cat/damaged.jpg": jpeg(photos[4])[:900],
    }
    for name, data in files.items():
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "photos"


def config(source: Path, **more: Any) -> prep.Config:
    values = {"size": 128, "images_per_shard": 4, "max_refused": 1.0, **more}
    return prep.Config(source=str(source), output=str(source.parent / "out"), **values)


def rows(output: Path) -> list[dict[str, str]]:
    with open(output / "near_duplicates.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def groups(output: Path) -> set[tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for row in rows(output):
        found.setdefault(row["group"], []).append(row["path"])
    return {tuple(sorted(paths)) for paths in found.values()}


GROUPS = {
    ("train/cat/0.jpg", "train/cat/worse.jpg"),
    ("train/cat/1.jpg", "val/cat/half.jpg"),
    ("test/cat/mirrored.jpg", "train/cat/2.jpg"),
    ("train/cat/3.jpg", "train/dog/other.png", "train/dog/same.jpg"),
}


def test_images_that_look_alike_are_named_and_counted(source: Path) -> None:
    journal = prepare(config(source, near_duplicates="report"))
    output = Path(journal.output)
    assert groups(output) == GROUPS
    about = {row["path"]: row for row in rows(output)}
    for path, leak, conflict, mirrored in (
        ("train/cat/0.jpg", "", "", ""),
        ("val/cat/half.jpg", "yes", "", ""),
        ("test/cat/mirrored.jpg", "yes", "", "yes"),
        ("train/dog/other.png", "", "yes", ""),
    ):
        row = about[path]
        assert (row["leak"], row["conflict"], row["mirrored"]) == (leak, conflict, mirrored)
        assert int(row["distance"]) <= 10
    report = prep.RunReport.read(output)
    assert {**report.near_duplicates, "examples": {}} == {
        "compared": 11,
        "distance": 10,
        "crowded": 0,
        "images": 9,
        "groups": 4,
        "across_splits": 2,
        "conflicts": 1,
        "leaks": {"val": {"train": 1}, "test": {"train": 1}},
        "dropped": 0,
        "examples": {},
    }
    assert set(report.near_duplicates["examples"]) == {"leak", "conflict"}
    assert report.verdict.good
    assert "9 images that look alike, in 4 groups" in repr(report)
    assert "1 of 3 val images looks like a train image" in repr(report)
    assert examine(output).problems == ()


def test_receipts_hold_hashes_only_if_asked_and_bytes_are_the_same(source: Path) -> None:
    shards: list[dict[str, str]] = []
    for near in ("report", "ignore"):
        output = str(source.parent / near)
        journal = prepare(
            config(source, near_duplicates=near).model_copy(update={"output": output})
        )
        plan = journal.stored_plan()
        assert plan is not None
        receipts = journal.receipts.committed(plan.shards, plan.fingerprint.digest)
        stored = [json.loads(json.dumps(receipt.to_json())) for receipt in receipts]
        assert all(("likenesses" in receipt) == (near == "report") for receipt in stored)
        assert [ShardReceipt.from_json(receipt) for receipt in stored] == receipts
        shards.append({receipt.file: receipt.sha256 for receipt in receipts})
        if near == "report":
            hashes = hashes_by_row(plan.images, plan.shards, receipts)
            assert np.count_nonzero(hashes == UNKNOWN) == 3  # Of one colour, or refused.
            wrong = {**stored[0], "likenesses": stored[0]["likenesses"][:-1]}
            with pytest.raises(ValueError, match="likenesses: expected 16 digits for each of"):
                ShardReceipt.from_json(wrong)
    assert shards[0] == shards[1]


def test_shards_written_before_anybody_asked_are_compared_too(source: Path) -> None:
    journal = prepare(config(source))
    assert not (Path(journal.output) / "near_duplicates.csv").exists()
    written = prep.RunReport.read(journal.output)
    assert written.near_duplicates == {}
    report = prep.run(config(source, near_duplicates="report"))
    assert report.was_complete
    assert groups(Path(journal.output)) == GROUPS
    assert report.fingerprint == written.fingerprint


@pytest.mark.parametrize("near", ["report", "ignore"])
def test_a_run_whose_splits_leak_fails_if_asked_and_keeps_everything(
    source: Path, near: str
) -> None:
    if near == "ignore":
        (source / "val/cat/copy.jpg").write_bytes((source / "train/cat/0.jpg").read_bytes())
    asked = config(source, near_duplicates=near, leaks="fail")
    output = Path(prepare(asked).output)
    report = prep.RunReport.read(output)
    assert report.verdict.state == "leaks"
    with pytest.raises(LeaksFound, match="and leaks is 'fail'; all images are written") as error:
        require_as_asked(report)
    kind = "looks like a train image" if near == "report" else "is a copy of a train image"
    assert kind in str(error.value)
    assert error.value.report == report
    # A plan says that a run would, and so does the next run, until leaks are accepted.
    state = prep.plan(asked).state
    assert state is not None
    assert isinstance(state.obstacle, LeaksFound)
    with pytest.raises(LeaksFound):
        prep.run(asked)
    assert prep.run(config(source, near_duplicates=near)).verdict.state == "done with refusals"


def test_only_one_of_each_group_stays_in_a_split_not_trained_on(source: Path) -> None:
    asked = config(source, near_duplicates="drop", leaks="fail")
    plan = prep.plan(asked)
    assert plan.look_alikes is not None
    dropped = {image.image.path: image.kept.path for image in plan.look_alikes.images}
    assert dropped == {
        "train/cat/worse.jpg": "train/cat/0.jpg",
        "train/cat/1.jpg": "val/cat/half.jpg",
        "train/cat/2.jpg": "test/cat/mirrored.jpg",
        "train/dog/other.png": "train/cat/3.jpg",
        "train/dog/same.jpg": "train/cat/3.jpg",
    }
    (note,) = plan.ignored
    assert (note.reason, note.count) == ("image that looks like another", 5)
    output = Path(write_plan(plan).output)
    assert groups(output) == GROUPS
    assert {row["path"] for row in rows(output) if row["dropped"]} == dropped.keys()
    report = prep.RunReport.read(output)
    assert report.near_duplicates["dropped"] == 5
    assert report.verdict.good
    assert examine(output).problems == ()
    # The images that are left are as different as they can be, and a run has nothing to add.
    assert prep.run(asked).was_complete


def test_images_of_an_output_stay_when_ones_that_look_alike_are_appended(source: Path) -> None:
    asked = config(source, near_duplicates="drop", leaks="fail")
    first = prep.run(asked)
    for seed, name in ((0, "train/cat/7.jpg"), (0, "val/cat/7.jpg"), (8, "train/cat/8.jpg")):
        (source / name).write_bytes(jpeg(photo(seed), quality=45))
    report = prep.run(asked, append=True)
    assert report.images["written"] == first.images["written"] + 1
    dropped = {row["path"] for row in rows(Path(report.output)) if row["dropped"]}
    assert {"train/cat/7.jpg", "val/cat/7.jpg", "train/cat/worse.jpg"} <= dropped
    assert "train/cat/0.jpg" not in dropped
    assert prep.run(asked).was_complete
    assert examine(Path(report.output)).problems == ()


def test_hashes_of_candidates_are_those_of_the_run_and_are_made_once(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = prepare(config(source, near_duplicates="report"))
    plan = journal.stored_plan()
    assert plan is not None
    receipts = journal.receipts.committed(plan.shards, plan.fingerprint.digest)
    whole = journal.whole_plan(plan)
    in_receipts = hashes_by_row(plan.images, plan.shards, receipts)
    said: list[str] = []
    assert np.array_equal(hashes_of(source, whole, said), in_receipts)
    assert said == ["comparing images: 0 of 14 images decoded"]
    (source / "val/cat/4.jpg").write_bytes(jpeg(photo(9), quality=91))
    said.clear()
    changed = prep.plan(config(source))
    after = hashes_of(source, changed, said)
    assert said == ["comparing images: 0 of 1 image decoded"]
    assert np.count_nonzero(after != in_receipts) == 1
    monkeypatch.setattr("prep.shards.image_hashes.IsolatedProcessor", None)
    said.clear()
    assert np.array_equal(hashes_of(source, changed, said), after)
    assert said == []


def hashes_of(source: Path, plan: RunPlan, said: list[str]) -> Any:
    settings = ImageSettings(size=128)
    of = open_source(str(source))
    return hash_images(
        of, plan.manifest, plan.classes, settings, timeout=60, processes=1, tell=said.append
    )


def test_an_image_that_crashes_the_decoder_is_not_compared(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(source / "train/cat/1.jpg", "ab") as file:
        file.write(poison.CRASH)
    monkeypatch.setenv("PREP_TEST_FAULT", poison.NAME)
    plan = prep.plan(config(source, near_duplicates="drop"))
    assert plan.look_alikes is not None
    assert plan.look_alikes.compared == 10
    assert {image.kept.path for image in plan.look_alikes.images}.isdisjoint({"val/cat/half.jpg"})


def test_a_stop_ends_the_comparison(source: Path) -> None:
    plan = prep.plan(config(source))

    def stop(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hash_images(
            open_source(str(source)),
            plan.manifest,
            plan.classes,
            ImageSettings(size=128),
            timeout=60,
            processes=1,
            tell=stop,
        )


def test_a_source_that_is_away_is_an_error_before_any_work(source: Path) -> None:
    plan = prep.plan(config(source))
    source.rename(source.with_name("gone"))
    with pytest.raises(SourceError, match="images can't be read to compare them: "):
        hashes_of(source, plan, [])


@pytest.mark.pages
def test_the_page_shows_them_side_by_side(source: Path) -> None:
    output = Path(prepare(config(source, near_duplicates="report", leaks="fail")).output)
    page = (output / "report.html").read_text(encoding="utf-8")
    assert "1 of 3 val images looks like a train image" in page
    assert "or with --leaks report to accept them." in page
    assert "max_refused" not in page.partition('role="status"')[2].partition("</p>")[0]
    assert page.count("bits apart") + page.count("bit apart") == 2 + 1 + 1
    assert ", one of them mirrored" in page
    section = page.partition('id="look_alikes"')[2].partition("</section>")[0]
    assert section.count("<img ") == 2 * (2 + 1 + 1)
    assert 'href="near_duplicates.csv"' in section
