"""Images of 16 bits a sample, of which fewer hold anything."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from pictures import Pixels, image_file, jpeg, picture

from prep.errors import RefusedImage
from prep.images import ImageProcessor, ImageSettings

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
    """The same, opaque."""
    opaque = np.full((SIDE, SIDE, 1), 0xFFFF, np.uint16)
    return np.concatenate([samples.reshape(SIDE, SIDE, -1), opaque], axis=2)


def square(data: bytes, depth: int) -> Pixels:
    return ImageProcessor(ImageSettings(size=SIDE, depth=depth)).square(data)


def bits(data: bytes, depth: int = 16) -> int:
    return ImageProcessor(ImageSettings(size=SIDE, depth=depth))(data).bits


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
        pnm(COLOURS, 4095),  # 12 bits, and says so
    ],
    ids=["JPEG", "PNG", "TIFF", "GIF", "PPM of 12 bits"],
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


def test_samples_that_two_decoders_read_differently_are_refused() -> None:
    # Colours times their opacity: Pillow divides by it, OpenCV does not.
    clear = with_alpha(COLOURS)
    clear[:, :, 3] = 0x8000
    data = tiff(clear, extrasamples=["assocalpha"])
    square(data, 16)
    with pytest.raises(RefusedImage, match="unsupported"):
        square(data, 12)
