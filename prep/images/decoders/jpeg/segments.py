"""Segments of a JPEG's header: the frame, scans, and the tables that scans refer to.

libjpeg silently uses tables of zeros, and the tables of Motion JPEG in place of missing Huffman
tables. So this is checked here. Sets of tables are bit sets, and results are cached, because photos
of one camera have the same tables.

Format: ITU-T T.81, sections B.2.2 (frame), B.2.3 (scan), B.2.4.1 and B.2.4.2 (tables).
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import NamedTuple

from prep.errors import RefusedImage

_DHT, _JPG, _DAC = 0xC4, 0xC8, 0xCC
_JPEG_LS = 0xF7  # ITU-T T.87
FRAMES = (frozenset(range(0xC0, 0xD0)) - {_DHT, _JPG, _DAC}) | {_JPEG_LS}
_PROGRESSIVE = frozenset((0xC2, 0xCA))
_ARITHMETIC = frozenset((0xC9, 0xCA))
_LOSSLESS_OR_HIERARCHICAL = frozenset((0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF))
_SAMPLINGS = frozenset(h << 4 | v for h in range(1, 5) for v in range(1, 5))
_FRAME = struct.Struct(">BHHB")  # precision, height, width, components


class Frame(NamedTuple):
    """A frame header (SOF).

    Attributes:
        marker: 0xC0 for SOF0, and so on.
        height, width: in pixels.
        components: three bytes each: identifier, sampling factors, quantization table.
    """

    marker: int
    height: int
    width: int
    components: bytes

    @property
    def progressive(self) -> bool:
        """True if each scan may hold only a part of the coefficients."""
        return self.marker in _PROGRESSIVE

    @property
    def arithmetic(self) -> bool:
        """True if the coding is arithmetic rather than Huffman."""
        return self.marker in _ARITHMETIC

    @property
    def sampling(self) -> list[tuple[int, int]]:
        """Horizontal and vertical sampling factor of each component, 1 to 4."""
        return [(s >> 4, s & 15) for s in self.components[1::3]]

    @property
    def least_bytes(self) -> int:
        """The smallest number of bytes that can hold a picture of this size.

        A Huffman code has at least one bit (T.81, annex C). Each block takes one for its DC
        coefficient, and in a sequential JPEG another for its AC coefficients (F.1.2); in a
        progressive one, one code may stand for those of many blocks (G.1.2.2). Arithmetic coding
        has no such limit (annex D).
        """
        if self.arithmetic:
            return 0
        across, down = (8 * max(factors) for factors in zip(*self.sampling, strict=True))
        blocks: int = sum(
            -(-self.width * h // across) * -(-self.height * v // down) for h, v in self.sampling
        )
        return blocks * (1 if self.progressive else 2) // 8


@lru_cache(maxsize=1024)  # Photos come in few sizes.
def read_frame(marker: int, body: bytes) -> Frame:
    """Parse the contents of a frame header.

    Raises:
        RefusedImage: it is malformed, or of a kind that no decoder here reads.
    """
    if len(body) < _FRAME.size:
        raise RefusedImage("damaged", "the JPEG's frame header is malformed")
    precision, height, width, number = _FRAME.unpack_from(body)
    components = body[_FRAME.size :]
    if marker == _JPEG_LS:
        raise RefusedImage("unsupported", "JPEG-LS")
    if marker in _LOSSLESS_OR_HIERARCHICAL:
        raise RefusedImage("unsupported", f"lossless or hierarchical JPEG (SOF{marker - 0xC0})")
    if len(components) != 3 * number or not number:
        raise RefusedImage("damaged", "the JPEG's frame header is malformed")
    if precision != 8:
        raise RefusedImage("unsupported", f"JPEG of {precision} bits a sample")
    if number not in (1, 3, 4):
        raise RefusedImage("unsupported", f"JPEG of {number} components")
    if not height or not width:
        raise RefusedImage("damaged", f"the JPEG's header says {width} × {height} pixels")
    frame = Frame(marker, height, width, components)
    if not _SAMPLINGS.issuperset(components[1::3]):
        raise RefusedImage("damaged", "the JPEG's sampling factors are not 1 to 4")
    return frame


DQT_MARKER, DHT_MARKER = 0xDB, 0xC4
_MOST_CODES = 256
_MALFORMED = -1


class Tables(NamedTuple):
    """The tables that a JPEG has defined so far, as bit sets.

    Attributes:
        quantization: bits 0 to 3 for the tables' numbers; four higher for those that hold a zero.
        huffman: bits by class and number, as in a DHT segment: 0 to 3 for DC coefficients, 16 to 19
            for AC.
    """

    quantization: int = 0
    huffman: int = 0

    def updated(self, marker: int, body: bytes) -> Tables:
        """Add or replace the tables of a segment (DQT or DHT); raise RefusedImage if malformed."""
        return _updated(self, marker, body)

    def fault(self, frame: Frame, scan: bytes) -> RefusedImage | None:
        """Return the reason to refuse a scan with this header (SOS) for its tables, if any."""
        found = _fault(self, frame.components, frame.progressive, frame.arithmetic, scan)
        return RefusedImage("damaged", found) if found else None


@lru_cache(maxsize=256)
def _updated(tables: Tables, marker: int, body: bytes) -> Tables:
    is_huffman = marker == DHT_MARKER
    found = _huffman_in(body) if is_huffman else _quantization_in(body)
    if found == _MALFORMED:
        kind = "Huffman" if is_huffman else "quantization"
        raise RefusedImage("damaged", f"a {kind} table of the JPEG is malformed")
    if is_huffman:
        return Tables(tables.quantization, tables.huffman | found)
    replaced = (found & 0xF) << 4
    return Tables(tables.quantization & ~replaced | found, tables.huffman)


def _quantization_in(body: bytes) -> int:
    found, at = 0, 0
    while at < len(body):
        wide, number = body[at] >> 4, body[at] & 0xF
        end = at + 1 + 64 * (1 + wide)
        if wide > 1 or number > 3 or end > len(body):
            return _MALFORMED
        table = body[at + 1 : end]
        zero = 0 in (map(max, table[::2], table[1::2]) if wide else table)
        found = found & ~(0x11 << number) | (0x11 if zero else 0x01) << number
        at = end
    return found


def _huffman_in(body: bytes) -> int:
    found, at = 0, 0
    while at < len(body):
        kind, codes = body[at], sum(body[at + 1 : at + 17])
        end = at + 17 + codes
        if kind & 0xEC or codes > _MOST_CODES or end > len(body):
            return _MALFORMED
        if codes:
            found |= 1 << kind
        at = end
    return found


@lru_cache(maxsize=256)
def _fault(
    tables: Tables, components: bytes, progressive: bool, arithmetic: bool, scan: bytes
) -> str:
    """Return what is wrong with a scan, in words; empty if nothing is."""
    number = scan[0] if scan else 0
    if not 1 <= number <= 4 or len(scan) != 4 + 2 * number:
        return "a scan header of the JPEG is malformed"
    chosen = dict(zip(scan[1 : 1 + 2 * number : 2], scan[2 : 2 + 2 * number : 2], strict=True))
    quantized = dict(zip(components[::3], components[2::3], strict=True))
    if len(chosen) < number or not chosen.keys() <= quantized.keys():
        return "a scan of the JPEG is of components that there are not"
    for component, huffman in chosen.items():
        table = quantized[component]
        if table > 3 or not tables.quantization >> table & 1:
            return f"quantization table {table} of the JPEG is not there"
        if tables.quantization >> table + 4 & 1:
            return f"quantization table {table} of the JPEG holds a zero"
        needed = 0 if arithmetic else _huffman_needed(huffman, progressive, scan)
        if tables.huffman and needed & ~tables.huffman:
            return "a Huffman table of the JPEG is not there"
    return ""


def _huffman_needed(chosen: int, progressive: bool, scan: bytes) -> int:
    """Return the Huffman tables of a component in a scan, as a bit set (see :class:`Tables`)."""
    dc, ac = 1 << (chosen >> 4), 1 << 0x10 + (chosen & 0xF)
    if not progressive:
        return dc | ac
    first_coefficient, refined = scan[-3], scan[-1] >> 4
    if first_coefficient:
        return ac
    return 0 if refined else dc  # Refinement bits of DC coefficients are not coded.
