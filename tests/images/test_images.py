"""Image files of all kinds become upright 8-bit RGB crops, or are refused with a reason.

Nothing here has a file name: what an image is shows in its bytes alone.
"""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from prep.errors import RecordError, RefusedImage
from prep.images.decoders.decode import Decoder, decode
from prep.images.encoding.encode import make_encoder
from prep.images.encoding.record_pixels import pixels_of_record
from prep.images.processor import ImageProcessor
from prep.images.stats import channel_sums
from prep.settings.choices import Encoding
from prep.settings.image_settings import ImageSettings
from tests.support.jpegs import planar_jpeg
from tests.support.pictures import STORED, Pixels, image_file, jpeg, picture, psnr, short, stored

WIDE = picture(48, 60)  # Its central square needs no resizing to become 48 × 48,
CENTRE = WIDE[:, 6:54]  # which is this.


def square(data: bytes, size: int = 48, **options: Any) -> Pixels:
    return ImageProcessor(ImageSettings(size=size, **options)).pixels(data)


def refusal(data: bytes) -> str:
    """The reason for which an image is refused; empty if it is not."""
    try:
        square(data)
    except RefusedImage as error:
        return error.reason
    return ""


# --- all kinds of files ---------------------------------------------------------------------------


def as_gray(pixels: Pixels) -> Pixels:
    return np.array(Image.fromarray(pixels).convert("L"))


def on_white(pixels: Pixels, alpha: Pixels) -> Pixels:
    """Return more or less transparent pixels over white."""
    share = alpha[:, :, None] / 255
    return np.rint(pixels * share + 255 * (1 - share)).astype(np.uint8)


def through_opencv(pixels: npt.NDArray[Any], suffix: str, *options: int) -> bytes:
    """A file that Pillow can't write."""
    written, data = cv2.imencode(suffix, pixels[:, :, ::-1], options)
    assert written
    return bytes(data)


RAMP = np.tile(np.linspace(0, 255, 60).astype(np.uint8), (48, 1))  # a transparency
DEEP = np.random.default_rng(0).integers(0, 1 << 16, (48, 60, 3), np.uint16)  # 16-bit samples
BLACK_OR_WHITE = np.where(as_gray(WIDE) > 127, 255, 0).astype(np.uint8)
INDEXED = Image.fromarray(WIDE).quantize(20)
COLOURS = np.array(INDEXED.getpalette(), np.uint8).reshape(-1, 3)[np.asarray(INDEXED)]
HOLED = np.where((np.asarray(INDEXED) == 3)[:, :, None], 255, COLOURS)  # without the third colour
KEY = tuple(int(x) for x in WIDE[20, 30])  # a colour that stands for nothing
UNKEYED = np.where((WIDE == KEY).all(2, keepdims=True), 255, WIDE)
IN_RGBA = Image.fromarray(np.dstack([WIDE, RAMP]))
IN_LA = Image.merge("LA", (Image.fromarray(as_gray(WIDE)), Image.fromarray(RAMP)))
OTHER_FRAME = Image.fromarray(255 - COLOURS).quantize(20)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (image_file(WIDE, "PNG"), WIDE),  # the plainest case
        (image_file(as_gray(WIDE), "PNG"), as_gray(WIDE)),  # gray
        (image_file(IN_RGBA, "PNG"), on_white(WIDE, RAMP)),  # transparent
        (image_file(IN_LA, "PNG"), on_white(as_gray(WIDE)[:, :, None], RAMP)),  # the same in gray
        (image_file(INDEXED, "PNG"), COLOURS),  # a palette
        (image_file(INDEXED, "PNG", transparency=3), HOLED),  # one of its colours transparent
        (image_file(WIDE, "PNG", transparency=KEY), UNKEYED),  # a colour that means transparent
        (image_file(DEEP[:, :, 0], "PNG"), DEEP[:, :, 0] >> 8),  # 16-bit gray: the upper 8
        (through_opencv(DEEP, ".png"), DEEP >> 8),  # 16-bit RGB
        (through_opencv(DEEP, ".tiff"), DEEP >> 8),  # the same as TIFF
        (image_file(Image.fromarray(BLACK_OR_WHITE).convert("1"), "PNG"), BLACK_OR_WHITE),  # 1 bit
        (image_file(INDEXED, "GIF"), COLOURS),  # a GIF of one frame
        (image_file(INDEXED, "GIF", save_all=True, append_images=[OTHER_FRAME]), COLOURS),  # of two
        (image_file(WIDE, "BMP"), WIDE),  # stored upside down
        (image_file(WIDE, "TIFF"), WIDE),  # uncompressed
        (image_file(WIDE, "TIFF", compression="tiff_lzw"), WIDE),  # compressed
        (image_file(WIDE, "WEBP", lossless=True), WIDE),  # lossless
        (image_file(IN_RGBA, "WEBP", lossless=True, exact=True), on_white(WIDE, RAMP)),  # and clear
        (image_file(WIDE, "PPM"), WIDE),  # binary
        (image_file(WIDE, "TGA", compression="tga_rle"), WIDE),  # no signature at its beginning
        (image_file(WIDE, "JPEG2000"), WIDE),  # lossless
    ],
    ids=short,
)
def test_a_lossless_file_gives_its_very_pixels(data: bytes, expected: Pixels) -> None:
    pixels = np.broadcast_to(expected.reshape(48, 60, -1), (48, 60, 3))[:, 6:54]
    found = square(data)
    assert found.shape == (48, 48, 3)
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - pixels).max() <= 1  # Transparency is rounded.


