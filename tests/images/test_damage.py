"""Damaged images: detected, repaired where possible, and noted where kept."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import pytest

from prep.errors import RefusedImage
from prep.images.decoders.decode import Decoder, decode
from prep.images.decoders.values import Note
from prep.images.processor import ImageProcessor
from prep.settings.image_settings import ImageSettings
from tests.support.jpegs import as_arithmetic_coded, without_huffman_tables
from tests.support.pictures import image_file, jpeg, picture, psnr, short

PICTURE = picture(96, 128)
PNG_END = b"\0\0\0\0IEND\xae\x42\x60\x82"


def note_of(data: bytes, **settings: Any) -> Note | None:
    return ImageProcessor(ImageSettings(size=32, **settings))(data).note


def reason_of(data: bytes, **settings: Any) -> str:
    with pytest.raises(RefusedImage) as refused:
        note_of(data, **settings)
    return refused.value.reason


def chunk(kind: bytes, body: bytes) -> bytes:
    crc = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)


def scans_of(data: bytes) -> Iterator[tuple[int, int]]:
    """(start, end) of each scan of a JPEG, from its tables to the next one's."""
    starts = [at for at in range(len(data) - 1) if data[at : at + 2] == b"\xff\xda"]
    ends = []
    for start in starts:
        at = start + 2 + data[start + 3]
        while data[at] != 0xFF or data[at + 1] == 0 or 0xD0 <= data[at + 1] <= 0xD7:
            at += 1
        ends.append(at)
    return zip([starts[0], *ends[:-1]], ends, strict=True)


# --- repaired -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "whole",
    [
        jpeg(PICTURE),  # baseline
        jpeg(PICTURE, progressive=True),  # in many scans
        jpeg(PICTURE, restart_marker_blocks=3),  # with other markers in its data
    ],
    ids=["baseline", "progressive", "restart markers"],
)
@pytest.mark.parametrize("lacking", [1, 2])
def test_a_jpeg_that_lacks_its_end_marker_alone_is_repaired(whole: bytes, lacking: int) -> None:
    cut = whole[:-lacking]
    note = note_of(cut)
    assert note is not None
    assert (note.outcome, note.reason) == ("repaired", "truncated")
    assert np.array_equal(decode(cut), decode(whole))


def test_a_jpeg_that_lacks_a_byte_more_is_not_repaired() -> None:
    whole = jpeg(PICTURE)
    assert reason_of(whole[:-4]) == "truncated"


@pytest.mark.parametrize("lacking", [1, 4, 11, 12])
def test_a_png_that_lacks_its_end_chunk_alone_is_repaired(lacking: int) -> None:
    whole = image_file(PICTURE, "PNG")
    note = note_of(whole[:-lacking])
    assert note is not None
    assert (note.outcome, note.reason) == ("repaired", "truncated")
    assert np.array_equal(decode(whole[:-lacking]), PICTURE)


@pytest.mark.parametrize("lacking", [13, 17, 40])
def test_a_png_that_lacks_more_is_not_repaired(lacking: int) -> None:
    assert reason_of(image_file(PICTURE, "PNG")[:-lacking]) == "truncated"


def test_a_whole_image_has_no_note() -> None:
    assert note_of(jpeg(PICTURE)) is None
    assert note_of(image_file(PICTURE, "PNG")) is None


# --- kept -----------------------------------------------------------------------------------------

HALF = {
    "baseline": jpeg(PICTURE)[: len(jpeg(PICTURE)) // 2],
    "PNG": image_file(PICTURE, "PNG")[:-3000],
    "BMP": image_file(PICTURE, "BMP")[:20000],
}


@pytest.mark.parametrize("kind", HALF)
def test_a_damaged_image_is_kept_if_asked_for_and_noted(kind: str) -> None:
    data = HALF[kind]
    reason = reason_of(data)
    note = note_of(data, damaged="keep")
    assert note is not None
    assert (note.outcome, note.reason) == ("damaged", reason)


def test_what_is_kept_is_what_was_not_lost() -> None:
    decoded = Decoder(ImageSettings(damaged="keep")).decode(HALF["baseline"])
    whole = decode(jpeg(PICTURE))
    assert np.array_equal(decoded.pixels[:8], whole[:8])  # The upper rows were in the first half.
    assert not np.array_equal(decoded.pixels[-8:], whole[-8:])


def test_a_repaired_image_is_repaired_where_damaged_ones_are_kept() -> None:
    note = note_of(jpeg(PICTURE)[:-2], damaged="keep")
    assert note is not None
    assert note.outcome == "repaired"


@pytest.mark.parametrize("data", [b"", b"no image", jpeg(PICTURE)[:99], b"\x89PNG\r\n\x1a\n"])
def test_what_has_no_pixels_is_refused_even_where_damaged_images_are_kept(data: bytes) -> None:
    assert reason_of(data, damaged="keep") in ("empty", "not an image", "truncated")


# --- damage that decoders pass over ---------------------------------------------------------------


def test_a_progressive_jpeg_that_lacks_scans_is_refused_and_kept_if_asked_for() -> None:
    whole = jpeg(PICTURE, progressive=True)
    scans = list(scans_of(whole))
    assert len(scans) > 5
    for _, end in scans[:-1]:  # cut off between two scans, and given an end
        cut = whole[:end] + b"\xff\xd9"
        assert reason_of(cut) == "truncated"
        note = note_of(cut, damaged="keep")
        assert note is not None
        assert note.outcome == "damaged"
    for start, end in scans[1:]:  # one lost on the way
        with pytest.raises(RefusedImage):
            decode(whole[:start] + whole[end:])


@pytest.mark.parametrize("kind", [b"IDAT", b"IEND"])
def test_a_wrong_checksum_of_a_pngs_chunk_is_seen(kind: bytes) -> None:
    data = bytearray(image_file(PICTURE, "PNG"))
    at = data.index(kind)
    data[at + 4 + int.from_bytes(data[at - 4 : at], "big")] ^= 1
    assert reason_of(bytes(data)) == "damaged"
    note = note_of(bytes(data), damaged="keep")
    assert note is not None
    assert note.outcome == "damaged"


def test_a_wrong_checksum_of_metadata_is_passed_over() -> None:
    data = image_file(PICTURE, "PNG")
    comment = bytearray(chunk(b"tEXt", b"Comment\0hello"))
    comment[-1] ^= 1
    odd = data[:33] + bytes(comment) + data[33:]
    assert note_of(odd) is None
    assert np.array_equal(decode(odd), PICTURE)


# --- harmless oddities ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "odd",
    [
        without_huffman_tables,  # Motion JPEG: those of T.81, section K.3, are meant
        lambda data: data[:-2] + bytes(100) + data[-2:],  # zeros before the end marker
        lambda data: data[:-2] + b"\xff" * 9 + data[-2:],  # bytes to fill up before it
        lambda data: data + bytes(5000),  # zeros after it
        lambda data: data[:11] + b"\x09" + data[12:],  # a version of JFIF that there is not
    ],
)
def test_odd_jpegs_that_are_whole_are_written_without_a_word(
    odd: Callable[[bytes], bytes],
) -> None:
    data = jpeg(PICTURE)
    assert odd(data) != data
    assert note_of(odd(data)) is None
    assert np.array_equal(decode(odd(data)), decode(data))


