"""Traits of a run's images: kinds, extremes, and the mean image."""

from __future__ import annotations

import base64
import dataclasses
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import prep
from prep.images.fitting.framing import Framing
from prep.images.mean_image import GRID, MeanImage
from prep.images.processor import ImageProcessor
from prep.images.traits import EXTREMES, Noted, Traits
from prep.output.journal import Journal
from prep.output.receipt import ShardReceipt, merge_totals, total_receipts
from prep.output.report.duplicates import summarise_copies
from prep.output.report.making import Effort, make_report
from prep.output.report.report import RunReport
from prep.settings.image_settings import ImageSettings
from prep.shards.check import inspect_shard
from prep.shards.isolation.processors import IsolatedProcessor
from prep.shards.writer import RunRef
from tests.support.oddities import FILES, SIZE, cmyk, flat, gray, see_through, written
from tests.support.pictures import image_file, jpeg, picture, stored

# (file, format, marks)
KINDS: dict[str, tuple[bytes, str, tuple[str, ...]]] = {
    "a photo": (jpeg(picture(70, 70)), "JPEG", ()),
    "a gray JPEG": (image_file(gray(), "JPEG"), "JPEG", ("gray",)),
    "a CMYK JPEG": (cmyk(), "JPEG", ("CMYK",)),
    "a JPEG on its side": (stored(picture(70, 80), 6, "JPEG"), "JPEG", ("turned",)),
    "an upright JPEG with Exif": (stored(picture(70, 80), 1, "JPEG"), "JPEG", ()),
    "a PNG": (image_file(picture(70, 80), "PNG"), "PNG", ()),
    "a gray PNG": (image_file(gray(), "PNG"), "PNG", ("gray",)),
    "a gray PNG of 16 bits": (
        image_file(Image.fromarray(np.zeros((70, 70), np.uint16)), "PNG"),
        "PNG",
        ("gray",),
    ),
    "a bilevel PNG": (image_file(gray().convert("1"), "PNG"), "PNG", ("gray",)),
    "a gray PNG with transparency": (
        image_file(gray().convert("LA"), "PNG"),
        "PNG",
        ("gray", "transparent"),
    ),
    "a PNG with transparency": (see_through(), "PNG", ("transparent",)),
    "a PNG with a transparent colour": (
        image_file(flat(70, 70, (1, 2, 3)), "PNG", transparency=(1, 2, 3)),
        "PNG",
        ("transparent",),
    ),
    "a CMYK TIFF": (
        image_file(Image.fromarray(picture(70, 80)).convert("CMYK"), "TIFF"),
        "TIFF",
        ("CMYK",),
    ),
    "a CIELAB TIFF": (image_file(Image.new("LAB", (70, 70), (99, 128, 128)), "TIFF"), "TIFF", ()),
    "a TIFF on its side": (stored(picture(70, 80), 8, "TIFF"), "TIFF", ("turned",)),
    "a WebP": (image_file(picture(70, 80), "WEBP"), "WebP", ()),
    "a BMP": (image_file(picture(70, 80), "BMP"), "BMP", ()),
    "a GIF": (image_file(picture(70, 80), "GIF"), "GIF", ()),
    "a PPM": (image_file(picture(70, 80), "PPM"), "PPM", ()),
    "a TGA": (image_file(picture(70, 80), "TGA"), "TGA", ()),
    "a JPEG 2000": (image_file(picture(70, 80), "JPEG2000"), "JPEG 2000", ()),
    "an AVIF": (image_file(picture(70, 80), "AVIF"), "AVIF", ()),
}


@pytest.mark.parametrize("name", KINDS)
def test_the_decoder_tells_how_an_image_was_stored(name: str) -> None:
    data, kind, marks = KINDS[name]
    found = ImageProcessor(ImageSettings(size=SIZE))(data).kind
    assert (found.format, found.marks) == (kind, marks)


def test_it_is_told_of_an_isolated_image_too() -> None:
    data = KINDS["a JPEG on its side"][0]
    processor = IsolatedProcessor(ImageSettings(size=SIZE), 60)
    try:
        found = processor(data)
    finally:
        processor.close()
    here = ImageProcessor(ImageSettings(size=SIZE))(data)
    assert found.kind == here.kind
    assert np.array_equal(found.grid, here.grid)  # type: ignore[arg-type]


def receipts_of(made: prep.RunPlan) -> list[ShardReceipt]:
    return Journal(made.config.output).committed(made)


def report_of(made: prep.RunPlan) -> RunReport:
    totals = total_receipts(receipts_of(made))
    effort = Effort(seconds=1.0, images=0, resumed_shards=0)
    nothing = summarise_copies([], {})
    return make_report(made, made.config.output, totals, effort, nothing)


def named(report: RunReport, extreme: str) -> list[str]:
    return [Path(image["path"]).name for image in report.traits["train"]["extremes"][extreme]]


