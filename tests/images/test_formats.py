"""Each variant of each format is decoded correctly, or refused with the right reason."""

from __future__ import annotations

import dataclasses
import itertools
import os
import struct
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from prep.errors import RefusedImage
from prep.images.decoders.decode import decode
from prep.images.decoders.png import read_png
from prep.images.processor import ImageProcessor
from prep.settings.image_settings import ImageSettings
from prep.sources.folders.names import READ
from tests.support.catalogs import scan_folders
from tests.support.formats import (
    PAGE,
    UNSUPPORTED,
    compared,
    difference,
    disagreements,
    grid,
    has_imagemagick,
    is_supported,
)
from tests.support.pictures import Pixels, image_file, jpeg, picture, psnr, short, stored
from tests.support.raster_variants import bmps, rasters
from tests.support.tiffs import Page, tiff_file
from tests.support.variants import GRAY, LOSSY, WHOLE, Variant, odd_tiffs, tiffs
from tests.support.writers import animated_webp, chunk, png_file

PICTURE = picture(48, 60)


def refusal(data: bytes, **settings: Any) -> RefusedImage:
    with pytest.raises(RefusedImage) as refused:
        ImageProcessor(ImageSettings(size=32, **settings))(data)
    return refused.value


def upright(data: bytes) -> Pixels:
    """The central square of an image of 60 × 48 or 48 × 60, upright."""
    return ImageProcessor(ImageSettings(size=48)).pixels(data)


# --- the grid -------------------------------------------------------------------------------------


def faults(variants: Iterator[Variant]) -> list[str]:
    """Return what is wrong with the decoding of variants."""
    return [f"{v.kind} ({v.how}): {found}" for v in variants if (found := _fault(v))]


def _fault(variant: Variant) -> str:
    try:
        pixels = decode(variant.data)
    except RefusedImage as error:
        expected = error.reason == "unsupported" and not is_supported(variant)
        return "" if expected else str(error)
    if not is_supported(variant):
        return "decoded"
    found = difference(pixels, variant.right)
    return f"differs by {found:.1f}" if found > variant.tolerance else ""


def test_variants_of_tiff_are_right_or_unsupported() -> None:
    assert faults(itertools.chain(tiffs(every=11), odd_tiffs())) == []


@pytest.mark.slow
def test_all_variants_of_tiff_are_right_or_unsupported() -> None:
    assert faults(tiffs()) == []


def test_variants_of_other_formats_are_right_or_unsupported() -> None:
    assert faults(rasters()) == []


@pytest.mark.slow
@pytest.mark.parametrize("decoder", ["libvips", "ImageMagick"])
def test_another_decoder_makes_the_same_of_it_or_it_is_known_why(decoder: str) -> None:
    if decoder == "libvips":
        pytest.importorskip("pyvips")
    elif not has_imagemagick():
        pytest.skip("ImageMagick is not installed (Debian's package imagemagick)")
    variants = list(itertools.chain(rasters(), tiffs(every=5), odd_tiffs()))
    rows = compared(variants, [decoder])
    assert sum(len(row.others.get(decoder, [])) for row in rows.values()) > 200
    assert disagreements(rows) == []


@pytest.mark.slow
def test_the_table_of_formats_names_all_that_is_in_the_grid() -> None:
    kinds = {variant.kind for variant in grid()}
    in_page = {line.split(" | ")[0][2:] for line in PAGE.read_text().splitlines()}
    assert kinds <= in_page
    assert UNSUPPORTED.keys() <= kinds


@pytest.mark.parametrize("subfile", [(254, 1), (255, 2)])
def test_of_a_tiff_with_a_thumbnail_the_full_picture_is_taken(subfile: tuple[int, int]) -> None:
    tag, value = subfile
    thumbnail = Page(samples=GRAY[::4, ::4], tags={tag: ("H", [value])})
    full = Page(samples=WHOLE, photometric=2)
    for pages in ([thumbnail, full], [thumbnail, thumbnail, full], [full, thumbnail]):
        assert np.array_equal(decode(tiff_file(*pages)), WHOLE)
    assert decode(tiff_file(thumbnail)).shape == (12, 16, 3)  # There is no other.


def test_what_is_around_a_first_frame_is_background() -> None:
    still = image_file(PICTURE, "WEBP", lossless=True)
    webp = animated_webp([(still, 2, 4, 60, 48)] * 2, 80, 80)
    gif = image_file(Image.fromarray(PICTURE).quantize(32), "GIF")
    for data in (webp, gif[:6] + struct.pack("<HH", 80, 80) + gif[10:]):
        square = ImageProcessor(ImageSettings(size=80, background=(7, 77, 177))).pixels(data)
        assert square[79, 79].tolist() == [7, 77, 177]
        assert square[20, 30].tolist() != [7, 77, 177]


