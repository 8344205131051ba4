"""The starter configuration that ``prep init`` writes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

import prep
from prep.cli.main import main
from prep.config.model import Config
from tests.support.pictures import write_tree
from tests.support.recipes import PHOTOS, make_sources

SPLIT = {"train": {"cat": 4, "dog": 2}, "val": {"cat": 1}}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def init(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(main, ["init", *arguments])
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.stderr


def test_it_says_what_was_found_and_is_the_same_run_as_without_it(home: Path) -> None:
    write_tree(home / "photos", SPLIT)
    assert init("photos").splitlines() == [
        "7 images of 2 classes in photos: wrote config.yaml",
        "read as: class folders in splits",
        "next: prep plan -c config.yaml",
    ]
    text = (home / "config.yaml").read_text()
    for line in ("7 images of 2 classes.", "  train: 6", "  val: 1", "  cat: 5", "  dog: 2"):
        assert f"# {line}\n" in text.replace("Found: ", "")
    config = Config.from_file("config.yaml")
    assert config == Config(
        source="photos", output="shards", layout="splits", splits=("train", "val")
    )
    plain = prep.plan(Config(source="photos", output="shards"))
    assert prep.plan(config).fingerprint == plain.fingerprint


def test_every_key_is_in_it_with_its_default(home: Path) -> None:
    write_tree(home, {"photos": {"cat": 2, "dog": 1}})
    init("photos", "elsewhere", "-c", "mine.yml")
    text = (home / "mine.yml").read_text()
    assert yaml.safe_load(text) == {"source": "photos", "output": "elsewhere", "layout": "classes"}
    # Those that are commented out may all be taken in.
    lines = [
        line[1:] if line[:1] == "#" and line[1:2] != " " else line for line in text.split("\n")
    ]
    every = yaml.safe_load("\n".join(lines))
    assert every.keys() == Config.model_fields.keys()
    assert Config(**every) == Config(source="photos", output="elsewhere", layout="classes")


@pytest.mark.parametrize("name", ["$HOME photos", "~", "yes", "10", "a: b #c", "caf\u00e9", '"q"'])
def test_odd_names_mean_what_they_are(home: Path, name: str) -> None:
    write_tree(home / name, {"train": {name: 2}, "val": {name: 1}})
    init(f"./{name}".replace("$", "$$"))
    config = Config.from_file("config.yaml")
    assert prep.plan(config).images == 3
    assert prep.plan(config).classes == (name,)


def test_the_only_source_in_this_folder_is_found(home: Path) -> None:
    (home / "notes").mkdir()
    write_tree(home / "photos", SPLIT)
    assert init().startswith("7 images of 2 classes in photos:")
    write_tree(home / "more", SPLIT)
    assert "several folders of images in '.', such as" in init("--overwrite", code=2)


def test_no_folder_is_chosen_beside_one_that_cannot_be_read(home: Path) -> None:
    write_tree(home / "all", {"things": {"crane": 2}})
    write_tree(home / "all" / "animals", {"birds": {"crane": 1}, "cats": {"tabby": 1}})
    assert "'things' in" in init("all", code=2)
    assert not (home / "config.yaml").exists()


def test_this_folder_may_be_the_source_itself(home: Path) -> None:
    write_tree(home, SPLIT)
    init()
    assert Config.from_file("config.yaml").source == "."
    assert prep.plan(Config.from_file("config.yaml")).images == 7


def test_nothing_is_written_over_or_for_nothing(home: Path) -> None:
    assert f"no images in '{home}'" in init(code=2)
    assert "/absent' does not exist" in init("absent", code=2)
    assert not (home / "config.yaml").exists()
    write_tree(home / "photos", SPLIT)
    (home / "config.yaml").write_text("mine")
    assert init("photos", code=2) == (
        "prep: config: 'config.yaml' exists; pass --overwrite to replace it, or give another name "
        "with --config\n"
    )
    assert (home / "config.yaml").read_text() == "mine"
    init("photos", "--overwrite")
    assert Config.from_file("config.yaml").source == "photos"
    assert "expected a name that ends in .yaml" in init("photos", "-c", "config.toml", code=2)


def test_what_was_found_in_a_source_is_written_down(home: Path) -> None:
    make_sources(home)
    for source, keys in {
        "photos.zip": {"layout": "archive", "splits": ["train", "val"]},
        "flowers": {"layout": "classes"},
        "imagenet": {"layout": "imagenet", "splits": ["train", "val"]},
        "list.csv": {
            "layout": "list",
            "columns": {"image": "path", "label": "label", "split": "split"},
            "splits": ["train", "val"],
        },
        "train.txt": {"layout": "list"},
        "instances_val2017.json": {"layout": "list"},
    }.items():
        read_as = prep.plan(Config(source=source, output="shards")).read_as
        assert f"read as: {read_as}\n" in init(source, "--overwrite")
        written = yaml.safe_load((home / "config.yaml").read_text())
        assert {**written, "splits": written.get("splits")} == {
            "source": source,
            "output": "shards",
            "splits": None,
            **keys,
        }
        found = prep.plan("config.yaml")
        assert found.read_as == read_as
        assert found.fingerprint == prep.plan(Config(source=source, output="shards")).fingerprint


def test_an_archive_that_is_compressed_as_a_whole_is_unpacked_if_asked(home: Path) -> None:
    make_sources(home)
    assert "pass --unpack to have it unpacked" in init("photos.tar.gz", code=2)
    init("photos.tar.gz", "--unpack")
    assert yaml.safe_load((home / "config.yaml").read_text())["unpack"] is True
    assert prep.plan("config.yaml").images == len(PHOTOS)
    result = CliRunner().invoke(main, ["labels", "-c", "config.yaml", "-o", "labels.json"])
    assert result.exit_code == 0, result.output
    assert (home / "labels.json").read_text().split() == ["{", '"cat":', "0,", '"dog":', "1", "}"]
