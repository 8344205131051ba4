"""The order in which records are read for training.

- ``sequence``: record numbers over all epochs; which host reads which, and from where to go on.
- ``order``: ``prep.Order``, the sequence of one dataset.
- ``host_share``: the positions of a sequence that one host reads in one pass over a dataset.
- ``draws``: which record stands at a place of an epoch: permuted, in blocks, by weight, by class.
- ``mixture``: ``prep.mix``, several sequences in fixed shares.
- ``permutation``: random numbers and permutations that are computed, not stored.

One rule holds here: the record at a position depends on the seed and the position alone, never on
what was read before, nor on hosts and workers. So a position is all the state there is. Nothing
here reads a file or knows a framework. The next way to draw records is a class in ``draws``.
"""
