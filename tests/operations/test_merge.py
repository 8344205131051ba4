"""Outputs that are merged: their shards are copied, and everything else is that of the whole."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import prep
from prep.errors import (
    ConfigError,
    LabelError,
    OutputConflict,
    PrepError,
    ShardError,
    SourceError,
    TooManyRefused,
    UntrustedPlan,
)
from prep.operations.tools.lookup import find_record
from prep.output.journal import Journal
from prep.planning.shards import ShardSpec
from prep.shards.copying import ShardOrigin, origin_of
from prep.shards.formats.base import format_of_file
from prep.sources.manifest import entries_of
from tests.support.clusters import PREP, contents, wait_until
from tests.support.outputs import examine, placed_here, prepare, without_derived
from tests.support.pictures import jpeg, picture, write_tree
from tests.support.serial import run_here
from tests.support.tables import parquet, tables_of_folders
from tests.support.tars import tar_of

FIRST = {"train": {"cat": 6, "dog": 5}, "val": {"cat": 3}}
SECOND = {"train": {"cat": 3, "dog": 4, "eel": 2}, "test": {"dog": 3}}


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("growth.merge", "verify"):
        monkeypatch.setattr(f"prep.operations.{module}.placed", placed_here)


def config(home: Path, name: str, source: Any = None, **keys: Any) -> prep.Config:
    """A configuration whose source and output are called alike."""
    values = {"size": 16, "images_per_shard": 4, **keys}
    given = str(home / f"in-{name}") if source is None else source
    return prep.Config(source=given, output=str(home / name), **values)


@pytest.fixture(scope="module", params=["tfrecord", "webdataset"])
def prepared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two outputs: one has a class and a split that the other lacks, and refused images."""
    home = tmp_path_factory.mktemp("merge")
    write_tree(home / "in-a", FIRST)
    write_tree(home / "in-b", SECOND)
    write_tree(home / "in-b", {"train": {"cat": {"page.jpg": b"<!doctype html>"}}})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("prep.operations.publish._update_page", lambda *_: None)
        for name in "ab":
            prepare(config(home, name, format=request.param))
    return home


@pytest.fixture
def home(prepared: Path, tmp_path: Path) -> Path:
    """A copy of the outputs; their sources stay where they are."""
    for name in "ab":
        shutil.copytree(prepared / name, tmp_path / name)
    return tmp_path


def merge(home: Path, *names: str, **more: Any) -> prep.RunReport:
    return prep.merge([home / name for name in names or "ab"], home / "out", **more)


def images(root: Path, split: str) -> list[tuple[bytes, tuple[int, ...]]]:
    """Image and label of each record of a split, in order."""
    found = []
    for path in sorted((root / split).glob(f"{split}-*")):
        format = format_of_file(path.name)
        with path.open("rb") as file:
            found += [tuple(format.parse(record)) for record in format.records(file)]
    return found


def receipts(root: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_bytes()) for path in sorted(root.glob(".prep/receipts/*/*.json"))]


def test_each_split_has_the_records_of_one_output_after_those_of_the_other(home: Path) -> None:
    before = {name: contents(home / name) for name in "ab"}
    report = merge(home)
    for split in ("train", "val", "test"):
        expected = [*images(home / "a", split), *images(home / "b", split)]
        assert images(home / "out", split) == expected
        assert expected
    assert report.images == {"planned": 27, "written": 26, "refused": 1}
    assert json.loads((home / "out/label_map.json").read_bytes()) == {"cat": 0, "dog": 1, "eel": 2}
    names = [path.name.partition(".")[0] for path in sorted((home / "out/train").iterdir())]
    assert names == [f"train-{index:05d}-of-00006" for index in range(6)]
    assert {name: contents(home / name) for name in "ab"} == before


