"""Executors: workers of a Dask cluster, or a few processes of this machine.

- ``executor`` is the interface: ``run_tasks(tasks, on_event)``, the one loop that all operations
  use. ``dask`` and ``local`` implement it, and ``placing`` chooses between them.
- ``bags`` builds the graphs of tasks; ``attendance`` counts the workers of a cluster.
- ``writing`` writes shards on any executor, and decides when a run is given up.
- ``worker`` is what a Dask worker needs: its setup, and the task that writes a shard.
- ``clusters`` starts clusters and connects to them; ``preflight`` checks them before a run.
- ``interrupts`` handles Ctrl-C and other signals; ``spawning`` starts processes; ``workarounds``
  has all that is only needed for faults of Dask.

Only this room and ``monitoring`` import Dask. Another scheduler would be a file beside ``dask``,
with a class that has the methods of ``Executor``, and a line in ``placing``.
"""
