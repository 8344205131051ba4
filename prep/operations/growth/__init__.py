"""Outputs that grow: images added to them, and shards taken over from another plan.

- ``adoption``: what a plan takes over from the plan that it continues: each shard's file under its
  new name, and its receipt made out to the new plan.

The rule: the new plan is published first, and says which plan it continues. Every step after that
can be repeated, so a run that is killed at any point goes on where it was. No byte of a shard that
is taken over is written, and none of its images is decoded.
"""