def test_nothing_is_decoded_and_a_receipt_says_what_it_said_before(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(*_: Any) -> None:
        raise AssertionError("an image is decoded")

    monkeypatch.setattr("prep.images.decoders.decode.Decoder.decode", decode)
    merge(home)
    before = [*receipts(home / "a"), *receipts(home / "b")]
    after = receipts(home / "out")
    kept = ("checksums", "stats", "written", "source_bytes", "traits", "dimensions", "mean_image")
    for name in kept:
        assert sorted(str(each[name]) for each in before) == sorted(str(e[name]) for e in after)


def test_it_is_clean_and_all_of_it_can_be_repaired(home: Path) -> None:
    merge(home)
    out = home / "out"
    assert examine(out).problems == ()
    before = contents(out, "*/*-of-*")
    names = sorted((out / "train").iterdir())
    names[0].unlink()
    names[-1].write_bytes(b"damaged")
    found = prep.verify(out, repair=True)
    assert found.clean
    assert len(found.repaired) >= 2
    assert contents(out, "*/*-of-*") == before


def test_sums_lists_and_pictures_are_those_of_the_whole(home: Path) -> None:
    report = merge(home)
    parts = [prep.RunReport.read(home / name) for name in "ab"]
    counts = [part.splits["train"]["written"] for part in parts]
    for channel in "RGB":
        means = [part.mean[channel] for part in parts if part.mean]
        assert report.mean is not None
        assert report.mean[channel] == pytest.approx(np.average(means, weights=counts))
    assert report.traits["train"]["images"] == sum(counts)
    assert "page.jpg" in (home / "out/refused.csv").read_text()
    # The pictures are the same in both sources, and lie in other splits.
    assert report.duplicates["images"] == 12
    assert report.duplicates["leaks"] == {"test": {"train": 2}, "val": {"test": 1}}
    named = report.traits["train"]["extremes"]["smallest"][0]["path"]
    plan = Journal(home / "out").stored_plan()
    assert plan is not None
    table = Journal(home / "out").manifest.read()
    assert os.fsencode(named) in table["path"].to_pylist()


def test_records_lead_to_their_images(home: Path) -> None:
    merge(home)
    journal = Journal(home / "out")
    plan = journal.stored_plan()
    assert plan is not None
    entries = [*entries_of(journal.manifest.read(), plan.classes)]
    source = journal.source(plan)
    assert all(source.stamp(entry) == entry.stamp for entry in entries)
    written = receipts(home / "out")
    refused = {note["path"] for receipt in written for note in receipt["findings"]}
    train = [e.name for e in entries[plan.splits["test"] :][: plan.splits["train"]]]
    expected = [name for name in train if name not in refused]
    found = [find_record(str(home / "out/train"), n).source for n in range(len(expected))]
    assert found == expected


def test_names_that_both_have_begin_with_their_source(home: Path) -> None:
    merge(home)
    names = Journal(home / "out").manifest.read()["path"].to_pylist()
    assert {name.partition(b"/")[0] for name in names} == {b"in-a", b"in-b"}
    assert len({*names}) == len(names)


def test_names_of_one_source_begin_with_their_output(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 1)):
        small(tmp_path, name, folders(tmp_path, "one"), seed=seed)
    merge(tmp_path)
    names = Journal(tmp_path / "out").manifest.read()["path"].to_pylist()
    assert {name.partition(b"/")[0] for name in names} == {b"a", b"b"}
    assert examine(tmp_path / "out").problems == ()


def test_images_are_added_to_a_merged_output_by_a_run_of_all_its_sources(tmp_path: Path) -> None:
    for name in "ab":
        small(tmp_path, name, folders(tmp_path, name))
    merge(tmp_path)
    before = [path.read_bytes() for path in sorted((tmp_path / "out/train").iterdir())]
    folder = tmp_path / "in-b/train/cat"
    (folder / "new.jpg").write_bytes((folder / "0000.jpg").read_bytes())
    both = [str(tmp_path / f"in-{name}") for name in "ab"]
    report = run_here(config(tmp_path, "out", both), "append")
    assert report.images["written"] == 5
    after = [path.read_bytes() for path in sorted((tmp_path / "out/train").iterdir())]
    assert after[:-1] == before
    assert examine(tmp_path / "out").problems == ()


