"""The programs: ``python -m bench.peers.programs.<name> SOURCE OUTPUT IMAGES_PER_SHARD``.

Each runs with the interpreter of its own environment, uses all cores, and writes the images below
``SOURCE/train/<class>`` with their labels.
"""