def cmyk_jpeg(pixels: Pixels) -> bytes:
    return image_file(Image.fromarray(pixels).convert("CMYK"), "JPEG", quality=95)


def sampled(factors: int) -> bytes:
    return through_opencv(WIDE, ".jpg", cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factors)


ODD_SAMPLING = planar_jpeg(WIDE, (3, 1), (1, 1), (1, 1))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (jpeg(WIDE), WIDE),  # as most are: baseline, 4:2:0
        (jpeg(WIDE, subsampling="4:4:4"), WIDE),  # full colour
        (jpeg(WIDE, subsampling="4:2:2"), WIDE),  # half of the columns
        (sampled(cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440), WIDE),  # half of the rows
        (sampled(cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411), WIDE),  # a quarter of the columns
        (ODD_SAMPLING, WIDE),  # a third of the columns: libjpeg has no name for that
        (planar_jpeg(WIDE, (2, 2), (2, 1), (1, 2)), WIDE),  # other for each colour
        (jpeg(WIDE, progressive=True), WIDE),  # in several scans
        (jpeg(WIDE, optimize=True), WIDE),  # with Huffman tables of its own
        (jpeg(WIDE, restart_marker_blocks=2), WIDE),  # with restart markers
        (jpeg(as_gray(WIDE)), as_gray(WIDE)[:, :, None]),  # gray
        (cmyk_jpeg(WIDE), WIDE),  # four inks, as Adobe stores them
        (image_file(WIDE, "WEBP", quality=95), WIDE),  # lossy
        (image_file(WIDE, "AVIF", quality=95), WIDE),  # lossy
    ],
    ids=short,
)
def test_a_lossy_file_gives_nearly_its_pixels(data: bytes, expected: Pixels) -> None:
    pixels = np.broadcast_to(expected, WIDE.shape)[:, 6:54]
    assert psnr(square(data), pixels) > 30


def test_the_sums_are_those_of_the_crop() -> None:
    data = jpeg(picture(90, 70))
    processed = ImageProcessor(ImageSettings(size=32))(data)
    assert processed.stats == channel_sums(square(data, 32))


# --- orientation ----------------------------------------------------------------------------------

