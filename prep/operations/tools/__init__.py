"""Smaller operations around a run, each behind a command of its own.

first_steps     before a first run: a configuration, a label map, a demonstration
cluster_check   whether a cluster can do the work
lookup          what one record of a shard holds

Paths and URLs come in as the user has typed them. What is asked for more often than once per
output, and all that reads or writes a whole output, belongs to the room above.
"""
