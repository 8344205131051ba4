"""Datasets of the bytes and labels of records, before any image is decoded."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from prep.planning.label_form import LabelForm
from prep.planning.plan import RunPlan
from prep.shards.formats.base import Record, record_format
from prep.storage.location import Location
from prep.training.augmentation import LIGHTS, draw
from prep.training.orders.host_share import HostShare
from prep.training.orders.order import Order

_STREAMED_TOGETHER = 16  # records; as float32 of 256 by 256 pixels, 12 MiB
_TOGETHER = 64  # records; a call of Python takes as long as reading some ten of them
_BYTES_TOGETHER = 8 << 20  # 8 MiB


def read_natively(files: Sequence[Location], plan: RunPlan) -> tf.data.Dataset:
    """Return (image, label) of TFRecord files in folders, which TensorFlow reads itself."""
    form = plan.label_form
    image, label = plan.features.image, plan.features.label
    stored = tf.float32 if form.is_floating else tf.int64
    features = {
        image: tf.io.FixedLenFeature([], tf.string),
        label: tf.io.RaggedFeature(stored)
        if form.length is None
        else tf.io.FixedLenFeature(form.shape, stored),
    }

    def parse(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        example = tf.io.parse_single_example(record, features)
        found = example[label]
        return example[image], _multi_hot(found, form) if form.length is None else found

    names = [os.fsencode(str(file)) for file in files]
    dataset = tf.data.TFRecordDataset(names, compression_type=plan.compression or "")
    return dataset.map(parse, num_parallel_calls=tf.data.AUTOTUNE)


def _multi_hot(numbers: tf.Tensor, form: LabelForm) -> tf.Tensor:
    """Return a vector with a one at each of the given positions."""
    ones = tf.one_hot(numbers, form.shape[0], dtype=tf.int64)
    return tf.minimum(tf.reduce_sum(ones, 0), 1)


def stream(files: Sequence[Location], plan: RunPlan) -> tf.data.Dataset:
    """Return (image, label) of shards of any format, in any storage, read one after the other."""
    format, form = record_format(plan.config.format), plan.label_form

    def read() -> Iterator[tuple[Sequence[bytes], npt.NDArray[Any]]]:
        for path in files:
            with path.open_regular() as file:
                records = map(format.parse, format.records(file, plan.largest_record))
                # A call of TensorFlow from Python takes as long as reading several records.
                while batch := list(itertools.islice(records, _STREAMED_TOGETHER)):
                    yield (
                        [record.image for record in batch],
                        form.arrays([record.label for record in batch]),
                    )

    signature = (
        tf.TensorSpec(shape=[None], dtype=tf.string),
        tf.TensorSpec(shape=[None, *form.shape], dtype=tf.as_dtype(form.dtype)),
    )
    return tf.data.Dataset.from_generator(read, output_signature=signature).unbatch()


class RecordSource(Protocol):
    """Reads records by their numbers in the split."""

    def read(self, numbers: npt.NDArray[np.int64], /) -> list[Record]: ...


@dataclass(frozen=True, kw_only=True)
class PositionReader:
    """Reads the records at positions of an order, and draws what is random for each.

    Attributes:
        source: of the records.
        order: from positions to the numbers of records.
        share: the positions that are read here.
        form: of the labels.
        shuffled: whether each epoch has an order of its own.
        seed: of what is drawn for each image; None for nothing.
        record_bytes: of a record, about.
        calls: number of calls at the same time: one reads while another one parses.
    """

    source: RecordSource
    order: Order
    share: HostShare
    form: LabelForm
    shuffled: bool
    seed: int | None = None
    record_bytes: float = 0.0
    calls: int = 2

    def dataset(self) -> tf.data.Dataset:
        """Return (image, label), or (image, label, places, flip, lights) if anything is drawn.

        An iterator of it has no state but the number of records that it has passed.
        """
        return (
            self._blocks()
            .map(self._block, num_parallel_calls=self.calls, deterministic=True)
            .unbatch()
        )

    @property
    def _together(self) -> int:
        return int(max(1, min(_TOGETHER, _BYTES_TOGETHER // max(1, self.record_bytes))))

    @property
    def is_same_each_pass(self) -> bool:
        """True if all passes over the dataset read the same records in the same order."""
        share = self.share
        drawn = self.shuffled or self.seed is not None
        return share.epochs is not None or (share.start % share.size == 0 and not drawn)

    def _blocks(self) -> tf.data.Dataset:
        """Return (first position, end) of each block of positions that are read at once."""
        step = self.share.hosts * self._together
        if self.is_same_each_pass:
            positions = self.share.positions()
            starts = tf.data.Dataset.range(positions.start, positions.stop, step)
            return starts.map(lambda first: (first, tf.constant(positions.stop, tf.int64)))
        passes = itertools.count()

        def begin() -> npt.NDArray[np.int64]:
            positions = self.share.positions(next(passes))
            return np.array([positions.start, positions.stop], np.int64)

        def blocks(ends: tf.Tensor) -> tf.data.Dataset:
            starts = tf.data.Dataset.range(ends[0], ends[1], step)
            return starts.map(lambda first: (first, ends[1]))

        # Evaluated when the first element of a pass is asked for.
        ends = tf.data.Dataset.from_tensors(0).map(
            lambda _: tf.ensure_shape(tf.numpy_function(begin, [], tf.int64), [2])
        )
        return ends.flat_map(blocks)

    def _block(self, first: tf.Tensor, end: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Return the elements of a block of positions."""
        specs = [
            tf.TensorSpec([None], tf.string),
            tf.TensorSpec([None, *self.form.shape], tf.as_dtype(self.form.dtype)),
        ]
        if self.seed is not None:
            specs += [
                tf.TensorSpec([None, 2], tf.int64),
                tf.TensorSpec([None], tf.bool),
                tf.TensorSpec([None, LIGHTS], tf.float32),
            ]
        kinds = [spec.dtype for spec in specs]
        # Without state: an iterator can be saved, for the same positions give the same records.
        found = tf.numpy_function(self._read, [first, end], kinds, stateful=False)
        return tuple(
            tf.ensure_shape(part, spec.shape) for part, spec in zip(found, specs, strict=True)
        )

    def _read(self, first: int, end: int) -> tuple[npt.NDArray[Any], ...]:
        stop = min(int(end), int(first) + self.share.hosts * self._together)
        positions = np.arange(first, stop, self.share.hosts)
        records = self.source.read(self.order.at(positions))
        images = np.empty(len(records), object)
        images[:] = [record.image for record in records]
        labels = self.form.arrays([record.label for record in records])
        if self.seed is None:
            return images, labels
        return images, labels, *draw(self.seed, positions)
