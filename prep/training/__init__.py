"""Readers of outputs, for those who train.

- ``opened_split``: the shards of a split of a finished output, which every reader begins with.
- ``image_dataset``: ``prep.open``, a sequence of images and labels in any order, of the records
  that ``opened_records`` knows. ``dataset_parts`` chooses some of them.
- ``shard_access``: the bytes of records, in any order.
- ``orders``: ``prep.Order`` and ``prep.mix``, the order of records over all epochs, on all hosts.
- ``tensorflow``: ``prep.load``, a ``tf.data.Dataset``. The only package that imports TensorFlow.
- ``pytorch``: ``prep.torch``, a dataset and a sampler. The only package that imports torch.
- ``augmentation``: AlexNet's crops, flips and lighting, as every reader draws them;
  ``channel_shift``: the arithmetic on channels that it asks for.
- ``colour_stats``: mean, std and covariance of an output, by which readers normalise.

A reader learns from the plan which files there are and from ``prep.shards.formats`` what is in
them. It gives every record exactly once, in the order of the shards unless it is asked for another,
and checks each record's checksums. The next framework gets a module of its own name here.
"""