def test_a_merge_that_is_repeated_changes_nothing(home: Path) -> None:
    merge(home)
    before = {path: path.stat().st_mtime_ns for path in (home / "out").rglob("*")}
    assert merge(home).was_complete
    assert {path: path.stat().st_mtime_ns for path in (home / "out").rglob("*")} == before


@pytest.mark.parametrize("done", [0, 2, 5])
def test_a_merge_that_was_stopped_is_continued(
    done: int, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stop(prep.Callback):
        def progress(self, event: Any) -> None:
            if event.shards > done:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=rf"stopped: {done + 1} of 8 shards are there"):
        merge(home, callbacks=[Stop()])
    assert len(receipts(home / "out")) == done + 1
    begun = contents(home / "out", "*/*-of-*")
    report = merge(home)
    assert report.resumed_shards == done + 1
    assert begun.items() <= contents(home / "out", "*/*-of-*").items()
    assert examine(home / "out").problems == ()


def test_a_damaged_shard_is_named_and_all_others_are_merged(home: Path) -> None:
    damaged = sorted((home / "b/train").iterdir())[1]
    data = bytearray(damaged.read_bytes())
    data[len(data) // 3] ^= 1
    damaged.write_bytes(data)
    with pytest.raises(ShardError) as error:
        merge(home)
    assert f"1 shard failed: train/4 ({home}/b: train/{damaged.name} has the SHA-256" in str(
        error.value
    )
    assert len(receipts(home / "out")) == 7
    data[len(data) // 3] ^= 1
    damaged.write_bytes(data)
    assert merge(home).resumed_shards == 7


def test_what_can_not_be_merged_is_told(home: Path) -> None:
    def told(error: type[PrepError], *names: str, **more: Any) -> str:
        with pytest.raises(error) as raised:
            merge(home, *names, **more)
        assert not (home / "out").exists()
        assert "\n" not in str(raised.value)
        return str(raised.value)

    assert "got 1; expected two outputs or more" in told(ConfigError, "a")
    assert "is given twice" in told(ConfigError, "a", "b", "a")
    (home / "empty").mkdir()
    assert "holds no run" in told(SourceError, "a", "empty")
    assert "does not exist" in told(SourceError, "a", "c")
    with pytest.raises(ConfigError, match="is, holds or lies in"):
        prep.merge([home / "a", home / "b"], home / "a/train")
    (home / "link").symlink_to("a")
    with pytest.raises(ConfigError, match="is, holds or lies in"):
        prep.merge([home / "a", home / "b"], home / "link")
    receipt = next(home.glob("b/.prep/receipts/train/00001.json"))
    kept = receipt.read_bytes()
    receipt.unlink()
    assert "is not complete: 3 of 4 shards are committed" in told(SourceError)
    receipt.write_bytes(kept)
    (home / "b/.prep/manifest.parquet").write_bytes(b"PAR1")
    assert "expected the manifest; found one that can't be read" in told(PrepError)


def test_an_output_that_holds_something_else_is_left_alone_unless_asked_for(home: Path) -> None:
    shutil.copytree(home / "a", home / "out")
    before = contents(home / "out")
    with pytest.raises(OutputConflict, match="already holds a different run"):
        merge(home)
    assert contents(home / "out") == before
    merge(home, overwrite=True)
    assert examine(home / "out").problems == ()


def test_a_plan_of_somebody_else_is_not_made_ones_own_unasked(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prep.output.plan_file.owner", lambda _: "belongs to others")
    with pytest.raises(UntrustedPlan, match="a repair of the merged output would read images"):
        merge(home)
    asked: list[str] = []
    merge(home, trust_plan=lambda told: asked.append(told) or True)  # type: ignore[func-returns-value]
    assert len(asked) == 2


counts = st.lists(
    st.dictionaries(st.sampled_from("xyz"), st.integers(0, 5)), min_size=1, max_size=4
)


@given(counts)
def test_each_shard_is_that_of_one_output_in_their_order(parts: list[dict[str, int]]) -> None:
    origins = tuple(
        ShardOrigin(output=f"/{number}", digest="", prefix="", shards=shards)
        for number, shards in enumerate(parts)
    )
    for split in "xyz":
        expected = [
            (f"/{number}", index, shards.get(split, 0))
            for number, shards in enumerate(parts)
            for index in range(shards.get(split, 0))
        ]
        found = []
        for index in range(len(expected)):
            shard = ShardSpec(split=split, index=index, count=len(expected), start=7, stop=9)
            origin, there = origin_of(shard, origins)
            found.append((origin.output, there.index, there.count))
            assert (there.split, there.images) == (split, 2)
        assert found == expected


def small(home: Path, name: str, source: Any = None, **keys: Any) -> None:
    prepare(config(home, name, source, **keys))


def two(home: Path) -> None:
    write_tree(home / "in-a", {"train": {"cat": 2}})
    write_tree(home / "in-b", {"train": {"dog": 3}})


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"size": 24}, r"size: 16 in '.*/a', 24 in '.*/b'; expected outputs of equal settings"),
        ({"quality": 80, "damaged": "keep"}, r"damaged: refuse .*; quality: 90 in .*, 80 in"),
        ({"format": "webdataset"}, "format: tfrecord in .*, webdataset in"),
        ({"label_map": {"dog": 0}}, "do not agree on 1 label: 0 is 'cat' and 'dog'; prepare one"),
        ({"label_map": {"cat": 1, "dog": 2}}, "'cat' is 0 and 1"),
        ({"label_map": {"dog": [1, 0], "cat": [0, 1]}}, "numbers, and .* one-hot lists of 2"),
    ],
    ids=str,
)
def test_settings_and_labels_that_differ_are_named(
    keys: dict[str, Any], told: str, tmp_path: Path
) -> None:
    two(tmp_path)
    small(tmp_path, "a")
    small(tmp_path, "b", **{"label_map": {"dog": 1}, **keys})
    with pytest.raises((ConfigError, LabelError), match=told):
        merge(tmp_path)