# --- orientation ----------------------------------------------------------------------------------


def exif(value: int, form: str = "H", order: str = "<", kind: int | None = None) -> bytes:
    """Exif that holds an orientation, as an integer of this type."""
    kind = kind or {"B": 1, "H": 3, "I": 4, "i": 9}[form]
    mark = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(order + "HHI", 0x0112, kind, 1) + struct.pack(order + form, value)
    return mark + struct.pack(order + "IH", 8, 1) + entry.ljust(12, b"\0") + bytes(4)


def with_exif(kind: str, *exifs: bytes) -> bytes:
    """A picture that lies on its side, with Exif put in by hand."""
    lying = np.ascontiguousarray(np.rot90(PICTURE))
    if kind == "JPEG":
        segments = b"".join(
            b"\xff\xe1" + struct.pack(">H", len(body) + 8) + b"Exif\0\0" + body for body in exifs
        )
        data = jpeg(lying, quality=95, subsampling=0)
        return data[:2] + segments + data[2:]
    if kind == "PNG":
        return png_file(lying, 8, 2, before=b"".join(chunk(b"eXIf", body) for body in exifs))
    if kind == "JPEG2000":
        box = b"uuidJpgTiffExif->JP2" + exifs[0]
        data = image_file(lying, kind)
        at = data.index(b"jp2c") - 4
        return data[:at] + struct.pack(">I", len(box) + 4) + box + data[at:]
    return image_file(lying, kind, lossless=True, exif=exifs[0])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("form", ["B", "H", "I", "i"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "JPEG2000"])
def test_orientation_is_read_whatever_integer_holds_it(kind: str, form: str, order: str) -> None:
    square = upright(with_exif(kind, exif(6, form, order)))
    assert psnr(square, PICTURE[:, 6:54]) > 35


