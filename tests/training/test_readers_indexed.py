"""Outputs opened with their indexes, by DALI and by the package ``tfrecord``."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import prep
from tests.support.outputs import prepare
from tests.support.pages import code_below, run_below
from tests.support.pictures import write_tree
from tests.support.read_back import Written, read_back

pytestmark = pytest.mark.slow

TREE = {"train": {"cat": 7, "dog": 4}, "val": {"dog": 3}}


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("indexed")
    source = write_tree(folder / "source", TREE)
    (source / "train/cat/broken.jpg").write_bytes(b"no image")
    config = prep.Config(
        source=str(source), output=str(folder / "shards"), size=24, images_per_shard=4
    )
    prepare(config)
    return folder / "shards"


def indexes(output: Path, split: str) -> list[Path]:
    return sorted((output / "index" / split).iterdir())


def test_each_index_is_that_of_the_package_to_the_byte(output: Path, tmp_path: Path) -> None:
    _require_installed("tfrecord")
    for split in ("train", "val"):
        shutil.copytree(output / split, tmp_path, dirs_exist_ok=True)
    tool = "from tfrecord.tools.tfrecord2idx import main; main()"
    subprocess.run([sys.executable, "-c", tool, tmp_path], check=True)
    expected = {path.stem: path.read_bytes() for path in tmp_path.glob("*.tfindex")}
    found = [*indexes(output, "train"), *indexes(output, "val")]
    assert {path.stem: path.read_bytes() for path in found} == expected


@pytest.mark.parametrize("workers", [0, 2])
def test_torch_workers_of_tfrecord_read_each_record_once(output: Path, workers: int) -> None:
    """Without an index, each of its workers would read all records."""
    _require_installed("tfrecord")
    code = code_below("readers.md", "The package tfrecord")
    assert "num_workers=2" in code
    code = code.replace("num_workers=2", f"num_workers={workers}") + (
        "from hashlib import sha256\n"
        "for record in loader:\n"
        "    print(sha256(record['image_raw']).hexdigest(), *record['label'].tolist())\n"
    )
    program = [sys.executable, "-c", code]
    ended = subprocess.run(program, check=True, capture_output=True, text=True, cwd=output.parent)
    found = [tuple(line.split()) for line in ended.stdout.splitlines()]
    written = [
        (hashlib.sha256(image).hexdigest(), str(label))
        for image, (label,) in read_back(output, "train")
    ]
    assert Counter(found) == Counter(written)


def _require_installed(package: str) -> None:
    """Skip a test without a package that no process with TensorFlow can import."""
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"could not import {package!r}")


def dali_records(output: Path, split: str, **more: Any) -> Iterator[Written]:
    """Yield the records of one epoch, read by DALI without a GPU."""
    dali = pytest.importorskip("nvidia.dali")
    tfrecord = pytest.importorskip("nvidia.dali.tfrecord")

    @dali.pipeline_def(batch_size=1, num_threads=1, device_id=None)
    def pipeline() -> Any:
        inputs = dali.fn.readers.tfrecord(
            path=[*map(str, sorted((output / split).iterdir()))],
            index_path=[*map(str, indexes(output, split))],
            features={
                "image_raw": tfrecord.FixedLenFeature((), tfrecord.string, ""),
                "label": tfrecord.FixedLenFeature([1], tfrecord.int64, -1),
            },
            name="reader",
            **more,
        )
        return inputs["image_raw"], inputs["label"]

    pipe = pipeline()
    pipe.build()
    meta = pipe.reader_meta("reader")
    number = meta["epoch_size"]
    if "num_shards" in more:  # as DALI deals them
        count, which = more["num_shards"], more["shard_id"]
        number = number * (which + 1) // count - number * which // count
    for _ in range(number):
        image, label = pipe.run()
        yield Written(image.at(0).tobytes(), tuple(np.ravel(label.at(0)).tolist()))


def test_dali_reads_each_record_once_also_on_three_hosts(output: Path) -> None:
    written = read_back(output, "train")
    assert [*dali_records(output, "train")] == written
    shuffled = [*dali_records(output, "train", random_shuffle=True, initial_fill=8, seed=3)]
    assert Counter(shuffled) == Counter(written)
    assert shuffled != written
    hosts = [[*dali_records(output, "train", num_shards=3, shard_id=host)] for host in range(3)]
    assert sum(map(Counter, hosts), Counter()) == Counter(written)


def test_dali_reads_as_the_page_says(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("nvidia.dali")
    monkeypatch.chdir(output.parent)
    found = run_below("readers.md", "DALI")
    classes = {label for _, (label,) in read_back(output, "train")}
    assert found["images"].at(1).shape == (24, 24, 3)
    assert {*np.ravel(found["labels"].as_array()).tolist()} <= classes


def test_dali_decodes_what_other_decoders_do(output: Path) -> None:
    dali = pytest.importorskip("nvidia.dali")
    tfrecord = pytest.importorskip("nvidia.dali.tfrecord")

    @dali.pipeline_def(batch_size=3, num_threads=1, device_id=None)
    def pipeline() -> Any:
        inputs = dali.fn.readers.tfrecord(
            path=[*map(str, sorted((output / "val").iterdir()))],
            index_path=[*map(str, indexes(output, "val"))],
            features={"image_raw": tfrecord.FixedLenFeature((), tfrecord.string, "")},
        )
        return dali.fn.decoders.image(inputs["image_raw"], device="cpu")

    pipe = pipeline()
    pipe.build()
    (images,) = pipe.run()
    expected = prep.load(output, "val")
    for number, (image, _) in enumerate(expected):
        difference = np.abs(images.at(number).astype(int) - image.numpy().astype(int))
        assert difference.mean() < 1.5
