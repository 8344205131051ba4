"""The samples of a JPEG 2000 file, its boxes, and signs that a file of any format is cut off.

Most decoders report a file that is cut off like any other damaged file.

Format: ITU-T T.800, sections A.5.1 (SIZ), A.4.4 (EOC) and I.4 (boxes).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from prep.errors import RefusedImage

_START, _END = b"\xff\x4f\xff\x51", b"\xff\xd9"  # SOC and SIZ, EOC
_EXIF = b"JpgTiffExif->JP2"  # the identifier of boxes that ExifTool and GDAL write
_MOST_BOXES = 1024  # that are read
# In the codestream, after SOC and the head of SIZ: size and offset of the image, size and offset of
# the tiles, each across and down; then the number of components (2 bytes), and 3 bytes for each.
_GRID = struct.Struct(">8x8I")
_COMPONENTS_AT = _GRID.size


def check_jpeg2000(data: bytes) -> None:
    """Raise RefusedImage for samples that Pillow decodes wrong, or if there are none.

    It rounds samples of more than 8 bits to 8, the highest up to zero, so that white becomes black;
    only gray of 10 bits and more is left as it is. It shifts samples of fewer bits in place of
    scaling them, so that white becomes gray. It misreads subsampled components unless their
    sampling divides the edges of the image and its tiles.
    """
    stream = data[slice(*_codestream(data))]
    components = int.from_bytes(stream[_COMPONENTS_AT : _COMPONENTS_AT + 2])
    if not stream:
        endless = sum(1 for _ in boxes(data)) == _MOST_BOXES
        what = "the JPEG 2000 file has no codestream"
        raise RefusedImage("damaged" if endless else "truncated", what)
    described = stream[_COMPONENTS_AT + 2 :][: 3 * components]
    depths = described[::3]
    if not components or len(described) < 3 * components:
        return  # Pillow says what is wrong.
    if max(depths) & 0x80:
        raise RefusedImage("unsupported", "JPEG 2000 of signed samples")
    bits = min(depths) + 1 if max(depths) < 8 else max(depths) + 1
    if (bits != 8 and not (components == 1 and 10 <= bits <= 16)) or components > 4:
        raise RefusedImage("unsupported", f"JPEG 2000 of {components} × {bits} bits a pixel")
    if not _subsampled_evenly(stream, described):
        raise RefusedImage("unsupported", "JPEG 2000 whose subsampled components leave a remainder")


def _subsampled_evenly(stream: bytes, described: bytes) -> bool:
    """Return whether the sampling of all components divides the edges of the image and tiles."""
    grid = _GRID.unpack_from(stream)
    for direction, steps in enumerate((described[1::3], described[2::3])):
        end, start, tile, first_tile = grid[direction::2]
        edges = (end, start) if first_tile + tile >= end else (end, start, tile, first_tile)
        if any(step == 0 or edge % step for step in {*steps} for edge in edges):
            return False
    return True


def jpeg2000_bits(data: bytes) -> int:
    """Return the bits per sample of the first component; 0 if unknown."""
    start, end = _codestream(data)
    depth = data[start:end][_COMPONENTS_AT + 2 : _COMPONENTS_AT + 3]
    return (depth[0] & 0x7F) + 1 if depth else 0


def jpeg2000_exif(data: bytes) -> bytes:
    """Return the Exif in a ``uuid`` box; empty if there is none."""
    for kind, start, end in boxes(data):
        if kind == b"uuid" and data.startswith(_EXIF, start):
            return data[start + len(_EXIF) : end]
    return b""


def boxes(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, start, end) of each box's contents; the last may end beyond the file's end.

    Other formats consist of such boxes, too: ISO/IEC 14496-12, section 4.2.
    """
    at = 0
    for _ in range(_MOST_BOXES):
        if at + 8 > len(data):
            return
        size, kind, start = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8], at + 8
        if size == 1:
            size, start = int.from_bytes(data[at + 8 : at + 16]), at + 16
        end = at + size if size else len(data)
        yield kind, start, end
        at = max(end, start)


def _codestream(data: bytes) -> tuple[int, int]:
    """Return (start, end) of the codestream: the whole file, or the contents of a box."""
    if data.startswith(_START):
        return 0, len(data)
    return next(((start, end) for kind, start, end in boxes(data) if kind == b"jp2c"), (0, 0))


def is_cut_off(name: str, data: bytes) -> bool:
    """Return whether a file's own length or end marker shows that it is cut off."""
    if name == "WebP":  # RFC 9649, section 2.4
        return 8 + int.from_bytes(data[4:8], "little") > len(data)
    if name == "BMP":  # BITMAPFILEHEADER, bfSize
        return int.from_bytes(data[2:6], "little") > len(data)
    if name == "GIF":  # GIF89a, section 27
        return not data.endswith(b";")
    if name == "AVIF":
        return any(end > len(data) for _, _, end in boxes(data))
    if name != "JPEG 2000":
        return False
    start, end = _codestream(data)
    return end > len(data) or data[start:end][-2:] != _END