@pytest.mark.parametrize("form", ["B", "H", "I"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_orientation_of_a_tiff_is_read_likewise(form: str, order: str, big: bool) -> None:
    lying = np.ascontiguousarray(np.rot90(PICTURE))
    page = Page(samples=lying, photometric=2, tags={274: (form, [6])})
    if big and order == ">":
        assert refusal(tiff_file(page, order=order, big=big)).reason == "unsupported"
    else:
        assert np.array_equal(upright(tiff_file(page, order=order, big=big)), PICTURE[:, 6:54])


def test_a_tiff_is_turned_once_by_the_first_of_two_values() -> None:
    page = Page(samples=np.ascontiguousarray(np.rot90(PICTURE)), photometric=2)
    data = tiff_file(dataclasses.replace(page, tags={274: ("H", [6, 6])}))
    assert np.array_equal(upright(data), PICTURE[:, 6:54])


@pytest.mark.parametrize("coding", ["none", "zlib"])
def test_subsampled_chroma_of_a_tiff_is_decoded_whether_it_is_packed_or_not(coding: str) -> None:
    luma, *chroma = np.moveaxis(np.asarray(Image.fromarray(PICTURE).convert("YCbCr")), 2, 0)
    units = [luma.reshape(24, 2, 30, 2).transpose(0, 2, 1, 3).reshape(24, 30, 4)]
    units += [plane[::2, ::2, None] for plane in chroma]
    of_size = {256: ("I", [60]), 257: ("I", [48]), 278: ("I", [48])}
    of_samples = {258: ("H", [8] * 3), 277: ("H", [3]), 339: ("H", [1] * 3), 530: ("H", [2, 2])}
    levels = {532: ("H", [0, 255, 128, 255, 128, 255])}
    page = Page(
        samples=np.concatenate(units, 2),
        photometric=6,
        compression=coding,
        tags=of_size | of_samples | levels,
    )
    assert psnr(decode(tiff_file(page)), PICTURE) > 25


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_avif_turns_itself(orientation: int) -> None:
    data = stored(PICTURE, orientation, "AVIF", quality=95, speed=10)
    assert psnr(upright(data), PICTURE[:, 6:54]) > 30


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_of_two_exif_segments_the_first_counts(kind: str) -> None:
    turned, plain = exif(6), exif(1)
    assert psnr(upright(with_exif(kind, turned, plain)), PICTURE[:, 6:54]) > 35
    assert psnr(upright(with_exif(kind, plain, turned)), np.rot90(PICTURE)[6:54]) > 35


@pytest.mark.parametrize("compressed", [False, True])
def test_exif_that_a_png_has_as_text_is_read(compressed: bool) -> None:
    body = b"Exif\0\0" + exif(6)
    text = b"\nexif\n%8d\n" % len(body) + body.hex().encode() + b"\n"
    name = b"Raw profile type exif\0"
    before = chunk(b"zTXt", name + b"\0" + zlib.compress(text)) if compressed else b""
    before = before or chunk(b"tEXt", b"Software\0x") + chunk(b"tEXt", name + text)
    lying = np.ascontiguousarray(np.rot90(PICTURE))
    assert np.array_equal(upright(png_file(lying, 8, 2, before=before)), PICTURE[:, 6:54])


def test_other_metadata_of_a_tiff_turns_nothing() -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6"/></x:xmpmeta>'
    page = Page(samples=PICTURE, photometric=2, tags={700: ("B", list(xmp)), 34665: ("I", [9])})
    assert np.array_equal(decode(tiff_file(page)), PICTURE)


# --- metadata that is not needed ------------------------------------------------------------------

BOMB = zlib.compress(bytes(64 << 20))


@pytest.mark.parametrize(
    "before",
    [
        chunk(b"iCCP", b"big\0\0" + zlib.compress(bytes(2_000_000))),  # a large profile
        chunk(b"iCCP", b"bomb\0\0" + BOMB),  # one that inflates to 64 MiB
        chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2_000_000))),  # a large text
        chunk(b"zTXt", b"Raw profile type exif\0\0" + BOMB),  # one that may hold Exif
        chunk(b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(bytes(2_000_000))),  # international
        *(chunk(kind, b"\0") for kind in (b"gAMA", b"pHYs", b"cHRM", b"sRGB", b"acTL", b"eXIf")),
        *(chunk(kind, b"") for kind in (b"gAMA", b"sBIT", b"tIME", b"fcTL", b"iCCP", b"zTXt")),
    ],
    ids=short,
)
@pytest.mark.parametrize("icc", ["ignore", "convert"])
def test_metadata_of_a_png_hinders_nothing(before: bytes, icc: Any) -> None:
    data = png_file(PICTURE, 8, 2, before=before)
    square = ImageProcessor(ImageSettings(size=48, icc=icc)).pixels(data)
    assert np.array_equal(square, PICTURE[:, 6:54])


@pytest.mark.parametrize(
    "data",
    [
        b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHIII", 273, 4, 8 << 20, 26, 0) + bytes(33 << 20),
        b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0\0\0\x08free" * (1 << 18),  # boxes
        b"\0\0\0\x0cftypavif" + b"\0\0\0\x08free" * (1 << 18),  # the same, as AVIF
    ],
    ids=["TIFF", "JPEG 2000", "AVIF"],
)
def test_what_has_no_end_is_not_listed(data: bytes) -> None:
    tracemalloc.start()
    try:
        assert refusal(data).reason in ("damaged", "truncated")
        assert tracemalloc.get_traced_memory()[1] < 4 * len(data) + (16 << 20)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("before", [b"", chunk(b"pHYs", bytes(9))], ids=["bare", "with metadata"])
def test_a_png_is_not_copied_but_for_leaving_chunks_out(before: bytes) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    data = png_file(noise, 8, 2, before=before)
    tracemalloc.start()
    try:
        read_png(data)
        assert tracemalloc.get_traced_memory()[1] < len(data) * (1.2 if before else 0.2)
    finally:
        tracemalloc.stop()


def test_a_critical_chunk_that_is_unknown_is_not_passed_over() -> None:
    error = refusal(png_file(PICTURE, 8, 2, before=chunk(b"CgBI", b"\0\0\0\0")))
    assert str(error) == "unsupported: PNG with a chunk CgBI, unknown and critical"


# --- headers of JPEGs -----------------------------------------------------------------------------

BASELINE = jpeg(PICTURE)
PROGRESSIVE = jpeg(PICTURE, progressive=True)
BARE_JPEG_2000 = image_file(PICTURE, "JPEG2000", no_jp2=True)
DQT, SOF, DHT, SOS = (BASELINE.index(bytes([0xFF, marker])) for marker in (0xDB, 0xC0, 0xC4, 0xDA))
END_OF_DHT = DHT + 2 + int.from_bytes(BASELINE[DHT + 2 : DHT + 4])


