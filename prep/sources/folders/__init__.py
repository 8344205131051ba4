"""Images in class folders: ``SOURCE/<split>/<class>/**``, or ``SOURCE/<class>/**``.

- ``class_folders``: class folders as a layout; ``output_place``: where an output may not lie.
- ``scan``: from a tree of folders to a catalog.
- ``tree``: reads each folder once; ``listing`` is what it reads: folders on a disk or in a storage,
  or those in archives, which ``prep.sources.archives`` lists.
- ``plain_folders``: folders of nothing but files, as columns; many of them by several processes.
- ``roles/``: which folders are splits, and which are classes.
- ``names``: what names tell: extensions, splits, classes, lists of labels.
- ``unread_forms``: files that hold images in forms that are not read, such as TFRecords.
- ``survey``: finds all images of a class; it and ``ignored`` count what is not part of the set.

Nothing is guessed in silence: where a folder may be a class or a split, ``roles`` raises an
error that says what it saw and how to decide. A rule about a name goes into ``names``.
"""
