"""ImageNet as a layout."""

from __future__ import annotations

from prep.sources.base import Catalog, Wanted
from prep.sources.imagenet.pieces import FoundPieces, find_pieces
from prep.sources.layouts.base import Place
from prep.text import quoted, some


class ImageNetLayout:
    """ImageNet: ILSVRC2012 and later, Kaggle's copy of it, and ImageNet-21k."""

    title = "ImageNet"
    keys = ()

    def __init__(self) -> None:
        # Of the place that was looked at last: in a storage, long lists take long.
        self._last: tuple[Place, FoundPieces] | None = None

    def _find(self, place: Place) -> FoundPieces:
        last = self._last
        if last is None or last[0] is not place:
            last = self._last = place, find_pieces(place)
        return last[1]

    def recognizes(self, place: Place) -> str | None:
        found = self._find(place)
        special = found.special()
        if special is None:
            named = [quoted(tar.path) for tar in found.unread]
            return f"by the name of {some(named)}" if named and not found.pieces else None
        held = "images" if special.kind in ("flat", "tar") else special.kind
        return f"{held} of its {special.split} split in {special}"

    def catalog(self, place: Place, wanted: Wanted) -> Catalog:
        from prep.sources.imagenet.ilsvrc import catalog_of_pieces  # It takes a while to load.

        return catalog_of_pieces(place, self._find(place), wanted)