def test_order_and_size_of_shards_may_differ(tmp_path: Path) -> None:
    two(tmp_path)
    small(tmp_path, "a", seed=1, images_per_shard=1)
    small(tmp_path, "b", seed=2, images_per_shard=2, label_map={"dog": 1, "eel": 4})
    report = merge(tmp_path)
    assert report.splits["train"]["shards"] == 4
    plan = Journal(tmp_path / "out").stored_plan()
    assert plan is not None
    assert plan.labels.numbers == {"cat": 0, "dog": 1, "eel": 4}
    assert plan.sizes == {"train": (1, 1, 1, 2)}
    assert examine(tmp_path / "out").problems == ()


def test_splits_of_one_source_that_were_prepared_apart(tmp_path: Path) -> None:
    write_tree(tmp_path / "in", {"train": {"cat": 2, "dog": 2}, "val": {"cat": 1, "dog": 1}})
    source = str(tmp_path / "in")
    for name, split in (("a", "train"), ("b", "val")):
        small(tmp_path, name, source, splits=(split,))
    small(tmp_path, "whole", source)
    merge(tmp_path)
    assert examine(tmp_path / "out").problems == ()
    assert contents(tmp_path / "out", "*/*-of-*") == contents(tmp_path / "whole", "*/*-of-*")
    names = [
        Journal(tmp_path / name).manifest.read()["path"].to_pylist() for name in ("out", "whole")
    ]
    assert names[0] == names[1]


