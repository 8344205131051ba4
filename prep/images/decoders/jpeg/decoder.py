"""JPEG → 8-bit RGB, strictly: a file whose pixels are partly lost is refused.

OpenCV, Pillow and TensorFlow decode damaged JPEGs without a word, half of the picture wrong.
simplejpeg in strict mode reports what libjpeg warned of, at the same speed. What it refuses is
looked at again, for some of it is harmless, and some can be mended.
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
from prep.images.decoders.base import JPEG, Decoded, DecoderSettings, Kind, Note, Pixels
from prep.images.decoders.jpeg.header import JpegHeader, read_jpeg_header, read_profile
from prep.images.decoders.jpeg.repair import (
    with_end,
    without_oddities,
    without_padding,
    without_surplus,
)
from prep.images.decoders.jpeg.scans import read_scans
from prep.images.decoders.limits import MAX_SCANS, check_least, check_room, check_scans, check_size
from prep.images.decoders.pillow import convert_cmyk
from prep.images.decoders.process import captured_stderr
from prep.images.geometry import shrink_factor

# Decoding into memory that is kept saves mapping and zeroing pages for every image. What is larger
# than this (5.6 megapixels) is rare, and keeping room for it would cost every worker memory.
_KEPT_BYTES = 16 << 20  # 16 MiB
_SUSPICIOUS = 64  # pixels per byte; photos have about five
_NO_END = "Premature end of JPEG file"
_NO_PICTURE = "Corrupt JPEG data: libjpeg makes no picture of it"
_SOS, _EOI = b"\xff\xda", b"\xff\xd9"
# By the bytes of all components in the frame header, three of each.
_KINDS = {3: Kind("JPEG", ("gray",)), 12: Kind("JPEG", ("CMYK",))}
_REPAIRED = Note("repaired", "truncated", "lacks its end marker (EOI) alone")
# How libjpeg's warnings begin (jerror.h, JWRN_*).
_WARNINGS = re.compile(
    r"Corrupt JPEG data|Inconsistent prog|Premature end|Invalid SOS|Unknown Adobe"
)


class _Remedy(NamedTuple):
    """For what strict decoding complains of: a change that has no part in the pixels.

    Attributes:
        complaint: what it is good for.
        mend: from the file to one that may be decoded strictly.
        note: what is to be known, if that is so.
    """

    complaint: re.Pattern[str]
    mend: Callable[[bytes], bytes]
    note: Note | None


_REMEDIES = (
    _Remedy(re.compile(_NO_END), with_end, _REPAIRED),
    _Remedy(re.compile("before marker 0xd9"), without_padding, None),
    _Remedy(re.compile("before marker 0xd[0-7]"), without_surplus, None),
    _Remedy(re.compile("marker|JFIF"), without_oddities, None),
)


class JpegDecoder:
    """Decodes JPEGs one after the other into memory that it keeps. Not for use by two threads."""

    def __init__(self, settings: DecoderSettings) -> None:
        self._settings = settings
        self._kept: Pixels = np.empty(_KEPT_BYTES, np.uint8)

    def decode(self, data: bytes, at_least: int | None) -> Decoded:
        """Decodes one JPEG. See :meth:`prep.images.decoders.decode.Decoder.decode`."""
        header = read_jpeg_header(data)
        _, height, width, components = header.frame
        check_size(height, width, self._settings)
        if height * width > _SUSPICIOUS * len(data):
            check_least(height, width, header.frame.least_bytes, len(data))
            check_room(height, width, len(data))
        fault = self._look_at_scans(data, header) if header.many_scans else header.fault
        if fault is not None and fault.reason == "damaged":
            self._damaged(fault)  # It is clear before anything is decoded.
        factor = shrink_factor(min(height, width), at_least) if at_least else 1
        note = None
        try:
            pixels = self._strictly(data, header, factor)
        except ValueError as error:
            pixels, factor, note = self._at_second_look(data, header, factor, str(error))
        if fault is not None and (note is None or note.outcome != "damaged"):
            note = self._damaged(fault)
        profile = read_profile(data) if self._settings.convert_profiles else None
        if profile is not None and len(components) == 3 * 4:
            converted = convert_cmyk(data, profile)
            pixels, factor = (pixels, factor) if converted is None else (converted, 1)
            profile = None
        kind = _KINDS.get(len(components), JPEG)
        return Decoded(pixels, height, width, factor, header.orientation, profile, note, kind=kind)

    def _look_at_scans(self, data: bytes, header: JpegHeader) -> RefusedImage | None:
        scans = read_scans(data, header, MAX_SCANS)
        check_scans(scans.number, header.frame.height * header.frame.width)
        return scans.fault

    def _at_second_look(
        self, data: bytes, header: JpegHeader, factor: int, complaint: str
    ) -> tuple[Pixels, int, Note | None]:
        """(pixels, factor, note) of a JPEG that strict decoding has refused.

        Raises:
            RefusedImage: it is damaged, and damaged images are not to be kept.
        """
        note, untried = None, list(_REMEDIES)
        while True:
            try:
                if "subsampling" not in complaint:
                    raise ValueError(complaint)
                return _of_unusual_sampling(data), 1, note
            except ValueError as error:
                complaint = str(error)
            mended, remedy = _mend(data, complaint, untried)
            if remedy is None:
                damaged = self._damaged(RefusedImage(_reason(complaint), complaint))
                return *self._leniently(data, header, factor), damaged
            untried.remove(remedy)
            data, note = mended, note or remedy.note
            try:
                return self._strictly(data, header, factor), factor, note
            except ValueError as error:  # Given an end, it shows how much is lacking before it.
                complaint = f"{_NO_END}: {error}" if note else str(error)

    def _damaged(self, error: RefusedImage) -> Note:
        """What to note of a damaged image that is kept.

        Raises:
            RefusedImage: it is not to be kept, or can't be.
        """
        if not self._settings.keep_damaged or error.reason not in ("truncated", "damaged"):
            raise error
        return Note("damaged", error.reason, error.detail)

    def _strictly(self, data: bytes, header: JpegHeader, factor: int) -> Pixels:
        return self._decode(data, header, factor, strict=True)

    def _leniently(self, data: bytes, header: JpegHeader, factor: int) -> tuple[Pixels, int]:
        """(pixels, factor), with whatever libjpeg puts in the place of what is lost."""
        try:
            return self._decode(data, header, factor, strict=False), factor
        except ValueError as error:
            if "subsampling" not in str(error):
                raise RefusedImage(_reason(str(error)), str(error)) from None
        pixels, complaint = _decode_with_opencv(with_end(data))
        if pixels is None:
            raise RefusedImage("damaged", complaint)
        return pixels, 1

    def _decode(self, data: bytes, header: JpegHeader, factor: int, *, strict: bool) -> Pixels:
        height, width = -(-header.frame.height // factor), -(-header.frame.width // factor)
        fits = height * width * 3 <= _KEPT_BYTES
        pixels: Pixels = simplejpeg.decode_jpeg(
            data,
            "RGB",
            min_height=height,
            min_width=width,
            min_factor=factor,
            buffer=self._kept if fits else None,
            strict=strict,
        )
        return pixels


def _mend(
    data: bytes, complaint: str, untried: list[_Remedy]
) -> tuple[bytes, _Remedy] | tuple[bytes, None]:
    """(mended, remedy) of the first remedy that is for this complaint and changes anything."""
    for remedy in untried:
        mended = remedy.mend(data) if remedy.complaint.search(complaint) else data
        if mended != data:
            return mended, remedy
    return data, None


def _of_unusual_sampling(data: bytes) -> Pixels:
    """Strictly decodes a JPEG whose chroma sampling libturbojpeg has no name for.

    OpenCV decodes them, and ignores what libjpeg warns of; but libjpeg prints it.

    Raises:
        ValueError: what libjpeg warned of.
    """
    pixels, complaint = _decode_with_opencv(data)
    if pixels is None or complaint:
        raise ValueError(complaint)
    return pixels


def _decode_with_opencv(data: bytes) -> tuple[Pixels | None, str]:
    """(pixels, what libjpeg warned of first); no pixels, if it made nothing of the file."""
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
    """The reason for what libjpeg or libturbojpeg said."""
    if _NO_END in complaint:
        return "truncated"
    if complaint.startswith("Unsupported") or "not supported" in complaint:
        return "unsupported"
    return "damaged"
