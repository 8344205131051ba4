"""The choice of a TIFF's picture, and corrections of what Pillow gets wrong.

Format: TIFF 6.0 (baseline, sections 8, 14, 18 to 20 and 22), and its Technical Note 1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from prep.errors import RefusedImage
from prep.images.decoders.ifd import ORIENTATION, Directory, first_directory, next_directory
from prep.images.decoders.values import PillowInput

_UNASSIGNED = ORIENTATION + 1  # an unassigned tag
_NEW_SUBFILE_TYPE, _SUBFILE_TYPE = 254, 255
_WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_SAMPLES, _PLANES = 277, 284
_EXTRA_SAMPLES, _SAMPLE_FORMAT = 338, 339
_OFFSETS_AND_SIZES = ((273, 279), (324, 325))  # of strips, and of tiles
_UNSIGNED, _SIGNED, _FLOAT, _UNDEFINED = 1, 2, 3, 4
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _PALETTE, _YCBCR, _CIELAB = 0, 1, 3, 6, 8
_GRAY = (_WHITE_IS_ZERO, _BLACK_IS_ZERO)
_OTHER_COLOURS = {
    4: "transparency masks",
    9: "ICCLAB colours",
    10: "ITULAB colours",
    32803: "a camera's raw data",
    32844: "LogL samples",
    32845: "LogLuv colours",
    34892: "a camera's raw data",
}
_COMPRESSIONS = frozenset(
    (1, 2, 3, 4, 5, 6, 7, 8, 32771, 32773, 32809, 32946, 34925, 50000)
)  # supported by Pillow's libtiff
_MOST_PICTURES = 64  # searched for the first that is no thumbnail


def read_tiff(data: bytes) -> PillowInput:
    """Return a TIFF whose first picture is the first one that is no thumbnail, not turned.

    Raises:
        RefusedImage: the directories are cut off, or it is of a kind that no decoder here reads.
    """
    first = first_directory(data)
    if first is None or not first.whole:
        raise RefusedImage("truncated", "the TIFF's directory is cut off")
    if data.startswith(b"MM\0+"):
        raise RefusedImage("unsupported", "big-endian BigTIFF")
    picture = next((d for d in _pictures(data, first) if not _is_thumbnail(d)), first)
    unsupported = _unsupported(picture)
    if unsupported:
        raise RefusedImage("unsupported", f"TIFF of {unsupported}")
    bits = picture.integer(_BITS, 1)
    negative = bits == 16 and picture.integer(_PHOTOMETRIC) == _WHITE_IS_ZERO
    changes: dict[int, bytes] = {}
    if picture is not first:
        changes |= _first_to_be(picture, data)
    if picture.has(ORIENTATION) and picture.integers(ORIENTATION) != (1,):
        # Or Pillow would turn the whole image, not only the crop.
        changes[picture.entry(ORIENTATION)] = struct.pack(picture.order + "H", _UNASSIGNED)
    if negative:  # Pillow ignores it, or does not read the file at all.
        changes |= _change(picture, _PHOTOMETRIC, _BLACK_IS_ZERO)
    cut = any(offset + size > len(data) for offset, size in _stretches(picture))
    by_libtiff = picture.integer(_PLANES, 1) == 2 or picture.integer(_PHOTOMETRIC) == _YCBCR
    return PillowInput(
        "TIFF",
        _changed(data, changes),
        picture.orientation,
        bits=bits,
        by_libtiff=by_libtiff,
        negative=negative,
        cut=cut,
        samples=_samples(picture),
    )


def _pictures(data: bytes, first: Directory) -> Iterator[Directory]:
    directory: Directory | None = first
    for _ in range(_MOST_PICTURES):
        if directory is None:
            return
        yield directory
        directory = next_directory(data, directory)


def _is_thumbnail(directory: Directory) -> bool:
    """Return whether a picture is marked as a reduced version of another one in the file."""
    return bool(directory.integer(_NEW_SUBFILE_TYPE) & 1 or directory.integer(_SUBFILE_TYPE) == 2)


def _unsupported(picture: Directory) -> str:
    """Return what no decoder here reads correctly, in words; empty if all is supported."""
    bits, formats = picture.integers(_BITS, (1,)), picture.integers(_SAMPLE_FORMAT, (_UNSIGNED,))
    colours, samples = picture.integer(_PHOTOMETRIC), picture.integer(_SAMPLES, 1)
    compression, extra = picture.integer(_COMPRESSION, 1), picture.integers(_EXTRA_SAMPLES)
    if colours in _OTHER_COLOURS:
        return _OTHER_COLOURS[colours]
    if compression not in _COMPRESSIONS:
        return f"compression {compression}"
    if not {*formats} <= {_UNSIGNED, _UNDEFINED}:
        names = {_SIGNED: "signed", _FLOAT: "floating-point"}
        return f"{names.get(max(formats), 'complex')} samples"
    if len({*bits}) > 1:
        return f"samples of {min(bits)} to {max(bits)} bits"
    packed_gray = bits[0] == 12 and colours == _BLACK_IS_ZERO and picture.order == "<"
    if bits[0] not in (1, 2, 4, 8, 16) and not (packed_gray and samples == 1):
        return f"{bits[0]} bits a sample"
    planes = samples > 1 and picture.integer(_PLANES, 1) == 2
    if colours in _GRAY and samples > 1:
        if bits[0] == 16 or colours == _WHITE_IS_ZERO:
            return f"{bits[0]}-bit gray with transparency"
        if planes:
            return "gray and transparency in planes"
    if planes and (colours == _PALETTE or (len(extra) > 1 and any(extra))):
        return f"{samples} samples in planes"
    if colours == _CIELAB and (planes or bits[0] != 8):
        return f"{bits[0]}-bit CIELAB colours" + " in planes" * planes
    return ""


def _samples(picture: Directory) -> str:
    """Describe the samples of a picture; empty if its tags are incomplete."""
    sized = picture.integer(_WIDTH) > 0 and picture.integer(_LENGTH) > 0
    if not sized or not any(_stretches(picture)):
        return ""
    number, bits = picture.integer(_SAMPLES, 1), picture.integer(_BITS, 1)
    meaning = picture.integer(_PHOTOMETRIC)
    return f"{number} × {bits} bits a pixel, photometric interpretation {meaning}"


def _stretches(picture: Directory) -> Iterator[tuple[int, int]]:
    """Yield (offset, bytes) of each strip or tile."""
    for offsets, sizes in _OFFSETS_AND_SIZES:
        yield from zip(picture.integers(offsets), picture.integers(sizes), strict=False)


def _change(picture: Directory, tag: int, value: int) -> dict[int, bytes]:
    where, form = picture.place(tag)
    return {where: struct.pack(picture.order + form, value)} if form else {}


def _first_to_be(picture: Directory, data: bytes) -> dict[int, bytes]:
    big = data[2:4] in (b"+\0", b"\0+")
    return {8 if big else 4: struct.pack(picture.order + ("Q" if big else "I"), picture.at)}


def _changed(data: bytes, changes: dict[int, bytes]) -> bytes:
    """Return the data with other bytes at some offsets."""
    parts, at = [], 0
    for where, new in sorted(changes.items()):
        parts += [data[at:where], new]
        at = where + len(new)
    return b"".join([*parts, data[at:]]) if changes else data
