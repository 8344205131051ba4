"""The training reader. The only module that imports TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prep.errors import SourceError
from prep.output.journal import Journal
from prep.output.plans import require_listed
from prep.output.receipt import ShardReceipt, total_receipts
from prep.planning.plan import RunPlan
from prep.settings import ImageSettings, install_command
from prep.shards.formats.tfrecord import read_records
from prep.storage.arguments import admit
from prep.storage.location import Location
from prep.text import quoted, shown

try:
    import tensorflow as tf
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"prep.load needs TensorFlow, which is not installed: {install_command('tensorflow')}",
        name=error.name,
    ) from None


def load(
    output: str | os.PathLike[str],
    split: str = "train",
    storage_options: Mapping[str, Any] | None = None,
) -> tf.data.Dataset:
    """Open a split of an output for training, as a ``tf.data.Dataset``.

    Elements are ``(image, label)``. ``image`` is RGB: uint8 of shape (size, size, 3), or float32 of
    the same shape with the mean subtracted if the output has encoding float32. ``label`` is an
    int64 scalar, or an int64 vector if labels are one-hot. Records come in the order of the shards.
    The cardinality is set, so Keras knows the length of an epoch.

    Args:
        output: an output folder, or its URL. TensorFlow reads folders itself; storages are read in
            Python, which is enough for about ten thousand images a second.
        split: name of the split.
        storage_options: options of the storage, for URLs; see :class:`prep.Config`.

    Raises:
        SourceError: there is no finished run there, or it has no such split.
        PrepError: its plan is damaged, or can't be read.
        ModuleNotFoundError: TensorFlow is not installed.

    ::

        images = prep.load("shards", "train").shuffle(2000).batch(128).prefetch(tf.data.AUTOTUNE)
    """
    journal = Journal(admit("output", output, storage_options))
    plan = journal.stored_plan()
    if plan is None:
        raise SourceError(f"output: no shards made by prep in {quoted(journal.output)}")
    require_listed(journal.layout, plan)
    receipts = _receipts(journal, plan, split)
    totals = total_receipts(receipts)[split]
    parse = _parser(plan.settings, plan.labels.width)
    files = [journal.layout.root / receipt.file for receipt in receipts]
    records = _records(files, plan)
    return records.map(parse, num_parallel_calls=tf.data.AUTOTUNE).apply(
        tf.data.experimental.assert_cardinality(totals.images)
    )


def _records(files: Sequence[Location], plan: RunPlan) -> tf.data.Dataset:
    if not any(file.is_remote for file in files):
        names = [os.fsencode(str(file)) for file in files]
        return tf.data.TFRecordDataset(names, compression_type=plan.compression or "")

    def read() -> Iterator[bytes]:
        for path in files:
            with path.open_regular() as file:
                yield from read_records(file, plan.largest_record)

    return tf.data.Dataset.from_generator(
        read, output_signature=tf.TensorSpec(shape=(), dtype=tf.string)
    )


def _receipts(journal: Journal, plan: RunPlan, split: str) -> list[ShardReceipt]:
    """The receipts of all shards of a split, in their order."""
    if split not in plan.splits:
        raise SourceError(f"split: no {quoted(split)}; splits found: {shown(list(plan.splits))}")
    shards = [shard for shard in plan.shards if shard.split == split]
    found = (journal.receipt(shard, plan.fingerprint.digest) for shard in shards)
    receipts = [receipt for receipt in found if receipt is not None]
    if len(receipts) < len(shards):
        raise SourceError(
            f"output: {len(receipts)} of {len(shards)} shards of {quoted(split)} are committed; "
            "run the same command again to write the rest"
        )
    return receipts


def _parser(settings: ImageSettings, width: int | None) -> Any:
    features = {
        "image_raw": tf.io.FixedLenFeature([], tf.string),
        "label": tf.io.FixedLenFeature([] if width is None else [width], tf.int64),
    }
    shape = (settings.size, settings.size, 3)

    def parse(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        example = tf.io.parse_single_example(record, features)
        if settings.encoding == "jpeg":
            # The default is a faster and less exact transform, a level or so too dark on average.
            image = tf.io.decode_jpeg(
                example["image_raw"], channels=3, dct_method="INTEGER_ACCURATE"
            )
        else:
            kind = tf.uint8 if settings.encoding == "raw" else tf.float32
            image = tf.io.decode_raw(example["image_raw"], kind)
        return tf.reshape(image, shape), example["label"]

    return parse