SHAPES = [
    (48, 48),  # the size itself
    (48, 60),  # landscape, even margin, nothing to resize
    (48, 61),  # landscape, odd margin
    (61, 48),  # portrait, odd margin
    (40, 61),  # odd margin, enlarged
    (61, 40),  # the same upright
    (37, 53),  # even margin, enlarged
    (75, 100),  # odd margin, shrunk
    (121, 100),  # odd margin, upright, shrunk by more than two
    (200, 301),  # shrunk by the decoder, where it is a JPEG
]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_orientation_makes_no_difference(height: int, width: int, kind: str) -> None:
    upright = picture(height, width)
    options = {"lossless": True} if kind == "WEBP" else {}
    expected = square(stored(upright, 1, kind, **options))
    # Exactly the same where nothing is resized; else rows and columns are rounded in turn.
    tolerance = 0 if min(height, width) == 48 else 1
    for orientation in STORED:
        found = square(stored(upright, orientation, kind, **options))
        assert np.abs(found.astype(int) - expected).max() <= tolerance, orientation


@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_orientation_makes_next_to_no_difference_in_a_jpeg(height: int, width: int) -> None:
    upright = picture(height, width)
    options = {"quality": 95, "subsampling": 0}
    expected = square(stored(upright, 1, "JPEG", **options))
    for orientation in STORED:
        # What is lost differs, for the blocks of 8 × 8 begin at another corner of the picture.
        assert psnr(square(stored(upright, orientation, "JPEG", **options)), expected) > 32


def with_exif(data: bytes, body: bytes) -> bytes:
    """A JPEG with an Exif segment as its first."""
    segment = b"Exif\0\0" + body
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]


def tiff(
    order: str = "<", *, magic: int = 42, at: int = 8, count: int = 1, kind: int = 3, value: int = 6
) -> bytes:
    """Exif's contents: a TIFF header, and a directory whose only entry is the orientation."""
    mark = b"II" if order == "<" else b"MM"
    header = mark + struct.pack(order + "HI", magic, at)
    return header + struct.pack(order + "HHHIHH", count, 0x0112, kind, 1, value, 0) + bytes(4)


@pytest.mark.parametrize("order", ["<", ">"])
def test_orientation_is_read_in_both_byte_orders(order: str) -> None:
    lying = np.rot90(WIDE)
    assert psnr(square(with_exif(jpeg(lying, quality=95), tiff(order))), CENTRE) > 35


@pytest.mark.parametrize(
    "body",
    [
        b"",  # nothing
        b"II*",  # cut off in the header
        tiff()[:15],  # cut off in the directory
        tiff(magic=43),  # BigTIFF's number
        tiff(at=5000),  # a directory past the end
        tiff(at=0xFFFFFFFF),  # as far past the end as can be
        tiff(count=0),  # an empty directory
        tiff(kind=2),  # the orientation as a text
        tiff(value=0),  # an orientation that does not exist
        tiff(value=9),  # another
    ],
    ids=short,
)
def test_malformed_exif_is_ignored(body: bytes) -> None:
    plain = jpeg(WIDE)
    assert np.array_equal(square(with_exif(plain, body)), square(plain))


@given(body=st.binary(max_size=60))
def test_exif_of_random_bytes_is_ignored(body: bytes) -> None:
    plain = jpeg(WIDE)
    assert np.array_equal(square(with_exif(plain, body)), square(plain))


# --- refusals -------------------------------------------------------------------------------------

NOISE = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
LARGE = jpeg(NOISE)  # 20 kB, most of it scan data
HEADER = jpeg(WIDE).index(b"\xff\xda")


def claiming(height: int, width: int, *, precision: int = 8, frame: int = 0xC0) -> bytes:
    """A small JPEG whose header lies about what it is."""
    data = jpeg(WIDE)
    at = data.index(b"\xff\xc0")
    header = bytes([0xFF, frame, *data[at + 2 : at + 4], precision])
    return data[:at] + header + struct.pack(">HH", height, width) + data[at + 9 :]


