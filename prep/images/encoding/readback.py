"""``image_raw`` of our own shards → pixels, exactly as written or not at all."""

from __future__ import annotations

import numpy as np
import simplejpeg

from prep.errors import RecordError, RefusedImage
from prep.images.decoders.formats import format_of
from prep.images.decoders.limits import webp_size
from prep.images.decoders.pillow import decode_with_pillow
from prep.images.decoders.png import png_size
from prep.images.decoders.values import Pixels
from prep.images.encoding.encode import make_encoder
from prep.images.encoding.record_pixels import ANY_ASPECT, pixels_of_samples
from prep.images.encoding.tolerances import mean_tolerance
from prep.images.mean_image import Grids, grid_of, grid_side
from prep.images.stats import ChannelStats, channel_sums, plain_sums
from prep.settings.choices import IMAGE_FILES, RGB, Encoding
from prep.settings.image_settings import ImageSettings
from prep.text import opening

_SIZES = {"PNG": png_size, "WebP": webp_size}
_NAMES: dict[Encoding, str] = {"png": "PNG", "webp": "WebP"}


class ResultReader:
    """Read the results in a shard one after the other, in reused memory. Not thread-safe.

    Attributes:
        grids: of the results whose sums were asked for; none if the encoding is lossy, for then
            the pixels have changed.
    """

    def __init__(self, settings: ImageSettings) -> None:
        self._settings = settings
        self._encode = make_encoder(settings.encoding, settings.quality, settings.mean)
        self._kept: Pixels = np.empty(3 * settings.height * settings.width, np.uint8)
        shape = settings.height, settings.width
        self._planes = [np.empty(shape, np.uint8) for _ in range(3 if settings.same_size else 0)]
        self._pixels = 0
        self._allowed = np.zeros(3)
        self._grid_side = grid_side(settings)
        self.grids = Grids()

    def sums(self, image: bytes) -> ChannelStats:
        """Return the channel sums of a result; no squares and products if encoding is lossy.

        Raises:
            RecordError: see :meth:`pixels`.
        """
        pixels = self.pixels(image)
        if not self._settings.lossy:
            self.grids.add(grid_of(pixels, self._grid_side))
            return channel_sums(pixels, self._planes or None)
        height, width, _ = pixels.shape
        self._pixels += height * width
        encoding, quality = self._settings.encoding, self._settings.quality
        self._allowed += np.multiply(
            height * width, mean_tolerance(encoding, quality, height, width)
        )
        sums = plain_sums(pixels)
        return ChannelStats(images=1, pixels=height * width, sums=sums, products=None)

    @property
    def tolerance(self) -> RGB:
        """The largest allowed distance of their mean from the mean before encoding, per channel."""
        r, g, b = (float(allowed) / max(self._pixels, 1) for allowed in self._allowed)
        return r, g, b

    def pixels(self, image: bytes) -> Pixels:
        """Return a result, uint8 (height, width, 3), RGB; gray has three equal channels.

        It may lie in memory that the next call overwrites.

        Raises:
            RecordError: our encoder has not written this: strict decoding refuses it, its size or
                length is another, or it holds samples that can't have been written.
        """
        encoding = self._settings.encoding
        if encoding == "jpeg":
            return self._of_jpeg(image)
        if encoding in _NAMES:
            return self._of_file(image, _NAMES[encoding])
        return self._of_samples(image)

    def _of_jpeg(self, image: bytes) -> Pixels:
        try:
            height, width, colours, _ = simplejpeg.decode_jpeg_header(image)
            self._require_size(height, width)
            self._require_colours("a JPEG", gray=colours == "Gray")
            fits = height * width * 3 <= self._kept.size
            pixels: Pixels = simplejpeg.decode_jpeg(
                image, "RGB", buffer=self._kept if fits else None, strict=True
            )
        except ValueError as error:
            raise RecordError(f"expected a whole JPEG, found that: {error}") from None
        return pixels

    def _of_file(self, image: bytes, name: str) -> Pixels:
        """Return the pixels of an image file in the format of this name."""
        found = format_of(image)
        if found is None or found.name != name:
            raise RecordError(f"expected {name}, found {found.name if found else _opening(image)}")
        try:
            self._require_size(*_SIZES[name](image))
            decoded = decode_with_pillow(image, ANY_ASPECT)
        except RefusedImage as error:
            raise RecordError(f"expected a whole {name}, found that: {error}") from None
        if decoded.note is not None:
            raise RecordError(f"expected a whole {name}, found that: {decoded.note.detail}")
        if "transparent" in decoded.kind.marks:
            raise RecordError(f"expected a {name} without transparency, found one with it")
        self._require_colours(f"a {name}", gray="gray" in decoded.kind.marks)
        return decoded.pixels

    def _of_samples(self, image: bytes) -> Pixels:
        pixels = pixels_of_samples(image, self._settings)
        if self._encode(pixels[..., : self._settings.channels]) != image:
            raise RecordError("expected whole samples of 0 to 255 less the mean, found others")
        return pixels

    def _require_colours(self, file: str, *, gray: bool) -> None:
        """Raise RecordError unless a file is gray where gray was asked for, and only there."""
        if gray != (self._settings.channels == 1):
            expected, found = ("colours", "gray") if gray else ("gray", "colours")
            raise RecordError(f"expected {file} in {expected}, found one in {found}")

    def _require_size(self, height: int, width: int) -> None:
        """Raise RecordError unless a result can have this size."""
        if not self._settings.may_have(height, width):
            asked = f"{self._settings.width} × {self._settings.height}"
            how = "" if self._settings.same_size else f", as fit {self._settings.fit} allows"
            raise RecordError(f"expected {asked} pixels{how}, found {width} × {height}")


def size_of_result(image: bytes, settings: ImageSettings) -> tuple[int, int]:
    """Return the height and width of a result in pixels, by its header if it is a file.

    Raises:
        RecordError: its header can't be read.
    """
    if settings.encoding not in IMAGE_FILES:
        return settings.height, settings.width
    try:
        if settings.encoding == "jpeg":
            height, width, _, _ = simplejpeg.decode_jpeg_header(image)
            return height, width
        return _SIZES[_NAMES[settings.encoding]](image)
    except (RefusedImage, ValueError) as error:
        name = settings.encoding.upper()
        raise RecordError(f"expected a whole {name}, found that: {error}") from None


def _opening(image: bytes) -> str:
    return f"a file that {opening(image)}" if image else "nothing"
