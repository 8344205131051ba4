"""JPEGs that no writer at hand makes."""

from __future__ import annotations

import struct

from PIL import Image

from tests.support.pictures import Pixels, image_file, jpeg


def planar_jpeg(pixels: Pixels, *factors: tuple[int, int]) -> bytes:
    """A baseline JPEG with any sampling factors (horizontal, vertical), a scan for each component.

    No writer at hand makes one, but the scan of a gray JPEG is that of a component.
    """
    height, width, _ = pixels.shape
    most = [max(factor) for factor in zip(*factors, strict=True)]
    tables, scans, components = b"", b"", b""
    for i, (band, (h, v)) in enumerate(
        zip(Image.fromarray(pixels).convert("YCbCr").split(), factors, strict=True)
    ):
        shape = (-(-width * h // most[0]), -(-height * v // most[1]))
        gray = image_file(band.resize(shape, Image.Resampling.BOX), "JPEG", quality=95)
        frame, scan = gray.index(b"\xff\xc0"), gray.index(b"\xff\xda")
        end_of_frame = frame + 2 + gray[frame + 3]
        tables = gray[:frame] + gray[end_of_frame:scan]  # The same each time.
        scans += b"\xff\xda\0\x08\x01" + bytes([i + 1, 0]) + b"\0\x3f\0" + gray[scan + 10 : -2]
        components += bytes([i + 1, h << 4 | v, 0])
    frame_header = b"\xff\xc0\0\x11\x08" + struct.pack(">HH", height, width) + b"\x03" + components
    return tables + frame_header + scans + b"\xff\xd9"


def without_huffman_tables(data: bytes) -> bytes:
    """A frame as cameras send it in a Motion-JPEG stream: the tables are understood."""
    parts, at = [data[:2]], 2
    while data[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at + 1] != 0xC4:
            parts.append(data[at:end])
        at = end
    return b"".join([*parts, data[at:]])


def as_arithmetic_coded(pixels: Pixels) -> bytes:
    """A gray JPEG with arithmetic coding, of one flat block that takes no bits at all."""
    height, width, _ = pixels.shape
    return (
        jpeg(pixels)[: jpeg(pixels).index(b"\xff\xc0")]
        + b"\xff\xc9\0\x0b\x08"
        + struct.pack(">HH", height, width)
        + b"\x01\x01\x11\0"
        + b"\xff\xda\0\x08\x01\x01\0\0\x3f\0\0\0\xff\xd9"
    )
