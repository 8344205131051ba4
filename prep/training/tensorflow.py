"""The training reader. The only module that imports TensorFlow."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from prep.planning.plan import RunPlan
from prep.settings.choices import Encoding
from prep.settings.distribution import install_command
from prep.settings.image_settings import ImageSettings
from prep.shards.formats.base import record_format
from prep.storage.location import Location
from prep.training.opened_split import open_split

try:
    import tensorflow as tf
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"prep.load needs TensorFlow, which is not installed: {install_command('tensorflow')}",
        name=error.name,
    ) from None


_READ_TOGETHER = 16  # records; as float32 of 256 by 256 pixels, 12 MiB


def load(
    output: str | os.PathLike[str],
    split: str = "train",
    storage_options: Mapping[str, Any] | None = None,
) -> tf.data.Dataset:
    """Open a split of an output for training, as a ``tf.data.Dataset``.

    Elements are ``(image, label)``. ``image`` is RGB: uint8 of shape (height, width, 3), or float32
    of the same shape with the mean subtracted if the output has encoding float32. Gray images have
    one channel. ``label`` is an int64 scalar, or an int64 vector if labels are one-hot. Records
    come in the order of the shards. The cardinality is set, so Keras knows the length of an epoch.

    If images differ in size (``fit: shorter``, or ``enlarge: never`` without ``fit: pad``), the
    shape is (None, None, 3), and ``batch`` needs them to have one first: crop or resize them in
    ``map``, or use ``padded_batch``, which adds black at the bottom and on the right.

    Args:
        output: an output folder, or its URL. TensorFlow itself reads TFRecords in folders. Tar
            files, and whatever is in a storage, are read in Python.
        split: name of the split.
        storage_options: options of the storage, for URLs; see :class:`prep.Config`.

    Raises:
        SourceError: there is no finished run there, or it has no such split.
        PrepError: its plan is damaged, or can't be read.
        ModuleNotFoundError: TensorFlow is not installed.

    ::

        images = prep.load("shards", "train").shuffle(2000).batch(128).prefetch(tf.data.AUTOTUNE)
    """
    opened = open_split(output, split, storage_options)
    files, plan = opened.files, opened.plan
    native = plan.config.format == "tfrecord" and not any(file.is_remote for file in files)
    dataset = _read_natively(files, plan) if native else _read_in_python(files, plan)
    return dataset.apply(tf.data.experimental.assert_cardinality(opened.images))


def _read_natively(files: Sequence[Location], plan: RunPlan) -> tf.data.Dataset:
    """Return (image, label) of TFRecord files in folders, which TensorFlow reads itself."""
    decode, width = _decoder(plan.settings), plan.labels.width
    image, label = plan.features.image, plan.features.label
    features = {
        image: tf.io.FixedLenFeature([], tf.string),
        label: tf.io.FixedLenFeature([] if width is None else [width], tf.int64),
    }

    def parse(record: tf.Tensor) -> Any:
        example = tf.io.parse_single_example(record, features)
        return decode(example[image], example[label])

    names = [os.fsencode(str(file)) for file in files]
    dataset = tf.data.TFRecordDataset(names, compression_type=plan.compression or "")
    return dataset.map(parse, num_parallel_calls=tf.data.AUTOTUNE)


def _read_in_python(files: Sequence[Location], plan: RunPlan) -> tf.data.Dataset:
    """Return (image, label) of shards of any format, in any storage."""
    format, width = record_format(plan.config.format), plan.labels.width

    def read() -> Iterator[tuple[Sequence[bytes], Sequence[Any]]]:
        for path in files:
            with path.open_regular() as file:
                records = map(format.parse, format.records(file, plan.largest_record))
                # A call of TensorFlow from Python takes as long as reading several records.
                while batch := list(itertools.islice(records, _READ_TOGETHER)):
                    images, labels = zip(*batch, strict=True)
                    yield images, labels if width else [label for (label,) in labels]

    signature = (
        tf.TensorSpec(shape=[None], dtype=tf.string),
        tf.TensorSpec(shape=[None] if width is None else [None, width], dtype=tf.int64),
    )
    dataset = tf.data.Dataset.from_generator(read, output_signature=signature).unbatch()
    return dataset.map(_decoder(plan.settings), num_parallel_calls=tf.data.AUTOTUNE)


def _decoder(settings: ImageSettings) -> Any:
    """Return the function of (``image_raw``, label) that gives (image, label)."""
    if settings.encoding == "webp" and not hasattr(tf.io, "decode_webp"):
        raise ModuleNotFoundError(
            f"prep.load: expected a TensorFlow that decodes WebP, found {tf.__version__}; "
            "install 2.21 or later"
        )
    channels, pixels = settings.channels, _PIXELS[settings.encoding]
    shape = (settings.height, settings.width, channels)

    def decode(data: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = pixels(data, channels)
        if settings.same_size:
            return tf.reshape(image, shape), label
        return tf.ensure_shape(image, (None, None, channels)), label

    return decode


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
