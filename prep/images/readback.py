"""``image_raw`` of our own shards → pixels, exactly as written or not at all."""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Sequence

import numpy as np
import simplejpeg
from PIL import Image

from prep.errors import RecordError
from prep.images.decoders.values import Pixels
from prep.images.encode import make_encoder
from prep.images.mean_image import Grids, grid_of
from prep.images.stats import ChannelStats, channel_sums, plain_sums
from prep.settings.choices import RGB
from prep.settings.image_settings import ImageSettings

# The share of an error in Cb and Cr that ends up in R, G and B; of Y, all of it (ITU-T T.871).
_CHROMA_SHARE = (1.402, 0.344136 + 0.714136, 1.772)
# The furthest that a colour can lie outside 0 to 255 for any Y, Cb and Cr from 0 to 255.
_OVERSHOOT = tuple(128 * share for share in _CHROMA_SHARE)
_TO_YCC = np.array(
    [(0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312)]
)
_ROUNDING = 2.0


class CropReader:
    """Read the crops of a shard one after the other, in reused memory. Not thread-safe.

    Attributes:
        grids: of the crops whose sums were asked for. Those of JPEGs are left out: the encoder has
            changed their pixels.
    """

    def __init__(self, settings: ImageSettings) -> None:
        self._shape = height, width = settings.height, settings.width
        self._encoding = settings.encoding
        self._offset = np.array(settings.mean or (0.0, 0.0, 0.0), "<f4")
        self._kept: Pixels = np.empty(height * width * 3, np.uint8)
        self._planes = [np.empty((height, width), np.uint8) for _ in range(3)]
        self.grids = Grids()

    def sums(self, image: bytes) -> ChannelStats:
        """Return the channel sums of a crop; for JPEG, without the sums of squares.

        Raises:
            RecordError: see :meth:`pixels`.
        """
        pixels = self.pixels(image)
        if self._encoding != "jpeg":
            self.grids.add(grid_of(pixels))
            return channel_sums(pixels, self._planes)
        return ChannelStats(
            images=1, pixels=pixels.shape[0] * pixels.shape[1], sums=plain_sums(pixels)
        )

    def pixels(self, image: bytes) -> Pixels:
        """Return a crop, uint8 (height, width, 3), RGB, in memory that the next call overwrites.

        Raises:
            RecordError: our encoder has not written this: strict decoding refuses it, its size or
                length is another, or it holds samples that can't have been written.
        """
        if self._encoding == "jpeg":
            return self._decode(image)
        shape = (*self._shape, 3)
        length = math.prod(shape) * (1 if self._encoding == "raw" else 4)
        if len(image) != length:
            raise RecordError(f"expected {length} bytes of {self._encoding}, found {len(image)}")
        if self._encoding == "raw":
            return np.frombuffer(image, np.uint8).reshape(shape)
        samples = np.frombuffer(image, "<f4").reshape(shape)
        with np.errstate(invalid="ignore"):  # NaN fails the comparison below.
            pixels: Pixels = np.rint(samples + self._offset).astype(np.uint8)
        if not np.array_equal(pixels.astype("<f4") - self._offset, samples):
            raise RecordError("expected whole samples of 0 to 255 less the mean, found others")
        return pixels

    def _decode(self, image: bytes) -> Pixels:
        try:
            height, width, *_ = simplejpeg.decode_jpeg_header(image)
            if (height, width) != self._shape:
                expected = f"{self._shape[1]} × {self._shape[0]}"
                raise RecordError(f"expected {expected} pixels, found {width} × {height}")
            pixels: Pixels = simplejpeg.decode_jpeg(image, "RGB", buffer=self._kept, strict=True)
        except ValueError as error:
            raise RecordError(f"expected a whole JPEG, found that: {error}") from None
        return pixels


def mean_tolerance(settings: ImageSettings) -> RGB:
    """Return how far the mean of decoded crops may lie from the mean before encoding.

    Zero for ``raw`` and ``float32``. In a JPEG, quantisation changes Y, Cb and Cr; halving chroma
    and interpolating it leaves its mean. To this come the roundings of each sample: of Y, Cb and
    Cr, in both transforms, and of the colours.

    Values beyond 0 and 255, which are cut off, are left out: see :func:`clipping_tolerance`.
    """
    if settings.encoding != "jpeg":
        return 0.0, 0.0, 0.0
    luma_steps, chroma_steps = _steps(settings.quality)
    height, width = settings.height, settings.width
    luma = _quantisation(height, width, luma_steps)
    chroma = _quantisation(-(-height // 2), -(-width // 2), chroma_steps)
    r, g, b = (luma + share * chroma + _ROUNDING for share in _CHROMA_SHARE)
    return r, g, b


def clipping_tolerance(pixels: Pixels, settings: ImageSettings) -> RGB:
    """Return how far cutting off at 0 and 255 can have moved the mean of a JPEG's pixels.

    Next to nothing for a photo. Where chroma varies from pixel to pixel, its mean over 2 × 2 pixels
    gives colours far beyond the limits, and any sample that is 0 or 255 now may have been one. Y,
    Cb and Cr themselves are cut off as well: over a share of the pixels, the errors of quantisation
    add up to at most their root mean square times the root of the share (Cauchy–Schwarz).
    """
    cut = (pixels == 0) | (pixels == 255)
    planes = np.abs(pixels @ _TO_YCC.T - (127.5, 0, 0)) > 126
    share = math.sqrt((cut | planes).any(axis=2).mean())
    luma, chroma = map(_root_mean_square, _steps(settings.quality))
    r, g, b = (
        float(most * beyond) + share * (luma + part * chroma)
        for most, beyond, part in zip(_OVERSHOOT, cut.mean(axis=(0, 1)), _CHROMA_SHARE, strict=True)
    )
    return r, g, b


def _quantisation(height: int, width: int, steps: Sequence[int]) -> float:
    """Return how far quantisation can move the mean of a plane.

    A block's mean is an eighth of its DC coefficient, which is off by at most half a step. Blocks
    that lie partly outside the picture have no such bound. There the error of all coefficients may
    fall on the visible samples alone (Cauchy–Schwarz), along rows and columns independently.
    """
    whole = (height // 8 * 8) * (width // 8 * 8)
    spread = math.prod(side // 8 * 8 + math.sqrt(8 * (side % 8)) for side in (height, width))
    rest = (spread - whole) * _root_mean_square(steps)
    return (whole * steps[0] / 16 + rest) / (height * width)


def _root_mean_square(steps: Sequence[int]) -> float:
    """Return the largest RMS error of a block's 64 samples, from half of each step (Parseval)."""
    return math.sqrt(sum(step * step for step in steps)) / 16


@functools.cache
def _steps(quality: int) -> tuple[Sequence[int], Sequence[int]]:
    """Return our encoder's quantisation steps, DC first: those of Y, and those of Cb and Cr.

    Pillow returns them in the order of the frequencies, whatever their order in the file.
    """
    encoded = make_encoder("jpeg", quality, None)(np.zeros((16, 16, 3), np.uint8))
    with Image.open(io.BytesIO(encoded)) as image:
        tables: dict[int, list[int]] = image.quantization  # type: ignore[attr-defined]
    return tables[0], tables[1]
