"""The dataset of a split: records, then images, then batches."""

from __future__ import annotations

import os
from dataclasses import dataclass

import tensorflow as tf

from prep.errors import UsageError
from prep.training.augmentation import Augmentation
from prep.training.opened_records import OpenedRecords
from prep.training.opened_split import OpenedSplit
from prep.training.orders.host_share import HostShare
from prep.training.orders.order import Order
from prep.training.tensorflow.pixels import Finish, Prepare
from prep.training.tensorflow.records import (
    Examples,
    PositionReader,
    RecordSource,
    Taken,
    is_example,
    read_natively,
    stream,
)
from prep.training.tensorflow.whole_shards import MOST_IN_ORDER, MOST_SHUFFLED, WholeShards

_CALLS, _CALLS_OF_STORAGE = 2, 4  # of Python at the same time
_as_it_is = tf.autograph.experimental.do_not_convert


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The records to read, and the elements to make of them.

    Attributes:
        opened: the split.
        order: the order of its records.
        whole: whether all of them are read.
        shuffled: whether their order is another one than that of the shards.
        augmentation: the changes to each image.
        batch, drop_remainder, cache: see :func:`prep.load`.
    """

    opened: OpenedSplit
    order: Order
    whole: bool
    shuffled: bool
    augmentation: Augmentation
    batch: int | None
    drop_remainder: bool
    cache: str | os.PathLike[str] | None

    def dataset(self, finish: Finish) -> tf.data.Dataset:
        """Return the elements."""
        plan = self.opened.plan
        parse = Examples(plan).parse if is_example(plan) else None
        prepare = Prepare(plan.settings, self.augmentation, parse)
        dataset = self._records().map(_as_it_is(prepare), num_parallel_calls=tf.data.AUTOTUNE)
        if self.batch is not None:
            self._require_one_size()
            dataset = dataset.batch(self.batch, drop_remainder=self.drop_remainder)
        if finish.is_needed:
            dataset = dataset.map(_as_it_is(finish), num_parallel_calls=tf.data.AUTOTUNE)
        if (length := self._length()) is not None:
            dataset = dataset.apply(tf.data.experimental.assert_cardinality(length))
        if self.batch is not None:
            dataset = dataset.prefetch(tf.data.AUTOTUNE)
        return dataset.with_options(self._options())

    @property
    def _share(self) -> HostShare:
        return HostShare(
            size=self.order.size,
            hosts=self.order.hosts,
            host=self.order.host,
            start=self.order.start,
            epochs=self.order.epochs if self.opened.images else 0,
            multiple=self.batch if self.drop_remainder else None,
        )

    @property
    def _is_plain(self) -> bool:
        """True if all records are read on one host from the first one on, and nothing is drawn."""
        order = self.order
        whole = self.whole and not order.start and order.hosts == 1
        drawn = self.shuffled or self.augmentation.is_random
        return whole and not drawn

    def _records(self) -> tf.data.Dataset:
        """Return the records, with what is drawn for each if anything is."""
        files, plan, epochs = self.opened.files, self.opened.plan, self.order.epochs
        in_storage = any(file.is_remote for file in files)
        if self._is_plain and is_example(plan) and not in_storage:
            dataset = read_natively(files, plan.compression)
            return dataset if epochs is None else dataset.repeat(epochs)
        if self._is_plain and epochs is None and self.cache is None:
            return stream(files, plan)
        size = sum(receipt.bytes for receipt in self.opened.receipts)
        return PositionReader(
            source=self._source(),
            order=self.order,
            share=self._share,
            taken=Taken(plan),
            shuffled=self.shuffled,
            seed=self.order.seed if self.augmentation.is_random else None,
            record_bytes=size / max(1, self.opened.images),
            calls=_CALLS_OF_STORAGE if in_storage else _CALLS,
        ).dataset()

    def _source(self) -> RecordSource:
        if self.opened.plan.compression is None:
            output = self.opened.journal.output
            return OpenedRecords(output, self.opened.split, cache=self.cache)
        most = MOST_SHUFFLED if self.shuffled else MOST_IN_ORDER
        return WholeShards(self.opened, most, self.cache)

    def _require_one_size(self) -> None:
        settings = self.opened.plan.settings
        if not settings.same_size and self.augmentation.crop is None:
            raise UsageError(
                "batch: expected images of one size, found some that differ; add crop=…, or leave "
                "batch out, and resize them in map() or use padded_batch()"
            )

    def _length(self) -> int | None:
        """Return the number of elements of each iteration; None if they differ."""
        records = self._share.length
        if records is None or self.batch is None:
            return records
        return records // self.batch if self.drop_remainder else -(-records // self.batch)

    def _options(self) -> tf.data.Options:
        """Return options by which checkpoints are small, and strategies give each record once."""
        options = tf.data.Options()
        policies = tf.data.experimental.AutoShardPolicy
        # Hosts that are given share records already. By files, some would have more than others.
        options.experimental_distribute.auto_shard_policy = (
            policies.DATA if self.order.hosts == 1 else policies.OFF
        )
        if self.order.epochs is not None:
            # All follows from the position that an iterator has come to: no image need be saved.
            options.experimental_symbolic_checkpoint = True
        return options
