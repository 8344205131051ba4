"""Where work is done: on a Dask cluster, or by a few processes of this machine without one.

Whoever has work for them knows an :class:`Executor`, and not which one it is. What each of them
needs is loaded when it is chosen.
"""

from prep.executors.executor import Done, Executor, Workload

__all__ = ["Done", "Executor", "Workload"]
