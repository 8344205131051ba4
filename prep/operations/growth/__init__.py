"""Outputs that grow: images added to them, shards taken over from another plan, and merges.

- ``matching``: hold the images of an output against its source as it is now.
- ``growing``: plan the grown output, as pure data; ``composing``: its rows, the old ones where they
  are, the new ones in shards behind them.
- ``appending``: do so for an output, and put the new plan in the place of the old one.
- ``adoption``: what a plan takes over from the plan that it continues: each shard's file under its
  new name, and its receipt made out to the new plan.
- ``merge``: join complete outputs of equal settings in a new one. It is ``prep.merge``.
- ``merged_plan``: the plan of such an output: the shards of all, one output's after another's.
- ``finished``: the outputs that are merged, as they are read.
- ``agreement``: which of their settings and labels must be the same.

Labels keep their numbers, images their splits and shards; images that are gone or have changed stay
as they were written, and are named, unless their shards are to be compacted.

The rule: the new plan is published first; it gives the size of each shard, and says which plan it
continues, if any. Every step after that can be repeated, so what is killed at any point goes on
where it was. No byte of a shard that is taken over is written, and none of its images is decoded.
"""
