"""One shard: written, read back, and checked. Knows nothing of Dask."""
