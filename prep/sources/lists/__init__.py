"""Lists of images: a table that names files and their labels.

- ``image_lists``: lists as a layout; which folders have a list that is plainly of their images.
- ``formats/``: CSV, lines of text, JSON, COCO, Parquet and Arrow, each read as a table.
- ``list_table``: such a table: columns of text, and the line of each row.
- ``roles``: the columns of images, labels, splits and groups, as given or by their names.
- ``row_labels``: labels, splits and groups as numbers; columns of ones and zeros.
- ``words``: a column of few distinct values; the parts that each may have.
- ``given_labels``: labels of a list in Python.
- ``image_files``: the files that are there, in a folder, a storage or an archive.
- ``resolution``: from the name in a row to a file.
- ``list_rows``: the rows that are wanted, with what their columns tell.
- ``list_catalog``: the catalog of these rows; images that are missing or listed twice.

The rule: a list is read whole, or refused with the lines that are wrong; what was guessed is told
in ``read_as``. A new format is a module in ``formats``.
"""