def png_claiming(height: int, width: int) -> bytes:
    data = bytearray(image_file(WIDE, "PNG"))
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),  # a file without bytes
        (b"\xff", "not an image"),  # a single one
        (b"<!doctype html><title>404 Not Found</title>", "not an image"),  # a web page
        (b"\xff\xd8\xff\xd9", "damaged"),  # a JPEG without anything in it, but with an end
        (jpeg(WIDE)[:100], "truncated"),  # cut off in the header
        (jpeg(WIDE)[: HEADER + 20], "truncated"),  # in the scan
        (jpeg(WIDE)[: HEADER + 99] + b"\xff\xd9", "damaged"),  # the same, with an end of its own
        (jpeg(WIDE, progressive=True)[:-9], "truncated"),  # in the last of several scans
        (LARGE[:8000] + bytes(4096) + LARGE[12096:], "damaged"),  # blocks lost in the middle
        (LARGE[:8000] + bytes(len(LARGE) - 8000), "truncated"),  # blocks lost to the end
        (image_file(WIDE, "PNG")[:-200], "truncated"),  # a PNG cut off
        (image_file(WIDE, "GIF")[:-200], "truncated"),  # a GIF
        (image_file(WIDE, "BMP")[:-200], "truncated"),  # a BMP
        (image_file(WIDE, "WEBP")[:-200], "truncated"),  # a WebP
        (claiming(0, 60), "damaged"),  # no height
        (claiming(30000, 30000), "too large"),  # 900 megapixels, in a header alone
        (png_claiming(30000, 30000), "too large"),  # the same as PNG
        (png_claiming(10001, 10000), "too large"),  # just above what is allowed
        (claiming(48, 60, frame=0xC3), "unsupported"),  # lossless JPEG
        (claiming(48, 60, precision=12), "unsupported"),  # 12 bits a sample
        (image_file(Image.new("F", (60, 48)), "TIFF"), "unsupported"),  # floating point
        (image_file(Image.new("I", (60, 48), 1 << 20), "TIFF"), "unsupported"),  # 32 bits a sample
    ],
    ids=short,
)
def test_what_can_not_be_used_is_refused_with_its_reason(data: bytes, reason: str) -> None:
    assert refusal(data) == reason


def test_what_pillow_finds_too_large_is_told_in_our_words() -> None:
    with pytest.raises(RefusedImage, match="more pixels than max_pixels allows, 100,000,000"):
        square(b"P6 30000 30000 255\n" + bytes(100))


def test_a_refusal_says_what_was_found() -> None:
    with pytest.raises(
        RefusedImage, match=r"too large: 30,000 × 30,000 pixels; max_pixels allows 100,000,000"
    ):
        square(claiming(30000, 30000))


@pytest.mark.parametrize(
    "odd",
    [
        lambda data: data + b"PK\x03\x04 and so on",  # something after the end
        lambda data: data[:HEADER] + b"junk" + data[HEADER:],  # stray bytes before the scan
        lambda data: data[:20] + b"\0\0\0" + data[20:],  # and between segments
        lambda data: data[:20] + b"\xff\xff\xff" + data[20:],  # bytes to fill up
        lambda data: (
            data[:20] + b"\xff\xe2\0\x12ICC_PROFILE\0\x09\x01ab" + data[20:]
        ),  # half an ICC
        lambda data: data[:20] + b"\xff\xfe\0\x05abc" + data[20:],  # a comment
    ],
)
def test_oddities_that_say_nothing_of_the_pixels_are_passed_over(
    odd: Callable[[bytes], bytes],
) -> None:
    plain = jpeg(WIDE)
    assert np.array_equal(square(odd(plain)), square(plain))


SOURCES = {
    "baseline": jpeg(picture(40, 40)),
    "progressive": jpeg(picture(40, 40), progressive=True),
    "gray": jpeg(as_gray(picture(40, 40))),
    "full colour": jpeg(picture(40, 40), subsampling=0),
    "restart markers": jpeg(picture(40, 40), restart_marker_blocks=2),
    "odd sampling": planar_jpeg(picture(40, 40), (3, 1), (1, 1), (1, 1)),
}


@given(data=st.sampled_from(sorted(SOURCES)), share=st.floats(0, 1))
def test_a_cut_jpeg_is_never_decoded_in_silence(data: str, share: float) -> None:
    whole = SOURCES[data]
    cut = whole[: int(share * len(whole))]
    try:
        pixels = decode(cut)
    except RefusedImage:
        return
    assert np.array_equal(pixels, decode(whole))  # Nothing was lost but the end marker.


