"""Several sources as one: their catalogs, merged."""

from __future__ import annotations

from collections.abc import Sequence

from prep.sources.base import Catalog
from prep.sources.naming import Sources


def merge_catalogs(sources: Sources, catalogs: Sequence[Catalog]) -> Catalog:
    """Return one catalog of all images, each with the split that its source is for.

    Args:
        catalogs: of the parts, in their order.

    Raises:
        SourceError: they contradict each other.
    """
    raise NotImplementedError
