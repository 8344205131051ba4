"""Splits and subsets, made of the images that a source has.

- ``scores``: one number for each image, or for its group, that decides everything here.
- ``groups``: which images belong together, by a column or by their names.
- ``apportionment``: exact shares of every class, in whole images.
- ``group_shares``: shares of every class as near as whole groups allow.
- ``candidates``: the images of a pool, and the part that each of them goes to.
- ``settled``: the splits that images of an output have already.
- ``dividing``: make splits of a pool.
- ``subsets``: take the images with the lowest scores of each class.
- ``balance``: how alike the classes of splits are, and how far from what was asked for.

The rule: what is made follows from names, groups, classes and the seed alone, so that anybody can
make it again. A group never straddles two splits that are made, a subset is a part of any larger
one, and by hash no image moves when others are added. Another way to choose images is a function
like those of ``group_shares``, called by ``candidates``, and its word in
:data:`prep.config.split_rules.By`.
"""
