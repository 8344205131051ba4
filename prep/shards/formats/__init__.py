"""Record formats: how images and labels lie in the file of a shard.

- ``base``: what a format is (:class:`~prep.shards.formats.base.RecordFormat`), and how the one of
  an output or a file is found.
- ``tfrecord``: TFRecord files of tf.train.Examples. ``example``: makes them; ``example_parsing``:
  takes them apart; ``feature_entries``: their features, made of a sample; ``protobuf``: their wire
  format.
- ``webdataset``: tar files. ``tar_records``: their headers and members.

A record is a range of bytes of an uncompressed file: ``encoder`` makes it of a sample, ``writer``
puts it into a file, ``scan`` finds it again, and ``parse`` and ``others`` take it apart. The same
samples give the same bytes. What features are called is said in
:mod:`prep.settings.record_features`; another one has a line there, and a case in
``feature_entries`` and ``webdataset``.

To add a format, write a module with a ``FORMAT`` here, and name it in ``Format`` and ``FORMATS`` of
:mod:`prep.settings`; the report says how to read it by a template of its own,
``display/templates/page/load-NAME.html.j2``.
"""
