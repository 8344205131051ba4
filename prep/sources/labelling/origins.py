"""Labels from the names of images: from their folders, or by a regular expression."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from prep.errors import ConfigError, SourceError
from prep.sources.base import Catalog
from prep.sources.columns import with_numbers
from prep.text import MANY, quoted, some

_ARCHIVES = (".tar", ".zip")


def with_labels_from(
    origin: str, catalog: Catalog, renamed: Collection[str] = (), *, required: bool = True
) -> Catalog:
    """Return a catalog with the classes that the names of images tell.

    Args:
        origin: ``LabelRules.origin``.
        required: whether some image must have a label.
        renamed: paths of folders that will be renamed, and so are no longer ambiguous as leaves.

    Raises:
        ConfigError: there is no column, or no name matches the regular expression.
        SourceError: a leaf is in two folders, or a label is empty.
    """
    if origin == "column":
        if catalog.label_column is None:
            raise ConfigError(
                "labels.from: got column, and the source has none with labels (read as: "
                f"{catalog.read_as or 'class folders'}); expected folder, leaf, path or a regular "
                "expression"
            )
        return catalog
    if origin in ("folder", "leaf", "path"):
        return _from_folders(origin, catalog, renamed)
    return _from_names(re.compile(origin), catalog, required=required)


def _with_classes(catalog: Catalog, labels: Iterable[str | None], rows: npt.ArrayLike) -> Catalog:
    """Return a catalog whose rows have new labels.

    Args:
        labels: distinct or not; None for no label.
        rows: of each row, the position of its label in ``labels``.
    """
    labels = [*labels]
    classes = sorted({label for label in labels if label is not None}, key=os.fsencode)
    number = {label: position for position, label in enumerate(classes)}
    numbers = [-1 if label is None else number[label] for label in labels]
    column = np.array(numbers, np.int32)[np.asarray(rows)]
    return replace(
        catalog,
        classes=tuple(classes),
        images=with_numbers(catalog.images, "class", column),
        order=None,
        class_names={k: v for k, v in catalog.class_names.items() if k in number},
    )


def _from_folders(origin: str, catalog: Catalog, renamed: Collection[str]) -> Catalog:
    images = catalog.images
    folders = pc.replace_substring_regex(images["path"], "/?[^/]*$", "")
    encoded = folders.combine_chunks().dictionary_encode()
    folder, split = encoded.indices.to_numpy().astype(np.int64), images["split"].to_numpy()
    kinds = len(catalog.classes) + 1
    keys = (folder * len(catalog.splits) + split) * kinds + images["class"].to_numpy() + 1
    distinct, rows = np.unique(keys, return_inverse=True)
    names = [os.fsdecode(name) for name in encoded.dictionary.to_pylist()]
    stems = "offset" in images.column_names
    paths = []
    for key in distinct.tolist():
        rest, class_ = divmod(key, kinds)
        number, at = divmod(rest, len(catalog.splits))
        name, label = catalog.splits[at], catalog.classes[class_ - 1] if class_ else None
        path, top = names[number], catalog.split_folders.get(name)
        if top is None:
            paths.append(_from_class(_parts(path, stems=stems), name, label))
        else:
            below = path.removeprefix(os.fsdecode(top)) if top else path
            paths.append(_parts(below, stems=stems))
    labels = _leaves(paths, renamed) if origin == "leaf" else map(_LABELS[origin], paths)
    return _with_classes(catalog, labels, rows)


def _parts(folder: str, *, stems: bool) -> tuple[str, ...]:
    """Return the parts of a path; an archive is called by its stem."""
    parts = filter(None, folder.split("/"))
    return tuple(map(_stem, parts) if stems else parts)


def _from_class(parts: tuple[str, ...], split: str, label: str | None) -> tuple[str, ...]:
    """Return folders from the class folder on, or from below that of the split.

    Args:
        label: what the layout has called the image.
    """
    below = parts[1:] if parts[:1] == (split,) else parts
    for names in (below, parts):
        if label in names:
            return names[names.index(label) :]
    return below


def _stem(name: str) -> str:
    stem, extension = os.path.splitext(name)
    return stem if extension.lower() in _ARCHIVES else name


_LABELS = {
    "folder": lambda path: path[0] if path else None,
    "path": lambda path: "/".join(path) or None,
}


def _leaves(paths: list[tuple[str, ...]], renamed: Collection[str]) -> list[str | None]:
    """Return the last folder of each path, or the whole path if it will be renamed."""
    labels = [
        None if not path else whole if (whole := "/".join(path)) in renamed else path[-1]
        for path in paths
    ]
    places: defaultdict[str, set[str]] = defaultdict(set)
    for label, path in zip(labels, paths, strict=True):
        if label is not None:
            places[label].add("/".join(path))
    twice = {label: sorted(found) for label, found in places.items() if len(found) > 1}
    if twice:
        raise SourceError(_describe_twice(twice))
    return labels


def _describe_twice(twice: Mapping[str, list[str]]) -> str:
    said = [
        f"{quoted(label)} ({some([*map(quoted, found)])})" for label, found in sorted(twice.items())
    ]
    one, other = twice[min(twice)][:2]
    return (
        f"labels.from: folders of one name are in several places: {some(said, most=MANY)}; "
        "pass from: path to keep them apart, or say what each of them is: "
        f"labels.rename: {{{one}: …, {other}: …}}"
    )


def _from_names(pattern: re.Pattern[str], catalog: Catalog, *, required: bool) -> Catalog:
    search = pattern.search
    names = map(os.fsdecode, catalog.images["path"].to_pylist())
    labels = [found and found["label"] for found in map(search, names)]
    known: dict[str | None, int] = {}
    rows = [known.setdefault(label, len(known)) for label in labels]
    if "" in known:
        example = os.fsdecode(catalog.images["path"][labels.index("")].as_py())
        raise SourceError(
            f"labels.from: {quoted(pattern.pattern)} finds an empty label in {quoted(example)}; "
            "expected at least a character"
        )
    if required and not known.keys() - {None}:
        example = os.fsdecode(catalog.images["path"][0].as_py()) if labels else ""
        raise ConfigError(
            f"labels.from: {quoted(pattern.pattern)} is found in no name of an image, such as "
            f"{quoted(example)}; names are relative to the source"
        )
    return _with_classes(catalog, known, rows)
