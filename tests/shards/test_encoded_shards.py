"""Shards of each encoding: written, checked, and read by each reader as what they hold."""

from __future__ import annotations

import html
import re
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import webdataset

import prep
from prep.images.encoding.encode import make_encoder
from prep.images.encoding.readback import CropReader
from prep.images.processor import ImageProcessor
from prep.operations.mean import mean_rgb
from prep.operations.tools.lookup import find_record
from prep.output.journal import Journal
from prep.planning.plan import RunPlan
from prep.settings.choices import Encoding
from prep.shards.check import inspect_shard
from prep.shards.formats.base import Sample, record_format
from prep.shards.writer import RunRef, write_shard
from tests.support.pictures import Pixels, write_tree

SIZE = "24x32"
SHAPE = (24, 32)
TREE = {"train": {"cat": 3, "dog": {"0.jpg": b"no image"}}}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("encoded") / "photos", TREE)


def written(source: Path, output: Path, **values: Any) -> RunPlan:
    """Write an output in this process."""
    config = prep.Config(source=str(source), output=str(output), **{"size": SIZE, **values})
    made = prep.plan(config)
    Journal(config.output).begin(made)
    for shard in made.shards:
        write_shard(shard, run_of(made))
    return made


def run_of(made: RunPlan) -> RunRef:
    return RunRef(output=made.config.output, digest=made.fingerprint.digest, run="1")


def problems_of(made: RunPlan) -> list[str]:
    found = [inspect_shard(shard, run_of(made)) for shard in made.shards]
    return [str(problem) for inspection in found for problem in inspection.problems]


def stored(made: RunPlan) -> list[Pixels]:
    """Return the pixels of all records, as verify reads them."""
    read = CropReader(made.settings)
    records = range(made.images - 1)  # One was refused.
    images = [find_record(made.config.output, number).picture for number in records]
    return [read.pixels(image).copy() for image in images]


def crops(made: RunPlan, source: Path) -> list[Pixels]:
    process = ImageProcessor(made.settings)
    names = [find_record(made.config.output, number).source for number in range(made.images - 1)]
    return [process.crop((source / str(name)).read_bytes()).copy() for name in names]


def loaded(output: Path, **more: Any) -> list[Pixels]:
    return [image for image, _ in prep.load(output, **more).as_numpy_iterator()]


def lines_of_page(output: Path) -> list[str]:
    """Return the code of the page: with prep, and without."""
    page = prep.report_page(output).read_text(encoding="utf-8")
    return [html.unescape(code) for code in re.findall(r"<code>(.*?)</code></pre>", page, re.S)][:2]


@pytest.mark.parametrize("format", ["tfrecord", "webdataset"])
@pytest.mark.parametrize("encoding", ["png", "webp"])
def test_every_reader_finds_what_was_written(
    encoding: str, format: str, source: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    made = written(source, output, encoding=encoding, format=format)
    assert problems_of(made) == []
    seen = stored(made)
    off = max(
        np.abs(a.astype(int) - b).mean() for a, b in zip(seen, crops(made, source), strict=True)
    )
    assert off == 0 if encoding == "png" else 0 < off < 8
    found = find_record(str(output), 0)
    assert (found.kind, found.width, found.height) == (
        {"png": "PNG", "webp": "WebP"}[encoding],
        *reversed(SHAPE),
    )
    assert prep.load(output).element_spec[0] == tf.TensorSpec((*SHAPE, 3), tf.uint8)
    assert all(np.array_equal(a, b) for a, b in zip(loaded(output), seen, strict=True))
    mean = np.mean(seen, axis=(0, 1, 2))
    assert [*mean_rgb(str(output)).mean.values()] == pytest.approx(mean.tolist())
    scopes: list[dict[str, Any]] = [{}, {}]
    for code, scope in zip(lines_of_page(output), scopes, strict=True):
        exec(code, scope)
    assert sum(len(images) for images, _ in scopes[0]["dataset"]) == 3
    for (image, _), expected in zip(scopes[1]["dataset"], seen, strict=True):
        assert np.array_equal(image, expected)


@pytest.mark.parametrize("encoding", ["png", "webp"])
def test_members_of_a_tar_are_named_for_what_they_hold(
    encoding: str, source: Path, tmp_path: Path
) -> None:
    written(source, tmp_path / "out", encoding=encoding, format="webdataset")
    (shard,) = (tmp_path / "out/train").iterdir()
    with tarfile.open(shard) as archive:
        assert archive.getnames()[:2] == [f"00000-000000.{encoding}", "00000-000000.cls"]
    (first, *_) = webdataset.WebDataset(str(shard), shardshuffle=False).decode("rgb8")
    assert first[encoding].shape == (*SHAPE, 3)


@pytest.mark.parametrize("encoding", ["png", "webp"])
def test_verify_finds_another_image_in_place_of_one(
    encoding: Encoding, source: Path, tmp_path: Path
) -> None:
    made = written(source, tmp_path / "out", encoding=encoding)
    path, format = made_shard(made), record_format("tfrecord")
    with path.open("rb") as file:
        records = list(format.records(file))
    white = make_encoder(encoding, 90, None)(np.full((*SHAPE, 3), 255, np.uint8))
    records[0] = b"".join(format.encoder(made.settings, made.labels)(Sample(white, "cat", "", "")))
    with path.open("wb") as file:
        writer = format.writer(file)
        for record in records:
            writer.write((record,))
    expected = "expected a mean of" if encoding == "webp" else "expected sums"
    assert any(expected in problem for problem in problems_of(made))


def made_shard(made: RunPlan) -> Path:
    (shard,) = made.shards
    return Path(made.config.output) / "train" / shard.name
