"""The scheduler's cost of watching a run with many workers: ``python -m bench.heartbeats``.

A watch of 100,000 shards is fed with what so many workers would tell, at the intervals that Dask
has workers keep, and looked at twice a second, as the scheduler does. There are no workers, and no
network: the time is that of the watch itself, by the processor's clock.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator
from itertools import cycle

import click
import numpy as np
from distributed.scheduler import heartbeat_interval
from rich.console import Console
from rich.table import Table

from prep.monitoring.heartbeat import ProcessMessage, TallyMessage, totals_message
from prep.monitoring.runwatch import RunInfo, RunWatch, WorkerLook
from prep.output.receipt import SplitTotals

_SHARDS = 100_000
_IMAGES = 1000  # a shard
_CLASSES = 1000
_LOOK = 0.5  # seconds
_LOOKS = 40
_NOTHING: SplitTotals = {}


def _tally(images: int) -> TallyMessage:
    return {
        "read": images * 110_000,
        "written": images * 25_000,
        "refused": {"truncated": 3},
        "refused_in": {"train": 3},
        "stats": {"train": [images, images << 16, *[images << 23] * 3, *[images << 30] * 3]},
        "classes": np.full(_CLASSES, images // _CLASSES, np.uint32).tobytes(),
        "latest": [],
    }


def _message(worker: int, beat: int) -> ProcessMessage:
    finished, shard = _tally(beat * _IMAGES), (beat * 1000 + worker) % _SHARDS
    active = {f"train/{shard}": {"images": 500, **_tally(500)}}
    return {
        "process": f"{worker:032x}",
        "host": f"host-{worker // 16}",
        "pid": worker,
        "host_cpu": 99.0,
        "runs": {"run": {"finished": finished, "active": active}},  # type: ignore[typeddict-item]
    }


def measure(workers: int) -> tuple[float, int]:
    """Return the seconds of processor time in each second of a run, and bytes of a heartbeat."""
    info = RunInfo(
        run="run",
        output="/data",
        page="",
        began=0.0,
        elapsed=0.0,
        splits={"train": _SHARDS * _IMAGES},
        images_per_shard=_IMAGES,
        missing=range(_SHARDS),
        classes={f"n{number:08d}": _SHARDS for number in range(_CLASSES)},
        before=totals_message(_NOTHING, ()),
    )
    watch = RunWatch(info, 0.0)
    told = {worker: _message(worker, 0) for worker in range(workers)}
    turns: Iterator[int] = cycle(range(workers))
    fresh = max(1, round(workers * _LOOK / heartbeat_interval(workers)))
    spent = 0.0
    for look in range(_LOOKS):
        for worker in (next(turns) for _ in range(fresh)):
            told[worker] = _message(worker, look)
        looks = [WorkerLook(message, 99.0) for message in told.values()]
        started = time.process_time()
        watch.look(look * _LOOK, looks)
        spent += time.process_time() - started
    return spent / (_LOOKS * _LOOK), len(pickle.dumps(_message(0, 1)))


@click.command()
@click.argument("workers", type=click.IntRange(min=1), nargs=-1)
def main(workers: tuple[int, ...]) -> None:
    """Measure what watching so many WORKERS costs."""
    shown = Table(title=f"the watch of a run of {_SHARDS:,} shards")
    for head in ("workers", "heartbeat every, s", "share of a core", "bytes of a heartbeat"):
        shown.add_column(head, justify="right")
    for number in workers or (10, 100, 1000):
        spent, size = measure(number)
        interval = heartbeat_interval(number)
        shown.add_row(f"{number:,}", f"{interval:g}", f"{spent:.1%}", f"{size:,}")
    Console().print(shown)


if __name__ == "__main__":
    main()