@pytest.mark.parametrize("name", SOURCES)
def test_a_cut_jpeg_with_an_end_of_its_own_is_never_decoded_in_silence(name: str) -> None:
    whole = SOURCES[name]
    for cut in range(len(whole) // 2, len(whole) - 2, 17):
        with pytest.raises(RefusedImage):
            decode(whole[:cut] + b"\xff\xd9")


@pytest.mark.parametrize(
    "data",
    [
        LARGE,  # 4:2:0
        jpeg(NOISE, progressive=True),  # progressive
    ],
    ids=["baseline", "progressive"],
)
def test_a_hole_of_a_block_is_never_decoded_in_silence(data: bytes) -> None:
    for start in range(1024, len(data) - 4096 - 2, 1024):
        with pytest.raises(RefusedImage):
            decode(data[:start] + bytes(4096) + data[start + 4096 :])


@settings(max_examples=200)
@given(
    data=st.sampled_from([jpeg(WIDE), image_file(WIDE, "PNG"), image_file(WIDE, "TIFF")]),
    at=st.integers(0, 700),
    change=st.binary(min_size=1, max_size=4),
)
def test_a_damaged_file_does_no_harm(data: bytes, at: int, change: bytes) -> None:
    damaged = data[:at] + change + data[at + len(change) :]
    assert isinstance(refusal(damaged), str)  # It is refused or not, and nothing else happens.


CLAIMS = [claiming(30000, 30000), png_claiming(30000, 30000), png_claiming(12000, 12000)]


def test_no_memory_is_taken_for_what_is_too_large() -> None:
    # The child may take 64 MiB more than it has after loading its code; an image needs 432 or more.
    child = f"""
import resource
from prep.errors import RefusedImage
from prep.images.processor import ImageProcessor
from prep.settings.choices import Encoding
from prep.settings.image_settings import ImageSettings
process = ImageProcessor(ImageSettings())
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + (64 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for data in {CLAIMS!r}:
    try:
        process(data)
    except RefusedImage as error:
        print(error.reason)
"""
    done = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["too large"] * 3


# --- encodings ------------------------------------------------------------------------------------


@pytest.mark.parametrize("quality", [1, 50, 90, 100])
def test_tensorflow_decodes_our_jpegs_to_the_pixels_that_we_do(quality: int) -> None:
    processor = ImageProcessor(ImageSettings(size=63, quality=quality))
    data = processor(jpeg(picture(80, 100))).image
    theirs = tf.io.decode_jpeg(data, dct_method="INTEGER_ACCURATE").numpy()
    assert np.array_equal(decode(data), theirs)


def test_a_jpeg_of_ours_is_like_the_crop_and_more_so_at_higher_quality() -> None:
    data = jpeg(picture(80, 100))
    found = [
        psnr(
            decode(ImageProcessor(ImageSettings(size=64, quality=q))(data).image), square(data, 64)
        )
        for q in (10, 50, 90)
    ]
    assert 25 < found[0] < found[1] < found[2]
    assert found[2] > 40


def test_raw_is_the_samples_of_the_crop() -> None:
    data = jpeg(picture(80, 100))
    found = ImageProcessor(ImageSettings(size=32, encoding="raw"))(data).image
    assert found == square(data, 32).tobytes()


channels = st.floats(0, 255)
ALL_VALUES = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)


@given(mean=st.tuples(channels, channels, channels))
@example(mean=(122.679, 116.669, 104.006))  # ImageNet's
def test_float32_is_the_crop_less_the_mean_and_gives_it_back(
    mean: tuple[float, float, float],
) -> None:
    settings = ImageSettings(size=16, encoding="float32", mean=mean)
    data = ImageProcessor(settings)(image_file(ALL_VALUES, "PNG")).image
    samples = np.frombuffer(data, "<f4").reshape(16, 16, 3)
    assert np.abs(samples - (ALL_VALUES.astype(np.float64) - mean)).max() < 255 * 2**-22
    assert np.array_equal(pixels_of_record(data, settings, Decoder()), ALL_VALUES)