def test_a_run_counts_kinds_and_names_extremes(tmp_path: Path) -> None:
    report = report_of(written(tmp_path, 4))
    train = report.traits["train"]
    assert train["images"] == 11
    assert train["formats"] == {"JPEG": 3, "PNG": 8}
    assert train["marks"] == {"CMYK": 1, "gray": 1, "transparent": 1, "turned": 1}
    assert train["enlarged"] == 1
    assert named(report, "smallest")[0] == "h-small.png"
    assert named(report, "widest")[:2] == ["i-wide.png", "h-small.png"]
    assert named(report, "tallest")[0] == "j-tall.png"
    assert named(report, "darkest")[0] == "f-dark.png"
    assert named(report, "brightest")[0] == "g-light.png"
    assert "d-turned.jpg" in named(report, "tallest")  # upright, it is 70 wide and 90 high
    assert named(report, "least colourful")[:2] == ["l-grayish.png", "f-dark.png"]
    assert "b-gray.png" not in named(report, "least colourful")
    assert report.traits["val"]["images"] == 1
    (darkest, *_) = train["extremes"]["darkest"]
    luma = (299 * 3 + 587 * 2 + 114) / 1000
    assert darkest["brightness"] == pytest.approx(luma, abs=0.01)
    assert (darkest["chroma"], darkest["width"]) == (2.0, 64)
    assert RunReport.from_json(json.loads(json.dumps(report.to_json()))) == report


