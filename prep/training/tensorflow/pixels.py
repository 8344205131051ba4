"""From the bytes of an image to what a model sees, in TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from prep.settings.choices import Encoding
from prep.settings.image_settings import ImageSettings, Size
from prep.training.augmentation import Augmentation, corner
from prep.training.channel_shift import ChannelShift

# Functions of the bytes and the number of channels, by encoding. By default, TensorFlow decodes
# JPEGs by a faster and less exact transform, a level or so too dark on average.
_PIXELS: dict[Encoding, Callable[[tf.Tensor, int], tf.Tensor]] = {
    "jpeg": lambda data, channels: tf.io.decode_jpeg(
        data, channels=channels, dct_method="INTEGER_ACCURATE"
    ),
    "png": lambda data, channels: tf.io.decode_png(data, channels=channels),
    "webp": lambda data, channels: tf.io.decode_webp(data, channels=channels)[0],
    "raw": lambda data, _: tf.io.decode_raw(data, tf.uint8),
    "float32": lambda data, _: tf.io.decode_raw(data, tf.float32),
}


def decoder(settings: ImageSettings) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return the function that decodes an image, to (height, width, channels).

    Raises:
        ModuleNotFoundError: this TensorFlow lacks the decoder.
    """
    if settings.encoding == "webp" and not hasattr(tf.io, "decode_webp"):
        raise ModuleNotFoundError(
            f"prep.load: expected a TensorFlow that decodes WebP, found {tf.__version__}; "
            "install 2.21 or later"
        )
    channels, pixels = settings.channels, _PIXELS[settings.encoding]
    shape = (settings.height, settings.width, channels)

    def decode(data: tf.Tensor) -> tf.Tensor:
        image = pixels(data, channels)
        if settings.same_size:
            return tf.reshape(image, shape)
        return tf.ensure_shape(image, (None, None, channels))

    return decode


def cropped(image: tf.Tensor, augmentation: Augmentation, places: Any, flip: Any) -> tf.Tensor:
    """Return an image cropped and mirrored, or its ten crops.

    Args:
        image: (height, width, channels).
        places, flip: as in :class:`prep.training.augmentation.Draws`, of this image; None if
            nothing is drawn at random.
    """
    size = augmentation.crop
    if size is not None:
        image = _of_size(image, size)
        if augmentation.ten_crop:
            return _ten_crops(image, size)
        image = _crop(image, size, places if augmentation.crop_at == "random" else None)
    if augmentation.flip:
        image = tf.cond(flip, lambda: tf.reverse(image, [1]), lambda: image)
    return image


def _of_size(image: tf.Tensor, least: Size) -> tf.Tensor:
    """Return an image; TensorFlow raises InvalidArgumentError if it is smaller than its crop."""
    if None not in image.shape[:2]:
        return image
    enough = tf.debugging.assert_greater_equal(
        tf.shape(image)[:2],
        [least.height, least.width],
        f"crop: expected images of at least {least}, found a smaller one; crop less",
    )
    with tf.control_dependencies([enough]):
        return tf.identity(image)


def _crop(image: tf.Tensor, size: Size, places: Any) -> tf.Tensor:
    """Return a crop at a random place, or the one in the centre if that is None."""
    shape = tf.shape(image, out_type=tf.int64)
    if places is None:
        row, column = (shape[0] - size.height) // 2, (shape[1] - size.width) // 2
    else:
        row, column = (
            corner(places[axis], shape[axis], side)
            for axis, side in enumerate((size.height, size.width))
        )
    return _window(image, row, column, size)


def _window(image: tf.Tensor, row: tf.Tensor, column: tf.Tensor, size: Size) -> tf.Tensor:
    channels = image.shape[-1]
    window = tf.slice(image, [row, column, 0], [size.height, size.width, channels])
    return tf.ensure_shape(window, (size.height, size.width, channels))


def _ten_crops(image: tf.Tensor, size: Size) -> tf.Tensor:
    """Return the crops in the corners and the centre, and the same mirrored: (10, …)."""
    shape = tf.shape(image, out_type=tf.int64)
    zero, down, right = tf.zeros((), tf.int64), shape[0] - size.height, shape[1] - size.width
    corners = [(zero, zero), (zero, right), (down, zero), (down, right), (down // 2, right // 2)]
    five = tf.stack([_window(image, row, column, size) for row, column in corners])
    return tf.concat([five, tf.reverse(five, [2])], 0)


class Prepare:
    """Makes an image of a record.

    Args:
        settings: of the images.
        augmentation: what is done to each.
        parse: takes a record apart; None if it was taken apart already.
    """

    def __init__(
        self,
        settings: ImageSettings,
        augmentation: Augmentation,
        parse: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]] | None,
    ) -> None:
        self._decode = decoder(settings)
        self._augmentation = augmentation
        self._parse = parse

    def __call__(self, *parts: tf.Tensor) -> tuple[Any, ...]:
        """Return (image, label), or (image, label, lights) if lighting changes.

        Args:
            parts: a record, or its image's bytes and its label; and a place, a flip and lights if
                they are drawn.
        """
        data, label = parts[:2] if self._parse is None else self._parse(parts[0])
        drawn = parts[2:] if self._parse is None else parts[1:]
        places, flip, lights = drawn or (None, None, None)
        image = cropped(self._decode(data), self._augmentation, places, flip)
        return (image, label, lights) if self._augmentation.lighting else (image, label)


def _changed(images: tf.Tensor, change: ChannelShift, lights: Any) -> tf.Tensor:
    """Return images as float32, their channels changed.

    Args:
        images: (…, height, width, channels): one image or a batch.
        change: the arithmetic.
        lights: float32 (…, 3); None without a basis.
    """
    shift = tf.constant(change.shift)
    if change.basis is not None:
        shift += tf.tensordot(lights, change.basis.T, 1)
    # Whole rows are added to: over an axis of three, TensorFlow takes three times as long.
    rows = tf.reshape(images, [*_shape(images)[:-2], -1])
    result = tf.cast(rows, tf.float32) + _along(shift, images)
    if change.std is not None:
        result /= _along(tf.constant(change.std), images)
    return tf.ensure_shape(tf.reshape(result, _shape(images)), images.shape)


def _shape(images: tf.Tensor) -> list[Any]:
    """Return the sides of a tensor, as numbers where they are known."""
    dynamic = tf.shape(images)
    return [dynamic[axis] if side is None else side for axis, side in enumerate(images.shape)]


def _along(values: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
    """Repeat values of channels along the rows of images: (…, channels) to (…, 1, row)."""
    width = _shape(images)[-2]
    if values.shape.rank == 1:
        return tf.tile(values, [width])
    return tf.tile(values, [1, width])[:, None, :]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """Makes elements of images, or batches of elements of batches of images.

    Attributes:
        channels: what is done to the channels; None for nothing.
        classes: the length of one-hot labels; None to leave labels as they are.
        vectors: whether labels are vectors of this length already.
    """

    channels: ChannelShift | None = None
    classes: int | None = None
    vectors: bool = False

    @property
    def is_needed(self) -> bool:
        """True if it does anything."""
        return self.channels is not None or self.classes is not None

    def __call__(self, image: tf.Tensor, label: tf.Tensor, lights: Any = None) -> tuple[Any, Any]:
        """Return (image, label)."""
        if self.channels is not None:
            image = _changed(image, self.channels, lights)
        if self.vectors and self.classes is not None:
            label = tf.cast(label, tf.float32)
        elif self.classes is not None:  # Those of images without a label are zeros.
            label = tf.one_hot(label, self.classes, dtype=tf.float32)
        return image, label
