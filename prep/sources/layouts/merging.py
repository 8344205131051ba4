"""Several sources as one: their catalogs, merged."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from prep.errors import SourceError
from prep.sources.base import Catalog, Wanted
from prep.sources.columns import in_catalog, joined, places_of_files
from prep.sources.folders.ignored import sum_by_reason
from prep.sources.naming import SourceName, Sources, base_of, beyond, is_absolute
from prep.text import counted, quoted, some


class AllSplits:
    """A configuration as it holds for one of several sources: all its splits are wanted."""

    splits = None

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wanted, name)

    @classmethod
    def of(cls, wanted: Wanted) -> Wanted:
        """Return what is wanted of a part."""
        return cast("Wanted", cls(wanted))


def merge_catalogs(sources: Sources, catalogs: Sequence[Catalog], wanted: Wanted) -> Catalog:
    """Return one catalog of all images, each in the split that its source is for.

    If a name is in several sources, all names begin with that of their source.

    Args:
        catalogs: of the parts, in their order, of all their splits.
        wanted: of all of them together.

    Raises:
        SourceError: the parts contradict each other, or lack a split.
    """
    parts = [
        _Part(catalog, split, path)
        for (split, path), catalog in zip(sources.parts, catalogs, strict=True)
    ]
    found = sorted({n for part in parts for n in part.splits if n is not None}, key=os.fsencode)
    chosen = tuple(found) if wanted.splits is None else wanted.splits
    _require_splits(chosen, found)
    classes = sorted({name for part in parts for name in part.catalog.classes}, key=os.fsencode)
    prefixes = distinct_prefixes(
        [part.path for part in parts], [part.catalog.images["path"] for part in parts]
    )
    return Catalog(
        source=_name(sources, catalogs),
        read_as=_read_as(parts),
        splits=chosen,
        classes=tuple(classes),
        images=pa.concat_tables(
            [
                part.images(chosen, classes, prefix)
                for part, prefix in zip(parts, prefixes, strict=True)
            ],
            promote_options="default",  # Not all of them need to have groups.
        ).unify_dictionaries(),
        ignored=sum_by_reason(chain.from_iterable(catalog.ignored for catalog in catalogs)),
        order=_order(parts, classes) if _keeps_order(wanted) else None,
        class_names=_class_names(catalogs),
        split_folders=_split_folders(parts, prefixes),
        label_column=_label_column(catalogs),
        doubts=tuple(dict.fromkeys(chain.from_iterable(c.doubts for c in catalogs))),
    )


@dataclass(frozen=True)
class _Part:
    """One of several sources.

    Attributes:
        catalog: what was found in it.
        split: what all of it belongs to, or None.
        path: its absolute path or URL.
    """

    catalog: Catalog
    split: str | None
    path: str

    @property
    def splits(self) -> tuple[str | None, ...]:
        """The split of each of its own; None of one that is not wanted."""
        own = self.catalog.splits
        if self.split is None:
            return own
        if len(own) == 1:
            return (self.split,)
        if own and self.split not in own:
            raise SourceError(
                f"source: {quoted(self.path)} is given for {quoted(self.split)}, and has splits of "
                f"its own: {some([*map(quoted, own)])}; leave out the name of the split, or rename "
                "one of these"
            )
        return tuple(name if name == self.split else None for name in own)

    def images(self, splits: Sequence[str], classes: Sequence[str], prefix: bytes) -> pa.Table:
        """Return its images, of these splits, with numbers of these classes."""
        rows = self.catalog.images
        names = self.catalog.classes
        split = np.array([splits.index(n) if n in splits else -1 for n in self.splits], np.int32)
        at = {name: number for number, name in enumerate(classes)}
        numbers = np.array([*(at[name] for name in names), -1], np.int32)
        places = absolute_places(rows, base_of(self.catalog.source))
        groups = {"group": rows["group"]} if "group" in rows.column_names else {}
        images = pa.table(
            {
                "split": pa.array(split[rows["split"].to_numpy()], pa.int32()),
                "class": pa.array(numbers[rows["class"].to_numpy()], pa.int32()),
                "path": joined(prefix, rows["path"]) if prefix else rows["path"],
                "size": rows["size"],
                "mtime": rows["mtime"],
                **places,
                **groups,
            }
        )
        return in_catalog(images.filter(pc.greater_equal(images["split"], 0)))


def absolute_places(rows: pa.Table, path: str) -> Mapping[str, Any]:
    """Return the columns for where images are, with absolute files in place of relative ones.

    Args:
        rows: images, with or without these columns.
        path: what relative files are relative to.
    """
    root = os.path.join(os.fsencode(path), b"")
    if "file" not in rows.column_names:
        return places_of_files(joined(root, rows["path"].combine_chunks()))
    files = rows["file"].unify_dictionaries().combine_chunks()
    names = [name if is_absolute(name) else root + name for name in files.dictionary.to_pylist()]
    absolute = pa.DictionaryArray.from_arrays(files.indices, pa.array(names, pa.binary()))
    return {"file": absolute, "offset": rows["offset"], "how": rows["how"]}


def distinct_prefixes(paths: Sequence[str], names: Sequence[pa.ChunkedArray]) -> list[bytes]:
    """Return what the names of each part begin with: nothing, unless a name is in two parts.

    Args:
        paths: the absolute path or URL of each part; a prefix is the end of it.
        names: the names of the images of each part.
    """
    if not _share_names(names):
        return [b""] * len(paths)
    folders = [[name for name in path.split("/") if name] for path in paths]
    depth, different = 1, len({*paths})
    while len({tuple(names[-depth:]) for names in folders}) < different:
        depth += 1
    return [os.fsencode("/".join(names[-depth:])) + b"/" for names in folders]


def _share_names(parts: Sequence[pa.ChunkedArray]) -> bool:
    """Return whether two parts have an image of one name."""
    chunks: list[pa.Array] = []
    for names in parts:
        if chunks and pc.any(pc.is_in(names, value_set=pa.chunked_array(chunks))).as_py():
            return True
        chunks += names.chunks
    return False


def _require_splits(wanted: Sequence[str], found: Sequence[str]) -> None:
    absent = [name for name in wanted if name not in found]
    if absent:
        raise SourceError(
            f"splits: no images of {some([*map(quoted, absent)])} in the sources; splits found: "
            f"{some([*map(quoted, found)])}"
        )


def _name(sources: Sources, catalogs: Sequence[Catalog]) -> str:
    """Return the name of all sources, with where else their images are."""
    found = (SourceName.parse(catalog.source) for catalog in catalogs)
    names = [name for name in found if name is not None]
    roots = beyond((path for name in names for path in name.paths), sources.paths)
    unpacked = dict.fromkeys(each for name in names for each in name.unpacked)
    return str(SourceName(given=sources, roots=roots, unpacked=tuple(unpacked)))


def _read_as(parts: Sequence[_Part]) -> str:
    """Return what the parts were read as; those that were read alike are counted."""
    shapes = Counter(part.catalog.read_as or "images" for part in parts)
    if len(shapes) == 1:
        return f"{counted(len(parts), 'source')}, each {next(iter(shapes))}"
    return some([f"{os.path.basename(part.path)}: {part.catalog.read_as}" for part in parts], "; ")


def _keeps_order(wanted: Wanted) -> bool:
    """Return whether the sources say how their classes are numbered, not the configuration."""
    return wanted.labels is None or wanted.labels.order in (None, "file")


def _order(parts: Sequence[_Part], classes: Sequence[str]) -> tuple[str, ...] | None:
    """Return the order of all classes that the parts agree on; None if none of them has one.

    Raises:
        SourceError: they number classes differently, or number only some.
    """
    orders = {part.catalog.order: part for part in parts if part.catalog.order is not None}
    if not orders:
        return None
    longest = max(orders, key=len)
    wrong = [part for order, part in orders.items() if longest[: len(order)] != order]
    if wrong or not set(classes) <= set(longest):
        other = wrong[0] if wrong else next(p for p in parts if p is not orders[longest])
        raise SourceError(
            f"source: {quoted(orders[longest].path)} and {quoted(other.path)} number their classes "
            "differently; pass labels.order: name, or a file with one class in a line"
        )
    return longest


def _class_names(catalogs: Iterable[Catalog]) -> dict[str, str]:
    """Return names for people; that of the first source that has one."""
    return {k: v for catalog in [*catalogs][::-1] for k, v in catalog.class_names.items()}


def _split_folders(parts: Sequence[_Part], prefixes: Sequence[bytes]) -> dict[str, bytes]:
    """Return the folder of each split that has the same in all sources."""
    folders: defaultdict[str, set[bytes | None]] = defaultdict(set)
    for part, prefix in zip(parts, prefixes, strict=True):
        for own, split in zip(part.catalog.splits, part.splits, strict=True):
            if split is None:
                continue
            folder = part.catalog.split_folders.get(own)
            top = prefix.rstrip(b"/") or None
            folders[split].add(top if folder is None else prefix + folder)
    return {
        split: found.pop() or b""
        for split, found in folders.items()
        if len(found) == 1 and None not in found
    }


def _label_column(catalogs: Iterable[Catalog]) -> str | None:
    """Return the column of labels, if all parts have one."""
    columns = [catalog.label_column for catalog in catalogs]
    return None if None in columns else columns[0]
