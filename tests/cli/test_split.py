"""``prep split``: the splits of a source, and lists of them that are sources in turn."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import prep
from prep.cli.main import main
from prep.config.model import Config
from prep.errors import ConfigError
from prep.operations.preparation import plan_images
from prep.operations.tools.split_lists import SplitList, split_source, write_list
from prep.planning.plan import RunPlan
from prep.storage.local import LocalPath
from tests.support.pictures import write_tree

MADE = {"test": 0.2, "folds": 2, "fold": 1}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_tree(tmp_path / "photos", {"train": {"cat": 12, "dog, big": 6}})
    return tmp_path


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def of(source: Any, **values: Any) -> RunPlan:
    return split_source(Config(source=source, output=os.devnull, **values))


def in_order(plan: RunPlan) -> list[tuple[int, int, int]]:
    """Return what the shards of a plan hold, in their order: label, size and time of each image."""
    numbers = [int(plan.labels.numbers.get(name, -1)) for name in plan.classes]  # type: ignore[call-overload]
    columns = (plan.manifest[name].to_pylist() for name in ("class", "size", "mtime"))
    return [(numbers[c], size, time) for c, size, time in zip(*columns, strict=True)]


def require_the_same(plan: RunPlan, written: SplitList) -> None:
    """Raise AssertionError unless a list is read as the plan that it was written of."""
    assert written.same_labels
    again = plan_images(Config(source=written.path, output=os.devnull, **written.keys))
    assert dict(again.splits) == dict(plan.splits)
    assert in_order(again) == in_order(plan)
    assert [s.name for s in again.shards] == [s.name for s in plan.shards]


def test_a_list_of_made_splits_gives_the_same_plan(home: Path) -> None:
    plan = of("photos", split=MADE, subset="fraction=0.9")
    assert sorted(plan.splits) == ["test", "train", "val"]
    beside = write_list(plan, LocalPath(home / "list.csv"))
    assert beside.keys == {}
    require_the_same(plan, beside)
    (home / "elsewhere").mkdir()
    elsewhere = write_list(plan, LocalPath(home / "elsewhere/list.csv"))
    assert elsewhere.keys == {"images": str(home / "photos")}
    require_the_same(plan, elsewhere)
    of_list = of("list.csv", splits=["test", "val"])
    require_the_same(of_list, write_list(of_list, LocalPath(home / "again.csv")))


def test_a_list_may_name_images_of_an_archive_and_images_without_a_label(home: Path) -> None:
    with tarfile.open("photos.tar", "w") as archive:
        archive.add("photos")
    plan = of("photos.tar", split="val=0.25,by=hash", seed=3)
    written = write_list(plan, LocalPath(home / "list.csv"))
    assert written.keys == {"images": str(home / "photos.tar"), "seed": 3}
    again = plan_images(Config(source="list.csv", output=os.devnull, **written.keys))
    assert in_order(again) == in_order(plan)
    names = sorted(path.name for path in (home / "photos/train/cat").iterdir())
    rows = [f"photos/train/cat/{name},{'' if n % 3 else 'cat'}" for n, name in enumerate(names)]
    (home / "some.csv").write_text("\n".join(["image,label", *rows]) + "\n")
    plan = of("some.csv", split="val=4", unlabelled="keep")
    written = write_list(plan, LocalPath(home / "list.csv"))
    assert written.keys == {"unlabelled": "keep"}
    require_the_same(plan, written)


def test_labels_that_a_list_does_not_tell_are_said_to_need_a_label_map(home: Path) -> None:
    (home / "order.txt").write_text("dog, big\ncat\n")
    arguments = ["split", "photos", "--labels", "order=order.txt", "--write", "list.csv"]
    told = invoke(*arguments, "--split", "val=0.5").output
    assert "18 images, written to list.csv\nnext: prep plan list.csv OUTPUT\n" in told
    assert "its classes would get other numbers: add --label-map" in told


def test_a_list_that_would_not_be_read_as_the_same_is_not_left(home: Path) -> None:
    write_tree(home / "odd", {"train": {"cat ": 2, "dog": 2}})
    with pytest.raises(ConfigError, match="would not be read as the same images, classes and"):
        write_list(of("odd", layout="splits"), LocalPath(home / "list.csv"))
    assert not (home / "list.csv").exists()
    write_tree(home / "bytes", {"train": {"cat": {"\udcff.jpg": b"x"}}})
    with pytest.raises(ConfigError, match="is not valid UTF-8, as a list is"):
        write_list(of("bytes"), LocalPath(home / "list.csv"))
    (home / "tars").mkdir()
    for split in ("train", "val"):
        with tarfile.open(f"tars/{split}.tar", "w") as archive:
            archive.add("photos/train", "")
    with pytest.raises(
        ConfigError, match="expected a source whose images a list can name"
    ) as error:
        write_list(of("tars"), LocalPath(home / "list.csv"))
    assert len(str(error.value)) < 400
    assert not (home / "list.csv").exists()
    with pytest.raises(ConfigError, match="the source is several; expected one folder"):
        write_list(of({"train": "photos", "val": "odd"}), LocalPath(home / "list.csv"))
    with pytest.raises(ConfigError, match="the source is a list in Python; expected one"):
        write_list(of([("photos/train/cat/0000.jpg", 1)]), LocalPath(home / "list.csv"))


def test_a_list_replaces_neither_the_source_nor_an_older_one_unless_it_is_good(home: Path) -> None:
    older = home / "photos/list.csv"
    write_list(of("photos", split="val=0.25"), LocalPath(older))
    before = older.read_bytes()
    os.link(older, home / "photos/linked.csv")
    for name in ("list.csv", "linked.csv"):
        with pytest.raises(ConfigError, match="is the source, which the list would replace"):
            write_list(of("photos/list.csv", splits=["val"]), LocalPath(home / "photos" / name))
    write_tree(home / "photos", {"train": {"cat ": 1}})
    with pytest.raises(ConfigError, match="would not be read as the same"):
        write_list(of("photos"), LocalPath(older))
    assert older.read_bytes() == before
    assert sorted(os.listdir(home / "photos")) == ["linked.csv", "list.csv", "train"]


def test_splits_are_saved_in_python(home: Path) -> None:
    (home / "order.txt").write_text("dog, big\ncat\n")
    keys = {"source": "photos", "split": {"val": 0.5}, "labels": {"order": "order.txt"}, "seed": 2}
    found = prep.save_splits(keys, "new/list.csv")
    labels = {"dog, big": 0, "cat": 1}
    assert found == {
        "source": "new/list.csv",
        "images": str(home / "photos"),
        "label_map": labels,
        "seed": 2,
    }
    plan, again = (prep.plan({**k, "output": "shards"}) for k in (keys, found))
    assert in_order(again) == in_order(plan)
    assert again.counts == plan.counts
    (home / "map.json").write_text(json.dumps(labels))
    config = prep.Config(source="photos", output="out", split="val=0.5", label_map="map.json")
    assert prep.save_splits(config, home / "photos/list.csv") == {
        "source": str(home / "photos/list.csv"),
        "label_map": "map.json",
    }
    (home / "config.json").write_text('{"source": "photos", "split": {"val": 2}}')
    assert prep.save_splits("config.json", "photos/list.csv") == {"source": "photos/list.csv"}
    for path, told in (
        ("s3://b/l.csv", "expected a path on this machine"),
        ("photos", "directory"),
    ):
        with pytest.raises(ConfigError, match=told):
            prep.save_splits(keys, path)


def test_the_command_that_reads_a_list_gives_the_same_labels_and_order(home: Path) -> None:
    (home / "map.json").write_text('{"cat": 3, "dog, big": 1}')
    given = ["--split", "val=0.5", "--label-map", "map.json", "--seed", "4", "--write", "list.csv"]
    told = invoke("split", "photos", *given).output
    assert "next: prep plan list.csv OUTPUT --label-map=map.json --seed=4\n" in told
    (home / "config.json").write_text(
        '{"source": "photos", "label_map": {"cat": 3, "dog, big": 1}}'
    )
    told = invoke("split", "-c", "config.json", "--write", "list.csv").output
    assert "its classes get these numbers with the label_map of the configuration\n" in told


def test_it_shows_the_balance_of_splits(home: Path) -> None:
    told = " ".join(
        invoke("split", "photos", "--split", "test=0.5").output.replace("│", "").split()
    )
    assert "test: 9 images of 2 classes, 3 to 6 images each; 50.0% of its pool" in told
    lines = invoke("split", "photos", "--split", "test=0.5", "--json").output.splitlines()
    report = json.loads(lines[-1])["report"]
    assert report["splits"]["test"] == {"cat": 6, "dog, big": 3}
    assert report["balance"]["test"]["made"]["asked"] == 0.5
    for arguments, told in (
        (["--write", "s3://bucket/list.csv"], "write: got 's3://bucket/list.csv'; expected a path"),
        (["--write", "."], "write: '.' is a folder; expected the path of a file"),
        (["--write", "no/list.csv"], "write: can't write 'no/list.csv': the folder 'no' does not"),
        (["--split", "train=2"], "split.train: the source has a split 'train' already"),
    ):
        result = invoke("split", "photos", *arguments)
        assert result.exit_code == 2
        assert told in result.output
