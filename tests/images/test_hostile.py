"""Odd, damaged and malicious files: written or refused correctly, and without delay."""

from __future__ import annotations

import csv
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from prep.errors import RefusedImage
from prep.images.processor import ImageProcessor
from prep.settings.image_settings import ImageSettings
from tests.support.fuzz import fuzz, made_up_files
from tests.support.memory import growth
from tests.support.pictures import image_file, jpeg, picture

REASONS = {
    *("empty", "not an image", "truncated", "damaged", "unsupported"),
    *("too large", "too small", "too extreme"),
}

# Files that are said to be good, and are refused all the same.
REFUSED_ALTHOUGH_GOOD = {
    # Three bytes between the last block and the end marker, which are no padding (b0 ed 46 …):
    # nothing tells them from image data that was damaged, and libjpeg warns of both alike.
    "coding/extraneous-data.jpg",
    # A frame of a camera's video. The lack of Huffman tables is no hindrance. But most restart
    # intervals go on after their last block, and what follows are codes of more blocks: so does an
    # interval look in which a bit was damaged and an end-of-block code came too early.
    "coding/mjpeg.jpg",
    # Its Exif is not all that is broken: it decodes to stripes.
    "exif/hopper_bad_exif.jpg",
}
# Files that are said to be lossy, and are written all the same.
WRITTEN_ALTHOUGH_LOSSY = {
    # One bit in the scan data: the Huffman codes that it makes are valid, and in step again soon.
    # No decoder sees it.
    "corrupt/made_bitflip_3.jpg",
    "corrupt/made_bitflip_5.jpg",
    "corrupt/made_bitflip_7.jpg",
    # It ends within its end marker (ff). All coefficients of all scans are there: it is repaired.
    "trunc/Pillow_truncated_jpeg.jpg",
}
REPAIRED = {
    "trunc/Pillow_truncated_jpeg.jpg",
    "trunc/made_base_minus1.jpg",
    "trunc/truncated_end_chunk.png",
}
# The reasons that are not plain from the folder.
EXPECTED_REASONS = {
    "bomb/made_scan_bomb_5000.jpg": "too extreme",
    # It ends within its directory, of which six entries of eleven are there.
    "bomb/oom-225817ca0f8c663be7ab4b9e717b02c661e66834.tif": "truncated",
    "coding/jpeg_lossless_sel1-8bit.jpg": "unsupported",
    "coding/lossless16bit.jpg": "unsupported",
    "corrupt/corrupt-header.jpg": "truncated",  # The length of a segment leads past the end.
    "corrupt/empty.jpg": "empty",
    "corrupt/invalid-prediction-shift.jpg": "unsupported",  # It claims to be lossless.
    "corrupt/made_leading_crlf.jpg": "not an image",
    # These have their end marker: what is lacking is in between.
    "corrupt/missing-frame-image-1410.jpg": "damaged",
    "corrupt/missing-sos.jpg": "damaged",
    "corrupt/pngtest_bad.png": "not an image",  # Its signature is broken.
    "nonimage/soi_only.JPEG": "damaged",  # And its end marker.
    "nonimage/zero_byte.JPEG": "empty",
    "trunc/made_base_trunc_0.jpg": "empty",
    "trunc/made_base_trunc_100.jpg": "truncated",
    "trunc/made_prog_trunc_0.jpg": "empty",
    "trunc/made_prog_trunc_100.jpg": "truncated",
}
REASON_OF_FOLDER = {
    "bomb": "too large",
    "geom": "too extreme",
    "masq": "unsupported",
    "nonimage": "not an image",
}


def test_odd_and_hostile_files_are_written_or_refused_as_they_should_be(bad_files: Path) -> None:
    processor = ImageProcessor(ImageSettings())
    wrong, repaired = {}, set()
    with open(bad_files / "MANIFEST.tsv", newline="") as manifest:
        truths = {row["file"]: row["truth"] for row in csv.DictReader(manifest, delimiter="\t")}
    assert len(truths) > 100
    for name, truth in truths.items():
        written = truth in ("good", "fix") and name not in REFUSED_ALTHOUGH_GOOD
        written |= name in WRITTEN_ALTHOUGH_LOSSY
        folder = name.partition("/")[0]
        reason = EXPECTED_REASONS.get(name) or REASON_OF_FOLDER.get(folder, "")
        try:
            processed = processor((bad_files / name).read_bytes())
        except RefusedImage as error:
            plain = truth in ("bomb", "reject")
            if written or error.reason not in REASONS or (plain and error.reason != reason):
                wrong[name] = str(error)
        else:
            if processed.note:
                repaired.add(name)
            if not written:
                wrong[name] = "written"
    assert not wrong
    assert repaired == REPAIRED


