"""Outputs of every fit: written, counted, verified and shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import prep
from prep.errors import ConfigError, OutputConflict
from prep.images.fitting.framing import Framing, placement_of
from prep.images.processor import ImageProcessor
from prep.output.conflicts import require_room
from prep.output.journal import Journal
from prep.planning.description import plan_facts
from prep.settings.image_settings import Size
from tests.support.outputs import examine, prepare
from tests.support.pictures import Pixels, image_file, picture, write_tree

#: Height and width of the sources: enlarged, a panorama, a portrait, and one that fits.
SHAPES = [(20, 30), (40, 200), (90, 61), (32, 48)]
SIZE = Size(32, 48)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {
        f"{number}.png": image_file(picture(*shape, number), "PNG")
        for number, shape in enumerate(SHAPES)
    }
    return write_tree(tmp_path_factory.mktemp("fits") / "photos", {"train": {"cat": files}})


def configured(photos: Path, output: Path, **more: Any) -> prep.Config:
    values = {"source": str(photos), "output": str(output), "size": str(SIZE)}
    return prep.Config(**{**values, **more})


def results(config: prep.Config, photos: Path) -> list[Pixels]:
    """The pixels of each image before they are encoded, by name."""
    process = ImageProcessor(config.image_settings(None))
    return [process.pixels(path.read_bytes()).copy() for path in sorted(photos.rglob("*.png"))]


@pytest.mark.parametrize(
    ("fit", "enlarge", "mode", "encoding", "format"),
    [
        ("crop", "always", "rgb", "jpeg", "tfrecord"),
        ("crop", "never", "rgb", "png", "webdataset"),
        ("pad", "always", "gray", "raw", "tfrecord"),
        ("pad", "never", "rgb", "raw", "webdataset"),
        ("shorter", "always", "rgb", "png", "tfrecord"),
        ("shorter", "never", "gray", "jpeg", "webdataset"),
        ("stretch", "always", "rgb", "jpeg", "tfrecord"),
        ("stretch", "never", "gray", "png", "tfrecord"),
    ],
)
def test_an_output_of_any_fit_is_whole_and_its_mean_is_that_of_all_pixels(
    fit: Any, enlarge: Any, mode: str, encoding: str, format: str, photos: Path, tmp_path: Path
) -> None:
    how = {"fit": fit, "enlarge": enlarge, "mode": mode, "encoding": encoding, "format": format}
    config = configured(photos, tmp_path / "out", **how)
    journal = prepare(config)
    assert [str(problem) for problem in examine(tmp_path / "out").problems] == []
    found, framing = results(config, photos), Framing(32, 48, fit, enlarge)
    if fit != "pad":
        assert [image.shape[:2] for image in found] == [
            placement_of(framing, *shape)[2:4] for shape in SHAPES
        ]
    samples = np.concatenate([image.reshape(-1, image.shape[2]) for image in found])
    expected = np.broadcast_to(samples.mean(axis=0), 3)
    mean = json.loads((tmp_path / "out/mean_rgb.json").read_text())
    assert [mean[channel] for channel in "RGB"] == pytest.approx(expected.tolist(), abs=1e-9)
    plan = journal.stored_plan()
    assert plan is not None
    (receipt,) = (journal.receipts.read("train", shard.index) for shard in plan.shards)
    assert receipt.stats.pixels == len(samples)
    assert receipt.traits.enlarged == sum(framing.enlarges(*shape) for shape in SHAPES)
    assert receipt.mean_image.side == 32


@pytest.mark.parametrize(
    ("fit", "said"),
    [
        ("crop", "70% cut off by the centre crop"),
        ("pad", "69% of the result is background"),
        ("shorter", "becomes 160 × 32"),
    ],
)
def test_the_page_says_what_became_of_the_widest(
    fit: str, said: str, photos: Path, tmp_path: Path
) -> None:
    many = {f"{n}.png": image_file(picture(40, 200, n), "PNG") for n in range(24)}
    source = write_tree(
        tmp_path / "photos", {"train": {"cat": many, "dog": {"x.png": many["1.png"]}}}
    )
    (source / "train/dog/y.png").write_bytes(image_file(picture(20, 30), "PNG"))
    prepare(configured(source, tmp_path / "out", fit=fit))
    page = prep.report_page(tmp_path / "out").read_text(encoding="utf-8")
    assert said in page
    assert "enlarged from less than 48 × 32 pixels" in page


def test_the_page_of_a_gray_output_shows_one_channel(photos: Path, tmp_path: Path) -> None:
    many = {f"{n}.png": image_file(picture(40, 40 + n, n), "PNG") for n in range(24)}
    source = write_tree(tmp_path / "photos", {"train": {"cat": many}})
    prepare(configured(source, tmp_path / "out", mode="gray", fit="shorter"))
    page = prep.report_page(tmp_path / "out").read_text(encoding="utf-8")
    assert ">mean gray<" in page
    assert "mean R" not in page
    assert "Nearest to gray" not in page
    assert "at 32 × 32 points, to which each is stretched" in page


def test_the_plan_says_which_number_is_the_height(photos: Path, tmp_path: Path) -> None:
    facts = dict(plan_facts(prep.plan(configured(photos, tmp_path / "out", fit="pad"))))
    assert facts["settings"] == "size: 32x48 (height x width), fit: pad"


def test_a_turned_size_is_another_run(photos: Path, tmp_path: Path) -> None:
    journal = prepare(configured(photos, tmp_path / "out"))
    with pytest.raises(OutputConflict, match="size: 32x48 there, 48x32 here"):
        require_room(journal, prep.plan(configured(photos, tmp_path / "out", size=[48, 32])))
    require_room(journal, prep.plan(configured(photos, tmp_path / "out", size=" 32 X 48 ")))


def test_gray_vectors_need_a_mean_of_gray(photos: Path, tmp_path: Path) -> None:
    means = tmp_path / "mean.json"
    asked = {"mode": "gray", "encoding": "float32", "mean_file": str(means)}
    means.write_text('{"R": 1, "G": 2, "B": 3}')
    with pytest.raises(ConfigError, match="R 1, G 2 and B 3; mode gray subtracts one number"):
        prep.plan(configured(photos, tmp_path / "out", **asked))
    means.write_text('{"R": 1.5, "G": 1.5, "B": 1.5}')
    prepare(configured(photos, tmp_path / "out", **asked))
    assert [str(problem) for problem in examine(tmp_path / "out").problems] == []


@pytest.mark.parametrize("how", [{"fit": "shorter"}, {"enlarge": "never"}])
def test_vectors_are_refused_where_results_differ_in_size(
    how: dict[str, str], photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"encoding: got raw, whose vectors all have one length"):
        configured(photos, tmp_path / "out", encoding="raw", **how)
    configured(photos, tmp_path / "out", encoding="raw", **{**how, "fit": "pad"})


@pytest.mark.parametrize("size", ["0x5", "5x4097", "5x", "5x5x5", [5], [5, 5.5], True, "big"])
def test_other_sizes_are_refused(size: Any, photos: Path, tmp_path: Path) -> None:
    expected = "expected a whole number from 1 to 4096, or HEIGHTxWIDTH such as 224x336"
    with pytest.raises(ConfigError, match=f"size: got .*; {expected}"):
        configured(photos, tmp_path / "out", size=size)


def test_a_receipt_of_other_sizes_is_noticed(photos: Path, tmp_path: Path) -> None:
    journal = prepare(configured(photos, tmp_path / "out"))
    path = journal.layout.receipt("train", 0)
    receipt = json.loads(Path(str(path)).read_text())
    receipt["stats"]["pixels"] += 1
    Path(str(path)).write_text(json.dumps(receipt))
    assert any("pixels in its sums" in str(p) for p in examine(tmp_path / "out").problems)
    assert Journal(tmp_path / "out").stored_plan() is not None