def test_zeros_in_the_place_of_image_data_are_no_padding() -> None:
    data = jpeg(PICTURE)
    for lost in (20, 100, 400):
        assert reason_of(data[: -2 - lost] + bytes(lost) + data[-2:]) == "damaged"


def test_an_arithmetic_coded_jpeg_is_written() -> None:
    assert note_of(as_arithmetic_coded(np.zeros((8, 8, 3), np.uint8))) is None


def surplus(rows: int) -> bytes:
    """A JPEG of 96 rows and a marker for each 16, whose frame was made to say fewer."""
    written, data = cv2.imencode(
        ".jpg", PICTURE[:, :, ::-1], (cv2.IMWRITE_JPEG_RST_INTERVAL, 128 // 16)
    )
    assert written
    whole = bytearray(data)
    at = whole.index(b"\xff\xc0")
    whole[at + 5 : at + 7] = struct.pack(">H", 96 - rows)
    return bytes(whole)


def test_rows_that_are_more_than_the_frame_says_are_passed_over() -> None:
    assert note_of(surplus(48)) is None
    assert psnr(decode(surplus(48)), PICTURE[:48]) > 30


# --- formats --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf" + bytes(99),  # a phone's photo
        b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(99),  # the same, by its other brand
        b"\0\0\0\x18ftypcrx \0\0\0\0crx isom" + bytes(99),  # Canon's raw
        b"\xff\x0a" + bytes(99),  # JPEG XL, bare
        b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(99),  # and in a box
        b'<svg xmlns="http://www.w3.org/2000/svg"/>',  # SVG
        b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- made\nby hand -->\n<svg width="1"/>',  # the same
        b"v/1\x01\x02\0\0\0" + bytes(99),  # OpenEXR
        b"8BPS\0\x01" + bytes(99),  # Photoshop
        b"II*\0\x10\0\0\0CR\x02\0" + bytes(99),  # Canon's older raw
        b"FUJIFILMCCD-RAW 0201" + bytes(99),  # Fuji's
        b"\0\0\x01\0\x01\0\x10\x10" + bytes(99),  # an icon
        b"\xff\xd8\xff\xf7\0\x0b\x08\0\x08\0\x08\x01\x01\x11\0\xff\xda" + bytes(99),  # JPEG-LS
        b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 50706, 1, 4, 1) + bytes(99),  # DNG
    ],
    ids=short,
)
def test_images_that_no_decoder_here_reads_are_unsupported(data: bytes) -> None:
    assert reason_of(data) == "unsupported"


@pytest.mark.parametrize(
    "data",
    [
        b"<?xml version='1.0'?><html/>",  # XML, and no picture
        b"PK\x03\x04" + bytes(99),  # a zip file
        b"%PDF-1.7" + bytes(99),  # a document
        b"\r\n" + jpeg(PICTURE),  # an image that does not begin where it should
    ],
    ids=short,
)
def test_what_is_no_image_is_not_taken_for_one(data: bytes) -> None:
    assert reason_of(data) == "not an image"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"max_pixels": 96 * 128 - 1}, "too large"),
        ({"max_aspect": 1.3}, "too extreme"),
        ({"min_size": 97}, "too small"),
        ({"max_pixels": 96 * 128, "max_aspect": 1.34, "min_size": 96}, ""),  # just within
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF", "GIF"])
def test_sizes_are_limited_as_set(kind: str, settings: dict[str, Any], reason: str) -> None:
    data = image_file(PICTURE, kind)
    if reason:
        assert reason_of(data, **settings) == reason
    else:
        assert note_of(data, **settings) is None
