"""Apply to a catalog what a configuration says of labels, whatever the layout."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from prep.errors import SourceError
from prep.sources.base import UNLABELLED, Catalog, Wanted
from prep.sources.columns import with_numbers
from prep.sources.labelling.label_rules import LabelRules, files_for_labels
from prep.sources.labelling.rows import in_order, with_used_splits, without_rows
from prep.sources.labels import how_to_keep
from prep.sources.naming import paths_of
from prep.storage.locate import open_alike
from prep.text import counted, quoted, some


def labelled(catalog: Catalog, wanted: Wanted) -> Catalog:
    """Return the catalog of what is wanted, with its final classes.

    One of class folders, if nothing is asked for, is returned as it is.

    Args:
        catalog: what a layout has found, its rows in any order.

    Raises:
        SourceError: labels are missing or contradict each other, or no images are left.
        ConfigError: what is wanted does not fit.
    """
    rules = wanted.labels or LabelRules()
    for file in files_for_labels(wanted):
        open_alike(file, paths_of(catalog.source)[0])
    # What few sources need takes a while to load.
    if rules.origin is not None:
        from prep.sources.labelling.origins import with_labels_from

        required = wanted.unlabelled != "keep"
        catalog = with_labels_from(rules.origin, catalog, rules.rename, required=required)
        if wanted.splits is not None and rules.origin != "column":
            catalog = replace(catalog, doubts=(*catalog.doubts, _OF_CHOSEN_SPLITS))
    if wanted.exclude is not None:
        from prep.sources.labelling.exclusion import without_excluded

        catalog = without_excluded(catalog, wanted.exclude)
    if wanted.labels is not None and wanted.target == "class":
        from prep.sources.labelling.class_rules import with_class_rules

        catalog = with_class_rules(catalog, rules)
    keep = wanted.unlabelled == "keep"
    if wanted.target == "class":
        catalog = _with_unlabelled_settled(catalog, keep=keep)
    if "file" in catalog.images.column_names:  # In folders, no image is met twice.
        from prep.sources.labelling.repeats import without_repeats

        catalog = without_repeats(catalog)
    if wanted.target != "class":
        catalog = with_target(catalog, wanted, keep=keep)
    catalog = with_used_splits(catalog)
    _require_images(catalog, wanted)
    return in_order(catalog)


def with_target(catalog: Catalog, wanted: Wanted, *, keep: bool) -> Catalog:
    """Return a catalog with the labels of a target other than one class.

    Args:
        catalog: its classes are values as text; see :mod:`prep.sources.labelling.targets`.
        keep: whether images without a label stay.
    """
    from prep.sources.labelling.targets import with_several, with_shares, with_values

    if wanted.target == "multi":
        return _with_unlabelled_settled(with_several(catalog, wanted.labels), keep=keep)
    catalog = _with_unlabelled_settled(catalog, keep=False)
    if not catalog.images.num_rows:
        return catalog
    return with_values(catalog) if wanted.target == "value" else with_shares(catalog, wanted.labels)


_OF_CHOSEN_SPLITS = (
    "labels.from: the classes are those of the chosen splits alone; other splits may have others, "
    "and so other numbers"
)
_NO_LABEL = "image without a label"


def _with_unlabelled_settled(catalog: Catalog, *, keep: bool) -> Catalog:
    """Return a catalog in which each image has a class; those without a label may be left out."""
    numbers = catalog.images["class"].to_numpy()
    unlabelled = numbers < 0
    if not unlabelled.any():
        return catalog
    if not keep:
        return without_rows(catalog, unlabelled, _NO_LABEL)
    numbers = np.where(unlabelled, len(catalog.classes), numbers).astype(np.int32)
    return replace(
        catalog,
        classes=(*catalog.classes, UNLABELLED),
        images=with_numbers(catalog.images, "class", numbers),
    )


def _require_images(catalog: Catalog, wanted: Wanted) -> None:
    """Raise SourceError if a split that was asked for has no images left, or there are none."""
    absent = [name for name in wanted.splits or () if name not in catalog.splits]
    if catalog.images.num_rows and not absent:
        return
    gone = some(
        [f"{i.count:,} × {i.reason}, such as {quoted(i.example)}" for i in catalog.ignored], "; "
    )
    unlabelled = any(item.reason == _NO_LABEL for item in catalog.ignored)
    remedy = "; give images a label" + how_to_keep(wanted.target)
    where = f" in {counted(len(absent), 'split')}, {some([*map(quoted, absent)])}" if absent else ""
    raise SourceError(
        f"source: no images are left{where}"
        + (f" (passed over: {gone})" if gone else "")
        + (remedy if unlabelled else "; ask for less to be left out")
    )
