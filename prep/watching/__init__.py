"""What is known of a run while it runs, put together in one place. Knows nothing of Dask."""
