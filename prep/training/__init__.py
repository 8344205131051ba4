"""Readers of outputs, for those who train.

- ``opened_split``: the shards of a split of a finished output, which every reader begins with.
- ``tensorflow``: ``prep.load``, a ``tf.data.Dataset``. The only module that imports TensorFlow.

A reader learns from the plan which files there are and from ``prep.shards.formats`` what is in
them. It gives every record exactly once, in the order of the shards. The next framework gets a
module of its own name here.
"""
