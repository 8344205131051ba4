"""A JPEG's frame header: its size, and how it is coded.

Format: ITU-T T.81, section B.2.2.
"""

from __future__ import annotations

import struct
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
