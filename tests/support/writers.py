"""Writers of image files with features that Pillow can't write."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.support.pictures import image_file
from tests.support.tiffs import packed

Samples = npt.NDArray[Any]

# Rows and columns that each pass of Adam7 takes: from where, and every how many.
_ADAM7 = (
    (0, 8, 0, 8),
    (0, 8, 4, 8),
    (4, 8, 0, 4),
    (0, 4, 2, 4),
    (2, 4, 0, 2),
    (0, 2, 1, 2),
    (1, 2, 0, 1),
)


def chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_file(
    samples: Samples,
    bits: int,
    colour_type: int,
    *,
    interlaced: bool = False,
    before: bytes = b"",
    filtered: bool = False,
) -> bytes:
    """A PNG of samples (rows, columns, samples).

    Args:
        before: chunks that come before the pixels.
        filtered: whether rows are stored as differences to the row above.
    """
    height, width, depth = samples.shape
    rows = b""
    for top, down, left, right in _ADAM7 if interlaced else [(0, 1, 0, 1)]:
        part = samples[top::down, left::right]
        if part.size:
            rows += b"".join(_png_rows(part, bits, depth, filtered))
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, interlaced)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            before,
            chunk(b"IDAT", zlib.compress(rows)),
            chunk(b"IEND", b""),
        )
    )


def _png_rows(part: Samples, bits: int, depth: int, filtered: bool) -> Iterator[bytes]:
    above = None
    for row in part.reshape(part.shape[0], -1):
        data = row.astype(f">u{bits // 8}").tobytes() if bits >= 8 else packed(row, bits)
        now = np.frombuffer(data, np.uint8)
        if filtered and above is not None:
            yield b"\x02" + (now - above).tobytes()
        else:
            yield b"\0" + data
        above = now


def bmp_file(
    rows: list[bytes],
    width: int,
    bits: int,
    *,
    compression: int = 0,
    masks: tuple[int, ...] = (),
    palette: Samples | None = None,
    top_down: bool = False,
    header: int = 40,
) -> bytes:
    """A BMP of rows of bytes, the topmost first; RLE has a single piece of data instead.

    Args:
        header: how long the information header is: 12 (OS/2), 40, 108 (V4) or 124 (V5).
        masks: of red, green, blue and transparency, where ``compression`` is 3.
    """
    if compression in (1, 2):
        body, height = rows[0], len(rows)
    else:
        lines = [row + bytes(-len(row) % 4) for row in rows]
        body, height = b"".join(lines if top_down else lines[::-1]), len(rows)
    if header == 12:
        info = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        signed = -height if top_down else height
        colours = 0 if palette is None else len(palette)
        info = struct.pack(
            "<IiiHHIIiiII", header, width, signed, 1, bits, compression, len(body), 0, 0, colours, 0
        )
        info += struct.pack(f"<{len(masks)}I", *masks)
        info = info.ljust(header, b"\0")
    if palette is not None:
        fill = np.zeros((len(palette), 0 if header == 12 else 1), np.uint8)
        info += np.hstack([palette[:, ::-1], fill]).astype(np.uint8).tobytes()
    start = 14 + len(info)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + info + body


def rle8(indices: Samples) -> bytes:
    """Rows of 8-bit indices as runs, and as stretches of their own; [MS-WMF] 3.1.6."""
    out = b""
    for number, row in enumerate(indices[::-1]):
        if number % 2:
            for at in range(0, len(row), 100):
                part = row[at : at + 100].tobytes()
                if len(part) < 3:
                    out += b"".join(bytes([1, value]) for value in part)
                else:
                    out += bytes([0, len(part)]) + part + bytes(len(part) % 2)
        else:
            out += b"".join(bytes([1, value]) for value in row)
        out += b"\0\0"
    return out[:-2] + b"\0\1"


def rle4(indices: Samples) -> bytes:
    """Rows of 4-bit indices, two at a time."""
    out = b""
    for row in indices[::-1]:
        for at in range(0, len(row), 2):
            pair = row[at : at + 2]
            out += bytes([len(pair), int(pair[0]) << 4 | int(pair[-1])])
        out += b"\0\0"
    return out[:-2] + b"\0\1"


def tga_file(
    samples: Samples,
    kind: int,
    bits: int,
    *,
    palette: Samples | None = None,
    top_down: bool = True,
    rle: bool = False,
) -> bytes:
    """A TGA of samples (rows, columns, bytes), as they are stored: BGR, BGRA, gray, or indices.

    Args:
        kind: 1 palette, 2 colours, 3 gray.
    """
    height, width, _ = samples.shape
    colours = b"" if palette is None else palette[:, ::-1].tobytes()
    entries = 0 if palette is None else len(palette)
    alpha = 8 if bits == 32 else 0
    header = struct.pack(
        "<BBBHHBHHHHBB",
        *(0, int(palette is not None), kind + 8 * rle, 0, entries, 24 if entries else 0),
        *(0, 0, width, height, bits, alpha | (0x20 if top_down else 0)),
    )
    body = b""
    for row in samples if top_down else samples[::-1]:
        if not rle:
            body += row.tobytes()
            continue
        for at in range(0, width, 128):
            part = row[at : at + 128]
            if at // 128 % 2 or (part == part[0]).all():
                body += b"".join(bytes([0x80]) + pixel.tobytes() for pixel in part)
            else:
                body += bytes([len(part) - 1]) + part.tobytes()
    return header + colours + body


def animated_webp(frames: list[tuple[bytes, int, int, int, int]], width: int, height: int) -> bytes:
    """A WebP animation, with transparency: frames of (still WebP, left, top, width, height)."""
    body = riff_chunk(
        b"VP8X",
        struct.pack("<I", 0x12)
        + (width - 1).to_bytes(3, "little")
        + (height - 1).to_bytes(3, "little"),
    )
    body += riff_chunk(b"ANIM", b"\xff\0\0\xff\0\0")  # a background that readers may ignore: blue
    for still, left, top, frame_width, frame_height in frames:
        numbers = (left // 2, top // 2, frame_width - 1, frame_height - 1, 100)
        place = b"".join(number.to_bytes(3, "little") for number in numbers)
        body += riff_chunk(b"ANMF", place + b"\0" + still[12:])
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def riff_chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk of a RIFF file."""
    return kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def subsampled_jpeg2000(pixels: Samples, width: int, height: int) -> bytes:
    """A bare JPEG 2000 of that size, of which each component has half the columns and rows."""
    data = bytearray(image_file(pixels, "JPEG2000", no_jp2=True))
    struct.pack_into(">II", data, 8, width, height)  # of the image
    struct.pack_into(">II", data, 24, width, height)  # of its only tile
    for component in range(3):
        struct.pack_into("BB", data, 43 + 3 * component, 2, 2)
    return bytes(data)
