"""The ``prep`` command; also reachable as ``dask prep``."""

from prep.cli.commands import main

__all__ = ["main"]
