"""A run while it runs: what workers count, and its progress put together in one place.

- ``counters``: what a process counts while it writes shards.
- ``heartbeat``: the form in which that travels, and sums of it.
- ``runwatch``: the progress of one run, from heartbeats and states of tasks; no Dask, no clock.
- ``counts``: that progress as a value, with rates; terminal, notebook and page show the same one.
- ``events``: what callbacks are told, and the token that stops a run.
- ``watches``, ``plugin``: the runs of a scheduler, and the plugin that watches them there.
- ``link``: how a client asks that plugin, or does without.
- ``metrics``: the same for Prometheus. ``dashboard``: the page ``/prep``.
- ``noise``: keeps Dask and Bokeh from logging what is not wrong.

Watching never stops or slows a run: what fails here is logged, and heartbeats do not grow with the
number of images. Another number to show goes through ``TallyMessage``, ``Sums`` and ``LiveCounts``.
"""
