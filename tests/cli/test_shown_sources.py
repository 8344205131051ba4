"""What is shown of sources other than a folder: how they were read, and no stored name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import prep
from prep.cli.main import main
from tests.support.imagenet import contents
from tests.support.recipes import zip_of

READ_AS = "photos.zip: zip file of class folders; list.csv: a list (CSV)"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with an archive to train on, and a list to validate with."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos.zip").write_bytes(zip_of(["cat/1.jpg", "dog/2.jpg", "notes.txt"]))
    (tmp_path / "more").mkdir()
    (tmp_path / "more/3.jpg").write_bytes(contents("3.jpg"))
    (tmp_path / "list.csv").write_text("path,label\n3.jpg,cat\n")
    (tmp_path / "config.json").write_text(
        json.dumps(
            {
                "source": {"train": "photos.zip", "val": "list.csv"},
                "output": "out",
                "images": "more",
                "size": 8,
            }
        )
    )
    return tmp_path


def told(*arguments: str, code: int = 0) -> str:
    """Return all that a command prints, which is no stored name of a source."""
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == code, result.output
    assert '"roots"' not in result.output
    assert r"\"roots\"" not in result.output
    return result.output


@pytest.mark.pages
def test_all_that_is_shown_names_the_paths_and_how_they_were_read(home: Path) -> None:
    shown = f"train: {home}/photos.zip, val: {home}/list.csv"
    plan = json.loads(told("plan", "-c", "config.json", "--json").splitlines()[-1])["report"]
    assert plan["source"] == shown
    assert plan["read_as"].startswith(READ_AS)
    assert [passed["example"] for passed in plan["passed_over"]] == ["notes.txt"]
    assert "notes.txt" in told("plan", "-c", "config.json")

    events = [json.loads(line) for line in told("run", "-c", "config.json", "--json").splitlines()]
    started = next(event for event in events if event["event"] == "run_started")
    assert (started["source"], started["read_as"]) == (shown, plan["read_as"])
    report = prep.RunReport.read("out")
    assert report.read_as == plan["read_as"]
    assert report.to_json()["passed_over"] == plan["passed_over"]
    page = (home / "out/report.html").read_text()
    for text in ("read as photos.zip: zip file of class folders", "notes.txt"):
        assert text in page
    assert "roots" not in page.partition("<main>")[0]
    assert {"read as", "passed over"} <= dict(report.rows()).keys()
    assert "read as" in prep.plan("config.json")._repr_html_()
    assert "read as" in report._repr_html_()

    assert "read as" in told("run", "-c", "config.json")  # It is complete.
    told("verify", "out")
    told("report", "out")


def test_a_repair_of_several_sources_reads_them_and_names_them_where_they_changed(
    home: Path,
) -> None:
    told("run", "-c", "config.json", "-q")
    shard = home / "out/train/train-00000-of-00001.tfrecord"
    before = shard.read_bytes()
    shard.unlink()
    told("verify", "out", "--repair")
    assert shard.read_bytes() == before
    shard.unlink()
    (home / "photos.zip").write_bytes(zip_of(["cat/1.jpg", "dog/4.jpg"]))
    said = told("verify", "out", "--repair", code=1)
    assert "changed or gone" in said
