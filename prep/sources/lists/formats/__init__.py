"""The formats of lists, each read as a ``ListTable``.

- ``list_forms``: which format a file is of, by its first bytes; reads it.
- ``encodings``: the text of a list, from its bytes.
- ``text_lists``: CSV and its kin; which of these a text is.
- ``line_lists``: lines of a path and a label, and CUB's files.
- ``json_lists``: JSON Lines, an array of objects, one object of names and labels.
- ``annotations``: COCO and iNaturalist.
- ``column_files``: Parquet and Arrow.

The rule: what is malformed is an error that names the line, never a shorter table; values stay
text as they are written. A new format is a module that returns a ``ListTable``, and its first
bytes in ``list_forms``.
"""
