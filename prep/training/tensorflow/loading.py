"""``prep.load``: a split of an output as a ``tf.data.Dataset``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from prep.errors import UsageError
from prep.settings.distribution import install_command
from prep.text import counted, quoted, shown
from prep.training.augmentation import Augmentation
from prep.training.channel_shift import channel_shift
from prep.training.image_dataset import ImageDataset
from prep.training.opened_split import OpenedSplit, one_hot_length, open_split
from prep.training.orders.order import Order
from prep.training.orders.sequence import at_least

try:
    import tensorflow as tf
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"prep.load needs TensorFlow, which is not installed: {install_command('tensorflow')}",
        name=error.name,
    ) from None

from prep.training.tensorflow.assembly import Reading
from prep.training.tensorflow.pixels import Finish
from prep.training.tensorflow.whole_shards import LANES


def load(
    output: str | os.PathLike[str],
    split: str = "train",
    storage_options: Mapping[str, Any] | None = None,
    *,
    shuffle: bool | str = False,
    seed: int = 0,
    epochs: int | None = None,
    hosts: int = 1,
    host: int = 0,
    context: tf.distribute.InputContext | None = None,
    start: int = 0,
    subset: npt.ArrayLike | ImageDataset | None = None,
    order: Order | None = None,
    batch: int | None = None,
    drop_remainder: bool = False,
    normalize: str | None = None,
    crop: int | tuple[int, int] | None = None,
    crop_at: str | None = None,
    flip: bool = False,
    lighting: float = 0.0,
    ten_crop: bool = False,
    one_hot: bool = False,
    cache: str | os.PathLike[str] | None = None,
) -> tf.data.Dataset:
    """Open a split of an output for training, as a ``tf.data.Dataset``.

    Elements are ``(image, label)``. ``image`` is RGB: uint8 of shape (height, width, 3), or float32
    of the same shape with the mean subtracted if the output has encoding float32. Gray images have
    one channel. ``label`` is an int64 scalar, or an int64 vector if labels are one-hot. Records
    come in the order of the shards. The cardinality is set, so Keras knows the length of an epoch.

    If images differ in size (``fit: shorter``, or ``enlarge: never`` without ``fit: pad``), the
    shape is (None, None, 3), and a batch needs them to have one first: give ``crop``, resize them
    in ``map``, or use ``padded_batch``, which adds black at the bottom and on the right.

    Records are shuffled, not images, so an order takes no memory. The sequence of all epochs
    depends on ``seed`` alone: position ``g`` of it, counted over all epochs and hosts, is read by
    host ``g % hosts``. To go on after ``k`` batches on each host, give ``start=k * batch * hosts``
    more than at first: this one integer is the whole state, and holds for any number of hosts. What
    is drawn at random for an image depends on seed and position, so it is the same again, too.

    Args:
        output: an output folder, or its URL. TensorFlow itself reads TFRecords in folders, if they
            are read in order and whole. All else is read in Python, record by record; compressed
            shards are read whole, and some of them kept in memory.
        split: name of the split.
        storage_options: options of the storage, for URLs; see :class:`prep.Config`.
        shuffle: True for a new order each epoch; ``"shard"`` for one that reads shard by shard, and
            shuffles the records of several shards, for storages and cold disks. Compressed shards
            are always shuffled so.
        seed: of the order, and of crops, flips and lighting.
        epochs: the number of epochs in one iteration; records that are left at the end of an epoch
            are in a batch with the next. By default, each iteration is one epoch, and the next
            iteration is the next one.
        hosts: how many hosts read at the same time; each record is read by one of them.
        host: the number of this one, from 0.
        context: of ``strategy.distribute_datasets_from_function``; it gives hosts and host, and
            ``batch`` is then that of all replicas together.
        start: the position from which all hosts go on.
        subset: numbers of the records to read, one boolean for each record, or what the ``subset``
            of a :func:`prep.open` dataset gives.
        order: a :class:`prep.Order`, in place of shuffle, seed, epochs, hosts, host, start and
            subset: for weights and balanced classes.
        batch: images in a batch; None for single images. Batches are prefetched.
        drop_remainder: leave out the last batch if it is not full. All hosts then have the same
            number of batches.
        normalize: ``"mean"`` to subtract the mean of the training images, ``"mean_std"`` to also
            divide by their standard deviation. Images are then float32.
        crop: a side, or (height, width): the part of each image to keep.
        crop_at: ``"random"``, or ``"centre"``; by default random if records are shuffled.
        flip: mirror every other image, at random.
        lighting: standard deviation of AlexNet's change of light along the principal components of
            the colours (its section 4.1: 0.1). Images are then float32, and may be a little outside
            of 0 to 255.
        ten_crop: ten crops of each image, in its corners and its centre, and mirrored: shape
            (10, height, width, channels). For testing.
        one_hot: labels are float32 vectors, one number for each class.
        cache: a folder on a disk of this machine, where each shard of a storage is fetched whole
            when it is first needed; see :func:`prep.open`.

    Raises:
        SourceError: there is no finished run there, or it has no such split; or it has no
            statistics for ``normalize`` or ``lighting``.
        UsageError: an argument is out of range, or does not go with another one or these images.
        PrepError: its plan is damaged, or can't be read.
        ModuleNotFoundError: TensorFlow is not installed.

    ::

        train = prep.load("shards", "train", shuffle=True, batch=128,
                          crop=227, flip=True, lighting=0.1, normalize="mean")
        test = prep.load("shards", "val", batch=128, crop=227, normalize="mean")
    """
    if context is not None:
        hosts, host, batch = _of_context(context, hosts, host, batch)
    if batch is None and drop_remainder:
        raise UsageError("drop_remainder: expected batches; add batch=128, or leave it out")
    batch = None if batch is None else at_least("batch", batch, 1)
    opened = open_split(output, split, storage_options)
    if order is None:
        order = Order(
            max(1, opened.images),  # A split may be empty.
            **_way(opened, shuffle),
            subset=_numbers(subset, opened),
            seed=seed,
            hosts=hosts,
            host=host,
            start=start,
            epochs=epochs,
        )
    else:
        sharing = hosts != 1 and context is None
        told = {"shuffle": shuffle, "seed": seed, "epochs": epochs, "hosts": sharing}
        _require_alone(opened, order, **told, start=start, subset=subset)
        order = order if context is None else order.resumed(order.start, hosts=hosts, host=host)
        shuffle = order.is_shuffled
    augmentation = Augmentation.read(
        opened.plan.settings,
        crop=crop,
        crop_at=crop_at or ("random" if crop is not None and shuffle else "centre"),
        flip=flip,
        lighting=lighting,
        ten_crop=ten_crop,
        normalize=normalize,
    )
    reading = Reading(
        opened=opened,
        order=order,
        whole=order.size == order.records,
        shuffled=bool(shuffle),
        augmentation=augmentation,
        batch=batch,
        drop_remainder=drop_remainder,
        cache=cache,
    )
    finish = Finish(
        channels=channel_shift(opened.plan.settings, opened.journal.output, augmentation),
        classes=one_hot_length(opened.plan) if one_hot else None,
        vectors=bool(opened.plan.label_form.shape),
    )
    return reading.dataset(finish)


def _of_context(
    context: tf.distribute.InputContext, hosts: int, host: int, batch: int | None
) -> tuple[int, int, int | None]:
    """Return hosts, host and the batch of a replica, as TensorFlow's strategy has them."""
    if (hosts, host) != (1, 0):
        raise UsageError("hosts: expected none beside context, which gives them; leave one out")
    if not isinstance(context, tf.distribute.InputContext):
        raise UsageError(
            f"context: expected a tf.distribute.InputContext, found {shown(context)}; give hosts "
            "and host where there is none"
        )
    if batch is not None:
        try:
            batch = context.get_per_replica_batch_size(batch)
        except ValueError as error:
            raise UsageError(f"batch: {error}") from None
    return context.num_input_pipelines, context.input_pipeline_id, batch


