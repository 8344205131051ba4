"""Remove the files that tell readers what is in the shards, which takes no plan and no receipts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from prep.output.layout import OutputLayout, is_index_name
from prep.storage.location import Location


def withdraw_derived(layout: OutputLayout, splits: Iterable[str]) -> None:
    """Remove derived files, ``dataset_info.json`` first: it says that the others are there.

    Args:
        layout: of the output.
        splits: the splits whose indexes are removed.

    Raises:
        OSError: a file can't be removed.
    """
    there = {*layout.root.names()}
    for path in layout.derived:
        if path.name in there:
            path.remove_file(within=layout.root)
    for split in splits:
        _remove_indexes(layout, split)


def index_files(layout: OutputLayout, split: str) -> list[Location]:
    """Return whatever is named like the index of a shard of a split, of any plan."""
    folder = layout.index / split
    with contextlib.suppress(NotADirectoryError):
        return [folder / name for name in folder.names() if is_index_name(name, split)]
    return []


def _remove_indexes(layout: OutputLayout, split: str) -> None:
    root, found = layout.root, index_files(layout, split)
    for _ in root.each(lambda path: path.remove_file(within=root), found):
        pass
    if found:
        with contextlib.suppress(OSError):  # Something of the user's is in there.
            (layout.index / split).remove_folder(within=root)
            layout.index.remove_folder(within=root)
