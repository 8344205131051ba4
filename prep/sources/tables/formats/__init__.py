"""The formats of tables, each a ``table_opening.Table``.

- ``parquet_table``: a Parquet file; the images in one of its row groups.
- ``parquet_footer``: the codecs and numbers of values in a footer, be it damaged; for manifests.
- ``arrow_table``: an Arrow file or stream; the images in one of its record batches, if need be.
- ``arrow_messages``: the messages that these consist of.

The rule: what is damaged or truncated raises an error, and never gives fewer rows. Opening and
listing read no images.
"""
