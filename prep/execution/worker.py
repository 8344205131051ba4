"""A worker of a Dask cluster: its setup, and the task that writes a shard.

What it counts travels to the scheduler with its heartbeats (``worker.metrics["prep"]``), so that
progress shows during a long shard, not only after it.
"""

from __future__ import annotations

import asyncio
import gc
import time

from distributed import Reschedule, Worker, WorkerPlugin, get_worker

from prep.errors import OutputNotSeen
from prep.execution.workarounds import after_replacement, tune_allocator
from prep.execution.writing import write_counted
from prep.images.decoders.process import configure_process
from prep.images.encoding.encode import Thumbnailer
from prep.images.encoding.record_pixels import make_decoder, pixels_of_record
from prep.monitoring.counters import COUNTERS
from prep.monitoring.heartbeat import CROP_CALL, METRIC, MISFITS, CropMessage
from prep.monitoring.metrics import export_counters
from prep.output.receipt import SplitTotals
from prep.planning.shards import ShardSpec
from prep.shards.isolation.watchdog import WATCHDOG
from prep.shards.opened import OpenedPlan, open_plan
from prep.shards.writer import RunRef
from prep.sources import manifest
from prep.storage.locate import Access, granted
from prep.text import one_line

_THUMBNAIL = 96  # pixels
_SEEN_WITHIN = 10.0  # seconds for a file of one host to be seen by another


class WorkerSetup(WorkerPlugin):
    """Prepares each worker, those that join late too.

    Args:
        owner: whom it is for. What others were granted stays as it is.
        access: what it is to be granted; by default, what this process was.
    """

    kind = "prep"

    def __init__(self, owner: str, access: Access | None = None) -> None:
        self.name = f"{self.kind}:{owner}"
        self._access = access or granted()

    def setup(self, worker: Worker) -> None:
        self._access.apply(self.name)
        configure_process()
        tune_allocator()
        if worker.nanny:  # It starts the process anew. Without one, this may be anyone's process.
            WATCHDOG.enable()
            gc.freeze()  # What was imported is never garbage, and takes 50 ms to look through.
        worker.metrics[METRIC] = lambda _: COUNTERS.snapshot()
        worker.handlers[CROP_CALL] = show_crop
        export_counters()

    def teardown(self, worker: Worker) -> None:
        after_replacement(worker, self._take_back)

    def _take_back(self) -> None:
        self._access.withdraw(self.name)
        manifest.close()  # It was opened with that.


async def show_crop() -> CropMessage | None:
    """Return an image that was just written, as a small JPEG; None if there is no new one."""
    crop = COUNTERS.spotlight.take()
    if crop is None:
        return None
    pixels = pixels_of_record(crop.image, crop.settings, make_decoder())
    return {
        "run": crop.run,
        "split": one_line(crop.split),
        "class_name": one_line(crop.class_name),
        "jpeg": Thumbnailer(_THUMBNAIL)(pixels),
    }


async def stop_shards(run: str, patience: float) -> None:
    """Stop a run's shards in this process, and wait until they have cleaned up.

    Args:
        run: the run's id.
        patience: seconds after which to wait no longer.
    """
    COUNTERS.stop(run)
    deadline = time.monotonic() + patience
    while COUNTERS.busy(run) and time.monotonic() < deadline:
        await asyncio.sleep(0.02)


def write_shard_task(shard: ShardSpec, run: RunRef) -> SplitTotals:
    """Write one shard, if this worker can do that, and return what its receipt adds up to.

    Raises:
        Reschedule: this worker can't do what others can, so it leaves, and another one takes the
            shard. That is looked for before a run, too, but workers may join later.
    """
    try:
        misfit = _open_in_time(run).misfit
    except OutputNotSeen as error:
        misfit = str(error)
    if misfit:
        _leave(misfit)
        raise Reschedule
    return write_counted(shard, run)


def _open_in_time(run: RunRef) -> OpenedPlan:
    """Open the plan of a run, for which a file server may take its time."""
    deadline = time.monotonic() + _SEEN_WITHIN
    while True:
        try:
            return open_plan(run.output, run.digest, run.run)
        except OutputNotSeen:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _leave(why: str) -> None:
    """Close this worker for good: with an error, it would be given all that is to be done."""
    worker = get_worker()
    worker.log_event(MISFITS, why)
    worker.loop.add_callback(worker.close_gracefully, restart=False, reason=why)
