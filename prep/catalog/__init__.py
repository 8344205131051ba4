"""Which images there are, and of which class and split."""

from prep.catalog.folders import Catalog, Ignored, scan_folders

__all__ = ["Catalog", "Ignored", "scan_folders"]
