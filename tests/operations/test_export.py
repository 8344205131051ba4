"""Exports of outputs to other formats; ``test_readers_exports`` opens them with other libraries."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import prep
from prep.cli.main import main
from prep.errors import ConfigError, OutputConflict, PrepError, RecordError, SourceError
from prep.operations.tools import export as exports
from prep.shards.exports import exported_shard, parquet_export
from prep.shards.exports.export_target import STATE, ExportTarget
from prep.shards.exports.parquet_export import ParquetExport
from prep.storage.local import LocalPath
from tests.support.label_targets import TARGETS, prepared_targets
from tests.support.outputs import placed_here, prepare
from tests.support.pictures import write_tree
from tests.support.read_back import read_back
from tests.support.storages import S3

TREE = {"train": {"cat": 5, "dog": 4}, "val": {"dog": 3}}


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "placed", placed_here)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_tree(tmp_path_factory.mktemp("export") / "source", TREE)
    (root / "train/cat/broken.jpg").write_bytes(b"no image")
    return root


@pytest.fixture(scope="module")
def output(source: Path) -> Path:
    return prepared(source, source.parent / "out")


def prepared(source: Path, output: Path, **more: Any) -> Path:
    settings = {"size": 24, "images_per_shard": 4, **more}
    prepare(prep.Config(source=str(source), output=str(output), **settings))
    return output


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files of an export, but for what says how far it has come."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.parts.count(STATE) == 0]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_an_export_to_webdataset_is_what_a_run_in_that_format_writes(
    source: Path, tmp_path: Path
) -> None:
    more = {"features": ["width", "filename"]}
    output = prepared(source, tmp_path / "out", record="tf-slim", **more)
    report = exports.export(output, tmp_path / "wds", "webdataset")
    expected = prepared(source, tmp_path / "run", format="webdataset", **more)
    for split in ("train", "val"):
        shards = {path.name: path.read_bytes() for path in (expected / split).glob("*.tar")}
        found = {path.name: path.read_bytes() for path in (tmp_path / "wds" / split).iterdir()}
        assert found == shards
    assert report.images == {"train": 9, "val": 3}
    assert (report.files, report.kept, report.to) == (4, 0, "webdataset")
    assert json.loads((tmp_path / "wds/label_map.json").read_text()) == {"cat": 0, "dog": 1}


def test_a_webdataset_output_is_exported_as_the_same_tfrecord_output(
    source: Path, output: Path, tmp_path: Path
) -> None:
    wds = prepared(source, tmp_path / "run", format="webdataset")
    for to in ("webdataset", "parquet", "mds"):
        exports.export(output, tmp_path / f"a-{to}", to)
        exports.export(wds, tmp_path / f"b-{to}", to)
        assert contents(tmp_path / f"a-{to}") == contents(tmp_path / f"b-{to}")


def test_a_parquet_export_is_read_as_a_source_with_its_splits_and_classes(
    output: Path, tmp_path: Path
) -> None:
    exports.export(output, tmp_path / "tables", "parquet")
    again = prepared(tmp_path / "tables", tmp_path / "again", keep_fitting=True)
    for split in ("train", "val"):
        assert Counter(read_back(again, split)) == Counter(read_back(output, split))
    schema = pq.read_schema(next((tmp_path / "tables/data").glob("train-*")))
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert features["label"] == {"names": ["cat", "dog"], "_type": "ClassLabel"}
    assert features["image"] == {"_type": "Image"}


def test_tables_of_large_images_have_small_row_groups_and_all_names_of_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["a\nb", "a\\nb", " cat", "cat", "unused 7"]
    tree = {"train": dict.fromkeys(names, 1)}
    numbers = {name: 2 * number for number, name in enumerate(names)}
    output = prepared(write_tree(tmp_path / "source", tree), tmp_path / "out", label_map=numbers)
    monkeypatch.setattr(parquet_export, "_BYTES", 600)
    exports.export(output, tmp_path / "tables", "parquet")
    tables = [pq.ParquetFile(path) for path in (tmp_path / "tables/data").iterdir()]
    assert sum(table.num_row_groups for table in tables) > len(tables)
    again = prepared(tmp_path / "tables", tmp_path / "again", keep_fitting=True)
    assert Counter(read_back(again, "train")) == Counter(read_back(output, "train"))
    assert prep.open(again, "train").classes == prep.open(output, "train").classes


@pytest.mark.parametrize("target", TARGETS)
def test_labels_that_are_not_one_class_are_exported(target: str, tmp_path: Path) -> None:
    output = prepared_targets(tmp_path, target)
    for to in ("webdataset", "parquet", "mds"):  # Labels are compared as they are read again.
        assert exports.export(output, tmp_path / to, to).images == {"train": 4}
        assert (tmp_path / to / "label_map.json").exists() == (target != "value")
    column = pq.read_table(tmp_path / "parquet/data")["label"].to_pylist()
    labels = [tuple(label) if isinstance(label, list) else (label,) for label in column]
    assert labels == [record.label for record in read_back(output, "train")]


def test_chosen_splits_alone_are_exported(output: Path, tmp_path: Path) -> None:
    report = exports.export(output, tmp_path / "val", "mds", splits=["val"])
    assert report.images == {"val": 3}
    assert "3 images, read again and compared" in report._repr_html_()
    assert {path.split("/")[0] for path in contents(tmp_path / "val")} == {
        "val",
        "label_map.json",
    }
    with pytest.raises(SourceError, match="no 'vla'; splits found: "):
        exports.export(output, tmp_path / "other", "mds", splits=["vla"])
    exports.export(output, tmp_path / "both", "mds", splits=["val", "train", "val"])
    assert exports.export(output, tmp_path / "both", "mds", splits={"train", "val"}).kept == 4
    for wrong in ("val", [], 5, [5], ["val", None]):
        with pytest.raises(ConfigError, match="expected a list of names of splits"):
            exports.export(output, tmp_path / "other", "mds", splits=wrong)  # type: ignore[arg-type]


def test_images_without_classes_are_exported_and_read_again(tmp_path: Path) -> None:
    photos = write_tree(tmp_path / "photos", {"train": {"cat": 2}})
    listed = tmp_path / "list.csv"
    listed.write_text(
        "path,label\n"
        + "".join(f"{path.relative_to(tmp_path)},\n" for path in photos.rglob("*.jpg"))
    )
    output = prepared(listed, tmp_path / "out", unlabelled="keep")
    for to in ("parquet", "webdataset"):
        folder, again = tmp_path / to, tmp_path / f"again-{to}"
        exports.export(output, folder, to)
        assert not (folder / "label_map.json").exists()
        prepared(folder, again, unlabelled="keep", keep_fitting=True)
        assert Counter(read_back(again, "train")) == Counter(read_back(output, "train"))


def _file(folder: Path) -> Path:
    folder.write_text("mine")
    return folder


def _folder_in_a_file(folder: Path) -> Path:
    return _file(folder) / "below"


def _link_to_nothing(folder: Path) -> Path:
    folder.symlink_to(folder.parent / "nowhere")
    return folder


@pytest.mark.parametrize("place", [_file, _folder_in_a_file, _link_to_nothing])
def test_what_is_no_folder_is_told_in_one_line(
    place: Callable[[Path], Path], output: Path, tmp_path: Path
) -> None:
    with pytest.raises(OutputConflict, match=r"^folder: .* is no folder; expected a new folder"):
        exports.export(output, place(tmp_path / "there"), "mds")


def test_a_folder_in_which_nothing_can_be_written_is_told_in_one_line(
    output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "there")

    monkeypatch.setattr(LocalPath, "make_folder", refused)
    with pytest.raises(
        PrepError, match=r"folder: nothing can be written in .*: Permission denied;"
    ):
        exports.export(output, tmp_path / "there", "mds")


@pytest.mark.parametrize("to", ["webdataset", "parquet", "mds"])
def test_an_export_that_was_stopped_goes_on_and_ends_the_same(
    to: Any, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exports.export(output, tmp_path / "whole", to)
    stop_in_shard(2, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        exports.export(output, tmp_path / "stopped", to)
    there = contents(tmp_path / "stopped")
    assert len(there) == 2
    (next((tmp_path / "stopped").glob("[!.]*")) / f".{'0' * 32}.partial").write_bytes(b"half")
    monkeypatch.undo()
    monkeypatch.setattr(exports, "placed", placed_here)
    report = exports.export(output, tmp_path / "stopped", to)
    assert (report.kept, report.files) == (2, 4)
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")
    assert exports.export(output, tmp_path / "stopped", to).kept == 4


def stop_in_shard(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the export be stopped while it reads a shard."""
    read, calls = exported_shard._images, iter(range(100))

    def stopping(*args: Any) -> Any:
        for image in read(*args):
            yield image
            if next(calls) == 4 * number:
                raise KeyboardInterrupt

    monkeypatch.setattr(exported_shard, "_images", stopping)