def edited(at: int, new: bytes, data: bytes = BASELINE) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def progressive_with(marker: bytes, new: bytes, after: int) -> bytes:
    at = PROGRESSIVE.index(marker)
    return edited(at + after, new, PROGRESSIVE)


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (edited(DQT + 5, bytes(64)), "quantization table 0 of the JPEG holds a zero"),  # only zeros
        (edited(DQT + 12, b"\0"), "quantization table 0 of the JPEG holds a zero"),  # one of them
        (progressive_with(b"\xff\xdb", b"\0", 5), "quantization table 0 of the JPEG holds a zero"),
        (edited(SOF + 12, b"\3"), "quantization table 3 of the JPEG is not there"),
        (edited(DQT + 4, b"\x20"), "a quantization table of the JPEG is malformed"),
        (edited(DHT + 5, b"\xff" * 16), "a Huffman table of the JPEG is malformed"),  # codes
        (edited(DHT + 4, b"\x09"), "a Huffman table of the JPEG is malformed"),  # its number
        (edited(DHT + 2, b"\0\5"), "a Huffman table of the JPEG is malformed"),  # its length
        (edited(DHT + 21, b"\xee" * 8), "Bogus Huffman table definition"),  # its symbols
        (BASELINE[:DHT] + BASELINE[END_OF_DHT:], "a Huffman table of the JPEG is not there"),  # one
        (edited(SOS + 6, b"\x33"), "a Huffman table of the JPEG is not there"),  # referred to
        (progressive_with(b"\xff\xda", b"\x33", 6), "a Huffman table of the JPEG is not there"),
        (edited(SOF + 11, b"\0"), "the JPEG's sampling factors are not 1 to 4"),
        (edited(SOF + 11, b"\x15"), "the JPEG's sampling factors are not 1 to 4"),
        (edited(SOF + 9, b"\2"), "the JPEG's frame header is malformed"),  # two components of three
        (edited(SOF + 10, b"\x09"), "a scan of the JPEG is of components that there are not"),
        (edited(SOS + 5, b"\2"), "a scan of the JPEG is of components that there are not"),  # twice
        (edited(SOS + 4, b"\0"), "a scan header of the JPEG is malformed"),  # no components
        (edited(SOS + 2, b"\0\2"), "a scan header of the JPEG is malformed"),  # nothing at all
        (BASELINE[:SOF] + BASELINE[DHT:], "the JPEG header has no frame (SOF)"),
        (BASELINE[:DHT] + BASELINE[SOF:], "the JPEG has two frames (SOF)"),
        (BASELINE[:SOS] + b"\xff\xd9", "the JPEG has no image data"),
        (
            edited(DHT + 2, b"\x7f\xff"),
            f"the JPEG's segment at {DHT} is longer than all that follows",
        ),
    ],
    ids=short,
)
def test_a_header_that_can_not_be_meant_is_damaged(data: bytes, detail: str) -> None:
    assert str(refusal(data)) == f"damaged: {detail}"


def test_a_jpeg_of_zeros_in_its_tables_is_kept_if_asked_for() -> None:
    data = edited(DQT + 5, bytes(64))
    note = ImageProcessor(ImageSettings(size=32, damaged="keep"))(data).note
    assert note is not None
    assert note.outcome == "damaged"


def test_scans_need_no_tables_for_what_they_do_not_code() -> None:
    scans = _places(PROGRESSIVE, b"\xff\xda")
    data = PROGRESSIVE
    for at in (scans[0], scans[6]):  # DC coefficients, and their last bits
        for chosen in range(at + 6, at + 12, 2):
            unused = data[chosen] | 0x0F if at == scans[0] else 0xFF
            data = edited(chosen, bytes([unused]), data)
    assert data != PROGRESSIVE
    assert np.array_equal(decode(data), decode(PROGRESSIVE))


def test_tables_between_scans_are_looked_at() -> None:
    _, second, *_ = _places(PROGRESSIVE, b"\xff\xda")
    zeros = b"\xff\xdb\0\x43\0" + bytes(64)
    assert refusal(PROGRESSIVE[:second] + zeros + PROGRESSIVE[second:]).reason == "damaged"


# --- reasons --------------------------------------------------------------------------------------

