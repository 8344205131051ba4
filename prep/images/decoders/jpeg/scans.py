"""The completeness of a JPEG's scans.

Format: ITU-T T.81, section G.1.1.1: a progressive JPEG is complete once each coefficient of each
component has its full precision. One that was cut off between two scans, and given an end, decodes
silently to a picture of less detail, or of other colours.
"""

from __future__ import annotations

import re

from prep.errors import RefusedImage
from prep.images.decoders.jpeg.header import EOI_MARKER, SOS_MARKER, JpegHeader
from prep.images.decoders.jpeg.segments import DHT_MARKER, DQT_MARKER

# A marker within entropy-coded data that is neither a stuffed byte nor a restart marker.
_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
_ALL = (1 << 64) - 1  # a bit for each coefficient of a block


def read_scans(data: bytes, header: JpegHeader, most: int) -> tuple[int, RefusedImage | None]:
    """Return the number of scans, at most ``most`` + 1, and the reason to refuse them, if any."""
    # The coefficients of each component that are complete to the last bit.
    full = dict.fromkeys(header.frame.components[::3], 0)
    number, tables, fault = 0, header.tables, header.fault
    at = header.first_scan
    while number <= most and at + 4 <= len(data):
        marker, end = data[at + 1], at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == EOI_MARKER:
            break
        if marker in (DHT_MARKER, DQT_MARKER):
            try:
                tables = tables.updated(marker, data[at + 4 : end])
            except RefusedImage as error:
                fault = fault or error
        elif marker == SOS_MARKER:
            number += 1
            scan = data[at + 4 : end]
            fault = fault or tables.fault(header.frame, scan)
            _add(full, scan, header)
        found = _MARKER.search(data, end)
        if found is None:
            break
        at = found.end() - 2
    missing = _missing(full)
    if fault is None and missing:
        fault = RefusedImage("truncated", missing)
    return number, fault


def _add(full: dict[int, int], scan: bytes, header: JpegHeader) -> None:
    components = scan[1 : 1 + 2 * scan[0] : 2] if scan else b""
    first, last, approximation = scan[-3:] if len(scan) >= 6 else (0, 0, 0xF)
    if not header.frame.progressive:
        first, last, approximation = 0, 63, 0
    if approximation & 0xF:
        return  # The lower bits follow in another scan.
    complete = _ALL & ((2 << last) - (1 << first))
    for component in components:
        full[component] = full.get(component, 0) | complete


def _missing(full: dict[int, int]) -> str:
    for number, coefficients in enumerate(full.values()):
        lacking = (_ALL & ~coefficients).bit_count()
        if lacking:
            return f"scans are missing: {lacking} of 64 coefficients of component {number}"
    return ""