def test_the_mean_image_is_exact(tmp_path: Path) -> None:
    report = report_of(written(tmp_path, 4))
    processor = ImageProcessor(ImageSettings(size=SIZE))
    squares = [processor.pixels(data).copy() for name, data in FILES.items() if "none" not in name]
    points = np.array(squares, int)[:, ::2, ::2].sum(axis=0)
    mean = report.mean_image["train"]
    rgb = np.frombuffer(base64.b64decode(mean["rgb"]), np.uint8).reshape(GRID, GRID, 3)
    assert (mean["images"], mean["side"]) == (11, GRID)
    assert np.array_equal(rgb, (points + 5) // 11)


def test_neither_depends_on_how_the_work_was_cut(tmp_path: Path) -> None:
    whole, parts = (report_of(written(tmp_path, images)) for images in (12, 3))
    assert whole.mean_image == parts.mean_image
    for split in ("train", "val"):
        one, other = whole.traits[split], parts.traits[split]
        for name in ("images", "formats", "marks", "enlarged"):
            assert one[name] == other[name]
        for extreme in EXTREMES:  # Of equal ones, others may come first.
            assert sorted(map(str, one["extremes"][extreme])) == sorted(
                map(str, other["extremes"][extreme])
            )


def test_totals_are_the_same_in_any_order(tmp_path: Path) -> None:
    receipts = receipts_of(written(tmp_path, 3))
    forward = merge_totals([total_receipts([receipt]) for receipt in receipts])
    backward = merge_totals([total_receipts([receipt]) for receipt in receipts[::-1]])
    halves = merge_totals([total_receipts(receipts[:2]), total_receipts(receipts[2:])])
    for split, totals in forward.items():
        for other in (backward[split], halves[split]):
            assert (other.traits, other.mean_image) == (totals.traits, totals.mean_image)
    assert pickle.loads(pickle.dumps(forward)) == forward


NOTED = st.lists(
    st.tuples(
        *(st.integers(1, 9) for _ in range(2)),
        *(st.integers(0, 25_500) for _ in range(2)),
        st.sampled_from(["JPEG", "PNG"]),
        st.sampled_from([(), ("gray",), ("CMYK", "turned")]),
    ),
    max_size=30,
)


def traits_of(shard: int, images: list[Any]) -> Traits:
    noted = [Noted(row, i[0], i[1], i[2], *i[4:]) for row, i in enumerate(images)]
    return Traits.of(noted, [i[3] for i in images], "train", shard, Framing(4, 4))


@given(NOTED, NOTED, NOTED)
def test_adding_up_is_associative_and_keeps_the_first(a: Any, b: Any, c: Any) -> None:
    x, y, z = (traits_of(shard, images) for shard, images in enumerate((a, b, c)))
    add, everything = Traits.sum, Traits.sum([x, y, z])
    assert add([add([x, y]), z]) == add([x, add([y, z])]) == add([z, y, x]) == everything
    assert everything.images == len(a) + len(b) + len(c)
    if everything.images:
        levels = sorted(image[2] for image in (*a, *b, *c))[:12]
        assert [image.brightness for image in everything.extremes["darkest"]] == levels
    for traits in (x, y, z):
        shard = (x, y, z).index(traits)
        there = json.loads(json.dumps(traits.to_json()))
        assert Traits.from_json(there, "train", shard, max(traits.images, 1)) == traits


@given(st.lists(st.lists(st.integers(0, 255), min_size=12, max_size=12), max_size=9))
def test_mean_images_add_up_exactly(levels: list[list[int]]) -> None:
    grids = [np.array(level, np.uint64).reshape(2, 2, 3) for level in levels]
    parts = [MeanImage.of(1, grid) for grid in grids]
    total = MeanImage.sum(parts)
    assert total == MeanImage.sum(parts[::-1])
    assert total.images == len(levels)
    if levels:
        assert np.array_equal(total.array(), np.sum(grids, axis=0))
        there = json.loads(json.dumps(dataclasses.asdict(total)))
        assert MeanImage.from_json(there) == total


def old(receipt: Path) -> dict[str, Any]:
    """Makes a receipt one of a time before all this was noted."""
    value: dict[str, Any] = json.loads(receipt.read_bytes())
    del value["traits"], value["mean_image"]
    receipt.write_text(json.dumps(value))
    return value


def test_a_receipt_from_before_they_were_noted_can_be_read(tmp_path: Path) -> None:
    made = written(tmp_path, 4)
    journal = Journal(made.config.output)
    old(journal.layout.receipt("train", 0))
    totals = total_receipts(journal.committed(made))["train"]
    written_there = sum(r.images for r in journal.committed(made) if r.split == "train")
    assert 0 < totals.traits.images == totals.mean_image.images < written_there == 11
    for shard in made.shards:
        path = journal.layout.receipt(shard.split, shard.index)
        if "traits" in json.loads(path.read_bytes()):
            old(path)
    report = report_of(made)
    assert (report.traits, report.mean_image) == ({}, {})


def test_a_receipt_stays_small_however_large_its_shard_is() -> None:
    images = [(i % 900 + 100, i % 700 + 100, i, i, f"F{i % 40}", ("gray",)) for i in range(9000)]
    assert len(json.dumps(traits_of(0, images).to_json(), indent=2)) < 40_000


FORGED: dict[str, Any] = {
    "of more images than there are": {"images": 99},
    "of formats that do not add up": {"formats": {"JPEG": [1, ""]}},
    "with a mark of its own": {"marks": {"sold": [1, ""]}},
    "with a row beyond the shard": {"seen": ["99 1 1 1 1"]},
    "with rows that are not described": {"seen": []},
    "with numbers that are none": {"seen": ["1 1 1 1 x"]},
    "with too few numbers": {"seen": ["1 1 1 1"]},
    "with a line break in a number": {"seen": ["1 1 1 1 1\n"]},
    "with a list for a text": {"seen": [[0, 1, 1, 1, 1]]},
    "with more rows than are named": {"extremes": {"smallest": " ".join("0" * 13)}},
    "without an extreme": {"extremes": {}},
    "with something beside": {"hook": "sh"},
}


@pytest.mark.parametrize("forgery", FORGED)
def test_forged_traits_are_refused(forgery: str) -> None:
    good = traits_of(0, [(5, 6, 7, 8, "JPEG", ())] * 3).to_json()
    with pytest.raises(ValueError, match="expected"):
        Traits.from_json({**good, **FORGED[forgery]}, "train", 0, 3)


@pytest.mark.parametrize(
    "forgery",
    [
        {"side": 33},
        {"side": 1},
        {"sums": "AAAA"},
        {"sums": "not base64"},
        {"images": 10**30},
        {"images": 0},
        {"sums": base64.b64encode(b"\xff" * 24).decode()},  # more than white
    ],
)
def test_a_forged_mean_image_is_refused(forgery: dict[str, Any]) -> None:
    good = dataclasses.asdict(MeanImage.of(1 << 8, np.zeros((2, 2, 3), np.uint64)))
    assert MeanImage.from_json(good).images == 256
    with pytest.raises(ValueError, match=r"mean image|expected"):
        MeanImage.from_json({**good, **forgery})


@pytest.mark.parametrize("change", ["images", "another"])
def test_verify_holds_them_against_the_shard(change: str, tmp_path: Path) -> None:
    made = written(tmp_path, 12, encoding="raw")
    journal = Journal(made.config.output)
    path = journal.layout.receipt("train", 0)
    receipt = journal.receipts.read("train", 0)
    sums = receipt.mean_image.array()
    sums[0, 0, 0] = 1 if sums[0, 0, 0] == 0 else 0
    forged = MeanImage.of(10 if change == "images" else 11, sums.clip(max=2550))
    path.write_text(json.dumps(dataclasses.replace(receipt, mean_image=forged).to_json()))
    found = problems_of(made)
    assert any("mean image" in problem for problem in found)


def problems_of(made: prep.RunPlan) -> list[str]:
    reference = RunRef(output=made.config.output, digest=made.fingerprint.digest, run="v")
    return [
        str(problem)
        for shard in made.shards
        for problem in inspect_shard(shard, reference).problems
    ]


@pytest.mark.parametrize("encoding", ["raw", "jpeg"])
def test_verify_finds_nothing_wrong_with_what_was_written(encoding: str, tmp_path: Path) -> None:
    assert problems_of(written(tmp_path, 5, encoding=encoding)) == []
