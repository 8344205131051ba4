"""A TIFF writer for every way of storing pixels.

Format: TIFF 6.0, and BigTIFF. What other writers leave out is here: packed samples of any depth
under any compression, either byte order, and directories that say whatever a test wants them to.
"""

from __future__ import annotations

import io
import lzma
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image

Samples = npt.NDArray[Any]
_TYPES = {"B": 1, "H": 3, "I": 4, "b": 6, "h": 8, "i": 9, "Q": 16}


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A picture in a TIFF.

    Attributes:
        samples: (rows, columns) or (rows, columns, samples), of the integers or floats that are
            stored, whatever their depth.
        bits: of a sample; those of the array's type, if None.
        photometric: what the samples mean: 0 white is zero, 1 black is zero, 2 RGB, 3 palette, 5
            CMYK, 6 YCbCr, 8 CIELAB.
        planar: whether the samples lie in planes.
        rows: of a strip; all, if None.
        tile: rows and columns of a tile, instead of strips.
        compression: a key of ``CODINGS``.
        predictor: whether samples are stored as differences.
        tags: further tags, or other values: tag → (type as in ``struct``, values).
    """

    samples: Samples
    bits: int | None = None
    photometric: int = 1
    planar: bool = False
    rows: int | None = None
    tile: tuple[int, int] | None = None
    compression: str = "none"
    predictor: bool = False
    tags: Mapping[int, tuple[str, Sequence[int]]] = field(default_factory=dict)


def tiff_file(*pages: Page, order: str = "<", big: bool = False) -> bytes:
    """The bytes of a TIFF of one or more pictures."""
    number, entry, offset = ("Q", "HHQ", "Q") if big else ("H", "HHI", "I")
    mark = b"II" if order == "<" else b"MM"
    head = struct.pack(order + ("HHHQ" if big else "HI"), *((43, 8, 0, 0) if big else (42, 0)))
    out = bytearray(mark + head)
    link = len(out) - struct.calcsize(order + offset)  # where the offset of the next goes

    def put(data: bytes) -> int:
        out.extend(bytes(len(out) % 2))
        out.extend(data)
        return len(out) - len(data)

    for page in pages:
        encoded = [_encoded(page, piece, order) for piece in _pieces(page)]
        tags = _tags(page, [put(data) for data in encoded], [len(data) for data in encoded])
        entries = b""
        for tag, (form, values) in sorted(tags.items()):
            packed = struct.pack(f"{order}{len(values)}{form}", *values)
            room = struct.calcsize(order + offset)
            if len(packed) > room:
                packed = struct.pack(order + offset, put(packed))
            entries += struct.pack(order + entry, tag, _TYPES[form], len(values))
            entries += packed.ljust(room, b"\0")
        at = put(struct.pack(order + number, len(tags)) + entries + bytes(8))
        struct.pack_into(order + offset, out, link, at)
        link = at + struct.calcsize(order + number) + len(entries)
    return bytes(out)


def _tags(page: Page, offsets: list[int], sizes: list[int]) -> dict[int, Any]:
    height, width, samples = _cube(page).shape
    of_where, of_size = (324, 325) if page.tile else (273, 279)
    kind = {"u": 1, "b": 1, "i": 2, "f": 3, "c": 6}[page.samples.dtype.kind]
    tags: dict[int, Any] = {
        256: ("I", [width]),
        257: ("I", [height]),
        258: ("H", [_bits(page)] * samples),
        259: ("H", [CODINGS[page.compression][0]]),
        262: ("H", [page.photometric]),
        277: ("H", [samples]),
        284: ("H", [2 if page.planar else 1]),
        of_where: ("I", offsets),
        of_size: ("I", sizes),
        339: ("H", [kind] * samples),
    }
    if page.tile:
        tags |= {322: ("H", [page.tile[1]]), 323: ("H", [page.tile[0]])}
    else:
        tags[278] = ("H", [page.rows or height])
    if page.predictor:
        tags[317] = ("H", [2])
    return tags | dict(page.tags)


def _bits(page: Page) -> int:
    return page.bits or page.samples.dtype.itemsize * 8


def _cube(page: Page) -> Samples:
    return page.samples[:, :, None] if page.samples.ndim == 2 else page.samples


def _pieces(page: Page) -> Iterator[Samples]:
    """Strips or tiles, in their order; tiles are filled up at the edges."""
    cube = _cube(page)
    height, width, depth = cube.shape
    rows, columns = page.tile or (page.rows or height, width)
    for plane in np.split(cube, depth, axis=2) if page.planar else [cube]:
        for top in range(0, height, rows):
            for left in range(0, width, columns):
                piece = plane[top : top + rows, left : left + columns]
                if page.tile:
                    lacking = rows - piece.shape[0], columns - piece.shape[1]
                    piece = np.pad(piece, ((0, lacking[0]), (0, lacking[1]), (0, 0)), "edge")
                yield piece


def _encoded(page: Page, piece: Samples, order: str) -> bytes:
    _, encode = CODINGS[page.compression]
    if page.compression in ("jpeg", "webp"):
        return encode(piece)
    bits = _bits(page)
    if bits % 8 == 0:
        if page.predictor:
            zero = np.zeros_like(piece[:, :1])
            piece = np.diff(piece, axis=1, prepend=zero)
        data = piece.astype(piece.dtype.newbyteorder(order)).tobytes()
    else:
        data = b"".join(packed(row, bits) for row in piece.reshape(piece.shape[0], -1))
    data = encode(data)
    if page.tags.get(266) == ("H", [2]):  # fill order: the lowest bit comes first
        data = bytes(int(f"{byte:08b}"[::-1], 2) for byte in data)
    return data


def packed(row: Samples, bits: int) -> bytes:
    """A row of samples that are no whole bytes, filled up to a whole one at its end."""
    weights = np.arange(bits - 1, -1, -1)
    return np.packbits((row[:, None].astype(np.uint32) >> weights & 1).astype(np.uint8)).tobytes()


def _packbits(data: bytes) -> bytes:
    """PackBits without any runs: TIFF 6.0, section 9."""
    parts = (data[at : at + 128] for at in range(0, len(data), 128))
    return b"".join(bytes([len(part) - 1]) + part for part in parts)


def _lzw(data: bytes) -> bytes:
    """LZW of nothing but single bytes: TIFF 6.0, section 13.

    The table is cleared before codes of ten bits are called for.
    """
    codes: list[int] = []
    for at in range(0, len(data), 200):
        codes += [256, *data[at : at + 200]]
    number, length = 0, 0
    for code in [*codes, 257]:
        number, length = number << 9 | code, length + 9
    return (number << -length % 8).to_bytes((length + 7) // 8)


def _through_pillow(kind: str, **options: Any) -> Callable[[Any], bytes]:
    def encode(piece: Samples) -> bytes:
        out = io.BytesIO()
        Image.fromarray(piece.squeeze()).save(out, kind, **options)
        return out.getvalue()

    return encode


#: The names of compressions, their numbers, and what does it.
CODINGS: dict[str, tuple[int, Callable[[Any], bytes]]] = {
    "none": (1, bytes),
    "lzw": (5, _lzw),
    "jpeg": (7, _through_pillow("JPEG", quality=95, subsampling=0, keep_rgb=True)),
    "zlib": (8, zlib.compress),
    "packbits": (32773, _packbits),
    "lzma": (34925, lzma.compress),
    "zstd": (50000, lambda data: pa.compress(data, codec="zstd", asbytes=True)),
    "webp": (50001, _through_pillow("WEBP", lossless=True)),
}