def _way(opened: OpenedSplit, shuffle: bool | str) -> dict[str, Any]:
    """Return the arguments of an order for a way to shuffle."""
    if shuffle not in (True, False, "shard"):
        raise UsageError(f"shuffle: expected True, False or 'shard', found {shown(shuffle)}")
    sizes = np.array(opened.shard_sizes)
    if not shuffle or not opened.images:
        return {"shuffle": False}
    if opened.plan.compression is not None:
        # Each lane shuffles as many records as a shard has.
        return {"block": sizes, "window": LANES * int(sizes.max()), "lanes": LANES}
    return {"block": sizes} if shuffle == "shard" else {}


def _numbers(subset: npt.ArrayLike | ImageDataset | None, opened: OpenedSplit) -> Any:
    """Return which records are in a subset, as an order takes them."""
    if not isinstance(subset, ImageDataset):
        return subset
    if subset.split != opened.split or subset.output != opened.journal.output:
        raise UsageError(
            f"subset: expected images of split {quoted(opened.split)} of this output, "
            f"found some of {quoted(subset.split)} of {quoted(subset.output)}"
        )
    return subset.ids


def _require_alone(opened: OpenedSplit, order: Order, **given: Any) -> None:
    """Raise UsageError if an order comes with what it decides itself, or can't be followed."""
    if not isinstance(order, Order):
        raise UsageError(f"order: expected a prep.Order, found {shown(order)}")
    for name, value in given.items():
        if value is not None and value is not False and value != 0:
            raise UsageError(f"{name}: expected none beside order, which decides it; leave it out")
    if order.records != opened.images:
        raise UsageError(
            f"order: expected one of {counted(opened.images, 'record')}, found {order.records:,}"
        )
    if opened.plan.compression is not None:
        raise UsageError(
            f"order: expected shards that are not compressed, found {opened.plan.compression}, "
            "whose records can't be read in any order; use shuffle=True"
        )
