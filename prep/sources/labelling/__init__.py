"""From what a source says of an image to its class.

- ``label_rules``: the ``labels`` of a configuration.
- ``labelling``: applies them, and the other keys that hold for any layout, to a catalog.
- ``origins``: labels from folders, or by a regular expression (``labels.from``).
- ``exclusion``: images that ``exclude`` leaves out.
- ``class_rules``: classes renamed, merged, left out, named for people and numbered.
- ``class_lookup``: classes by any name that users give them.
- ``targets``: labels of several classes, of a value, or of a number for each class.
- ``repeats``: images that a source has twice.
- ``rows``: rows left out and counted, splits without images, the order of rows.
- ``name_files``: files of names, and of names for people.

The rule: each step takes a catalog and returns one, for all layouts alike. What a step leaves out
is counted in ``ignored``. Work is done by distinct value, or by a column as a whole: a catalog may
have millions of rows. The next key that holds for any layout is a step in ``labelling``.
"""
