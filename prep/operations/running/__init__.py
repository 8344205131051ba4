"""A run at work, from its plan to a finished output.

- ``carrying_out`` tells a run from its first to its last step, whatever executor does the work.
- ``work`` has an executor write shards, tells callbacks of them, and holds the ``Run`` value that
  is handed on.

``prep.run`` and ``prep.start`` are in ``operations.run`` and ``operations.background``: they say
what is to be done, and load this room when a worker process is on its way. What a run does once all
shards are committed is in ``operations.publish``. Another step of a run is a function that
``carry_out`` calls with the ``Run``.
"""
