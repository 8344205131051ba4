"""Lists of images: a table that names files and their labels.

- ``image_lists``: lists as a layout; which folders have a list that is plainly of their images.
- ``list_forms``: the format of a list by its first bytes; Parquet and Arrow.
- ``text_lists``: CSV and its kin, lines of a path and a label, and CUB's files.
- ``json_lists``: JSON Lines, arrays of objects, COCO and iNaturalist.
- ``list_table``: what all of these give: a table of text, which knows the line of each row.
- ``roles``: the columns of images, labels, splits and groups, as given or by their names.
- ``row_labels``: labels, splits and groups as numbers; columns of ones and zeros.
- ``image_files``: what is there, in a folder, a storage or an archive; each folder is listed once.
- ``resolution``: from the name in a row to a file.
- ``list_catalog``: all of it, in order; images that are missing or listed twice.

The rule: a list is read whole or refused with the lines that are wrong, values stay text as they
are written, and what was guessed is told in ``read_as``. A new format is a function from bytes to
a ``ListTable``, and its magic bytes in ``list_forms``.
"""
