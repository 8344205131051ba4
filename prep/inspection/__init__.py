"""One shard, held against its receipt, and that against the plan. Knows nothing of Dask.

A TFRecord's checksums don't tell of an empty file, of one that ends after a record, of records that
are missing or doubled; the receipt does. The receipt in turn is held against the image list.
"""

from prep.inspection.shard import ShardInspection, inspect_shard

__all__ = ["ShardInspection", "inspect_shard"]
