"""``image_raw`` of our own shards → pixels, exactly as it was written or not at all."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import simplejpeg

from prep.errors import RecordError
from prep.images.decode import Pixels
from prep.images.processor import ImageSettings
from prep.images.sums import channel_sums, plain_sums
from prep.stats import RGB, ChannelStats

# Steps of the constant coefficient at quality 50: ITU-T T.81, tables K.1 and K.2.
_LUMA_STEP, _CHROMA_STEP = 16, 17
# How much of an error in Y, and in Cb or Cr, ends up in R, G and B: ITU-T T.871, section 7.
_CHROMA_SHARE = (1.402, 0.344136 + 0.714136, 1.772)
# The furthest that a colour can lie outside of 0 to 255 for any Y, Cb and Cr from 0 to 255.
_OVERSHOOT = tuple(128 * share for share in _CHROMA_SHARE)
_ROUNDING = 2.0


class SquareReader:
    """Reads squares one after the other into memory that it keeps. Not for use by two threads."""

    def __init__(self, settings: ImageSettings) -> None:
        self._size = size = settings.size
        self._encoding = settings.encoding
        self._offset = np.array(settings.mean or (0.0, 0.0, 0.0), "<f4")
        self._kept: Pixels = np.empty(size * size * 3, np.uint8)
        self._planes = [np.empty((size, size), np.uint8) for _ in range(3)]

    def sums(self, image: bytes) -> ChannelStats:
        """Channel sums of a square; of JPEGs without squares, for those tell nothing.

        Raises:
            RecordError: it is not what our encoder writes: strict decoding finds fault with it, or
                it is of another size or length, or holds samples that can't have been written.
        """
        pixels = self.pixels(image)
        if self._encoding != "jpeg":
            return channel_sums(pixels, self._planes)
        return ChannelStats(images=1, pixels=self._size**2, sums=plain_sums(pixels))

    def pixels(self, image: bytes) -> Pixels:
        """uint8 (size, size, 3), RGB, in memory that the next call overwrites.

        Raises:
            RecordError: as for :meth:`sums`.
        """
        if self._encoding == "jpeg":
            return self._decoded(image)
        length = self._size * self._size * (3 if self._encoding == "raw" else 12)
        if len(image) != length:
            raise RecordError(f"expected {length} bytes of {self._encoding}, found {len(image)}")
        shape = (self._size, self._size, 3)
        if self._encoding == "raw":
            return np.frombuffer(image, np.uint8).reshape(shape)
        return self._whole(np.frombuffer(image, "<f4").reshape(shape))

    def _decoded(self, image: bytes) -> Pixels:
        size = self._size
        try:
            height, width, *_ = simplejpeg.decode_jpeg_header(image)
            if (height, width) != (size, size):
                raise RecordError(f"expected {size} × {size} pixels, found {width} × {height}")
            pixels: Pixels = simplejpeg.decode_jpeg(image, "RGB", buffer=self._kept, strict=True)
        except ValueError as error:
            raise RecordError(f"expected a whole JPEG, found that: {error}") from None
        return pixels

    def _whole(self, samples: npt.NDArray[np.float32]) -> Pixels:
        with np.errstate(invalid="ignore"):  # What is not a number is found out below.
            pixels: Pixels = np.rint(samples + self._offset).astype(np.uint8)
        if not np.array_equal(pixels.astype("<f4") - self._offset, samples):
            raise RecordError("expected whole samples of 0 to 255 less the mean, found others")
        return pixels


def mean_tolerance(settings: ImageSettings) -> RGB:
    """How far the mean of decoded squares may lie from that of the squares before encoding.

    Nothing for ``raw`` and ``float32``. In a JPEG, a block's mean is an eighth of its constant
    coefficient. That is off by at most half a step, so the mean is off by a 16th of a step, in Y,
    Cb and Cr alike. Halving chroma and interpolating it leaves its mean. To this come the
    roundings of each sample: of Y, Cb and Cr, in both transforms, and of the colours.

    What this leaves out is that colours beyond 0 and 255 are cut off: see
    :func:`clipping_tolerance`.
    """
    if settings.encoding != "jpeg":
        return 0.0, 0.0, 0.0
    luma, chroma = (_step(base, settings.quality) / 16 for base in (_LUMA_STEP, _CHROMA_STEP))
    r, g, b = (luma + share * chroma + _ROUNDING for share in _CHROMA_SHARE)
    return r, g, b


def clipping_tolerance(pixels: Pixels) -> RGB:
    """How much cutting colours off at 0 and 255 can have moved the mean of these pixels.

    Where chroma varies from pixel to pixel, its mean over two by two of them gives colours far
    beyond; each sample that is 0 or 255 now may have been one.
    """
    cut = ((pixels == 0) | (pixels == 255)).mean(axis=(0, 1))
    r, g, b = (float(share * most) for share, most in zip(cut, _OVERSHOOT, strict=True))
    return r, g, b


def _step(base: int, quality: int) -> int:
    """A quantisation step at ``quality``, as libjpeg scales it (``jpeg_quality_scaling``)."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return min(max((base * scale + 50) // 100, 1), 255)
