"""Images of 16 bits per sample that use fewer."""

from __future__ import annotations

import dataclasses
import html
import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import tifffile

import prep
from prep.errors import RefusedImage
from prep.images.decoders.process import configure_process
from prep.images.depths import Deep, Depths, depth_warning
from prep.images.processor import ImageProcessor
from prep.operations.tools.estimating import estimate
from prep.output.journal import Journal
from prep.output.receipt import SplitTotals, total_receipts
from prep.output.report.duplicates import summarise_copies
from prep.output.report.making import Effort, make_report
from prep.settings.image_settings import ImageSettings
from prep.shards.writer import RunRef, write_shard
from tests.support.pictures import Pixels, image_file, jpeg, picture, write_tree
from tests.support.writers import bmp_file

Samples = npt.NDArray[np.uint16]

SIDE = 48
GRAY: Samples = np.random.default_rng(1).integers(0, 1 << 12, (SIDE, SIDE), np.uint16)
COLOURS: Samples = np.random.default_rng(2).integers(0, 1 << 12, (SIDE, SIDE, 3), np.uint16)
GRAY[0, 0] = COLOURS[0, 0, 0] = 4095


def png(samples: Samples) -> bytes:
    """A PNG of 16 bits; gray, gray and alpha, RGB or RGBA."""
    height, width, channels = samples.reshape(*samples.shape[:2], -1).shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", width, height, 16, (0, 4, 2, 6)[channels - 1], 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def tiff(samples: Samples, **options: Any) -> bytes:
    out = io.BytesIO()
    kind = "rgb" if samples.ndim == 3 else "minisblack"
    tifffile.imwrite(out, samples, photometric=kind, **options)
    return out.getvalue()


def pnm(samples: Samples, most: int = 65535) -> bytes:
    kind = b"P5" if samples.ndim == 2 else b"P6"
    head = b"%s %d %d %d\n" % (kind, samples.shape[1], samples.shape[0], most)
    return head + samples.astype(">u2").tobytes()


def with_alpha(samples: Samples) -> Samples:
    """Return the image with an opaque alpha channel."""
    opaque = np.full((SIDE, SIDE, 1), 0xFFFF, np.uint16)
    return np.concatenate([samples.reshape(SIDE, SIDE, -1), opaque], axis=2)


def square(data: bytes, depth: int) -> Pixels:
    return ImageProcessor(ImageSettings(size=SIDE, depth=depth)).pixels(data)


def bits(data: bytes, depth: int = 16) -> int:
    return ImageProcessor(ImageSettings(size=SIDE, depth=depth))(data).bits


BMP_565 = bmp_file(
    [row.tobytes() for row in GRAY], SIDE, 16, compression=3, masks=(0xF800, 0x7E0, 0x1F)
)
FILES = {
    "gray PNG": (png(GRAY), GRAY),
    "gray PNG with alpha": (png(with_alpha(GRAY)), GRAY),
    "RGB PNG": (png(COLOURS), COLOURS),
    "RGBA PNG": (png(with_alpha(COLOURS)), COLOURS),
    "gray TIFF": (tiff(GRAY), GRAY),
    "gray TIFF, big-endian": (tiff(GRAY, byteorder=">"), GRAY),
    "gray TIFF, packed": (tiff(GRAY, compression="zlib"), GRAY),
    "RGB TIFF": (tiff(COLOURS), COLOURS),
    "RGB TIFF, big-endian": (tiff(COLOURS, byteorder=">"), COLOURS),
    "RGB TIFF, packed": (tiff(COLOURS, compression="zlib", predictor=True), COLOURS),
    "PPM": (pnm(COLOURS), COLOURS),
    "PGM": (pnm(GRAY), GRAY),
    "gray JPEG 2000": (bytes(cv2.imencode(".jp2", GRAY, (272, 1000))[1]), GRAY),
}


@pytest.mark.parametrize("name", FILES)
def test_twelve_bits_in_sixteen_come_out_whole_if_that_is_said(name: str) -> None:
    data, samples = FILES[name]
    expected = np.broadcast_to(samples.reshape(SIDE, SIDE, -1), (SIDE, SIDE, 3))
    assert bits(data) == bits(data, 12) == 12
    assert np.array_equal(square(data, 16), expected >> 8)  # nearly black
    assert np.array_equal(square(data, 12), expected >> 4)
    assert np.array_equal(square(data, 10), (expected >> 2).clip(0, 255))  # What is more is white.


