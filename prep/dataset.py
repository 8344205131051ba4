"""The training reader. The only module that imports TensorFlow."""

from __future__ import annotations

import os
from typing import Any

import tensorflow as tf

from prep.errors import SourceError
from prep.images import ImageSettings
from prep.journal import Journal
from prep.receipts import ShardReceipt, total_receipts
from prep.stored_plan import StoredPlan


def load(output: str | os.PathLike[str], split: str = "train") -> tf.data.Dataset:
    """Opens a split of an output folder for training.

    Elements are ``(image, label)``: ``image`` is uint8 (size, size, 3), RGB, or float32 of the same
    shape, mean subtracted, where the output is encoded so; ``label`` is an int64 scalar, or an
    int64 vector where labels are one-hot. Records come in the order of the shards. The cardinality
    is set, so Keras knows the length of an epoch.

    Raises:
        SourceError: there is no finished run there, or it has no such split.

    ::

        images = prep.load("shards", "train").shuffle(2000).batch(128).prefetch(tf.data.AUTOTUNE)
    """
    journal = Journal(output)
    plan = journal.stored_plan()
    if plan is None:
        raise SourceError(f"output: no shards of this package in {str(output)!r}")
    receipts = _receipts(journal, plan, split)
    totals = total_receipts(receipts)[split]
    parse = _parser(plan.settings, plan.labels.width)
    files = [os.fsencode(journal.layout.root / receipt.file) for receipt in receipts]
    records = tf.data.TFRecordDataset(files, compression_type=plan.compression or "")
    return records.map(parse, num_parallel_calls=tf.data.AUTOTUNE).apply(
        tf.data.experimental.assert_cardinality(totals.images)
    )


def _receipts(journal: Journal, plan: StoredPlan, split: str) -> list[ShardReceipt]:
    """The receipts of all shards of a split, in their order."""
    if split not in plan.images:
        raise SourceError(f"split: no {split!r}; splits found: {list(plan.images)}")
    shards = [shard for shard in plan.shards if shard.split == split]
    found = (journal.receipt(split, s.index, plan.fingerprint.digest) for s in shards)
    receipts = [receipt for receipt in found if receipt is not None]
    if len(receipts) < len(shards):
        raise SourceError(
            f"output: {len(receipts)} of {len(shards)} shards of {split!r} are committed; "
            "run the command that made them again to write those that are missing"
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