def test_damaged_files_are_kept_and_noted_if_asked_for(bad_files: Path) -> None:
    processor = ImageProcessor(ImageSettings(damaged="keep"))
    for name in ("trunc/made_base_trunc_0.5.jpg", "coding/partial_progressive.jpg"):
        note = processor((bad_files / name).read_bytes()).note
        assert note is not None
        assert note.outcome == "damaged"


# --- bombs ----------------------------------------------------------------------------------------

PICTURE = picture(48, 60)


def claiming(data: bytes, height: int, width: int) -> bytes:
    """A JPEG whose frame says that it is larger than it is."""
    at = next(i for i in (data.find(b"\xff\xc0"), data.find(b"\xff\xc2")) if i > 0)
    return data[: at + 5] + struct.pack(">HH", height, width) + data[at + 9 :]


def webp_claiming(side: int) -> bytes:
    """An animation of two small frames on a large canvas."""
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    data = bytearray(image_file(frames[0], "WEBP", save_all=True, append_images=frames[1:]))
    data[24:30] = (side - 1).to_bytes(3, "little") * 2
    return bytes(data)


def many_scans() -> bytes:
    data = jpeg(picture(1500, 2000), progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * 5000 + b"\xff\xd9"


FLAT = {kind: image_file(Image.new("RGB", (7000, 7000)), kind) for kind in ("AVIF", "JPEG2000")}
FLAT["WEBP"] = image_file(Image.new("RGB", (9000, 9000)), "WEBP", lossless=True, method=0)
BOMBS = {
    "progressive": (claiming(jpeg(PICTURE, progressive=True), 9000, 9000), "truncated"),
    "baseline": (claiming(jpeg(PICTURE), 9000, 9000), "truncated"),
    "animated WebP": (webp_claiming(9000), "too extreme"),
    "many scans": (many_scans(), "too extreme"),
    **{f"flat {kind}": (data, "too extreme") for kind, data in FLAT.items()},
}

MEMORY = 32 << 10  # KiB


@pytest.mark.parametrize("name", BOMBS)
def test_a_file_that_claims_far_more_than_it_holds_takes_no_memory(
    name: str, tmp_path: Path
) -> None:
    data, reason = BOMBS[name]
    good, bomb = tmp_path / "good", tmp_path / "bomb"
    good.write_bytes(jpeg(PICTURE))
    bomb.write_bytes(data)
    found, kib = growth(good, bomb)
    assert found == reason
    assert kib < MEMORY


def test_bombs_take_no_memory(bad_files: Path) -> None:
    bombs = sorted((bad_files / "bomb").iterdir())
    assert len(bombs) >= 10
    grown = {bomb.name: growth(bad_files / "good" / "base.jpg", bomb) for bomb in bombs}
    assert {name: found for name, found in grown.items() if found[1] > MEMORY} == {}


TALL = np.tile(picture(300, 400), (10, 10, 1))
DEEP = TALL[:, :, 0].astype(np.uint16) * 257
#: A large image of each kind, and how many bytes a pixel its whole way may take: what its decoder
#: needs, the result of that, and a megabyte or two.
WAYS = {
    "RGBA PNG": (Image.fromarray(TALL).convert("RGBA"), "PNG", 8),
    "RGB PNG": (Image.fromarray(TALL), "PNG", 8),
    "gray PNG of 16 bits": (Image.fromarray(DEEP), "PNG", 6),
    "gray TIFF of 16 bits": (Image.fromarray(DEEP), "TIFF", 6),
    "palette": (Image.fromarray(TALL).quantize(64), "GIF", 5),
}


@pytest.mark.parametrize("name", WAYS)
def test_a_large_image_is_there_as_decoded_and_as_rgb_and_no_more_often(
    name: str, tmp_path: Path
) -> None:
    image, kind, bytes_per_pixel = WAYS[name]
    good, large = tmp_path / "good", tmp_path / "large"
    good.write_bytes(jpeg(PICTURE))
    options = {"compress_level": 1} if kind == "PNG" else {}
    large.write_bytes(image_file(image, kind, **options))
    found, kib = growth(good, large)
    assert found == "written"
    assert kib << 10 < bytes_per_pixel * image.width * image.height + (16 << 20)


@pytest.mark.slow
def test_large_images_that_are_what_they_claim_are_written() -> None:
    processor = ImageProcessor(ImageSettings(size=64))
    flat = Image.new("RGB", (5000, 5000), "red")  # as few bytes as each format allows
    for kind in ("JPEG", "PNG", "GIF", "WEBP"):
        assert processor(image_file(flat, kind)).note is None
    assert processor(image_file(flat, "JPEG", progressive=True)).note is None
    assert processor(image_file(flat.convert("1"), "PNG")).note is None


# --- mutations ------------------------------------------------------------------------------------


def test_mutated_files_do_no_harm() -> None:
    outcome = fuzz(made_up_files(), 0, 3000)
    assert outcome.faults == []
    assert outcome.growth < 64 << 20
