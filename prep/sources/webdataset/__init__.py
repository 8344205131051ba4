"""WebDataset: tar files in which the label of an image lies beside it, in a member of its own.

- ``webdataset_layout``: tar files of samples as a layout, told by the first members.
- ``webdataset_catalog``: makes their catalog.
- ``sample_members``: groups members into samples by their names, and says which are images.
- ``sample_values``: the values of labels in a ``.cls``, a ``.txt`` or a ``.json``.

A tar file is indexed as any archive is (``archives.tar``), and an image is a part of it. What a
sample lacks is counted, and what can't be read is an error: no sample goes in silence. Another
member that may hold labels is a case in ``sample_values``.
"""
