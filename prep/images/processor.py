"""One image after the other through decode, fit and encode."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from prep.images.decoders.convert import pixels_to_srgb
from prep.images.decoders.decode import Decoder
from prep.images.decoders.values import JPEG, Decoded, Kind, Note, Pixels
from prep.images.encoding.encode import make_encoder
from prep.images.fitting.fitter import Canvas, make_fitter
from prep.images.fitting.framing import Framing
from prep.images.likeness.hashing import UNKNOWN, hash_pixels
from prep.images.mean_image import grid_of, grid_side
from prep.images.rgbx import as_rgb
from prep.images.stats import ChannelStats, channel_sums
from prep.settings.image_settings import ImageSettings


class Processed(NamedTuple):
    """A processed image.

    Attributes:
        image: the bytes for ``image_raw``.
        stats: the channel sums of the result before it was encoded; of gray, three times the same.
        width, height: of the whole image at full size, upright, in pixels.
        note: what was repaired, or is damaged.
        bits: of its largest sample, if it claims 16 bits per sample; otherwise 0.
        kind: how it was stored, and whether its Exif orientation has it ``turned``.
        grid: the result's pixels at the points of a grid; see :mod:`prep.images.mean_image`.
        likeness: the hash of the result without padding, if asked for; see
            :mod:`prep.images.likeness`.
    """

    image: bytes
    stats: ChannelStats
    width: int
    height: int
    note: Note | None = None
    bits: int = 0
    kind: Kind = JPEG
    grid: Pixels | None = None
    likeness: int = UNKNOWN


class ImageProcessor:
    """Turn image files into encoded images of the size asked for, in reused memory.

    Not thread-safe.

    Args:
        settings: what happens to the images.
        hashed: whether to hash each result, so that images that look alike can be found.
    """

    def __init__(self, settings: ImageSettings, *, hashed: bool = False) -> None:
        shape = settings.height, settings.width
        self._hashed = hashed
        self._fit = make_fitter(Framing.of(settings), settings.interpolation)
        self._decoder = Decoder(settings, padded=self._fit.padded)
        self._canvas = Canvas(*shape, settings.background) if settings.fit == "pad" else None
        self._gray = settings.mode == "gray"
        channels = 4 if self._fit.padded and settings.channels == 3 else settings.channels
        planes = channels if settings.same_size else 0
        self._planes = [np.empty(shape, np.uint8) for _ in range(planes)]
        self._grid_side = grid_side(settings)
        self._keeps = settings.keep_fitting
        self._encode = make_encoder(settings.encoding, settings.quality, settings.mean)

    def __call__(self, data: bytes) -> Processed:
        """Decode, fit and encode one image file.

        Raises:
            RefusedImage: the image can't be used.
        """
        decoded = self._decoder.decode(data, self._fit)
        fitted = self._fitted(decoded)
        pixels = self._finished(fitted)
        sums = channel_sums(pixels, self._planes or None)
        grid = grid_of(pixels, self._grid_side)
        width, height = decoded.upright_size
        kind = decoded.kind
        if decoded.orientation != 1:
            kind = kind._replace(marks=(*kind.marks, "turned"))
        likeness = hash_pixels(fitted) if self._hashed else UNKNOWN
        if self._keeps and is_fitting(data, decoded, pixels):
            image, kind = data, kind._replace(marks=(*kind.marks, "kept"))
        else:
            image = self._encode(pixels)
        note, bits = decoded.note, decoded.bits
        return Processed(image, sums, width, height, note, bits, kind, grid, likeness)

    def pixels(self, data: bytes) -> Pixels:
        """Return the upright result for an image file before it is encoded.

        That is uint8, (height, width, 3), RGB, or (height, width, 1), gray. It may lie in memory
        that the next call overwrites.
        """
        return self._finished(self._fitted(self._decoder.decode(data, self._fit)))

    def _fitted(self, decoded: Decoded) -> Pixels:
        """Return the pixels of the size asked for, in sRGB."""
        pixels = self._fit(decoded)
        return (
            pixels if decoded.profile is None else pixels_to_srgb(as_rgb(pixels), decoded.profile)
        )

    def _finished(self, pixels: Pixels) -> Pixels:
        """Return fitted pixels with padding and in the colours that were asked for."""
        if self._canvas is not None:
            pixels = self._canvas(pixels)
        return luma(pixels) if self._gray else pixels


def luma(pixels: Pixels) -> Pixels:
    """Return the luma of RGB pixels (ITU-R BT.601), uint8 (height, width, 1).

    >>> luma(np.array([[[9, 9, 9], [255, 0, 0]]], np.uint8)).tolist()
    [[[9], [76]]]
    """
    return cv2.cvtColor(as_rgb(pixels), cv2.COLOR_RGB2GRAY)[..., None]  # type: ignore[return-value]


# A kept file may have metadata and more beside its pixels, but must fit into a record: see
# `RunPlan.largest_record`.
_BYTES_PER_PIXEL, _METADATA = 12, 32 << 10  # 32 KiB


def is_fitting(data: bytes, decoded: Decoded, pixels: Pixels) -> bool:
    """Return whether a file is a JPEG of just these pixels, so that it needs no encoding.

    It is upright, in the colours asked for, and needs no repair; its profile is not converted.

    Args:
        data: the file.
        decoded: what it holds.
        pixels: the result, uint8 (height, width, 3), RGB, or (height, width, 1), gray.
    """
    height, width = pixels.shape[:2]
    return (
        decoded.plain
        and decoded.orientation == 1
        and decoded.profile is None
        and (decoded.height, decoded.width) == (height, width)
        and decoded.kind.marks == (("gray",) if pixels.shape[2] == 1 else ())
        and len(data) <= _BYTES_PER_PIXEL * height * width + _METADATA
    )
