"""Tables that hold images in their rows: Parquet and Arrow files, as Hugging Face has them.

- ``table_layouts``: ``parquet`` and ``arrow`` as layouts; which folders show one of them.
- ``table_files``: the files of a set in a folder, and the splits that their names tell.
- ``table_schema``: the column of images of a schema, and the names of the classes in its metadata.
- ``table_opening``: opens a table, whatever its format: those in ``formats/``.
- ``table_columns``: the columns of a set and their roles; ``table_parts``: the rows of each table.
- ``row_places``: where images are that are read by their rows.
- ``table_catalog``: from these files to the catalog of their images.
- ``table_labels``: labels of rows: numbers with names, numbers alone, or text.
- ``row_groups``: reads images by their rows, a row group at a time.

The rule: listing reads no image. In an Arrow file that is not compressed, an image is a range of
bytes like any other. Elsewhere it can't be read without its row group (or record batch), so that an
entry has ``how`` ``row``, a plan deals groups to shards whole (``planning.dealing``), and a worker
reads each group once, ahead of its turn, and holds two at most. Another format of tables is a
module in ``formats`` with a ``table_opening.Table``.
"""
