"""The training reader for TensorFlow: the only package that imports it.

- ``loading``: ``prep.load``, which checks what is asked for. ``assembly`` puts the parts together.
- ``records``: datasets of the bytes and labels of records: read by TensorFlow itself, in Python one
  shard after the other, or in Python at any positions of an order.
- ``whole_shards``: records of compressed shards, which have no places of their own.
- ``pixels``: from the bytes of an image to what a model sees: decoded, cropped, flipped, lit and
  normalised.

A rule holds here: what is shuffled, shared among hosts and resumed are positions, before anything
is read or decoded. A dataset begins with a range of positions, and all that follows is a function
of them. So the checkpoint of an iterator is small, and a host reads no record of another one. What
is drawn at random for an image comes from :mod:`prep.training.augmentation`, with its position.
"""
