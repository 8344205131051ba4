"""a list as a layout."""

from __future__ import annotations

from prep.sources.base import Catalog, Wanted
from prep.sources.layouts.base import Place


class List:
    """a list."""

    title = "a list"

    def recognizes(self, place: Place) -> str | None:
        return None

    def catalog(self, place: Place, wanted: Wanted) -> Catalog:
        raise NotImplementedError
