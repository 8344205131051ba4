"""The report of a run: made of its plan and the totals of its receipts, stored as ``report.json``.

- ``report``: :class:`RunReport`, the contents of ``report.json``; ``making`` makes one,
  ``stored_report`` reads one that others may have written, ``summary`` describes one in words.
- ``verdict``: how a run stands or has ended, for everything that shows it.
- ``checksums``, ``duplicates``: images with the same bytes, and images that have changed.
- ``near_copies``: images that look alike; how, is for :mod:`prep.images.likeness` to say.
- ``listings``: ``refused.csv``, ``duplicates.csv`` and ``near_duplicates.csv``.
- ``history``: what was measured while the run ran.

The rule: the same receipts give the same report. What is to be told of images is noted in the
receipt of their shard, adds up in :class:`prep.output.receipt.Totals`, and appears here.
"""
