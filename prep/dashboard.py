"""Show the page ``/prep`` on a scheduler: ``dask scheduler --preload prep.dashboard``."""

from __future__ import annotations

from distributed import Scheduler

from prep.monitoring.plugin import RunsPlugin


async def dask_setup(scheduler: Scheduler) -> None:
    """Register the plugin that shows the page, from the scheduler's start."""
    await scheduler.register_scheduler_plugin(RunsPlugin(), idempotent=True)
