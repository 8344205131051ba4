"""Crops encoded as image files or samples, and read back exactly as written or not at all."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from prep.errors import RecordError
from prep.images.encoding.encode import make_encoder
from prep.images.encoding.png_writer import png_of
from prep.images.encoding.readback import ResultReader
from prep.images.encoding.tolerances import clipping_tolerance
from prep.images.processor import ImageProcessor
from prep.settings.choices import Encoding, Mode
from prep.settings.image_settings import ImageSettings, Size
from tests.support.pictures import Pixels, image_file, jpeg, picture, psnr, short

SIZE = Size(24, 40)
SEEN = picture(24, 40)
GRAY = np.array(Image.fromarray(SEEN).convert("L"))[..., None]

any_pixels = st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3])).flatmap(
    lambda shape: arrays(np.uint8, shape)
)


def encoded(pixels: Pixels, encoding: Encoding, quality: int = 90) -> bytes:
    return make_encoder(encoding, quality, None)(pixels)


def reader(encoding: Encoding, mode: Mode = "rgb") -> ResultReader:
    return ResultReader(ImageSettings(size=SIZE, encoding=encoding, mode=mode))


@given(pixels=any_pixels)
def test_a_png_is_read_by_others_as_the_pixels_that_it_was_made_of(pixels: Pixels) -> None:
    data = png_of(pixels)
    gray = pixels.shape[2] == 1
    with Image.open(io.BytesIO(data)) as image:
        assert (image.mode, image.size) == ("L" if gray else "RGB", pixels.shape[1::-1])
        assert np.array_equal(np.asarray(image).reshape(pixels.shape), pixels)
    by_opencv = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert by_opencv is not None
    assert np.array_equal(by_opencv.reshape(pixels.shape)[..., ::-1], pixels)
    assert np.array_equal(tf.io.decode_png(data).numpy(), pixels)


def test_a_large_png_takes_little_more_memory_than_its_pixels() -> None:
    pixels = np.resize(np.arange(251, dtype=np.uint8), (1100, 1300, 3))
    tracemalloc.start()
    try:
        data = png_of(pixels)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * pixels.nbytes
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(np.asarray(image), pixels)


@pytest.mark.parametrize("encoding", ["png", "raw"])
def test_lossless_encodings_come_back_exactly(encoding: Encoding) -> None:
    assert np.array_equal(reader(encoding).pixels(encoded(SEEN, encoding)), SEEN)
    stats = reader(encoding).sums(encoded(SEEN, encoding))
    assert stats.sums == tuple(SEEN.sum((0, 1)).tolist())
    assert stats.squares == tuple((SEEN.astype(int) ** 2).sum((0, 1)).tolist())


@pytest.mark.parametrize("encoding", ["jpeg", "png", "raw"])
def test_gray_comes_back_in_three_equal_channels(encoding: Encoding) -> None:
    found = reader(encoding, "gray").pixels(encoded(GRAY, encoding))
    assert found.shape == (24, 40, 3)
    assert psnr(found, np.repeat(GRAY, 3, axis=2)) > 40


@pytest.mark.parametrize("encoding", ["jpeg", "webp"])
def test_quality_is_what_lossy_encodings_lose_and_save(encoding: Encoding) -> None:
    made = [encoded(SEEN, encoding, quality) for quality in (10, 50, 90)]
    found = [psnr(reader(encoding).pixels(data), SEEN) for data in made]
    assert 20 < found[0] < found[1] < found[2]
    assert found[2] > 34
    assert len(made[0]) < len(made[1]) < len(made[2])


def test_webp_of_photos_is_smaller_than_jpeg_and_closer(photos: Path) -> None:
    process = ImageProcessor(ImageSettings(size=128))
    crops = [
        process.pixels(path.read_bytes()).copy() for path in sorted(photos.glob("*/*/*.JPEG"))[::20]
    ]
    assert len(crops) > 15
    sizes, noise = {}, {}
    for encoding in ("jpeg", "webp"):
        settings = ImageSettings(size=128, encoding=encoding)
        made = [encoded(crop, encoding) for crop in crops]
        read = [ResultReader(settings).pixels(data).copy() for data in made]
        sizes[encoding] = sum(map(len, made))
        noise[encoding] = psnr(np.stack(read), np.stack(crops))
    assert sizes["webp"] < 0.95 * sizes["jpeg"]
    assert noise["webp"] > noise["jpeg"]


def with_alpha(kind: str) -> bytes:
    return image_file(Image.fromarray(np.dstack([SEEN, GRAY])), kind)


REFUSED: list[tuple[Encoding, Mode, bytes, str]] = [
    ("png", "rgb", encoded(SEEN, "png")[:-20], "expected a whole PNG"),
    ("png", "rgb", encoded(SEEN, "png")[:-12], "expected a whole PNG"),  # All pixels are there.
    ("png", "rgb", encoded(SEEN, "png").replace(b"IDAT", b"IDAU"), "expected a whole PNG"),
    ("png", "rgb", encoded(SEEN[1:], "png"), "expected 40 × 24 pixels, found 40 × 23"),
    ("png", "rgb", encoded(GRAY, "png"), "expected a PNG in colours, found one in gray"),
    ("png", "gray", encoded(SEEN, "png"), "expected a PNG in gray, found one in colours"),
    ("png", "rgb", with_alpha("PNG"), "expected a PNG without transparency"),
    ("png", "rgb", jpeg(SEEN), "expected PNG, found a file that begins"),
    ("png", "rgb", b"", "expected PNG, found nothing"),
    ("webp", "rgb", encoded(SEEN, "webp")[:-20], "expected a whole WebP"),
    ("webp", "rgb", encoded(SEEN[:, 1:], "webp"), "expected 40 × 24 pixels, found 39 × 24"),
    ("webp", "rgb", with_alpha("WEBP"), "expected a WebP without transparency"),
    ("webp", "rgb", encoded(SEEN, "png"), "expected WebP, found PNG"),
    ("jpeg", "rgb", jpeg(GRAY[..., 0]), "expected a JPEG in colours, found one in gray"),
    ("jpeg", "gray", jpeg(SEEN), "expected a JPEG in gray, found one in colours"),
    ("jpeg", "rgb", encoded(SEEN, "png"), "expected a whole JPEG"),
    ("raw", "gray", SEEN.tobytes(), "expected 960 bytes of raw, found 2880"),
]


@pytest.mark.parametrize(("encoding", "mode", "image", "told"), REFUSED, ids=short)
def test_a_record_that_our_encoder_has_not_written_is_an_error(
    encoding: Encoding, mode: Mode, image: bytes, told: str
) -> None:
    with pytest.raises(RecordError) as error:
        reader(encoding, mode).pixels(image)
    assert str(error.value).startswith(told)


@given(cut=st.integers(0, 2000), flipped=st.integers(0, 2000), bit=st.integers(0, 7))
@pytest.mark.parametrize("encoding", ["png", "webp", "jpeg"])
def test_a_damaged_record_is_an_error_or_an_image(
    encoding: Encoding, cut: int, flipped: int, bit: int
) -> None:
    data = bytearray(encoded(SEEN, encoding))
    data[flipped % len(data)] ^= 1 << bit
    damaged = bytes(data[: len(data) - cut % len(data)] if cut % 2 else data)
    try:
        found = reader(encoding).pixels(damaged)
    except RecordError:
        return
    assert found.shape == SEEN.shape
    # What has a checksum is right, or refused.
    assert encoding != "png" or np.array_equal(found, SEEN)


def test_images_of_different_sizes_come_back_within_what_was_asked_for() -> None:
    settings = ImageSettings(size=SIZE, fit="shorter", encoding="png")
    large = picture(24, 90)
    assert np.array_equal(ResultReader(settings).pixels(encoded(large, "png")), large)
    with pytest.raises(RecordError, match="expected 40 × 24 pixels, as fit shorter allows, found"):
        ResultReader(settings).pixels(encoded(picture(30, 90), "png"))
    never = ResultReader(ImageSettings(size=SIZE, enlarge="never"))
    assert never.pixels(jpeg(picture(10, 12))).shape == (10, 12, 3)
    with pytest.raises(RecordError, match="found 41 × 24"):
        never.pixels(jpeg(picture(24, 41)))


def checks(one: tuple[int, int, int], other: tuple[int, int, int]) -> Pixels:
    """Two colours that alternate from pixel to pixel."""
    rows, columns = np.mgrid[:24, :40]
    return np.where(((rows + columns) % 2)[..., None], one, other).astype(np.uint8)


# Black beside saturated colours is the worst: chroma is averaged in linear light.
PATTERNS = [
    *(picture(24, 40, seed) for seed in range(4)),
    checks((255, 255, 0), (0, 0, 0)),
    checks((0, 255, 255), (0, 0, 0)),
    checks((0, 255, 0), (0, 0, 0)),
    checks((128, 128, 128), (0, 0, 255)),
    checks((128, 17, 224), (255, 0, 0)),
    np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8),
    255 * np.random.default_rng(1).integers(0, 2, (24, 40, 3), np.uint8),
]


@pytest.mark.parametrize("quality", [1, 60, 100])
@pytest.mark.parametrize("encoding", ["jpeg", "webp"])
def test_the_mean_of_what_lossy_encodings_give_back_is_within_tolerance(
    encoding: Encoding, quality: int
) -> None:
    for seen in PATTERNS:
        read = ResultReader(ImageSettings(size=SIZE, encoding=encoding, quality=quality))
        found = read.sums(encoded(seen, encoding, quality)).mean()
        pixels = read.pixels(encoded(seen, encoding, quality))
        more = clipping_tolerance(pixels, encoding, quality)
        off = np.abs(np.subtract(found or 0, seen.mean((0, 1))))
        assert (off <= np.add(read.tolerance, more)).all()
    assert max(ResultReader(ImageSettings(size=SIZE, encoding="png")).tolerance) == 0
