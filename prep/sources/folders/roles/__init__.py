"""The roles of folders: which are splits, and which are classes.

- ``shape``: what is asked for, the roles that folders can have, and small questions about folders.
- ``detection``: decides what the folders of a source are.
- ``refusals``: errors where that would be a guess; each names what settles it.
- ``tiny_imagenet``: the one set of folders whose validation labels are in a list.

Roles are told by where images lie, and doubted by names. A set with markers of its own gets a
module like ``tiny_imagenet``, and a line in ``detection.find_shape``.
"""
