"""A JPEG's frame header: its size, and how it is coded.

Format: ITU-T T.81, section B.2.2.

Whether a JPEG's scans refer to what is there, and to tables that can be meant.

Format: ITU-T T.81, sections B.2.2 (frame), B.2.3 (scan), B.2.4.1 and B.2.4.2 (tables). libjpeg uses
tables of zeros without a word, and where a Huffman table is lacking, the one that Motion JPEG means
by none at all.

Sets of tables are bits of a number, and photos of one camera have the same: so what has been found
out of one is remembered for the next.
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
    """What a frame header (SOF) says.

    Attributes:
        marker: which of the SOF markers it is.
        height, width: in pixels.
        components: for each, its identifier, its sampling factors, and its quantization table.
    """

    marker: int
    height: int
    width: int
    components: bytes

    @property
    def progressive(self) -> bool:
        """Whether scans bring the coefficients in parts."""
        return self.marker in _PROGRESSIVE

    @property
    def arithmetic(self) -> bool:
        """Whether the coding is arithmetic, and not Huffman's."""
        return self.marker in _ARITHMETIC

    @property
    def sampling(self) -> list[tuple[int, int]]:
        """Sampling factors of each component, horizontal and vertical: 1 to 4."""
        return [(s >> 4, s & 15) for s in self.components[1::3]]

    @property
    def least_bytes(self) -> int:
        """How many bytes a picture of this size takes at the least.

        A Huffman code has a bit or more (T.81, annex C). Each block takes one for its DC
        coefficient, and in a sequential JPEG another for its AC coefficients (F.1.2); in a
        progressive one, those of many blocks may be told by one code (G.1.2.2). Arithmetic coding
        has no such bound (annex D).
        """
        if self.arithmetic:
            return 0
        across, down = (8 * max(factors) for factors in zip(*self.sampling, strict=True))
        blocks: int = sum(
            -(-self.width * h // across) * -(-self.height * v // down) for h, v in self.sampling
        )
        return blocks * (1 if self.progressive else 2) // 8


def read_frame(marker: int, body: bytes) -> Frame:
    """What a frame header says.

    Args:
        body: what it holds after its length.

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
    """The tables that a JPEG's segments have defined.

    Attributes:
        quantization: a bit for each by its number, 0 to 3; and four higher, if it holds a zero.
        huffman: a bit for each by its class and number, as in a DHT segment: 0 to 3 for DC
            coefficients, 16 to 19 for AC.
    """

    quantization: int = 0
    huffman: int = 0

    def with_those_of(self, marker: int, body: bytes) -> Tables:
        """These, and the tables of a segment (DQT or DHT).

        Args:
            body: what it holds after its length.

        Raises:
            RefusedImage: they are malformed.
        """
        if marker == DHT_MARKER:
            found = _huffman_in(body)
            new = Tables(self.quantization, self.huffman | found)
        else:
            found = _quantization_in(body)
            anew = (found & 0xF) << 4  # What they were does not count any more.
            new = Tables(self.quantization & ~anew | found, self.huffman)
        if found == _MALFORMED:
            kind = "Huffman" if marker == DHT_MARKER else "quantization"
            raise RefusedImage("damaged", f"a {kind} table of the JPEG is malformed")
        return new

    def fault(self, frame: Frame, scan: bytes) -> RefusedImage | None:
        """For what a scan is to be refused that refers to what is not there, or can't be meant.

        Args:
            scan: what its header (SOS) holds after its length.
        """
        found = _fault(self, frame.components, frame.progressive, frame.arithmetic, scan)
        return RefusedImage("damaged", found) if found else None


@lru_cache(maxsize=256)
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
    """What is wrong with a scan, in words; empty if nothing is."""
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
    """The Huffman tables that a component is coded with in a scan, as a set like that of Tables."""
    dc, ac = 1 << (chosen >> 4), 1 << 0x10 + (chosen & 0xF)
    if not progressive:
        return dc | ac
    first_coefficient, refined = scan[-3], scan[-1] >> 4
    if first_coefficient:
        return ac
    return 0 if refined else dc  # Bits that refine DC coefficients are not coded.
