"""Which images there are, and of which class and split."""

from prep.catalog.folders import Catalog, Ignored, require_folder, scan_folders

__all__ = ["Catalog", "Ignored", "require_folder", "scan_folders"]
