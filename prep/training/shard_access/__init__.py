"""Records of a split in any order: how the bytes at known places are read.

- ``record_reader``: reads records at their places, many at a time.
- ``shard_bytes``: bytes of a shard, on a disk or in a storage.
- ``shard_cache``: copies of shards on a disk of this machine.

The rule: what has been opened can be forked and used by any number of threads. Each record's
checksums are checked, and a shard of another size than when it was opened is an error. Another way
to reach shards goes beside ``shard_cache``.
"""