def folders(home: Path, name: str) -> Any:
    return str(write_tree(home / f"in-{name}", {"train": {"cat": 2}}))


def archive(home: Path, name: str) -> Any:
    files = contents(Path(folders(home, name)))
    (home / f"{name}.tar").write_bytes(tar_of(files))
    return str(home / f"{name}.tar")


def listed(home: Path, name: str) -> Any:
    names = sorted(contents(Path(folders(home, name))))
    rows = "".join(f"in-{name}/{each},cat\n" for each in names)
    (home / f"{name}.csv").write_text("image,label\n" + rows)
    return str(home / f"{name}.csv")


def table(home: Path, name: str) -> Any:
    files = contents(Path(folders(home, name)))
    (tables,) = tables_of_folders(files.items()).values()
    (home / f"{name}.parquet").write_bytes(parquet(tables, rows=1))
    return str(home / f"{name}.parquet")


def records(home: Path, name: str) -> Any:
    small(home, f"{name}-records", folders(home, name), encoding="png")
    return str(home / f"{name}-records/train/train-00000-of-00001.tfrecord")


def several(home: Path, name: str) -> Any:
    return [folders(home, f"{name}-1"), folders(home, f"{name}-2")]


def in_python(home: Path, name: str) -> Any:
    files = [*contents(Path(folders(home, name))).values()]
    return [(data, "cat") for data in files] + [(np.full((20, 20), 7, np.uint8), "cat")]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *((folders, archive), (archive, listed), (listed, several), (several, folders)),
        *((in_python, in_python), (in_python, listed)),
        *((table, table), (table, folders), (records, records)),
    ],
)
def test_wherever_the_images_of_outputs_are_a_merge_reads_them_there(
    one: Callable[..., Any], other: Callable[..., Any], tmp_path: Path
) -> None:
    small(tmp_path, "a", one(tmp_path, "a"))
    small(tmp_path, "b", other(tmp_path, "b"))
    if (one is in_python) != (other is in_python):
        with pytest.raises(SourceError, match="of a list in Python; expected outputs of one kind"):
            merge(tmp_path)
        return
    merge(tmp_path)
    shard = sorted((tmp_path / "out/train").iterdir())[-1]
    before = shard.read_bytes()
    shard.unlink()
    out = tmp_path / "out"
    assert prep.verify(out, repair=True).clean
    assert shard.read_bytes() == before
    assert merge(tmp_path).was_complete


@pytest.mark.parametrize(
    "keys",
    [
        {"encoding": "raw"},
        {"encoding": "png", "mode": "gray"},
        {"encoding": "webp", "fit": "shorter"},
        {"size": "12x20", "keep_fitting": True},
    ],
    ids=str,
)
def test_members_of_all_encodings_are_written_under_their_new_keys(
    keys: dict[str, Any], tmp_path: Path
) -> None:
    for name in "ab":
        small(tmp_path, name, folders(tmp_path, name), format="webdataset", **keys)
    merge(tmp_path)
    assert examine(tmp_path / "out").problems == ()
    both = [*images(tmp_path / "a", "train"), *images(tmp_path / "b", "train")]
    assert images(tmp_path / "out", "train") == both
    before = contents(tmp_path / "out", "*/*.tar")
    for path in (tmp_path / "out/train").iterdir():
        path.unlink()
    assert prep.verify(tmp_path / "out", repair=True).clean
    assert contents(tmp_path / "out", "*/*.tar") == before


def test_merged_outputs_can_be_merged(tmp_path: Path) -> None:
    two(tmp_path)
    small(tmp_path, "a")
    small(tmp_path, "b", label_map={"dog": 1})
    small(tmp_path, "c", folders(tmp_path, "c"))
    prep.merge([tmp_path / "a", tmp_path / "b"], tmp_path / "ab")
    prep.merge([tmp_path / "ab", tmp_path / "c"], tmp_path / "out")
    assert examine(tmp_path / "out").problems == ()
    three = prep.merge([tmp_path / name for name in "abc"], tmp_path / "abc")
    assert contents(tmp_path / "abc", "*/*-of-*") == contents(tmp_path / "out", "*/*-of-*")
    assert three.images["written"] == 7


