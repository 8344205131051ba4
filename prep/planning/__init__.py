"""Plans: which images go to which shards, as pure data.

- ``planner``: make a plan of images, labels and a configuration.
- ``plan``: the plan itself. A worker and a reader have one that was read from ``plan.json``.
- ``label_form``: shape and type of labels, for records and readers alike.
- ``continued``: the plan that an output held before, where this one took its shards over.
- ``left_out``: the images that a plan leaves out because others look alike.
- ``shards``: how the images of a split are spread over its shards.
- ``dealing``: the same for images that can only be read in groups, which stay whole.
- ``fingerprint``: everything that decides the bytes of an output, by name.
- ``stored_plan``: read ``plan.json``, which others may have written.
- ``description``: facts about a plan, in words.
- ``splitting``: splits and subsets that are made of the images of a source.

The rule: a plan follows from images, labels, configuration and versions alone. So it is the same on
any machine and for any number of workers. What decides the bytes belongs in the fingerprint: a key
is marked so in :mod:`prep.settings.keys`, and tests/planning/test_fingerprint.py holds that the
next run sees a change of it.
"""
