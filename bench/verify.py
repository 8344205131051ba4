"""``python -m bench.verify``: the cost of verifying compared with reading and decoding.

The bare loop reads the records, takes the image out of each, and decodes it strictly into memory
that is kept; it holds nothing against anything. The two take turns shard by shard, in one process.
"""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import simplejpeg

from bench.photos import collect_originals, link_set, photos_option
from bench.settings import DATA, QUALITY, SCRATCH, SIZE
from prep.config.model import Config
from prep.images.decoders.values import Pixels
from prep.operations.run import run
from prep.output.journal import Journal
from prep.planning.plan import RunPlan
from prep.planning.shards import ShardSpec
from prep.shards.check import inspect_shard
from prep.shards.formats.tfrecord import FORMAT
from prep.shards.writer import RunRef

_IMAGES_PER_SHARD = 50  # so few that both of a turn meet the same weather


@click.command()
@photos_option
@click.option("--images", type=click.IntRange(min=100), default=2_000, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True)
def main(photos: Path | None, images: int, rounds: int) -> None:
    """Measure the rate of verifying against that of bare decoding."""
    output = SCRATCH / "verify"
    shutil.rmtree(output, ignore_errors=True)
    source = link_set(collect_originals(photos, DATA), DATA, images)
    config = Config(
        source=str(source),
        output=str(output),
        size=SIZE,
        quality=QUALITY,
        images_per_shard=_IMAGES_PER_SHARD,
    )
    run(config)
    plan = Journal(output).stored_plan()
    assert plan is not None
    ratios = [_round(output, plan) for _ in range(rounds)]
    figures = ", ".join(f"{ratio:.3f}" for ratio in ratios)
    click.echo(f"verify / bare decoding: {statistics.median(ratios):.3f} ({figures})")


def _round(output: Path, plan: RunPlan) -> float:
    """The rate of verifying over the bare rate, by processor time: neither waits for anything.

    The median over the shards: what else runs on the machine slows one or the other now and then.
    """
    reference = RunRef(output=str(output), digest=plan.fingerprint.digest, run="bench")
    buffer = np.empty(SIZE * SIZE * 3, np.uint8)
    ratios = []
    for shard in plan.shards:
        path = Journal(output).layout.shard(shard)
        bare = _seconds(_decode_all, path, buffer)
        ratios.append(bare / _seconds(_verify, shard, reference))
    return statistics.median(ratios)


def _decode_all(path: Path, buffer: Pixels) -> None:
    with open(path, "rb") as file:
        for record in FORMAT.records(file):
            simplejpeg.decode_jpeg(FORMAT.parse(record).image, "RGB", buffer=buffer, strict=True)


def _verify(shard: ShardSpec, reference: RunRef) -> None:
    problems = inspect_shard(shard, reference).problems
    if problems:
        raise SystemExit(f"bench: {problems[0]}")


def _seconds(work: Callable[..., None], *arguments: object) -> float:
    started = time.thread_time()
    work(*arguments)
    return time.thread_time() - started


if __name__ == "__main__":
    main()
