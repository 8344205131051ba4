"""Apply to a catalog what a configuration says of labels, whatever the layout."""

from __future__ import annotations

from prep.sources.base import Catalog, Wanted


def labelled(catalog: Catalog, wanted: Wanted) -> Catalog:
    """Return the catalog of what is wanted, with its final classes.

    Args:
        catalog: what a layout has found.

    Raises:
        SourceError: labels are missing or contradict each other.
        ConfigError: what is wanted does not fit.
    """
    return catalog
