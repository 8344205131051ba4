"""Who does the work: a Dask cluster, or a few processes of this machine."""
