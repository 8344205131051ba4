"""``prep.load`` at the positions of an order: shuffled, shared among hosts, resumed."""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from tensorflow.python.distribute import input_ops

import prep
from prep.errors import RecordError, UsageError
from prep.training.opened_split import open_split
from prep.training.orders.host_share import HostShare
from prep.training.tensorflow.whole_shards import WholeShards
from tests.support.outputs import prepare
from tests.support.storages import S3

OutputOf = Callable[..., Path]
Element = tuple[bytes, int]
RAW = {"encoding": "raw"}
KINDS: dict[str, dict[str, Any]] = {
    "TFRecord": RAW,
    "GZIP": {**RAW, "compression": "GZIP"},
    "ZLIB": {**RAW, "compression": "ZLIB"},
    "WebDataset": {**RAW, "format": "webdataset"},
}
ALL = 11  # images of the training split


def elements(dataset: tf.data.Dataset) -> list[Element]:
    return [(image.tobytes(), int(label)) for image, label in dataset.as_numpy_iterator()]


def loaded(output: Path, **how: Any) -> list[Element]:
    return elements(prep.load(output, **how))


def images_of(dataset: tf.data.Dataset) -> npt.NDArray[Any]:
    return np.concatenate([image for image, _ in dataset.as_numpy_iterator()])


# Orders, hosts and positions