@pytest.mark.parametrize(
    ("most", "taken"),
    [
        (0, 8),  # black
        (255, 8),  # 8 bits in 16
        (256, 9),
        (1023, 10),
        (1024, 11),
        (16383, 14),
        (65535, 16),  # as it should be
    ],
)
def test_the_bits_in_use_are_told_from_the_largest_sample(most: int, taken: int) -> None:
    for samples in (GRAY, COLOURS):
        dark = np.minimum(samples, most)
        dark[SIDE // 2, SIDE // 2] = most
        assert bits(png(dark)) == taken


@pytest.mark.parametrize(
    "data",
    [
        jpeg(picture(SIDE, SIDE)),  # 8 bits
        image_file(picture(SIDE, SIDE), "PNG"),
        image_file(picture(SIDE, SIDE), "TIFF"),
        image_file(picture(SIDE, SIDE), "GIF"),
        BMP_565,  # 16 bits, but of a pixel
        pnm(COLOURS, 4095),  # 12 bits, and says so
        pnm(GRAY, 4095),  # the same in gray
    ],
    ids=["JPEG", "PNG", "TIFF", "GIF", "BMP of 5-6-5", "PPM of 12 bits", "PGM of 12 bits"],
)
def test_what_does_not_claim_sixteen_bits_is_no_matter_of_depth(data: bytes) -> None:
    assert bits(data) == 0
    assert np.array_equal(square(data, 12), square(data, 16))


def test_transparency_has_all_of_its_bits_at_any_depth() -> None:
    clear = with_alpha(COLOURS)
    clear[:, :, 3] = 0x8000  # half
    over_white = (COLOURS >> 4) * (128 / 255) + 255 * (127 / 255)
    assert np.abs(square(png(clear), 12) - over_white).max() <= 1
    assert bits(png(clear)) == 12


def test_no_decoder_says_anything_on_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    configure_process()
    with pytest.raises(RefusedImage, match="the lower bits of its samples"):
        square(tiff(COLOURS, compression="zlib")[:-500], 12)
    assert capfd.readouterr().err == ""


def test_samples_that_two_decoders_read_differently_are_refused() -> None:
    # Colours times their opacity: Pillow divides by it, OpenCV does not.
    clear = with_alpha(COLOURS)
    clear[:, :, 3] = 0x8000
    data = tiff(clear, extrasamples=["assocalpha"])
    square(data, 16)
    with pytest.raises(RefusedImage, match="unsupported"):
        square(data, 12)


# --- what is said of it ---------------------------------------------------------------------------


def deep_tree(root: Path, tree: dict[str, dict[str, int]], images: int = 1) -> Path:
    """``root/<split>/<class>/`` of PNG and TIFF files of 16 bits, whose largest sample is given."""
    for split, classes in tree.items():
        for class_name, most in classes.items():
            folder = root / split / class_name
            folder.mkdir(parents=True)
            for number in range(images):
                samples = np.roll(np.minimum(COLOURS, most), number, axis=0)
                samples[SIDE // 2, number] = most
                (folder / f"{number}.png").write_bytes(png(samples))
                (folder / f"{number}.tif").write_bytes(tiff(samples))
    return root


def totals_of(source: Path, output: Path, **options: Any) -> tuple[prep.RunPlan, SplitTotals]:
    """Return the totals of a run whose shards are written one after the other in this process."""
    made = prep.plan(
        prep.Config(
            source=str(source), output=str(output), size=SIDE, images_per_shard=3, **options
        )
    )
    journal = Journal(str(output))
    journal.begin(made)
    reference = RunRef(output=str(output), digest=made.fingerprint.digest, run="1")
    for shard in made.shards:
        write_shard(shard, reference)
    digest = made.fingerprint.digest
    receipts = [journal.receipts.of(shard, digest) for shard in made.shards]
    return made, total_receipts(receipt for receipt in receipts if receipt)


def report_of(source: Path, output: Path, **options: Any) -> prep.RunReport:
    made, totals = totals_of(source, output, **options)
    effort = Effort(seconds=1.0, images=0, resumed_shards=0)
    return make_report(made, str(output), totals, effort, summarise_copies([], {}))


def depth_rows(report: prep.RunReport) -> list[str]:
    return [line for name, line in report.rows() if name == "depth"]


def test_a_split_of_twelve_bits_is_told_with_the_depth_that_is_right(tmp_path: Path) -> None:
    source = deep_tree(
        tmp_path / "s",
        {"train": {"cat": 4095, "dog": 1500}, "val": {"cat": 40_000, "dog": 65_535}},
    )
    report = report_of(source, tmp_path / "o")
    (line,) = depth_rows(report)
    assert line == (
        "4 images of 16 bits a sample of split 'train': no value above 4,095, unlike in other "
        "splits. They hold 12 bits, and come out in 16 of 256 levels, too dark; prepare them "
        "apart, with depth: 12"
    )
    assert report.depths == {
        "train": {"cat": {"images": 2, "bits": 12}, "dog": {"images": 2, "bits": 11}},
        "val": {"cat": {"images": 2, "bits": 16}, "dog": {"images": 2, "bits": 16}},
    }
    report.publish()
    assert depth_rows(prep.RunReport.read(tmp_path / "o")) == [line]
    page = prep.report_page(tmp_path / "o").read_text(encoding="utf-8")
    assert html.escape(line).replace("&#x27;", "&#39;") in page


def test_as_said_it_is_bright_and_nothing_more_is_told(tmp_path: Path) -> None:
    source = deep_tree(tmp_path / "s", {"train": {"cat": 4095, "dog": 1500}})
    dark = report_of(source, tmp_path / "dark", encoding="raw")
    bright = report_of(source, tmp_path / "bright", encoding="raw", depth=12)
    (line,) = depth_rows(dark)
    assert "no value above 4,095. They hold 12 bits" in line
    assert line.endswith("prepare them with depth: 12")
    assert depth_rows(bright) == []
    assert dark.mean is not None
    assert bright.mean is not None
    for channel in "RGB":  # 16 times as bright, but for what rounding down has cost the dark one
        assert 16 * dark.mean[channel] < bright.mean[channel] < 16 * (dark.mean[channel] + 1)


def test_a_class_of_twelve_bits_beside_others_of_sixteen_is_told(tmp_path: Path) -> None:
    source = deep_tree(tmp_path / "s", {"train": {"cat": 4095, "dog": 65_535}})
    (line,) = depth_rows(report_of(source, tmp_path / "o"))
    assert "2 images of 16 bits a sample of split 'train' in 1 class ('cat')" in line
    assert "prepare them apart, with depth: 12" in line


def test_a_depth_that_cuts_samples_off_is_told(tmp_path: Path) -> None:
    source = deep_tree(tmp_path / "s", {"train": {"cat": 4095, "dog": 10_000}})
    (line,) = depth_rows(report_of(source, tmp_path / "o", depth=12))
    assert "values above 4,095, which depth: 12 makes white; prepare them with depth: 14" in line


@pytest.mark.parametrize("most", [200, 1000, 4095, 16_000, 65_535])
def test_the_least_usual_depth_that_holds_all_is_named(most: int) -> None:
    deep = Deep(1, max(8, most.bit_length()))
    named = {200: 8, 1000: 10, 4095: 12, 16_000: 14}
    line = depth_warning(deep, 16)
    assert line.endswith(f"prepare them with depth: {named[most]}") if most in named else not line
    assert depth_warning(Deep(0, 0), 16) == ""


def test_no_word_of_depth_where_nothing_has_sixteen_bits(tmp_path: Path) -> None:
    source = write_tree(tmp_path / "s", {"train": {"cat": 3}})
    report = report_of(source, tmp_path / "o")
    assert depth_rows(report) == []
    assert report.depths == {}


def test_another_depth_is_another_run_and_the_default_is_that_of_older_outputs(
    tmp_path: Path,
) -> None:
    source = write_tree(tmp_path / "s", {"train": {"cat": 1}})
    plans = {
        depth: prep.plan(prep.Config(source=str(source), output="o", depth=depth)).fingerprint
        for depth in (12, 14, 16)
    }
    assert "depth" not in plans[16].parts
    assert plans[16].differences(plans[12]) == ["depth: 16 there, 12 here"]
    assert plans[14].differences(plans[12]) == ["depth: 14 there, 12 here"]


def test_a_receipt_from_before_is_read_and_one_that_makes_no_sense_is_not() -> None:
    noted = Depths(classes={"cat": Deep(2, 12)})
    value = json.loads(json.dumps(dataclasses.asdict(noted)))
    assert Depths.from_json(value) == noted
    for classes in ({"cat": [2, 99]}, {"cat": ["2", 12]}, {"cat": [2]}, {"cat": 2}, ["cat"]):
        with pytest.raises((TypeError, ValueError, AttributeError)):
            Depths.from_json({"classes": classes})


def test_the_sample_of_a_plan_tells_it_beforehand(tmp_path: Path) -> None:
    source = deep_tree(tmp_path / "s", {"train": {"cat": 4095}})
    guess = estimate(prep.plan(prep.Config(source=str(source), output=str(tmp_path / "o"))))
    assert guess.deep == Deep(2, 12)
    assert "2 images of 16 bits a sample of those sampled" in depth_warning(guess.deep, 16)
