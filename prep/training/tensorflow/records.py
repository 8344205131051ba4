"""Datasets of records, before any image is decoded.

Elements begin with the bytes of a record, if TensorFlow takes it apart (:class:`Examples`), or else
with the bytes of its image and its label.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from prep.planning.plan import RunPlan
from prep.settings.choices import Compression
from prep.shards.formats.base import record_format
from prep.storage.location import Location
from prep.training.augmentation import LIGHTS, draw
from prep.training.orders.host_share import HostShare
from prep.training.orders.order import Order

_STREAMED_TOGETHER = 16  # records; as float32 of 256 by 256 pixels, 12 MiB
# A call of Python, with the order of its records, takes as long as reading some dozens of them.
_TOGETHER = 256  # records
_BYTES_TOGETHER = 4 << 20  # 4 MiB


class Examples:
    """Takes tf.train.Examples apart, in TensorFlow.

    Args:
        plan: of the output that they are of.
    """

    def __init__(self, plan: RunPlan) -> None:
        self._form = form = plan.label_form
        self._image, self._label = plan.features.image, plan.features.label
        kind = tf.float32 if form.is_floating else tf.int64
        several = form.length is None
        self._features = {
            self._image: tf.io.FixedLenFeature([], tf.string),
            self._label: tf.io.RaggedFeature(kind)
            if several
            else tf.io.FixedLenFeature(form.shape, kind),
        }

    def parse(self, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the image's bytes and the label of a record."""
        example = tf.io.parse_single_example(record, self._features)
        label = example[self._label]
        if self._form.length is None:  # Class numbers: a one at the place of each.
            ones = tf.one_hot(label, self._form.shape[0], dtype=tf.int64)
            label = tf.minimum(tf.reduce_sum(ones, 0), 1)
        return example[self._image], label


def read_natively(files: Sequence[Location], compression: Compression | None) -> tf.data.Dataset:
    """Return the records of TFRecord files in folders, which TensorFlow reads itself."""
    names = [os.fsencode(str(file)) for file in files]
    return tf.data.TFRecordDataset(names, compression_type=compression or "")


def stream(files: Sequence[Location], plan: RunPlan) -> tf.data.Dataset:
    """Return the records of shards of any format, in any storage, one shard after the other."""
    format, taken = record_format(plan.config.format), Taken(plan)

    def read() -> Iterator[tuple[Any, ...]]:
        for path in files:
            with path.open_regular() as file:
                records = format.records(file, plan.largest_record)
                # A call of TensorFlow from Python takes as long as reading several records.
                while batch := list(itertools.islice(records, _STREAMED_TOGETHER)):
                    yield taken(batch)

    return tf.data.Dataset.from_generator(read, output_signature=taken.specs).unbatch()


class Taken:
    """Makes arrays of records that were read in Python.

    Args:
        plan: of the output that they are of.
    """

    def __init__(self, plan: RunPlan) -> None:
        self._form = form = plan.label_form
        # TensorFlow is quicker at that, where it can.
        self._parse = None if is_example(plan) else record_format(plan.config.format).parse
        label = tf.TensorSpec([None, *form.shape], tf.as_dtype(form.dtype))
        self.specs = (tf.TensorSpec([None], tf.string), *([label] if self._parse else []))

    def __call__(self, records: Sequence[bytes]) -> tuple[Any, ...]:
        """Return arrays of records, or of their images and labels."""
        if self._parse is None:
            return (_objects(records),)
        parsed = [self._parse(record) for record in records]
        labels = self._form.arrays([record.label for record in parsed])
        return _objects([record.image for record in parsed]), labels


def is_example(plan: RunPlan) -> bool:
    """Return whether records are tf.train.Examples."""
    return plan.config.format == "tfrecord"


def _objects(data: Sequence[bytes]) -> npt.NDArray[np.object_]:
    """Return an array of bytes; NumPy's own type of bytes would drop zeros at the end."""
    found = np.empty(len(data), object)
    found[:] = data
    return found


class RecordSource(Protocol):
    """Reads records by their numbers in the split."""

    def read_bytes(self, numbers: npt.NDArray[np.int64], /) -> list[bytes]: ...


@dataclass(frozen=True, kw_only=True)
class PositionReader:
    """Reads the records at positions of an order, and draws what is random for each.

    Attributes:
        source: of the records.
        order: from positions to the numbers of records.
        share: the positions that are read here.
        taken: what is made of records here.
        shuffled: whether each epoch has an order of its own.
        seed: of what is drawn for each image; None for nothing.
        record_bytes: of a record, about.
        calls: number of calls at the same time: one reads while another one parses.
    """

    source: RecordSource
    order: Order
    share: HostShare
    taken: Taken
    shuffled: bool
    seed: int | None = None
    record_bytes: float = 0.0
    calls: int = 2

    def dataset(self) -> tf.data.Dataset:
        """Return the records, each with its place, flip and lights if anything is drawn.

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
        specs = list(self.taken.specs)
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
        records = self.taken(self.source.read_bytes(self.order.at(positions)))
        return records if self.seed is None else (*records, *draw(self.seed, positions))
