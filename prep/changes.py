"""What is different between the images of two plans, in words."""

from __future__ import annotations

import os

import pyarrow as pa
import pyarrow.compute as pc


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
    return f"{rows.num_rows:,} {what} (such as {os.fsdecode(pc.min(rows['path']).as_py())!r})"
