"""What is different between the images, or the labels, of two plans, in words."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from prep.labels import LabelMap
from prep.text import quoted, some


def describe_changes(then: pa.Table, now: pa.Table) -> str:
    """Counts what was added, is gone, or has changed between two manifests, with an example each.

    An image has changed if its size or its time of change has.
    """
    both = then.select(["path", "size", "mtime"]).join(
        now.select(["path", "size", "mtime"]),
        keys="path",
        right_suffix=" now",
        join_type="full outer",
        coalesce_keys=True,
    )
    is_new, is_gone = pc.is_null(both["size"]), pc.is_null(both["size now"])
    same = pc.and_(
        pc.equal(both["size"], both["size now"]), pc.equal(both["mtime"], both["mtime now"])
    )
    parts = [
        _count(both.filter(mask), what)
        for mask, what in (
            (is_new, "added"),
            (is_gone, "gone"),
            (pc.invert(pc.fill_null(same, fill_value=True)), "changed"),
        )
    ]
    return ", ".join(part for part in parts if part) or "the same, in other classes or splits"


def _count(rows: pa.Table, what: str) -> str:
    if not rows.num_rows:
        return ""
    example = os.fsdecode(pc.min(rows["path"]).as_py())
    return f"{rows.num_rows:,} {what} (such as {quoted(example)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelChanges:
    """What differs between two label maps, each class with its number.

    Attributes:
        moved: classes with other numbers than before.
        new, gone: classes of one of them alone.
        widths: how long the one-hot lists are, where that differs.
    """

    moved: tuple[str, ...]
    new: tuple[str, ...]
    gone: tuple[str, ...]
    widths: str = ""

    def __str__(self) -> str:
        kinds = (("moved", self.moved), ("new", self.new), ("gone", self.gone))
        parts = [f"{len(names):,} {kind} ({some(names)})" for kind, names in kinds if names]
        return ", ".join([*parts, self.widths] if self.widths else parts)


def label_changes(then: LabelMap, now: LabelMap) -> LabelChanges:
    """Compare two label maps.

    >>> str(label_changes(LabelMap.build(["cat", "dog"]), LabelMap.build(["bee", "cat", "dog"])))
    "2 moved ('cat' 0 → 1, 'dog' 1 → 2), 1 new ('bee' 0)"
    """
    old, new = then.numbers, now.numbers
    both = [name for name in old if name in new and old[name] != new[name]]
    width = "" if then.width == now.width else f"{_kind(then)} there, {_kind(now)} here"
    return LabelChanges(
        moved=tuple(f"{quoted(n)} {old[n]} → {new[n]}" for n in sorted(both, key=old.__getitem__)),
        new=_numbered(now, (name for name in new if name not in old)),
        gone=_numbered(then, (name for name in old if name not in new)),
        widths=width,
    )


def _numbered(labels: LabelMap, names: Iterable[str]) -> tuple[str, ...]:
    numbers = labels.numbers
    ordered = sorted(names, key=numbers.__getitem__)
    return tuple(f"{quoted(name)} {numbers[name]}" for name in ordered)


def _kind(labels: LabelMap) -> str:
    return "numbers" if labels.width is None else f"one-hot lists of {labels.width}"
