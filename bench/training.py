"""Measure readers of outputs in TensorFlow: ``python -m bench.training [--photos FOLDER]``.

Each reader delivers batches of 128 from the same photos, prepared once, in a process of its own,
and all of them in turns. For each: images per second, and per second of one core, which says more
on a busy machine, both the best of the rounds; the most memory; the bytes of an iterator's
checkpoint; and how long it takes from a position in the middle to the first batch. The clock runs
from the creation of an iterator to the end of its last epoch, so that it counts what a buffer is
filled with at first, and nothing that is read and not delivered.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

import prep
from bench.photos import collect_originals, link_set, photos_option
from bench.settings import DATA, SPLIT

BATCH = 128
_SHARD = 256  # images
_SAVED_AFTER = 4  # batches
_AUGMENTED: dict[str, Any] = {"crop": 227, "flip": True, "normalize": "mean"}


def _tuned(
    output: Path, epochs: int, start: int, *, shuffled: bool = True, augmented: bool = False
) -> Any:
    """Return what an expert writes by hand: records read and decoded in parallel, prefetched."""
    import tensorflow as tf

    features = {
        "image_raw": tf.io.FixedLenFeature([], tf.string),
        "label": tf.io.FixedLenFeature([], tf.int64),
    }
    mean = json.loads((output / "mean_rgb.json").read_text())

    def read(record: Any) -> Any:
        example = tf.io.parse_single_example(record, features)
        image = tf.io.decode_jpeg(example["image_raw"], channels=3, dct_method="INTEGER_ACCURATE")
        image = tf.ensure_shape(image, (256, 256, 3))
        if augmented:
            image = tf.image.random_flip_left_right(tf.image.random_crop(image, (227, 227, 3)))
            image = tf.cast(image, tf.float32) - [mean[channel] for channel in "RGB"]
        return image, example["label"]

    files = sorted(map(str, output.glob("train/*.tfrecord")))
    dataset = tf.data.TFRecordDataset(files, num_parallel_reads=tf.data.AUTOTUNE)
    if shuffled:
        dataset = dataset.shuffle(10_000)
    dataset = dataset.repeat(epochs).skip(start)
    dataset = dataset.map(read, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.batch(BATCH).prefetch(tf.data.AUTOTUNE)


def _decoded(output: Path, epochs: int, start: int) -> Any:
    """Return decoded images shuffled, as is often seen."""
    dataset = prep.load(output).repeat(epochs).skip(start).shuffle(2_000)
    return dataset.batch(BATCH).prefetch(2)


def _load(**how: Any) -> Callable[[Path, int, int], Any]:
    def loaded(output: Path, epochs: int, start: int) -> Any:
        return prep.load(output, epochs=epochs, start=start, batch=BATCH, **how)

    return loaded


READERS: dict[str, Callable[[Path, int, int], Any]] = {
    "tf.data by hand, shuffled": _tuned,
    "tf.data by hand, in order": lambda *given: _tuned(*given, shuffled=False),
    "prep.load, in order": _load(),
    "prep.load, shuffled": _load(shuffle=True),
    "prep.load, shuffled by shards": _load(shuffle="shard"),
    "prep.load, one of 8 hosts": _load(shuffle=True, hosts=8, host=3),
    "prep.load, GZIP, shuffled": _load(shuffle=True),
    "prep.load, images shuffled after it": _decoded,
    "tf.data by hand, augmented": lambda *given: _tuned(*given, augmented=True),
    "prep.load, augmented": _load(shuffle=True, **_AUGMENTED),
    "prep.load, augmented, lighting": _load(shuffle=True, **_AUGMENTED, lighting=0.1),
}


def measure(name: str, output: Path, images: int, total: int) -> dict[str, float]:
    """Read some images in this process, and return what that took."""
    import tensorflow as tf

    hosts = 8 if "8 hosts" in name else 1
    epochs = -(-images * hosts // total)
    start = time.perf_counter()
    iterator = iter(READERS[name](output, epochs + 1, total // 2))
    next(iterator)
    resumed = time.perf_counter() - start
    del iterator
    dataset = READERS[name](output, epochs, 0)
    clock, cpu = time.perf_counter(), time.process_time()
    seen = sum(len(labels) for _, labels in dataset)
    clock, cpu = time.perf_counter() - clock, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    iterator = iter(dataset)
    for _ in range(_SAVED_AFTER):
        next(iterator)
    with tempfile.TemporaryDirectory() as folder:
        try:
            tf.train.Checkpoint(iterator=iterator).write(os.path.join(folder, "state"))
            saved = float(sum(path.stat().st_size for path in Path(folder).iterdir()))
        except tf.errors.OpError:
            saved = float("nan")
    return {
        "rate": seen / clock,
        "core": seen / cpu,
        "peak": peak / 1024,
        "state": saved,
        "resumed": resumed,
    }


def _in_a_process(name: str, output: Path, images: int, total: int) -> dict[str, float]:
    code = (
        "import json, sys; from pathlib import Path; from bench.training import measure; "
        "print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:]))))"
    )
    command = [sys.executable, "-c", code, name, str(output), str(images), str(total)]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, env=quiet, capture_output=True)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr.decode(errors='replace')[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _prepared(source: Path, name: str, **more: Any) -> Path:
    output = DATA / "training" / name
    if not (output / "report.json").exists():
        config = prep.Config(
            source=str(source), output=str(output), images_per_shard=_SHARD, splits=SPLIT, **more
        )
        prep.run(config)
    return output


@click.command()
@photos_option
@click.option("--images", type=click.IntRange(min=512), default=4_000, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--only", multiple=True, help="Part of the name of a reader; several may be given.")
def main(photos: Path | None, images: int, rounds: int, only: tuple[str, ...]) -> None:
    """Compare readers of an output in TensorFlow."""
    source = link_set(collect_originals(photos, DATA), DATA, images)
    outputs = {
        False: _prepared(source, f"plain-{images}"),
        True: _prepared(source, f"gzip-{images}", compression="GZIP"),
    }
    names = [name for name in READERS if not only or any(part in name for part in only)]
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            row = _in_a_process(name, outputs["GZIP" in name], images, images)
            found[name].append(row)
            click.echo(f"  {name}: {row['rate']:,.0f}/s, {row['core']:,.0f}/s of a core", err=True)
    click.echo("reader | images/s | images/s of a core | peak MB | checkpoint | to a first batch")
    for name, rows in found.items():
        of = {key: statistics.median(row[key] for row in rows) for key in rows[0]}
        of |= {key: max(row[key] for row in rows) for key in ("rate", "core")}
        click.echo(
            f"{name} | {of['rate']:,.0f} | {of['core']:,.0f} | {of['peak']:,.0f} | "
            f"{of['state']:,.0f} B | {of['resumed']:.2f} s"
        )


if __name__ == "__main__":
    main()
