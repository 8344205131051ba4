"""an archive as a layout."""

from __future__ import annotations

from prep.sources.base import Catalog, Wanted
from prep.sources.layouts.base import Place


class Archive:
    """an archive."""

    title = "an archive"

    def recognizes(self, place: Place) -> str | None:
        return None

    def catalog(self, place: Place, wanted: Wanted) -> Catalog:
        raise NotImplementedError
