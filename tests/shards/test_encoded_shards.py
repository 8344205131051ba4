"""Shards of each encoding: written, checked, and read by each reader as what they hold."""

from __future__ import annotations

import html
import re
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webdataset
from PIL import features

import prep
from prep.display.page.facts import read_facts
from prep.display.page.samples import take_sample
from prep.images.decoders.decode import decode
from prep.images.encoding.encode import make_encoder
from prep.images.encoding.readback import ResultReader
from prep.images.processor import ImageProcessor
from prep.operations.averaging.mean import mean_rgb
from prep.operations.tools.lookup import find_record
from prep.output.journal import Journal
from prep.planning.plan import RunPlan
from prep.settings.choices import Encoding
from prep.shards.check import inspect_shard
from prep.shards.formats.base import Sample, record_format
from prep.shards.writer import RunRef, write_shard
from tests.support.pictures import Pixels, jpeg, picture, write_tree

SIZE = "24x32"
SHAPE = (24, 32)
SHAPES = [(40, 48), (48, 90), (60, 40)]
TREE = {
    "train": {
        "cat": {f"{n}.jpg": jpeg(picture(*shape, n)) for n, shape in enumerate(SHAPES)},
        "dog": {"0.jpg": b"no image"},
    }
}


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
    """Return the pixels of all records: of image files, as verify reads them."""
    read = ResultReader(made.settings)
    found = [find_record(made.config.output, number) for number in range(len(SHAPES))]
    return [decode(it.picture) if it.samples else read.pixels(it.picture).copy() for it in found]


def crops(made: RunPlan, source: Path) -> list[Pixels]:
    process = ImageProcessor(made.settings)
    names = [find_record(made.config.output, number).source for number in range(len(SHAPES))]
    return [process.pixels((source / str(name)).read_bytes()).copy() for name in names]


def lines_of_page(output: Path) -> list[str]:
    """Return the code of the page: with prep, and without."""
    page = prep.report_page(output).read_text(encoding="utf-8")
    return [
        html.unescape(code) for code in re.findall(r"<pre[^>]*><code>(.*?)</code>", page, re.S)
    ][:2]


FORMS: list[dict[str, Any]] = [
    {"encoding": "png"},
    {"encoding": "webp", "format": "webdataset"},
    {"encoding": "jpeg", "mode": "gray"},
    {"encoding": "png", "mode": "gray", "format": "webdataset"},
    {"encoding": "raw", "mode": "gray", "format": "webdataset"},
    {"encoding": "float32", "mode": "gray"},
    {"encoding": "webp", "fit": "shorter"},
    {"encoding": "png", "fit": "shorter", "format": "webdataset"},
    {"encoding": "jpeg", "enlarge": "never", "size": "44x64"},
    {"encoding": "jpeg", "mode": "gray", "fit": "shorter", "format": "webdataset"},
    {"encoding": "jpeg", "fit": "pad"},
    {"encoding": "png", "record": "tf-slim", "features": "filename,width"},
    {"encoding": "png", "fit": "stretch", "size": "2x1200"},  # more extreme than sources may be
]


