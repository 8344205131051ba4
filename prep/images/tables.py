"""Whether a JPEG's scans refer to what is there, and to tables that can be meant.

Format: ITU-T T.81, sections B.2.2 (frame), B.2.3 (scan), B.2.4.1 and B.2.4.2 (tables). libjpeg uses
tables of zeros without a word, and where a Huffman table is lacking, the one that Motion JPEG means
by none at all.
"""

from __future__ import annotations

from prep.errors import RefusedImage
from prep.images.frames import Frame

DQT_MARKER, DHT_MARKER = 0xDB, 0xC4
_MOST_CODES = 256


class Tables:
    """The tables that a JPEG's segments have defined so far."""

    def __init__(self) -> None:
        self._quantization: dict[int, bool] = {}  # by identifier: whether there is a zero in it
        self._huffman: set[int] = set()  # class (0 DC, 1 AC) << 4 | identifier

    def add(self, marker: int, body: bytes) -> RefusedImage | None:
        """Notes the tables of a segment (DQT or DHT); says what is wrong with them, if anything is.

        Args:
            body: what it holds after its length.
        """
        add = self._add_quantization if marker == DQT_MARKER else self._add_huffman
        while body:
            size = add(body)
            if not 0 < size <= len(body):
                kind = "quantization" if marker == DQT_MARKER else "Huffman"
                return RefusedImage("damaged", f"a {kind} table of the JPEG is malformed")
            body = body[size:]
        return None

    def _add_quantization(self, body: bytes) -> int:
        """How many bytes the first table takes; 0 if there is none like it."""
        wide, identifier = body[0] >> 4, body[0] & 15
        if wide > 1 or identifier > 3:
            return 0
        size = 1 + 64 * (1 + wide)
        table = body[1:size]
        zero = 0 in (map(max, table[::2], table[1::2]) if wide else table)
        self._quantization[identifier] = zero
        return size

    def _add_huffman(self, body: bytes) -> int:
        """How many bytes the first table takes; 0 if there is none like it."""
        codes = sum(body[1:17])
        if body[0] & 0xEC or codes > _MOST_CODES:
            return 0
        if codes:
            self._huffman.add(body[0])
        return 17 + codes

    def fault(self, frame: Frame, scan: bytes) -> RefusedImage | None:
        """For what a scan is to be refused that refers to what is not there, or can't be meant.

        Args:
            scan: what its header (SOS) holds after its length.
        """
        number = scan[0] if scan else 0
        if not 1 <= number <= 4 or len(scan) != 4 + 2 * number:
            return RefusedImage("damaged", "a scan header of the JPEG is malformed")
        chosen = dict(zip(scan[1 : 1 + 2 * number : 2], scan[2 : 2 + 2 * number : 2], strict=True))
        quantized = dict(zip(frame.components[::3], frame.components[2::3], strict=True))
        if len(chosen) < number or not chosen.keys() <= quantized.keys():
            return RefusedImage("damaged", "a scan of the JPEG is of components that there are not")
        for component, huffman in chosen.items():
            table = quantized[component]
            if self._quantization.get(table, True):
                what = "holds a zero" if table in self._quantization else "is not there"
                return RefusedImage("damaged", f"quantization table {table} of the JPEG {what}")
            if self._lacks(frame, scan[-3], huffman):
                return RefusedImage("damaged", "a Huffman table of the JPEG is not there")
        return None

    def _lacks(self, frame: Frame, first: int, huffman: int) -> bool:
        """Whether a component's Huffman tables are not there, and others are.

        Args:
            first: of the coefficients that the scan brings.
        """
        if frame.arithmetic or not self._huffman:
            return False
        dc, ac = huffman >> 4, 0x10 | huffman & 15
        if frame.progressive:
            return (ac if first else dc) not in self._huffman
        return not {dc, ac} <= self._huffman
