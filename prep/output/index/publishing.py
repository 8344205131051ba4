"""Publish the files that tell readers what is in the shards, and compare them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from prep.errors import OutputConflict
from prep.output.findings import Finding, mismatch
from prep.output.index.derived import (
    DerivedFile,
    are_measured,
    derived_files,
    lacks_measures,
)
from prep.output.index.image_table import is_same_table
from prep.output.index.withdrawal import index_files
from prep.output.journal import Journal
from prep.output.layout import OutputLayout
from prep.output.receipt import ShardReceipt
from prep.planning.plan import RunPlan
from prep.storage.location import Location

T = TypeVar("T")

_EXPECTED = "the file made of plan and receipts"
_SPARE = 1 << 16  # bytes by which another version of pyarrow may write more than ours


def publish_derived(journal: Journal, plan: RunPlan, receipts: Sequence[ShardReceipt]) -> None:
    """Write the files that are not there as they should be, and remove those that don't belong.

    Nothing is done if receipts are of an earlier version; see ``are_measured``.

    Args:
        journal: the output.
        plan: with its manifest.
        receipts: of all shards, in the order of the plan.

    Raises:
        OSError: something can't be written.
    """
    if not are_measured(receipts):
        return
    layout, root = journal.layout, journal.layout.root
    files = list(derived_files(layout, plan, receipts))
    right = _are_right(layout, files)
    wrong = {file.path for file, is_right in zip(files, right, strict=True) if not is_right}
    strays = _strays(journal, plan, files)
    if not wrong and not strays:
        return
    if not journal.is_locked:
        _publish_with_lock(journal, plan, receipts)
        return
    layout.dataset_info.remove_file(within=root)  # It says that all others are there.
    wrong.add(layout.dataset_info)
    _for_each(root, strays, lambda path: path.remove_file(within=root))
    indexes = [file for file in files if file.path in wrong and file.path.parent != root]
    for folder in {file.path.parent for file in indexes}:
        folder.make_folder(within=root)
    _for_each(root, indexes, lambda file: file.path.publish(file.data, within=root, durable=False))
    for file in files:
        if file.path in wrong and file.path.parent == root:
            journal.require_lock(ask=True)  # Whoever was suspended may have lost it by now.
            file.path.publish(file.data, within=root)


def _publish_with_lock(journal: Journal, plan: RunPlan, receipts: Sequence[ShardReceipt]) -> None:
    """Write the files of a finished output, unless another run is at work, or has changed it."""
    with contextlib.suppress(OutputConflict), journal.lock():
        stored = journal.stored_plan()
        if stored is None or stored.fingerprint.digest != plan.fingerprint.digest:
            return
        if journal.committed(plan) == list(receipts):
            publish_derived(journal, plan, receipts)


def wrong_files(
    journal: Journal, plan: RunPlan, receipts: Sequence[ShardReceipt]
) -> Iterator[Finding]:
    """Yield what is wrong with these files: absent, changed, or not of these shards.

    Args:
        journal: the output.
        plan: with its manifest.
        receipts: of all shards, in the order of the plan.
    """
    layout = journal.layout
    if lacks_measures(plan, receipts):
        found = "none that tells where all records are"
        yield mismatch(layout.images.name, _EXPECTED, found, "remake")
    if not are_measured(receipts):
        return
    files = list(derived_files(layout, plan, receipts))
    for file, right in zip(files, _are_right(layout, files), strict=True):
        if not right:
            yield _wrong_file(layout, file.path)
    for path in _strays(journal, plan, files):
        yield mismatch(_name(layout, path), "only the files of the plan", "this file", "remove")


def _wrong_file(layout: OutputLayout, path: Location) -> Finding:
    """Return the finding of a file that is not there as it should be."""
    if path.is_dir() and not path.is_symlink():
        return mismatch(_name(layout, path), _EXPECTED, "a folder that prep did not make", "none")
    there = path.exists() or path.is_symlink()
    found = "another file" if there else "no such file"
    return mismatch(_name(layout, path), _EXPECTED, found, "remake")


def _name(layout: OutputLayout, path: Location) -> str:
    return str(path.relative_to(layout.root))


def _are_right(layout: OutputLayout, files: Sequence[DerivedFile]) -> Iterator[bool]:
    """Yield for each file whether it is there with these contents."""
    folders = {file.path.parent for file in files}
    # A storage is slow to answer, and so asked for whole folders. On a disk these are None.
    there = {folder: folder.sizes() for folder in folders}

    def is_right(file: DerivedFile) -> bool:
        listed = there[file.path.parent]
        return (listed is None or file.path.name in listed) and _is_right(layout, file)

    return layout.root.each(is_right, files)


def _is_right(layout: OutputLayout, file: DerivedFile) -> bool:
    path, data = file
    most = 2 * len(data) + _SPARE if path == layout.images else len(data)
    try:
        found = path.read_at_most(most)
    except OSError as error:
        path.require_answer(error)
        return False
    except ValueError:
        return False
    return found == data or (path == layout.images and is_same_table(found, data))


def _strays(journal: Journal, plan: RunPlan, files: Sequence[DerivedFile]) -> list[Location]:
    """Return files with names of ours that the output is not to have."""
    layout, expected = journal.layout, {file.path for file in files}
    found = [path for path in layout.derived if path not in expected and path.is_file()]
    for split in sorted({*plan.splits, *layout.index.names()}):
        found += [path for path in index_files(layout, split) if path not in expected]
    return found


def _for_each(root: Location, items: Iterable[T], change: Callable[[T], None]) -> None:
    """Change many files; in a storage, several at the same time."""
    for _ in root.each(change, items):
        pass
