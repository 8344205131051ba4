"""Worker processes of this machine, without Dask, for work that is done before a cluster is up.

- ``crew_executor`` implements ``Executor`` with a crew.
- ``crew`` gives each of its processes one task at a time, and replaces those that die.
- ``member`` is one process as the crew sees it. One may be started ahead, while work is planned.
- ``__main__`` is such a process: it loads ``serving``, which does the tasks. ``messages`` is what
  passes between the two.
- ``own_process`` has a process that is all ours load no pandas, and collect less garbage.
- ``resources`` counts cores and memory as Dask does.

No file here may import Dask, or what a script imports: a process has to start quickly, and without
a main guard.
"""
