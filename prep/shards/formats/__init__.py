"""Record formats: how images and labels lie in the file of a shard.

- ``base``: what a format is (:class:`~prep.shards.formats.base.RecordFormat`), and how the one of
  an output or a file is found.
- ``tfrecord``, ``example``: TFRecord files of tf.train.Examples.
- ``webdataset``: tar files.

A record is a range of bytes of an uncompressed file: ``encoder`` makes it of a sample, ``writer``
puts it into a file, ``scan`` finds it again, and ``parse`` takes it apart. The same samples give
the same bytes. To add a format, write a module with a ``FORMAT`` here, and name it in ``Format``
and ``FORMATS`` of :mod:`prep.settings`; the report says how to read it by a template of its own,
``display/templates/page/load-NAME.html.j2``.
"""
