"""Tables that hold images in their rows: Parquet and Arrow files, as Hugging Face has them.

- ``table_layouts``: ``parquet`` and ``arrow`` as layouts; which folders show one of them.
- ``table_files``: the files of a set in a folder, and the splits that their names tell.
- ``table_schema``: the column of images of a schema, and the names of the classes in its metadata.
- ``parquet_table``, ``arrow_table``: one file each: its columns, and where its images are;
  ``arrow_messages``: what an Arrow file consists of.
- ``row_places``: where images are that are read by their rows.
- ``table_catalog``: from these files to the catalog of their images.
- ``table_labels``: labels of rows: numbers with names, numbers alone, or text.
- ``row_groups``: reads images by their rows, a row group at a time.

The rule: listing reads no image. In an Arrow file that is not compressed, an image is a range of
bytes like any other. Elsewhere it can't be read without its row group (or record batch), so that an
entry has ``how`` ``row``, a plan deals groups to shards whole (``planning.dealing``), and a worker
reads each group once, ahead of its turn, and holds two at most. Another format of tables is a
module like ``parquet_table``.
"""