def test_a_file_that_is_not_read_as_it_was_written_does_not_appear(
    output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = ParquetExport.read

    def damaged(self: Any, path: Path) -> Any:
        for record in read(self, path):
            yield record._replace(image=record.image[:-1] + b"?")

    monkeypatch.setattr(ParquetExport, "read", damaged)
    with pytest.raises(RecordError, match="when the file was read again; nothing was kept"):
        exports.export(output, tmp_path / "tables", "parquet")
    assert contents(tmp_path / "tables") == {}


def test_a_full_disk_is_told_in_one_line_and_leaves_nothing_half(
    output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Any, path: Path, *_: Any) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(ParquetExport, "write", full)
    with pytest.raises(PrepError, match="the export can't be written: No space left on device"):
        exports.export(output, tmp_path / "tables", "parquet")
    assert contents(tmp_path / "tables") == {}


def test_a_damaged_shard_is_named(source: Path, tmp_path: Path) -> None:
    output = prepared(source, tmp_path / "out")
    shard = next((output / "val").glob("*.tfrecord"))
    data = bytearray(shard.read_bytes())
    data[200] ^= 1
    shard.write_bytes(data)
    with pytest.raises(RecordError, match=f"{shard.name}: .*; `prep.verify` can repair it"):
        exports.export(output, tmp_path / "wds", "webdataset")


def _other_file(folder: Path, output: Path) -> None:
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")


def _other_format(folder: Path, output: Path) -> None:
    exports.export(output, folder, "mds")


def _other_splits(folder: Path, output: Path) -> None:
    exports.export(output, folder, "webdataset", splits=["val"])


@pytest.mark.parametrize("fill", [_other_file, _other_format, _other_splits])
def test_a_folder_with_something_else_is_left_alone(
    fill: Callable[[Path, Path], None], output: Path, tmp_path: Path
) -> None:
    fill(tmp_path / "there", output)
    before = contents(tmp_path / "there")
    with pytest.raises(OutputConflict, match=r"is not empty; expected a new|holds another export"):
        exports.export(output, tmp_path / "there", "webdataset")
    assert contents(tmp_path / "there") == before


def test_two_exports_do_not_write_to_one_folder(output: Path, tmp_path: Path) -> None:
    opened = exports._open(output, None, None)
    target = ExportTarget(folder=str(tmp_path / "both"), to="mds")
    (tmp_path / "both").mkdir()
    with (
        target.claimed(opened[0].plan.fingerprint.digest, ["train", "val"]),
        pytest.raises(OutputConflict, match="another export is at work"),
    ):
        exports.export(output, tmp_path / "both", "mds")


def test_what_can_not_be_exported_is_told_before_anything_is_written(
    source: Path, output: Path, tmp_path: Path
) -> None:
    raw = prepared(source, tmp_path / "raw", encoding="raw")
    for given, folder, to, told in (
        (raw, tmp_path / "to", "parquet", "expected records of jpeg, png, webp for parquet"),
        (output, tmp_path / "to", "parqet", "to: 'parqet': unknown format; did you mean 'parquet'"),
        (output, output / "wds", "webdataset", "is in the output; expected another folder"),
        (output, "s3://bucket/wds", "webdataset", "expected a folder on a disk"),
        (output, tmp_path / "to", ["mds"], r"to: \[mds\]: unknown format; did you mean 'mds'"),
    ):
        with pytest.raises(ConfigError, match=told):
            exports.export(given, folder, to)  # type: ignore[arg-type]
    assert not (tmp_path / "to").exists()
    with pytest.raises(SourceError, match="holds no run"):
        exports.export(source, tmp_path / "to", "mds")


@pytest.mark.slow
def test_an_output_in_a_storage_is_exported_by_workers(
    output: Path, tmp_path: Path, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    url = s3.upload(output, "shards")
    report = exports.export(url, tmp_path / "far", "parquet", storage_options=s3.options, workers=2)
    assert report.images == {"train": 9, "val": 3}
    monkeypatch.setattr(exports, "placed", placed_here)
    exports.export(output, tmp_path / "near", "parquet")
    assert contents(tmp_path / "far") == contents(tmp_path / "near")


@pytest.mark.slow
def test_an_export_that_is_killed_goes_on_and_ends_the_same(output: Path, tmp_path: Path) -> None:
    """With worker processes, at the command line."""
    command = [sys.executable, "-m", "prep", "export", output]
    stopped = [*command, tmp_path / "killed", "--to", "parquet", "-j", "1"]
    with subprocess.Popen(stopped, start_new_session=True, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not [*(tmp_path / "killed").rglob("*.parquet")] and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        os.killpg(process.pid, signal.SIGKILL)
    subprocess.run(stopped, check=True, stderr=subprocess.DEVNULL)
    whole = [*command, tmp_path / "whole", "--to", "parquet", "-j", "2"]
    subprocess.run(whole, check=True, stderr=subprocess.DEVNULL)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert len(contents(tmp_path / "whole")) == 5


def test_the_command_line_exports_and_tells_what(output: Path, tmp_path: Path) -> None:
    words = ["export", str(output), str(tmp_path / "wds")]
    ended = CliRunner().invoke(main, [*words, "--to", "webdataset", "--split", "val", "--json"])
    report = json.loads(ended.stdout.splitlines()[-1])["report"]
    assert (ended.exit_code, report["images"]) == (0, {"val": 3})
    said = CliRunner().invoke(main, [*words, "--to", "webdataset", "--split", "val"])
    assert said.stdout.endswith("each read again and compared; 1 file was there already\n")
    missing = CliRunner().invoke(main, words)
    assert (missing.exit_code, missing.stderr) == (
        2,
        "prep: to: missing; expected one of webdataset, parquet, mds, array_record\n",
    )
