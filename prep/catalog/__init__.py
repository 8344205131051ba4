"""Which images there are, and of which class and split."""

from prep.catalog.folders import Catalog, require_folder, scan_folders
from prep.catalog.passed import Ignored

__all__ = ["Catalog", "Ignored", "require_folder", "scan_folders"]