@pytest.mark.parametrize("encoding", ["raw", None])
def test_the_pixels_of_a_raw_record_are_found(encoding: Any) -> None:
    data = CENTRE.tobytes()
    assert np.array_equal(pixels_of_record(data, of(encoding), Decoder()), CENTRE)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("encoding", ["jpeg", "png", "webp"])
def test_the_pixels_of_an_encoded_record_are_found(encoding: Encoding, known: bool) -> None:
    data = make_encoder(encoding, 90, None)(CENTRE)
    found = pixels_of_record(data, of(encoding) if known else None, Decoder())
    assert np.array_equal(found, decode(data))


def of(encoding: Encoding | None) -> ImageSettings | None:
    """Return settings of results as large as ``CENTRE``; None if nothing is known."""
    zero = (0.0, 0.0, 0.0) if encoding == "float32" else None
    return ImageSettings(size=48, encoding=encoding, mean=zero) if encoding else None


@pytest.mark.parametrize(
    ("image", "encoding"),
    [
        (b"no image", "jpeg"),  # not what it is said to be
        (jpeg(WIDE)[:-99], "jpeg"),  # cut off
        (b"no image", None),  # neither an image nor a square of samples
        (bytes(3 * 5), "raw"),  # of other pixels than there are
        (bytes(4 * 3 * 5), "float32"),  # the same as floats
        (bytes(4 * 4), "float32"),  # not even whole pixels
        (bytes(4 * 3 - 1), "float32"),  # not even whole numbers
    ],
    ids=short,
)
def test_a_record_that_holds_no_pixels_is_an_error(image: bytes, encoding: Any) -> None:
    with pytest.raises(RecordError):
        pixels_of_record(image, of(encoding), Decoder())


# --- real files -----------------------------------------------------------------------------------


def real_photos(folder: Path) -> list[tuple[bytes, Pixels]]:
    """Return every third photo's bytes and pixels."""
    files = [path.read_bytes() for path in sorted(folder.glob("*/*/*.JPEG"))[::3]]
    assert len(files) > 100
    return [(data, np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))) for data in files]


def test_photos_are_by_area_nearly_as_pillow_resizes_their_centre_crop(photos: Path) -> None:
    found = []
    for data, pixels in real_photos(photos):
        short = min(pixels.shape[:2])
        top, left = ((length - short) // 2 for length in pixels.shape[:2])
        if short < 256 and sum(pixels.shape[:2]) % 2:
            continue  # It is enlarged, and its centre lies between two pixels.
        central = Image.fromarray(pixels[top : top + short, left : left + short])
        reference = central.resize((256, 256), Image.Resampling.BICUBIC)
        found.append(psnr(square(data, 256, interpolation="area"), np.asarray(reference)))
    assert min(found) > 30
    assert sum(found) / len(found) > 40


def as_in_the_article(pixels: Pixels, size: int) -> Pixels:
    """Resizes the whole image so that its shorter side fits, then cuts off the margins."""
    short = min(pixels.shape[:2])
    height, width = (length * size // short for length in pixels.shape[:2])
    whole = np.asarray(cv2.resize(pixels, (width, height)))
    top, left = (height - size) // 2, (width - size) // 2
    return whole[top : top + size, left : left + size]


def test_photos_are_nearly_as_in_the_article_where_its_crop_is_exact(photos: Path) -> None:
    differences = []
    for data, pixels in real_photos(photos):
        short, long = sorted(pixels.shape[:2])
        # An odd margin, of the photo or of what the article makes of it, moves one of the crops by
        # half a pixel; and where the decoder shrinks, it smooths what the article lets alias.
        if (long - short) % 2 or int(long * 256 / short) % 2 or short >= 512:
            continue
        ours = square(data, 256, interpolation="linear").astype(int)
        differences.append(np.abs(ours - as_in_the_article(pixels, 256)).mean())
    assert len(differences) > 20
    assert np.mean(differences) < 1.5
    assert max(differences) < 5
