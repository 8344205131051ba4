"""Lists of images: a table with a column of paths and a column of labels.

- ``image_lists``: a list as a layout.
"""
