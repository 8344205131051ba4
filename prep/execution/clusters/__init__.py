"""Cluster file → specification → Dask client."""