def test_refused_images_that_each_allows_are_allowed_by_all(tmp_path: Path) -> None:
    for name in "ab":
        bad = {f"{number}.jpg": b"none" for number in range(9)}
        write_tree(tmp_path / f"in-{name}", {"train": {"cat": {**bad}}})
        write_tree(tmp_path / f"in-{name}", {"train": {"cat": 2}})
        small(tmp_path, name)
    assert merge(tmp_path).verdict.good
    small(tmp_path, "c", str(tmp_path / "in-a"), max_refused=0.1)
    with pytest.raises(TooManyRefused, match="27 of 33 images were refused"):
        prep.merge([tmp_path / name for name in "abc"], tmp_path / "abc")
    assert examine(tmp_path / "abc").problems == ()


def test_images_that_look_alike_are_found_across_outputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = picture(200, 200, 5)
    for name, split, quality in (("a", "train", 90), ("b", "val", 40)):
        files = {"1.jpg": jpeg(pixels, quality=quality)}
        write_tree(tmp_path / f"in-{name}", {split: {"cat": files}})
        small(tmp_path, name, size=64, near_duplicates="report")
    monkeypatch.setattr("prep.operations.publish.hash_images", None)
    assert merge(tmp_path).near_duplicates["leaks"] == {"val": {"train": 1}}


def test_libraries_that_differ_are_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    two(tmp_path)
    small(tmp_path, "a")
    versions = {"prep": "0.1.0", "opencv": "5.10.0"}
    with monkeypatch.context() as patch:
        patch.setattr("prep.operations.preparation.versions_here", lambda: versions)
        small(tmp_path, "b", label_map={"dog": 1})
    merge(tmp_path)
    assert "different versions of opencv 5.0.0 and 5.10.0" in caplog.text
    plan = Journal(tmp_path / "out").stored_plan()
    assert plan is not None
    assert plan.fingerprint.versions["opencv"] == "5.10.0"


@pytest.mark.slow
def test_merges_that_are_killed_at_random_leave_nothing_wrong(tmp_path: Path) -> None:
    chance = random.Random(7)
    for name, images in (("a", 24), ("b", 36)):
        source = str(write_tree(tmp_path / f"in-{name}", {"train": {"cat": images}}))
        small(tmp_path, name, source, images_per_shard=1, format="webdataset")
    out = tmp_path / "out"
    merge(tmp_path)
    expected = contents(out, "*/*-of-*")
    shutil.rmtree(out)
    killed = 0
    while merge_and_kill(tmp_path, chance):
        killed += 1
        if (out / ".prep/plan.json").exists():
            wrong = {problem.where for problem in prep.verify(out).problems}
            lists = {"mean_rgb.json", "refused.csv", "report.json"}  # They come last.
            assert without_derived(wrong) <= lists
    assert killed > 3
    assert contents(out, "*/*-of-*") == expected
    assert prep.verify(out).clean
    assert merge(tmp_path).was_complete


def merge_and_kill(home: Path, chance: random.Random) -> bool:
    """Merge with the command, kill it after a few shards, and return whether that came in time."""

    def there() -> int:
        return len([*home.glob("out/.prep/receipts/*/*.json")])

    wanted = there() + chance.randrange(15)
    command = [PREP, "merge", home / "a", home / "b", "-o", home / "out", "-j", "2", "-q"]
    process = subprocess.Popen(command, start_new_session=True)
    wait_until(lambda: process.poll() is not None or there() >= wanted)
    time.sleep(chance.random() / 50)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    code = process.wait()
    assert code in (0, -signal.SIGKILL)
    return code != 0