EXTRA = {338: ("H", [2, 0, 0])}  # ExtraSamples: one of transparency, and two others
CUT = {
    "WebP": image_file(PICTURE, "WEBP"),
    "lossless WebP": image_file(PICTURE, "WEBP", lossless=True),
    "AVIF": image_file(PICTURE, "AVIF", speed=10),
    "JPEG 2000": image_file(PICTURE, "JPEG2000"),
    "bare JPEG 2000": image_file(PICTURE, "JPEG2000", no_jp2=True),
    "GIF": image_file(PICTURE, "GIF"),
    "P2": b"P2 60 48 255\n" + b"11 " * 60 * 48,
    **{
        f"TIFF, {coding}": tiff_file(Page(samples=PICTURE, photometric=2, compression=coding))
        for coding in ("none", "lzw", "zlib", "packbits", "zstd", "lzma")
    },
    **{v.kind + v.how: v.data for v in bmps() if is_supported(v)},
}


@pytest.mark.parametrize("name", CUT)
def test_what_is_cut_off_is_truncated(name: str) -> None:
    data = CUT[name]
    for share in (0.2, 0.5, 0.9):
        cut = data[: max(int(len(data) * share), 20)]
        assert refusal(cut).reason == "truncated"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            tiff_file(Page(samples=PICTURE.astype(np.float32), photometric=2)),
            "unsupported: TIFF of floating-point samples",
        ),
        (
            tiff_file(Page(samples=PICTURE[:, :, :2].astype(np.uint16))),
            "unsupported: TIFF of 16-bit gray with transparency",
        ),
        (
            tiff_file(Page(samples=PICTURE[:, :, 0].astype(np.int16))),
            "unsupported: TIFF of signed samples",
        ),
        (
            tiff_file(Page(samples=PICTURE, photometric=2, tags={258: ("H", [8, 8, 16])})),
            "unsupported: TIFF of samples of 8 to 16 bits",
        ),
        (
            tiff_file(Page(samples=np.dstack([PICTURE] * 2), photometric=5)),
            "unsupported: TIFF of 6 × 8 bits a pixel, photometric interpretation 5",
        ),
        (
            tiff_file(
                Page(samples=np.dstack([PICTURE] * 2), photometric=2, planar=True, tags=EXTRA)
            ),
            "unsupported: TIFF of 6 samples in planes",
        ),
        (
            tiff_file(Page(samples=PICTURE, photometric=2, tags={259: ("H", [34712])})),
            "unsupported: TIFF of compression 34712",
        ),
        *[
            (edited(42, bytes([bits - 1]), BARE_JPEG_2000), f"unsupported: JPEG 2000 of {what}")
            for bits, what in ((1, "3 × 1 bits a pixel"), (12, "3 × 12 bits a pixel"))
        ],
        (
            edited(40, b"\0\5", BARE_JPEG_2000[:51] + 2 * b"\7\1\1" + BARE_JPEG_2000[51:]),
            "unsupported: JPEG 2000 of 5 × 8 bits a pixel",
        ),
        (
            b"P7\nWIDTH 1\nHEIGHT 1\nDEPTH 1\nMAXVAL 255\nENDHDR\n\0",
            "unsupported: PAM, which no decoder here reads",
        ),
    ],
    ids=short,
)
def test_what_is_no_damage_is_called_what_it_is(data: bytes, message: str) -> None:
    assert str(refusal(data)) == message


@pytest.mark.parametrize("most", [255, 4095, 65535])
def test_a_deep_pgm_is_decoded(most: int) -> None:
    samples = np.rint(PICTURE[:, :, 0] / 255 * most).astype(">u2" if most > 255 else np.uint8)
    pixels = decode(b"P5 60 48 %d\n" % most + samples.tobytes())
    assert np.abs(pixels.astype(int) - PICTURE[:, :, :1]).max() <= 1


def _places(data: bytes, what: bytes) -> list[int]:
    return [at for at in range(len(data)) if data.startswith(what, at)]


def test_a_lossy_variant_is_held_to_its_bound() -> None:
    assert difference(decode(jpeg(WHOLE, quality=5)), WHOLE) > LOSSY  # The bound says something.


# --- names ----------------------------------------------------------------------------------------


def test_files_are_found_by_the_extensions_of_what_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "train" / "cat"
    folder.mkdir(parents=True)
    names = [f"image.{os.fsdecode(extension)}" for extension in READ]
    for name in (*names, "image", "image.jpg_large"):  # Those two are no images by their names.
        (folder / name).write_bytes(jpeg(PICTURE))
    found = scan_folders(str(tmp_path)).images.column("path").to_pylist()
    assert sorted(os.fsdecode(path) for path in found) == sorted(f"train/cat/{n}" for n in names)
    assert {"image.mpo", "image.j2k", "image.jp2", "image.jfif"} <= set(names)
