"""Worker processes of this machine, without Dask."""
