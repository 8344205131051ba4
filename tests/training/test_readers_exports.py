"""Exports opened by the libraries whose formats they are in."""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import prep
from prep.operations.tools import export as exports
from prep.shards.exports.base import ExportName
from prep.shards.formats.example_parsing import parse_example
from tests.support.label_targets import TARGETS, prepared_targets
from tests.support.outputs import placed_here, prepare
from tests.support.pages import run_below
from tests.support.pictures import write_tree
from tests.support.read_back import Written, read_back

pytestmark = pytest.mark.slow

TREE = {"train": {"cat": 7, "dog": 4}, "val": {"dog": 3}}


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "placed", placed_here)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_tree(tmp_path_factory.mktemp("exported") / "source", TREE)
    (root / "train/cat/broken.jpg").write_bytes(b"no image")
    return root


def exported(source: Path, folder: Path, to: ExportName, **more: Any) -> tuple[Path, Path]:
    """Return an output, and the folder of its export."""
    settings = {"size": 24, "images_per_shard": 4, **more}
    output = folder / "out"
    prepare(prep.Config(source=str(source), output=str(output), **settings))
    exports.export(output, folder / "export", to)
    return output, folder / "export"


def digests(written: list[Written]) -> Counter[tuple[str, str]]:
    pairs = ((hashlib.sha256(one.image).hexdigest(), one.label) for one in written)
    return Counter((digest, str(label[0] if len(label) == 1 else label)) for digest, label in pairs)


def test_webdataset_reads_each_sample_once(source: Path, tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    output, folder = exported(source, tmp_path, "webdataset")
    for split in ("train", "val"):
        tars = [*map(str, sorted((folder / split).glob("*.tar")))]
        samples = webdataset.WebDataset(tars, shardshuffle=False)
        found = [Written(sample["jpg"], (int(sample["cls"]),)) for sample in samples]
        assert found == read_back(output, split)


@pytest.mark.parametrize("labels", [{"cat": 0, "dog": 2}, {"cat": [1, 0], "dog": [0, 1]}])
def test_hugging_face_opens_a_parquet_export_with_images_and_classes(
    labels: dict[str, Any], source: Path, tmp_path: Path
) -> None:
    datasets = pytest.importorskip("datasets")
    output, folder = exported(source, tmp_path, "parquet", label_map=labels)
    opened = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in opened.items()} == {"train": 11, "val": 3}
    train = opened["train"]
    assert isinstance(train.features["image"], datasets.Image)
    if labels["cat"] == 0:
        assert train.features["label"] == datasets.ClassLabel(names=["cat", "unused 1", "dog"])
    assert train[0]["image"].size == (24, 24)
    stored = train.cast_column("image", datasets.Image(decode=False))
    found = [
        Written(row["image"]["bytes"], tuple(np.atleast_1d(row["label"]).tolist()))
        for row in stored
    ]
    assert Counter(found) == Counter(read_back(output, "train"))


def test_hugging_face_opens_labels_that_are_not_one_class(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    for target in TARGETS:
        (tmp_path / target).mkdir()
        output = prepared_targets(tmp_path / target, target)
        exports.export(output, tmp_path / target / "tables", "parquet")
        tables, cache = str(tmp_path / target / "tables"), str(tmp_path / "cache")
        rows = datasets.load_dataset(tables, cache_dir=cache)["train"]
        found = [(row,) if isinstance(row, float) else tuple(row) for row in rows["label"]]
        assert found == [record.label for record in read_back(output, "train")]
        if target == "multi":
            assert rows.features["label"].feature.names == ["cat", "dog", "eel"]


@pytest.mark.parametrize("encoding", ["jpeg", "raw"])
def test_streaming_reads_an_mds_export(encoding: str, source: Path, tmp_path: Path) -> None:
    if importlib.util.find_spec("streaming") is None:
        pytest.skip("could not import 'streaming'")
    output, folder = exported(source, tmp_path, "mds", encoding=encoding)
    reader = [sys.executable, "-m", "tests.support.mds_reader", folder, "train"]
    ended = subprocess.run(reader, check=True, capture_output=True, text=True)
    lines = [line.split() for line in ended.stdout.splitlines()]
    assert Counter((digest, label) for digest, label, _ in lines) == digests(
        read_back(output, "train")
    )
    assert {(label, name) for _, label, name in lines} == {("0", "cat"), ("1", "dog")}


@pytest.mark.parametrize("compression", [None, "GZIP"])
def test_grain_and_tfds_read_an_array_record_export(
    compression: str | None, source: Path, tmp_path: Path
) -> None:
    """Also that of an output that TFDS itself can't read."""
    grain = pytest.importorskip("grain")
    tfds = pytest.importorskip("tensorflow_datasets")
    output, folder = exported(source, tmp_path, "array_record", compression=compression)
    written = read_back(output, "train")
    records = grain.sources.ArrayRecordDataSource(
        [*map(str, sorted((folder / "train").glob("*.array_record")))]
    )
    found = [Written(*parse_example(records[number])) for number in range(len(records))]
    assert found == written

    builder = tfds.builder_from_directory(folder)
    skip = {"image_raw": tfds.decode.SkipDecoding()}
    rows = builder.as_data_source(split="train", decoders=skip)
    read = [Written(row["image_raw"], (int(row["label"]),)) for row in rows]
    assert read == written
    assert builder.info.features["label"].names == ["cat", "dog"]
    assert builder.as_data_source(split="train")[5]["image_raw"].shape == (24, 24, 3)


def test_exports_are_opened_as_the_page_says(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    pytest.importorskip("tensorflow_datasets")
    output, _ = exported(source, tmp_path, "mds")
    exports.export(output, tmp_path / "photos-hf", "parquet")
    exports.export(output, tmp_path / "photos-ar", "array_record")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    found = run_below("readers.md", "Exports opened")
    assert len(found["pictures"]) == len(found["records"]) == 11