@pytest.mark.parametrize("values", FORMS, ids=lambda v: "-".join(map(str, v.values())))
def test_every_reader_finds_what_was_written(
    values: dict[str, Any], source: Path, tmp_path: Path
) -> None:
    (tmp_path / "mean.json").write_text('{"R": 100.5, "G": 100.5, "B": 100.5}')
    mean = {"mean_file": str(tmp_path / "mean.json")} if values["encoding"] == "float32" else {}
    output = tmp_path / "out"
    made = written(source, output, **values, **mean)
    assert problems_of(made) == []
    seen, settings = stored(made), made.settings
    for image, crop in zip(seen, crops(made, source), strict=True):
        assert image.shape[:2] == crop.shape[:2]
        off = np.abs(image.astype(int) - crop).mean()
        assert 0 < off < 8 if settings.lossy else off == 0
    shapes = [image.shape for image in seen]
    assert (len(set(shapes)) > 1) == (not settings.same_size)
    found = find_record(str(output), 0)
    assert (found.height, found.width) == shapes[0][:2]
    assert found.kind == {"jpeg": "JPEG", "webp": "WebP"}.get(values["encoding"], "PNG")
    dataset = prep.load(output)
    sides = (settings.height, settings.width) if settings.same_size else (None, None)
    assert dataset.element_spec[0].shape.as_list() == [*sides, settings.channels]
    offset = np.float32(100.5 if mean else 0)
    for (image, _), expected in zip(dataset.as_numpy_iterator(), seen, strict=True):
        assert np.array_equal(image + offset, expected[..., : settings.channels])
    pixels = np.concatenate([image.reshape(-1, 3) for image in seen])
    report = mean_rgb(str(output), weight="pixel")
    assert [*report.mean.values()] == pytest.approx(pixels.mean(axis=0).tolist())
    sample = take_sample(Journal(str(output)), read_facts(Journal(str(output)), made))
    assert (len(sample.thumbnails["cat"]), sample.unreadable) == (3, 0)
    without: dict[str, Any] = {}
    code_with_prep, code_without = lines_of_page(output)
    exec(code_without, without)
    if not settings.same_size:  # The lines for images of one size are tried elsewhere.
        with_prep: dict[str, Any] = {}
        exec(code_with_prep, with_prep)
        assert sum(len(images) for images, _ in with_prep["dataset"]) == 3
    decoded_by_pillow = made.config.format == "webdataset" and values["encoding"] == "jpeg"
    for (image, _), expected in zip(without["dataset"], seen, strict=True):
        theirs = np.asarray(image).reshape(*expected.shape[:2], -1) + offset
        off = np.abs(theirs - expected[..., : settings.channels].astype(float)).max()
        assert off <= (2 if decoded_by_pillow else 0)


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
    replace_record(made, 0, make_encoder(encoding, 90, None)(np.full((*SHAPE, 3), 255, np.uint8)))
    expected = "expected a mean of" if encoding == "webp" else "expected sums"
    assert any(expected in problem for problem in problems_of(made))


def test_kept_images_are_the_bytes_of_their_files_and_verify_sees_it(tmp_path: Path) -> None:
    fitting = {f"{n}.jpg": jpeg(picture(*SHAPE, n), quality=50) for n in range(3)}
    large = {"large.jpg": jpeg(picture(48, 64, 9))}
    write_tree(tmp_path / "photos", {"train": {"cat": {**fitting, **large}}})
    made = written(tmp_path / "photos", tmp_path / "out", keep_fitting=True)
    found = [find_record(made.config.output, number) for number in range(4)]
    same = {it.source for it in found if it.picture in fitting.values()}
    assert same == {f"train/cat/{name}" for name in fitting}
    assert problems_of(made) == []
    receipt = Journal(made.config.output).receipts.read("train", 0)
    assert receipt.traits.marks["kept"].images == 3
    page = prep.report_page(made.config.output).read_text(encoding="utf-8")
    assert "kept as they are" in page
    # The same picture, encoded once more, has nearly the same sums.
    number = next(it.number for it in found if it.source in same)
    again = make_encoder("jpeg", 50, None)(decode(found[number].picture))
    replace_record(made, number, again)
    (problem,) = [it for it in problems_of(made) if "kept to the byte" in it]
    assert "expected 3 images kept to the byte; found 2" in problem


def replace_record(made: RunPlan, number: int, image: bytes) -> None:
    """Replace the image of a record, which is labelled 0."""
    (shard,) = made.shards
    path, format = Path(made.config.output) / "train" / shard.name, record_format("tfrecord")
    with path.open("rb") as file:
        records = list(format.records(file))
    encode = format.encoder(made.settings, made.labels)
    records[number] = b"".join(encode(Sample(image, "cat", "", "")))
    with path.open("wb") as file:
        writer = format.writer(file)
        for record in records:
            writer.write((record,))


def test_the_version_of_libwebp_decides_the_bytes_of_webp_alone(
    source: Path, tmp_path: Path
) -> None:
    found = {
        encoding: prep.plan({"source": str(source), "output": str(tmp_path), "encoding": encoding})
        for encoding in ("jpeg", "png", "webp")
    }
    versions = {name: plan.fingerprint.versions.get("libwebp") for name, plan in found.items()}
    assert versions == {"jpeg": None, "png": None, "webp": features.version("webp")}
