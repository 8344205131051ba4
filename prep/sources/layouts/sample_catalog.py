"""The catalog of the samples in a set of shards, whatever their format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from prep.errors import ConfigError, SourceError
from prep.sources.base import Catalog, Wanted
from prep.sources.columns import in_catalog
from prep.sources.folders.ignored import Ignored
from prep.sources.layouts.base import Place, columns_given
from prep.sources.layouts.number_names import NumberNames, names_beside
from prep.sources.layouts.numbered_labels import Label, classes_of
from prep.storage.locate import locate
from prep.text import quoted, some

# The columns that samples may have; their splits are told by the names of shards.
_ROLES = ("image", "label", "group")


@dataclass(frozen=True, kw_only=True)
class ShardSamples:
    """The samples of one shard.

    Attributes:
        split: the split that the shard belongs to.
        images: a row for each sample: ``path``, ``size``, ``mtime``, ``file``, ``offset``, ``how``.
        labels: of the samples, in the same order.
        groups: likewise; empty if none are wanted.
    """

    split: str
    images: pa.Table
    labels: Sequence[Label]
    groups: Sequence[Label] = ()


@dataclass(frozen=True, kw_only=True)
class SampleSet:
    """The samples of all shards of a source, and what was found about them.

    Attributes:
        source: the name of the source, as plans hold it.
        read_as: what it was read as, in words.
        shards: the samples, shard by shard.
        names: the names of classes by number, if a file beside the shards tells them.
        class_names: names for people, by label.
        columns: where images and labels are from, as the key ``columns`` has it.
        doubts: what may be a mistake, a sentence each.
        ignored: what is no part of the set.
    """

    source: str
    read_as: str
    shards: Sequence[ShardSamples]
    names: NumberNames | None = None
    class_names: Mapping[Label, str] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()
    ignored: tuple[Ignored, ...] = ()

    def catalog(self, wanted: Wanted) -> Catalog:
        """Return the catalog of the splits that are wanted.

        Raises:
            SourceError: a split is not there, or a label is not among the names of classes.
        """
        found = sorted({shard.split for shard in self.shards})
        chosen = tuple(found) if wanted.splits is None else wanted.splits
        absent = [name for name in chosen if name not in found]
        if absent:
            raise SourceError(
                f"splits: no shards of {some([*map(quoted, absent)])} in the source; splits "
                f"found: {some([*map(quoted, found)])}"
            )
        images = pa.concat_tables(shard.images for shard in self.shards).unify_dictionaries()
        labels = [label for shard in self.shards for label in shard.labels]
        paths = images["path"]
        classes = classes_of(
            labels,
            self.names,
            wanted.label_offset,
            lambda row: paths[row].as_py().decode(errors="surrogateescape"),
            wanted.target,
        )
        numbers = [chosen.index(s.split) if s.split in chosen else -1 for s in self.shards]
        split = np.repeat(np.array(numbers, np.int32), [len(s.labels) for s in self.shards])
        columns: dict[str, Any] = {"split": split, "class": classes.numbers}
        columns |= {name: images[name] for name in images.column_names}
        if any(shard.groups for shard in self.shards):
            groups = [group for shard in self.shards for group in shard.groups]
            columns["group"] = _as_column(groups)
        table = in_catalog(pa.table(columns)).filter(pa.array(split >= 0))
        return Catalog(
            source=self.source,
            read_as=self.read_as,
            splits=chosen,
            classes=classes.names,
            images=table,
            ignored=self.ignored,
            order=classes.order,
            class_names=self._class_names(wanted.label_offset, classes.names),
            as_keys={"columns": dict(self.columns)} if self.columns else {},
            label_column=self.columns.get("label"),
            doubts=(*self.doubts, *classes.doubts),
        )

    def _class_names(self, offset: int, classes: Sequence[str]) -> dict[str, str]:
        found = {
            str(label - offset if isinstance(label, int) else label): text
            for label, text in self.class_names.items()
        }
        return {name: text for name, text in found.items() if name in classes and name != text}


def names_of_classes(place: Place) -> NumberNames | None:
    """Return the names of classes from a file in a folder, or beside a file.

    Raises:
        SourceError, StorageUnavailable: as ``names_beside``.
    """
    folder = place.name if place.is_folder else place.name.rpartition("/")[0]
    return names_beside(locate(folder or "/"))


def _as_column(groups: Sequence[Label]) -> pa.DictionaryArray:
    texts = [None if group is None else str(group).encode() for group in groups]
    return pa.array(texts, pa.binary()).dictionary_encode()


def require_known_columns(wanted: Wanted, title: str) -> Mapping[str, str]:
    """Return the columns that are given, by role.

    Raises:
        ConfigError: a role has no meaning in this layout, or is given several.
    """
    given = columns_given(wanted)
    for role, name in given.items():
        if role not in _ROLES:
            raise ConfigError(
                f"columns.{role}: has no meaning in a source that is read as {title}; expected "
                f"{some([*_ROLES])}"
            )
        if not isinstance(name, str):
            raise ConfigError(f"columns.{role}: got several; expected the name of one")
    return given
