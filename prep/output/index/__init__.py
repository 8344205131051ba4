"""The files that tell readers what is in the shards: "derived" files, made of plan and receipts.

- ``measures``: the bytes of each record, and the size of the image that it was made of, as receipts
  hold them. ``scanning`` takes them from the shards of an earlier version.
- ``written_rows``: which images of the manifest have a record, and where.
- ``image_table``: ``images.parquet``; ``stored_table`` reads one that others may have written.
- ``tfds_files``: the description by which TensorFlow Datasets opens the output.
- ``derived``: the list of all derived files; ``publishing`` writes them, and compares them for
  ``prep verify``; ``withdrawal`` removes them.
- ``places``: where each record of a split is, for readers.

The rule: the same plan, manifest and receipts give the same files, for any number of workers. They
are removed before a shard changes (:meth:`prep.output.journal.Journal.withdraw`), and published
when all are there, ``dataset_info.json`` last. Another derived file is a function that returns its
bytes, a line in ``derived_files``, and its name in ``settings.output_names.RESULTS``. An output all
of whose receipts lack measures is of an earlier version, and has none of them until ``prep index``.
"""
