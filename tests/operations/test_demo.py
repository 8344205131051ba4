"""The demonstration, as a newcomer runs it."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from distributed import Client
from PIL import Image

import prep
from prep.cli.main import main
from tests.support.clusters import contents, run_prep
from tests.support.pictures import write_tree

Demo = tuple[Path, subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The folder of the demonstration, and its output on the terminal."""
    home = tmp_path_factory.mktemp("home")
    return home, run_prep("demo", "--images", "60", cwd=home)


def read_json(path: Path) -> Any:
    return json.loads(path.read_bytes())


def test_it_succeeds(demo: Demo) -> None:
    home, process = demo
    assert process.returncode == 0, process.stderr
    assert "Traceback" not in process.stderr
    assert "56 written, 4 refused, of 60 planned" in process.stdout
    assert [path.name for path in home.iterdir()] == ["demo"]


def test_broken_images_are_refused_each_for_a_reason_of_its_own(demo: Demo) -> None:
    home, process = demo
    refused = read_json(home / "demo/shards/report.json")["refused"]
    assert {Path(image["path"]).name: image["reason"] for image in refused} == {
        "cut-off.jpg": "truncated",
        "empty.jpg": "empty",
        "hole.jpg": "damaged",
        "web-page.jpg": "not an image",
    }
    for image in refused:
        assert f"{image['path']}: {image['reason']}" in process.stdout


def test_where_it_says_to_look_there_is_something(demo: Demo) -> None:
    home, process = demo
    _, _, places = process.stdout.partition("Look at:")
    paths = re.findall(r"^  (demo/\S+)", places, re.MULTILINE)
    assert len(paths) == 5
    columns = [match.end() for match in re.finditer(r"^  demo/\S+ +(?=\S)", places, re.MULTILINE)]
    starts = [match.start() for match in re.finditer(r"^  demo/", places, re.MULTILINE)]
    assert len({column - start for column, start in zip(columns, starts, strict=True)}) == 1
    for path in paths:
        assert (home / path).is_dir() == path.endswith("/")
        assert (home / path).exists()


def test_what_it_says_to_train_on_is_there(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    home, process = demo
    (code,) = re.findall(r"^  dataset = (.*)$", process.stdout, re.MULTILINE)
    assert ").shuffle(" not in code  # It would keep decoded images; prep.load shuffles records.
    monkeypatch.chdir(home)
    images, labels = next(iter(eval(code, {"prep": prep})))
    assert images.shape == (32, 256, 256, 3)
    assert len(set(labels.numpy().tolist())) > 1


def test_its_images_are_of_many_kinds(demo: Demo) -> None:
    home, _ = demo
    modes, orientations, sides = set(), set(), set()
    for path in home.glob("demo/images/*/*/*-*.jpg"):
        if path.name != "cut-off.jpg" and path.name != "web-page.jpg":
            with Image.open(path) as image:
                modes.add(image.mode)
                orientations.add(image.getexif().get(0x0112, 1))
                sides.add(min(image.size) < 256)
    assert modes == {"RGB", "L"}
    assert orientations == {1, 6}
    assert sides == {True, False}


@pytest.mark.slow
def test_again_over_itself_it_makes_the_same(demo: Demo) -> None:
    home, _ = demo
    before = contents(home, "**/*.jpg") | contents(home, "**/*.tfrecord")
    again = run_prep("demo", "--images", "60", cwd=home)
    assert again.returncode == 0, again.stderr
    assert contents(home, "**/*.jpg") | contents(home, "**/*.tfrecord") == before
    assert len(before) > 60


def refused(*arguments: str | Path) -> str:
    """Runs the command in this process, and gives back the line that it refuses to work with."""
    result = CliRunner().invoke(main, ["demo", *map(str, arguments)])
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    return line


def test_it_does_not_replace_images_that_it_did_not_make(tmp_path: Path) -> None:
    mine = tmp_path / "images/mine.jpg"
    mine.parent.mkdir()
    mine.write_text("mine")
    assert re.match(rf"prep: output: {tmp_path}/images .* another folder", refused("-o", tmp_path))
    assert contents(tmp_path) == {"images/mine.jpg": b"mine"}


def test_it_does_not_replace_shards_that_it_did_not_make(tmp_path: Path, client: Client) -> None:
    source = write_tree(tmp_path / "photos", {"train": {"cat": 3}})
    prep.run(prep.Config(source=str(source), output=str(tmp_path / "shards"), size=16), client)
    before = contents(tmp_path / "shards")
    assert str(tmp_path / "shards") in refused("-o", tmp_path)
    assert contents(tmp_path / "shards") == before


def test_too_few_images_are_refused(tmp_path: Path) -> None:
    assert "30" in refused("-o", tmp_path, "--images", "29")
    assert not list(tmp_path.iterdir())
