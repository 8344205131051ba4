"""What a scheduler knows of runs, and shows of them: the ``/prep`` page, and its metrics."""

from distributed import Scheduler

from prep.dashboard.plugin import BEGIN_CALL, END_CALL, LOOK_CALL, RunsPlugin

__all__ = ["BEGIN_CALL", "END_CALL", "LOOK_CALL", "RunsPlugin", "dask_setup"]


async def dask_setup(scheduler: Scheduler) -> None:
    """Shows the page from the start: ``dask scheduler --preload prep.dashboard``."""
    await scheduler.register_scheduler_plugin(RunsPlugin(), idempotent=True)
