"""Single records of shards, as ``prep show`` finds them."""

from __future__ import annotations

import base64
import gzip
import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

import prep
from prep.cli.half_blocks import print_picture
from prep.cli.main import main
from prep.cli.tables import print_table
from prep.errors import RecordError, SourceError
from prep.operations.tools.lookup import find_record
from prep.output.journal import Journal
from prep.shards.formats.example import example, label_entry
from prep.shards.formats.tfrecord import frame
from prep.shards.writer import RunRef, write_shard
from prep.storage.arguments import admit
from tests.support.pictures import jpeg, picture, write_tree
from tests.support.storages import Store

TREE = {"train": {"cat": 3, "dog": {"0.jpg": jpeg(picture(60, 80)), "bad.jpg": b"<!doctype html>"}}}


def write(output: Path, source: Path, **values: Any) -> Path:
    """Writes an output in this process, without a report."""
    config = prep.Config(source=str(source), output=str(output), size=16, **values)
    made = prep.plan(config)
    Journal(config.output).begin(made)
    run = RunRef(output=config.output, digest=made.fingerprint.digest, run="1")
    for shard in made.shards:
        write_shard(shard, run)
    return output


def shown(*arguments: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(main, ["show", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.stderr


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "photos", {**TREE, "val": {"cat": 2}})


@pytest.mark.parametrize("compression", [None, "GZIP"])
def test_each_record_is_told_with_what_it_was_made_of(
    source: Path, tmp_path: Path, compression: str | None
) -> None:
    output = write(tmp_path / "out", source, compression=compression, images_per_shard=3)
    found = [find_record(str(output), number) for number in range(6)]
    made_of = [record.source for record in found]
    assert "train/dog/bad.jpg" not in made_of  # It was refused, and is in no shard.
    assert len(set(made_of)) == 6
    for record in found:
        assert record.source is not None
        _, name, _ = record.source.split("/")
        assert (record.classes, record.label) == ((name,), (("cat", "dog").index(name),))
        assert (record.width, record.height, record.kind) == (16, 16, "JPEG")
        # The picture is that of its source, and not of another.
        small = cv2.imdecode(np.frombuffer(record.picture, np.uint8), cv2.IMREAD_COLOR)
        whole = cv2.imdecode(
            np.frombuffer((source / record.source).read_bytes(), np.uint8), cv2.IMREAD_COLOR
        )
        assert abs(small.mean() - whole.mean()) < 40
    assert [Path(record.shard).parent.name for record in found] == ["train"] * 4 + ["val"] * 2
    with pytest.raises(SourceError, match="holds 6 records, counted from 0; there is none of"):
        find_record(str(output), 6)


@pytest.mark.parametrize("values", [{}, {"compression": "GZIP"}, {"format": "webdataset"}])
def test_a_record_is_shown_by_its_row_in_a_split(
    source: Path, tmp_path: Path, values: dict[str, Any]
) -> None:
    output = write(tmp_path / "out", source, images_per_shard=2, **values)
    found = [prep.show(output, "train", row) for row in range(4)]
    in_order = [find_record(str(output), number) for number in range(4)]
    assert [record.source for record in found] == [record.source for record in in_order]
    assert [record.picture for record in found] == [record.picture for record in in_order]
    assert [(record.split, record.row) for record in found] == [("train", n) for n in range(4)]
    told = shown(output, "--split", "val", "--row", 1)
    assert dict(line.split(maxsplit=1) for line in told.splitlines())["row"] == "1"
    assert shown(output, "--split", "val") == shown(output, "--split", "val", "--row", 0)
    assert "there is none of number 2" in shown(output, "--split", "val", "--row", 2, code=2)
    assert "no 'test'; splits found" in shown(output, "--split", "test", code=2)
    assert "give one of them" in shown(output, 1, "--row", 1, code=2)


def test_a_record_is_a_picture_in_a_notebook(source: Path, tmp_path: Path) -> None:
    record = prep.show(write(tmp_path / "out", source), "val")
    html = record._repr_html_()
    assert base64.b64encode(record.picture).decode() in html
    assert str(record.source) in html
    assert len(repr(record)) < 500


# Images by their names


def found(*arguments: str | Path, code: int = 0) -> list[list[str]]:
    result = CliRunner().invoke(main, ["find", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return [line.split("\t") for line in (result.stdout or result.stderr).splitlines()]


def test_an_image_is_found_by_its_name(source: Path, tmp_path: Path) -> None:
    output = write(tmp_path / "out", source, images_per_shard=2)
    images = prep.open(output, "train", decode=False)
    for row, name in enumerate(images.names):
        [image] = prep.find(output, name)
        assert (image.split, image.row, image.outcome) == ("train", row, "written")
        shard = output / "train" / image.shard
        assert image.number is not None
        assert find_record(str(shard), image.number).source == name
        assert prep.show(output, image.split, row).source == name
    [line] = found(output, images.names[2])
    assert line[:3] == [images.names[2], "train", "2"]
    # The end of a path; or, where there is none, any part, in upper or lower case.
    end = images.names[0].removeprefix("train/")
    assert [line[0] for line in found(output, end)] == [images.names[0]]
    assert len(found(output, "CAT/")) == 5


def test_a_narrow_terminal_shows_the_whole_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    row = ("train/cat/n02129604_tiger.jpg", "train", "87", "train-00002-of-00012.tfrecord", "24")
    print_table(("name", "split", "row", "shard", "record"), [row])
    lines = [line.split("│") for line in capsys.readouterr().out.splitlines() if "│" in line]
    columns = zip(*lines, strict=True)
    assert ["".join(map(str.strip, parts)) for parts in columns][1:-1] == [*row]


def test_an_image_without_a_record_is_found_with_the_reason(source: Path, tmp_path: Path) -> None:
    output = write(tmp_path / "out", source, images_per_shard=2)
    [image] = prep.find(output, "bad.jpg")
    assert (image.row, image.outcome) == (None, "refused")
    assert image.reason.startswith("not an image")
    for receipt in (output / ".prep/receipts/val").iterdir():
        receipt.unlink()
    assert {i.outcome for i in prep.find(output, "val/")} == {"not written yet"}


def test_a_name_that_no_image_has(source: Path, tmp_path: Path) -> None:
    output = write(tmp_path / "out", source)
    [[told]] = found(output, "cow.jpg", code=2)
    assert "has 'cow.jpg' in its name; expected part of a path relative to the source" in told
    [[told]] = found(source, "cat", code=2)
    assert "holds no run" in told


def test_a_terminal_shows_a_picture_with_half_blocks() -> None:
    pixels = np.zeros((40, 20, 3), np.uint8)
    pixels[:10, :, 0] = 200  # The upper quarter is red.
    console = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", width=10)
    print_picture(pixels, console)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert [line.count("▀") for line in lines] == [10] * 10
    assert ["38;2;200;0;0" in line for line in lines] == [True] * 3 + [False] * 7
    plain = Console(file=io.StringIO(), force_terminal=False)
    print_picture(pixels, plain)
    assert plain.file.getvalue() == ""  # type: ignore[attr-defined]


def test_the_command_prints_the_facts_and_writes_the_picture(source: Path, tmp_path: Path) -> None:
    output = write(tmp_path / "out", source)
    shard = output / "train/train-00000-of-00001.tfrecord"
    record = find_record(str(shard), 2)
    told = shown(shard, 2, "-o", tmp_path / "a.jpg")
    assert [line.split(maxsplit=1) for line in told.splitlines() if "written" not in line] == [
        ["shard", str(shard)],
        ["record", "2"],
        ["label", str(record.label[0])],
        ["class", record.classes[0]],
        ["picture", f"16 × 16, JPEG of {len(record.picture)} bytes"],
        ["made", f"of     {record.source}"],
    ]
    assert (tmp_path / "a.jpg").read_bytes() == record.picture


@pytest.mark.parametrize("encoding", ["raw", "float32"])
def test_samples_are_written_as_png_exactly(source: Path, tmp_path: Path, encoding: str) -> None:
    (tmp_path / "mean.json").write_text('{"R": 120, "G": 110, "B": 100}')
    mean = {"mean_file": str(tmp_path / "mean.json")} if encoding == "float32" else {}
    output = write(tmp_path / "out", source, encoding=encoding, **mean)
    raw = find_record(str(write(tmp_path / "raw", source, encoding="raw")), 0)
    told = shown(output, "-o", tmp_path / "a.png")
    assert f"{encoding} samples" in told
    pixels = cv2.imdecode(np.fromfile(tmp_path / "a.png", np.uint8), cv2.IMREAD_COLOR)
    expected = cv2.imdecode(np.frombuffer(raw.picture, np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(pixels, expected)
    assert "expected .png, for that is what" in shown(output, "-o", tmp_path / "a.jpg", code=2)


def test_shards_of_others_are_shown_as_far_as_they_tell(tmp_path: Path) -> None:
    data = example(jpeg(picture(20, 30)), label_entry([0, 1, 0]))
    (tmp_path / "a.tfrecord").write_bytes(gzip.compress(frame(data) * 2))
    record = find_record(str(tmp_path / "a.tfrecord"), 1)
    assert (record.label, record.classes, record.source) == ((0, 1, 0), (), None)
    assert (record.width, record.height) == (30, 20)
    assert "1 (one-hot of 3)" in shown(tmp_path)
    assert shown(tmp_path).count("not known") == 2


def test_what_is_no_shard_or_no_record_is_told_in_a_line(source: Path, tmp_path: Path) -> None:
    assert "does not exist; expected a shard" in shown(tmp_path / "absent", code=2)
    assert "holds no shards; expected a shard (*.tfrecord, *.tar)" in shown(source / "val", code=2)
    told = shown(next(source.glob("val/cat/*")), code=1)
    assert "expected a TFRecord file" in told
    assert told.count("\n") == 1
    output = write(tmp_path / "out", source)
    shard = output / "val/val-00000-of-00001.tfrecord"
    assert "there is none of number 7" in shown(shard, 7, code=2)
    told = shown(*sorted(output.glob("*/*.tfrecord")), code=2)
    assert "expected one shard, got more (" in told
    assert "give one, or the folder that they are in" in told
    shard.write_bytes(shard.read_bytes()[:-30])
    with pytest.raises(RecordError, match="ends within a record"):
        find_record(str(shard), 1)


def test_a_record_is_found_in_a_storage(source: Path, tmp_path: Path, s3: Store) -> None:
    output = write(tmp_path / "out", source)
    url = admit("shard", s3.upload(output, "out"), s3.options)
    here, there = find_record(str(output), 0), find_record(url, 0)
    assert (here.source, here.picture) == (there.source, there.picture)