@pytest.mark.parametrize("shuffle", [False, True, "shard"])
@pytest.mark.parametrize("kind", ["TFRecord", "GZIP", "WebDataset"])
def test_hosts_read_every_record_once_in_one_sequence(
    kind: str, shuffle: bool | str, output_of: OutputOf
) -> None:
    hosts = 3
    output = output_of(**KINDS[kind])
    whole = loaded(output)
    one = loaded(output, shuffle=shuffle, epochs=2)
    assert Counter(one[:ALL]) == Counter(one[ALL:]) == Counter(whole)
    assert len(set(one)) == ALL
    if shuffle:
        assert one[:ALL] != whole != one[ALL:] != one[:ALL]
    else:
        assert one == whole + whole
    parts = [
        loaded(output, shuffle=shuffle, epochs=2, hosts=hosts, host=host) for host in range(hosts)
    ]
    assert [parts[at % hosts][at // hosts] for at in range(2 * ALL)] == one


@pytest.mark.parametrize(
    "how",
    [
        *({"encoding": encoding} for encoding in ("jpeg", "png", "webp", "raw")),
        {"mode": "gray"},
        {"fit": "shorter"},
    ],
    ids=lambda how: "-".join(how.values()),
)
def test_prep_open_decodes_the_same_pixels(how: dict[str, Any], output_of: OutputOf) -> None:
    output = output_of(**how)
    assert loaded(output) == [(image.tobytes(), label) for image, label in prep.open(output)]


def test_the_order_is_that_of_prep_order(output_of: OutputOf) -> None:
    output = output_of(**RAW)
    whole = loaded(output)
    order = prep.Order(ALL, seed=5, epochs=3)
    assert loaded(output, shuffle=True, seed=5, epochs=3) == [whole[n] for n in order]
    assert loaded(output, order=order) == loaded(output, shuffle=True, seed=5, epochs=3)
    in_order = prep.Order(ALL, shuffle=False, subset=[2, 7])
    assert loaded(output, order=in_order, crop=9) == loaded(output, subset=[2, 7], crop=9)


@pytest.mark.parametrize("kind", ["TFRecord", "GZIP"])
def test_each_iteration_is_the_next_epoch(kind: str, output_of: OutputOf) -> None:
    output = output_of(**KINDS[kind])
    three = loaded(output, shuffle=True, epochs=3)
    dataset = prep.load(output, shuffle=True)
    assert len(dataset) == ALL
    assert [*elements(dataset), *elements(dataset), *elements(dataset)] == three
    # An iterator that is never asked for an element is no iteration: Keras makes some.
    later = prep.load(output, shuffle=True, start=ALL)
    iter(later)
    assert elements(later) == three[ALL : 2 * ALL]


@pytest.mark.parametrize("kind", ["TFRecord", "ZLIB", "WebDataset"])
def test_it_goes_on_at_any_position_on_any_number_of_hosts(kind: str, output_of: OutputOf) -> None:
    output = output_of(**KINDS[kind])
    one = loaded(output, shuffle=True, epochs=2)
    for start in (1, 7, ALL, 13, 2 * ALL):
        assert loaded(output, shuffle=True, epochs=2, start=start) == one[start:]
    # Three hosts that have each read two, then one, then three again.
    after = [loaded(output, shuffle=True, epochs=2, start=6, hosts=3, host=h) for h in range(3)]
    assert [after[at % 3][at // 3] for at in range(2 * ALL - 6)] == one[6:]


def test_the_first_iteration_ends_with_the_epoch_that_it_goes_on_in(output_of: OutputOf) -> None:
    output = output_of(**RAW)
    three = loaded(output, shuffle=True, epochs=3)
    dataset = prep.load(output, shuffle=True, start=15)
    assert dataset.cardinality() == tf.data.UNKNOWN_CARDINALITY
    assert elements(dataset) == three[15 : 2 * ALL]
    assert elements(dataset) == three[2 * ALL :]


@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize("epochs", [None, 2])
@pytest.mark.parametrize("hosts", [1, 3])
@pytest.mark.parametrize("batch", [1, 2])
def test_the_length_is_known_and_batches_are_shared_evenly(
    batch: int, hosts: int, epochs: int | None, drop: bool, output_of: OutputOf
) -> None:
    output = output_of(**RAW)
    lengths = []
    for host in range(hosts):
        dataset = prep.load(
            output,
            shuffle=True,
            epochs=epochs,
            hosts=hosts,
            host=host,
            batch=batch,
            drop_remainder=drop,
        )
        sizes = [len(labels) for _, labels in dataset.as_numpy_iterator()]
        assert len(dataset) == len(sizes)
        assert set(sizes) <= ({batch} if drop else {1, batch})
        lengths.append(sum(sizes))
    total = ALL * (epochs or 1)
    assert max(lengths) - min(lengths) <= (0 if drop else 1)
    assert sum(lengths) == (total // (batch * hosts) * batch * hosts if drop else total)


def test_a_share_without_remainder_is_of_whole_batches_on_all_hosts() -> None:
    for size, hosts, batch, start in [(99, 2, 25, 0), (101, 3, 4, 24), (7, 2, 4, 0)]:
        shares = [
            HostShare(size=size, hosts=hosts, host=host, start=start, epochs=1, multiple=batch)
            for host in range(hosts)
        ]
        lengths = {len(share.positions()) for share in shares}
        assert lengths == {(size - start) // (hosts * batch) * batch}
        every = sorted(position for share in shares for position in share.positions())
        assert every == list(range(start, start + len(every)))


def test_a_strategy_says_which_host_this_is(output_of: OutputOf) -> None:
    output = output_of(**RAW)
    one = loaded(output, shuffle=True)
    context = tf.distribute.InputContext(
        num_input_pipelines=2, input_pipeline_id=1, num_replicas_in_sync=4
    )
    dataset = prep.load(output, shuffle=True, context=context, batch=8)
    batches = list(dataset.as_numpy_iterator())
    assert [len(labels) for _, labels in batches] == [2, 2, 1]
    assert elements(dataset.unbatch().take(0)) == []
    assert [image.tobytes() for images, _ in batches for image in images] == [
        image for image, _ in one[1::2]
    ]
    with pytest.raises(
        UsageError, match=r"context: expected a tf.distribute.InputContext, found 3"
    ):
        prep.load(output, context=3)
    with pytest.raises(UsageError, match="hosts: expected none beside context"):
        prep.load(output, context=context, hosts=2, host=1)
    with pytest.raises(UsageError, match="batch: "):
        prep.load(output, context=context, batch=7)


def test_a_strategy_on_this_machine_reads_every_record_once(output_of: OutputOf) -> None:
    output = output_of(**RAW)
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    shared = strategy.distribute_datasets_from_function(
        lambda context: prep.load(output, shuffle=True, context=context, batch=4)
    )
    found = [image.numpy().tobytes() for images, _ in shared for image in images]
    assert found == [image for image, _ in loaded(output, shuffle=True)]


@pytest.mark.parametrize("how", [{}, {"shuffle": True, "epochs": 1}])
def test_what_a_strategy_shards_itself_is_shared_evenly(
    how: dict[str, Any], output_of: OutputOf
) -> None:
    """By files, as TensorFlow does by default, one host would have 8 of 11, and another 3."""
    output = output_of(**RAW)
    parts = [
        elements(input_ops.auto_shard_dataset(prep.load(output, **how), 2, index))
        for index in range(2)
    ]
    assert [len(part) for part in parts] == [6, 5]
    assert Counter(parts[0] + parts[1]) == Counter(loaded(output))


def test_an_iterator_is_saved_in_few_bytes_and_restored(
    output_of: OutputOf, tmp_path: Path
) -> None:
    output = output_of(**RAW)
    dataset = prep.load(output, shuffle=True, epochs=4, batch=3, crop=20, flip=True)
    iterator = iter(dataset)
    for _ in range(5):
        next(iterator)
    saved = tf.train.Checkpoint(iterator=iterator).write(str(tmp_path / "state"))
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert size < 4096  # of which ours is one integer; one batch has 3,600 bytes
    expected = [image.numpy().tobytes() for image, _ in iterator]
    assert len(expected) == len(dataset) - 5
    again = iter(dataset)
    tf.train.Checkpoint(iterator=again).read(saved)
    assert [image.numpy().tobytes() for image, _ in again] == expected
    resumed = prep.load(output, shuffle=True, epochs=4, batch=3, crop=20, flip=True, start=5 * 3)
    assert [image.tobytes() for image, _ in resumed.as_numpy_iterator()] == expected


def test_keras_trains_on_a_new_order_each_epoch(output_of: OutputOf) -> None:
    output = output_of(**RAW)
    seen: list[list[float]] = []

    class Recording(tf.keras.layers.Layer):
        def call(self, images: Any) -> Any:
            tf.py_function(lambda x: seen[-1].extend(x.numpy()[:, 0, 0, 0].tolist()), [images], [])
            return images

    class Epochs(tf.keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            seen.append([])

    model = tf.keras.Sequential([Recording(), tf.keras.layers.Flatten(), tf.keras.layers.Dense(2)])
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(tf.keras.optimizers.SGD(1e-6), loss, run_eagerly=True)
    model.build((None, 24, 24, 3))
    dataset = prep.load(output, shuffle=True, batch=4, normalize="mean")
    assert len(dataset) == 3
    model.fit(dataset, epochs=3, verbose=0, callbacks=[Epochs()])
    assert [len(epoch) for epoch in seen] == [ALL] * 3
    assert sorted(seen[0]) == sorted(seen[1]) == sorted(seen[2])
    assert seen[0] != seen[1] != seen[2] != seen[0]


def test_records_of_any_form_are_read_in_any_order(output_of: OutputOf) -> None:
    whole = loaded(output_of())
    for more in ({"record": "tf-slim"}, {"features": ["filename", "width"]}):
        output = output_of(**more)
        assert loaded(output) == whole
        order = prep.Order(ALL, seed=1, epochs=1)
        assert loaded(output, shuffle=True, seed=1) == [whole[number] for number in order]


def test_an_output_of_the_version_before_is_read_in_any_order(tmp_path: Path) -> None:
    output = Path(__file__).parents[1] / "output/version_0_1_0/complete"
    copy = shutil.copytree(output, tmp_path / "complete")
    assert "measures" not in next(copy.glob(".prep/receipts/*/*")).read_text()
    found = loaded(copy, shuffle=True)
    assert Counter(found) == Counter(loaded(copy))
    assert found != loaded(copy)


# Parts of a split


def test_a_subset_is_read_whole_by_number_or_from_what_open_gives(output_of: OutputOf) -> None:
    output = output_of(**RAW)
    whole = loaded(output)
    some = [8, 1, 4]
    mask = np.isin(np.arange(ALL), some)
    images = prep.open(output).subset(ids=some)
    for subset in (some, mask, images):
        dataset = prep.load(output, subset=subset)
        assert len(dataset) == 3
        assert elements(dataset) == [whole[1], whole[4], whole[8]]
        assert Counter(loaded(output, subset=subset, shuffle=True, epochs=2)) == Counter(
            2 * [whole[1], whole[4], whole[8]]
        )
    dogs = loaded(output, subset=prep.open(output).subset(classes=["dog"]))
    assert dogs == [element for element in whole if element[1] == 1]
    with pytest.raises(UsageError, match="subset: expected images of split 'val'"):
        prep.load(output, "val", subset=images)


def test_an_order_of_ones_own_balances_classes(output_of: OutputOf) -> None:
    output = output_of(**RAW)
    order = prep.Order(prep.open(output), balance="class", epochs=4)
    found = Counter(label for _, label in loaded(output, order=order))
    assert found == {0: 2 * ALL, 1: 2 * ALL}


@pytest.mark.parametrize("kind", ["TFRecord", "GZIP", "WebDataset"])
def test_a_split_without_images_is_empty(kind: str, tmp_path: Path) -> None:
    (tmp_path / "in/train/cat").mkdir(parents=True)
    (tmp_path / "in/train/cat/broken.jpg").write_bytes(b"no image")
    config = prep.Config(source=str(tmp_path / "in"), output=str(tmp_path / "out"), **KINDS[kind])
    prepare(config)
    ways: list[dict[str, Any]] = [
        {},
        {"epochs": 3},
        {"shuffle": True},
        {"shuffle": True, "epochs": 2, "batch": 4, "hosts": 2},
        {"shuffle": True, "crop": 9, "flip": True, "batch": 4},
    ]
    for how in ways:
        dataset = prep.load(tmp_path / "out", **how)
        assert len(dataset) == len(list(dataset)) == 0


# Compressed shards, and storages


def test_compressed_shards_are_inflated_about_once_an_epoch(
    output_of: OutputOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = output_of(**RAW, compression="GZIP", images_per_shard=1)
    read: list[int] = []
    most: list[int] = []
    reading = WholeShards._read

    def counted(self: WholeShards, number: int) -> list[bytes]:
        read.append(number)
        most.append(len(self._kept) + 1)
        return reading(self, number)

    monkeypatch.setattr(WholeShards, "_read", counted)
    assert len(loaded(output, shuffle=True, epochs=1)) == ALL
    sizes = open_split(output, "train").shard_sizes
    filled = [number for number, size in enumerate(sizes) if size]  # One image is refused.
    assert sorted(read) == filled
    read.clear()
    # Read in order, no more than two are in memory.
    assert len(loaded(output, hosts=2, host=1)) == 5
    assert sorted(read) == filled[1::2]
    assert max(most[ALL:]) == 2


def test_a_compressed_shard_that_was_cut_is_found(output_of: OutputOf, tmp_path: Path) -> None:
    output = output_of(**RAW, compression="GZIP", seed=1)
    shard = next(output.glob("train/*-00002-*"))
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-4] + bytes(4))
    try:
        opened = WholeShards(open_split(output, "train"), 2)
        assert len(opened.read_bytes(np.array([0, 3, 2]))) == 3
        with pytest.raises(RecordError, match=r"00002-of-.*damaged.*prep.verify"):
            opened.read_bytes(np.array([ALL - 1]))
    finally:
        shard.write_bytes(whole)


def test_any_number_of_threads_read_compressed_shards(output_of: OutputOf) -> None:
    output = output_of(**KINDS["GZIP"])
    opened = WholeShards(open_split(output, "train"), 1)
    expected = opened.read_bytes(np.arange(ALL))
    found: list[bool] = []

    def read(seed: int) -> None:
        numbers = np.random.default_rng(seed).integers(ALL, size=50)
        found.append(opened.read_bytes(numbers) == [expected[n] for n in numbers])

    threads = [threading.Thread(target=read, args=[seed]) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 4


@pytest.mark.parametrize("compression", [None, "GZIP"])
def test_an_output_in_a_storage_is_shuffled_shared_and_resumed_as_in_a_folder(
    compression: str | None, s3: S3, labelled: Path, output_of: OutputOf, tmp_path: Path
) -> None:
    options = dict(s3.options)
    url = f"{s3.url}/out"
    values = {"size": 24, "images_per_shard": 4, "encoding": "raw", "compression": compression}
    prepare(prep.Config(source=str(labelled), output=url, storage_options=options, **values))
    expected = loaded(output_of(encoding="raw", compression=compression), shuffle=True, epochs=2)
    for more in ({}, {"cache": tmp_path / "cache"}):
        dataset = prep.load(
            url, storage_options=options, shuffle=True, epochs=2, hosts=2, host=1, start=4, **more
        )
        assert elements(dataset) == expected[5::2]
    assert len(list((tmp_path / "cache").glob("*/train/*.tfrecord"))) == 3


# What can't be asked for


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"hosts": 2, "host": 2}, "host: expected 0 to 1, found 2"),
        ({"hosts": 0}, "hosts: expected 1 or more, found 0"),
        ({"start": -1}, "start: expected 0 or more"),
        ({"epochs": 2, "start": 23}, "start: expected at most 22"),
        ({"batch": 0}, "batch: expected 1 or more, found 0"),
        ({"drop_remainder": True}, "drop_remainder: expected batches"),
        ({"shuffle": "records"}, "shuffle: expected True, False or 'shard', found 'records'"),
        ({"subset": [11]}, "subset: expected numbers from 0 to 10, found 11"),
        ({"subset": []}, "subset: "),
        ({"order": prep.Order(ALL), "shuffle": True}, "shuffle: expected none beside order"),
        ({"order": prep.Order(ALL), "hosts": 2}, "hosts: expected none beside order"),
        (
            {"order": prep.mix([(prep.Order(ALL), 1)])},
            "order: expected a prep.Order, found a Mixture",
        ),
        ({"order": prep.Order(5)}, "order: expected one of 11 records, found 5"),
    ],
)
def test_nonsense_is_refused(how: dict[str, Any], told: str, output_of: OutputOf) -> None:
    with pytest.raises(UsageError, match=told) as caught:
        prep.load(output_of(**RAW), **how)
    assert "\n" not in str(caught.value)


def test_compressed_shards_can_not_be_read_in_any_order(output_of: OutputOf) -> None:
    with pytest.raises(UsageError, match=r"order: .*GZIP"):
        prep.load(output_of(**KINDS["GZIP"]), order=prep.Order(ALL))
