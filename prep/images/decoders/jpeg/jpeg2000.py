"""What a JPEG 2000 file says of its samples, and whether it ends where it should.

Format: ITU-T T.800, sections A.5.1 (SIZ), A.4.4 (EOC) and I.4 (boxes).

Whether a file ends before it should, by what it says of its own length.

Most decoders say no more of such a file than of any other that is damaged.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from prep.errors import RefusedImage

_START, _END = b"\xff\x4f\xff\x51", b"\xff\xd9"  # SOC and SIZ, EOC
_EXIF = b"JpgTiffExif->JP2"  # the identifier of boxes that ExifTool and GDAL write
_MOST_BOXES = 1024  # that are looked at
# In the codestream: where image, first tile and tiles end and begin, across and down; then how many
# components there are, in two bytes, and three bytes for each.
_GRID = struct.Struct(">8x8I")
_COMPONENTS_AT = _GRID.size


def check_jpeg2000(data: bytes) -> None:
    """Refuses samples that Pillow decodes wrong.

    Those of more than eight bits it rounds to eight, the highest up to zero: white becomes black.
    Only gray of ten bits and more is left as it is. Those of fewer it does not scale, but shifts:
    white becomes gray. Where components are subsampled, it takes their rows for too short, unless
    they fit into the image and its tiles without a remainder.

    Raises:
        RefusedImage: they are of that kind, or signed; or there are none.
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
        return  # Pillow will say what is wrong with it.
    if max(depths) & 0x80:
        raise RefusedImage("unsupported", "JPEG 2000 of signed samples")
    bits = min(depths) + 1 if max(depths) < 8 else max(depths) + 1
    if (bits != 8 and not (components == 1 and 10 <= bits <= 16)) or components > 4:
        raise RefusedImage("unsupported", f"JPEG 2000 of {components} × {bits} bits a pixel")
    if not _subsampled_evenly(stream, described):
        raise RefusedImage("unsupported", "JPEG 2000 whose subsampled components leave a remainder")


def _subsampled_evenly(stream: bytes, described: bytes) -> bool:
    """Whether image and tiles begin and end where samples of all components do."""
    grid = _GRID.unpack_from(stream)
    for direction, steps in enumerate((described[1::3], described[2::3])):
        end, start, tile, first_tile = grid[direction::2]
        edges = (end, start) if first_tile + tile >= end else (end, start, tile, first_tile)
        if any(step == 0 or edge % step for step in {*steps} for edge in edges):
            return False
    return True


def jpeg2000_bits(data: bytes) -> int:
    """How many bits a sample of the first component has; 0, if it is not told."""
    start, end = _codestream(data)
    depth = data[start:end][_COMPONENTS_AT + 2 : _COMPONENTS_AT + 3]
    return (depth[0] & 0x7F) + 1 if depth else 0


def jpeg2000_exif(data: bytes) -> bytes:
    """The Exif in a box that bears its identifier; empty, if there is none."""
    for kind, start, end in boxes(data):
        if kind == b"uuid" and data.startswith(_EXIF, start):
            return data[start + len(_EXIF) : end]
    return b""


def is_cut_codestream(data: bytes) -> bool:
    """Whether the codestream ends early."""
    start, end = _codestream(data)
    return end > len(data) or data[start:end][-2:] != _END


def boxes(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(type, start, end) of what is in each box of a file; the last may end behind the file's end.

    Files of other formats are made of such boxes, too: ISO/IEC 14496-12, section 4.2.
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
    """(start, end) of the codestream: of the whole file, or of what is in a box of it."""
    if data.startswith(_START):
        return 0, len(data)
    return next(((start, end) for kind, start, end in boxes(data) if kind == b"jp2c"), (0, 0))


def is_cut_off(name: str, data: bytes) -> bool:
    """Whether a file says that there is more of it; of some formats, none does."""
    if name == "WebP":  # RFC 9649, section 2.4
        return 8 + int.from_bytes(data[4:8], "little") > len(data)
    if name == "BMP":  # BITMAPFILEHEADER, bfSize
        return int.from_bytes(data[2:6], "little") > len(data)
    if name == "GIF":  # GIF89a, section 27
        return not data.endswith(b";")
    if name == "AVIF":
        return any(end > len(data) for _, _, end in boxes(data))
    return name == "JPEG 2000" and is_cut_codestream(data)
