"""Images in class folders: ``SOURCE/<split>/<class>/*``, or ``SOURCE/<class>/*``.

- ``class_folders``: class folders as a layout, and where an output may not lie.
- ``scan``: from a tree of folders to a catalog.
- ``tree``: reads each folder once, many at a time in a storage.
- ``detection``: which folders are splits, and which are classes.
- ``names``: what names tell: extensions, splits, classes, lists of labels.
- ``survey``, ``ignored``: count what is not part of the set.

Nothing is guessed in silence: where a folder may be a class or a split, ``detection`` raises an
error that says what it saw and how to decide. A rule about a name goes into ``names``.
"""
