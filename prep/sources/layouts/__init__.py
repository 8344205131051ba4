"""Layouts: the shapes in which people have labelled images, and which of them a source has.

- ``base``: the seam. A :class:`~prep.sources.layouts.base.LayoutReader` recognizes its layout, and
  lists its images.
- ``recognition``: the registry of layouts, a line each, and the choice among them.
- ``merging``: several sources as one.
- ``shard_files``: finds the shards of a set, and tells their splits by their names.
- ``numbered_labels``: makes classes of the labels of samples.
- ``number_names``: the files beside shards that name the numbers of classes.
- ``sample_catalog``: makes a catalog of samples, whatever the format of their shards.

A new layout is one module with a ``LayoutReader``, its line in ``recognition`` and its word in
:data:`prep.settings.choices.Layout`.
"""
