"""Worker processes of this machine, without Dask, for work that is done before a cluster is up.

- ``crew_executor`` implements ``Executor`` with a crew.
- ``crew`` starts the processes, gives each one task at a time, and replaces those that die.
- ``__main__`` is such a process, and ``messages`` is what passes between the two.
- ``resources`` counts cores and memory as Dask does.

No file here may import Dask, or what a script imports: a process has to start quickly, and without
a main guard.
"""
