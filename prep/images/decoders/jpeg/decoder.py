"""JPEG → 8-bit RGB, strictly: a file that has lost pixels is refused.

OpenCV, Pillow and TensorFlow decode damaged JPEGs silently, with half of the picture wrong.
simplejpeg in strict mode raises what libjpeg warns of, at the same speed. Files that it refuses get
a second look, because some faults are harmless, and others can be repaired.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
import simplejpeg

from prep.errors import RefusedImage
from prep.images.decoders.jpeg.header import JpegHeader, read_jpeg_header, read_profile
from prep.images.decoders.jpeg.remedies import (
    with_end,
    without_oddities,
    without_padding,
    without_surplus,
)
from prep.images.decoders.jpeg.scans import read_scans
from prep.images.decoders.limits import MAX_SCANS, check_least, check_room, check_scans, check_size
from prep.images.decoders.pillow import convert_cmyk
from prep.images.decoders.process import captured_stderr
from prep.images.decoders.values import JPEG, Decoded, Kind, Note, Pixels
from prep.images.geometry import Needed
from prep.images.rgbx import rgb_view
from prep.settings.image_settings import ImageSettings

# Decoding into reused memory saves mapping and zeroing pages for every image. Larger images (from
# 5.6 megapixels, or 4.2 with four bytes per pixel) are rare, and room for them would cost every
# worker memory.
_KEPT_BYTES = 16 << 20  # 16 MiB
_SUSPICIOUS = 64  # pixels per byte; photos have about five
_NO_END = "Premature end of JPEG file"
_NO_PICTURE = "Corrupt JPEG data: libjpeg makes no picture of it"
_SOS, _EOI = b"\xff\xda", b"\xff\xd9"
# By the length of the components in the frame header, three bytes each.
_KINDS = {3: Kind("JPEG", ("gray",)), 12: Kind("JPEG", ("CMYK",))}
_REPAIRED = Note("repaired", "truncated", "lacks its end marker (EOI) alone")
# The beginnings of libjpeg's warnings (jerror.h, JWRN_*).
_WARNINGS = re.compile(
    r"Corrupt JPEG data|Inconsistent prog|Premature end|Invalid SOS|Unknown Adobe"
)


class _Remedy(NamedTuple):
    """A repair that leaves the pixels alone, for a complaint of strict decoding.

    Attributes:
        complaint: matches the messages that it is for.
        repair: returns a file that may pass strict decoding.
        note: for the image, if it does.
    """

    complaint: re.Pattern[str]
    repair: Callable[[bytes], bytes]
    note: Note | None


_REMEDIES = (
    _Remedy(re.compile(_NO_END), with_end, _REPAIRED),
    _Remedy(re.compile("before marker 0xd9"), without_padding, None),
    _Remedy(re.compile("before marker 0xd[0-7]"), without_surplus, None),
    _Remedy(re.compile("marker|JFIF"), without_oddities, None),
)


class JpegDecoder:
    """Decode JPEGs one after the other into reused memory. Not thread-safe."""

    def __init__(self, settings: ImageSettings, *, padded: bool = False) -> None:
        self._settings = settings
        self._colours, self._bytes = ("RGBX", 4) if padded else ("RGB", 3)
        self._kept: Pixels = np.empty(_KEPT_BYTES, np.uint8)

    def decode(self, data: bytes, needed: Needed) -> Decoded:
        """Decode one JPEG. See :meth:`prep.images.decoders.decode.Decoder.decode`."""
        header = read_jpeg_header(data)
        _, height, width, components = header.frame
        check_size(height, width, self._settings)
        if height * width > _SUSPICIOUS * len(data):
            check_least(height, width, header.frame.least_bytes, len(data))
            check_room(height, width, len(data))
        fault = header.fault
        if header.many_scans:
            number, fault = read_scans(data, header, MAX_SCANS)
            check_scans(number, height * width)
        if fault is not None and fault.reason == "damaged":
            self._damaged(fault)  # This is certain before anything is decoded.
        factor = needed.factor(height, width, header.orientation)
        note = None
        plain = fault is None and bool(header.tables.huffman) and not header.frame.arithmetic
        try:
            pixels = self._decode(data, header, factor)
        except ValueError as error:
            pixels, factor, note = self._decode_with_remedies(data, header, factor, str(error))
            plain = False
        if fault is not None and (note is None or note.outcome != "damaged"):
            note = self._damaged(fault)
        profile = read_profile(data) if self._settings.icc == "convert" else None
        if profile is not None and len(components) == 3 * 4:
            converted = convert_cmyk(data, profile)
            pixels, factor = (pixels, factor) if converted is None else (converted, 1)
            profile = None
        kind = _KINDS.get(len(components), JPEG)
        turn = header.orientation
        return Decoded(pixels, height, width, factor, turn, profile, note, kind=kind, plain=plain)

    def _decode_with_remedies(
        self, data: bytes, header: JpegHeader, factor: int, complaint: str
    ) -> tuple[Pixels, int, Note | None]:
        """Return (pixels, factor, note) of a JPEG that strict decoding has refused.

        Raises:
            RefusedImage: it is damaged, and damaged images are not kept.
        """
        note, untried = None, list(_REMEDIES)
        while True:
            try:
                if "subsampling" not in complaint:
                    raise ValueError(complaint)
                return _decode_unusual_sampling(data), 1, note
            except ValueError as error:
                complaint = str(error)
            repaired, remedy = _repair(data, complaint, untried)
            if remedy is None:
                damaged = self._damaged(RefusedImage(_reason(complaint), complaint))
                return *self._decode_leniently(data, header, factor), damaged
            untried.remove(remedy)
            data, note = repaired, note or remedy.note
            try:
                return self._decode(data, header, factor), factor, note
            except ValueError as error:  # With an end, libjpeg says how much is missing before it.
                complaint = f"{_NO_END}: {error}" if note else str(error)

    def _damaged(self, error: RefusedImage) -> Note:
        """Return the note for a damaged image; raise the error if it is not kept, or can't be."""
        if self._settings.damaged != "keep" or error.reason not in ("truncated", "damaged"):
            raise error
        return Note("damaged", error.reason, error.detail)

    def _decode_leniently(self, data: bytes, header: JpegHeader, factor: int) -> tuple[Pixels, int]:
        """Return (pixels, factor), with whatever libjpeg puts in place of lost pixels."""
        try:
            return self._decode(data, header, factor, strict=False), factor
        except ValueError as error:
            if "subsampling" not in str(error):
                raise RefusedImage(_reason(str(error)), str(error)) from None
        pixels, complaint = _decode_with_opencv(with_end(data))
        if pixels is None:
            raise RefusedImage("damaged", complaint)
        return pixels, 1

    def _decode(
        self, data: bytes, header: JpegHeader, factor: int, *, strict: bool = True
    ) -> Pixels:
        height, width = -(-header.frame.height // factor), -(-header.frame.width // factor)
        fits = height * width * self._bytes <= _KEPT_BYTES
        pixels: Pixels = simplejpeg.decode_jpeg(
            data,
            self._colours,
            min_height=height,
            min_width=width,
            min_factor=factor,
            buffer=self._kept if fits else None,
            strict=strict,
        )
        return rgb_view(pixels) if self._bytes == 4 else pixels


def _repair(
    data: bytes, complaint: str, untried: list[_Remedy]
) -> tuple[bytes, _Remedy] | tuple[bytes, None]:
    """Return the data and the first remedy for this complaint that changes anything."""
    for remedy in untried:
        repaired = remedy.repair(data) if remedy.complaint.search(complaint) else data
        if repaired != data:
            return repaired, remedy
    return data, None


def _decode_unusual_sampling(data: bytes) -> Pixels:
    """Decode a JPEG strictly whose chroma sampling libturbojpeg has no name for.

    OpenCV decodes it and ignores libjpeg's warnings; but libjpeg prints them.

    Raises:
        ValueError: libjpeg's first warning.
    """
    pixels, complaint = _decode_with_opencv(data)
    if pixels is None or complaint:
        raise ValueError(complaint)
    return pixels


def _decode_with_opencv(data: bytes) -> tuple[Pixels | None, str]:
    """Return (pixels, libjpeg's first warning or an empty string); no pixels if it failed."""
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    with captured_stderr() as lines:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    warnings = [line for line in lines if _WARNINGS.match(line)]
    for line in lines:
        if line not in warnings and "JFIF revision" not in line:  # It is another thread's.
            print(line, file=sys.stderr)
    if pixels is None:
        end = data.rfind(_EOI) > data.find(_SOS)
        return None, warnings[0] if warnings else _NO_PICTURE if end else _NO_END
    rgb: Pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)  # type: ignore[assignment]
    return rgb, warnings[0] if warnings else ""


def _reason(complaint: str) -> str:
    """Return the reason of refusal for a message of libjpeg's or libturbojpeg's."""
    if _NO_END in complaint:
        return "truncated"
    if complaint.startswith("Unsupported") or "not supported" in complaint:
        return "unsupported"
    return "damaged"
