"""The journal of an output: its lock, its plan and what belongs to it, on a disk or a storage."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from prep.errors import LabelError, OutputConflict, PrepError
from prep.output.committed import Receipts
from prep.output.index.withdrawal import withdraw_derived
from prep.output.layout import OutputLayout, is_shard_name
from prep.output.lease import Lease, is_lock_name
from prep.output.lock import exclusive
from prep.output.plan_file import StoredManifest, read_plan
from prep.output.receipt import ShardReceipt
from prep.parsing import LARGEST, parse_json
from prep.planning.plan import RunPlan
from prep.planning.shards import ShardSpec
from prep.planning.stored_plan import with_manifest
from prep.sources import manifest
from prep.sources.base import ImageEntry, Kept, Source
from prep.sources.labels import LabelMap
from prep.sources.registry import planned_source
from prep.storage.locate import absolute, locate
from prep.storage.location import Location
from prep.text import reason_and_file, reason_of


class Journal:
    """The plan, manifest and receipts of an output, and its lock.

    Attributes:
        output: its absolute path or its URL, as every process is told it.
        layout: paths in the place where this process finds it.
        receipts: which shards are committed.
        manifest: the images of its plan.
        is_locked: whether this process keeps other runs out of the output.
    """

    def __init__(self, output: str | os.PathLike[str]) -> None:
        self.output = absolute(output)
        self.layout = OutputLayout(locate(self.output))
        self.receipts = Receipts(self.layout)
        self.manifest = StoredManifest(self.layout)
        self.is_locked = False
        self._lease: Lease | None = None

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other runs out of this output for the length of the block.

        Raises:
            OutputConflict: another run holds it or has taken it meanwhile, or the output can't be
                written to.
            StorageUnavailable: a storage does not answer.
        """
        with contextlib.ExitStack() as stack:
            try:
                lock = exclusive(self.layout.lock, within=self.layout.root)
                self._lease = stack.enter_context(lock)
                stack.callback(self._let_go)
                self.manifest.restore()
            except OSError as error:
                raise self.not_writable(error) from None
            self.is_locked = True
            yield

    def _let_go(self) -> None:
        self.is_locked = False
        self._lease = None

    def require_lock(self, *, ask: bool = False) -> None:
        """Raise OutputConflict if another run has taken this output while it was locked.

        A kernel's lock is never lost. A lease is, by a run that can't renew it in time.

        Args:
            ask: whether to look now; by default, the last look may be some time ago.

        Raises:
            StorageUnavailable: a storage does not answer.
        """
        if self._lease is None:
            return
        try:
            self._lease.require(ask=ask)
        except OSError as error:
            self.layout.root.require_answer(error, "output: can't be read")
            raise OutputConflict(
                f"output: can't read {self.layout.root}: {reason_of(error)}"
            ) from None

    def not_writable(self, error: OSError) -> OutputConflict:
        """Turn a system error that ended a run or a repair into one for users.

        Raises:
            StorageUnavailable: a storage does not answer, in place of that.
        """
        root = self.layout.root
        root.require_answer(error, "output: can't be written to")
        told = reason_of(error) if error.filename == str(root) else reason_and_file(error)
        return OutputConflict(f"output: can't write to {root}: {told}")

    def require_folders(self, splits: Iterable[str] = ()) -> None:
        """Raise OutputConflict if a symbolic link is in the place of a folder of ours.

        Args:
            splits: splits of a plan; those that have receipts already are looked at, too.

        Raises:
            StorageUnavailable: a storage does not answer.
        """
        root = self.layout.root
        try:
            root.patiently(lambda: self._require_folders(splits))
        except OSError as error:  # On this machine, whatever comes next says the same.
            root.require_answer(error)

    def _require_folders(self, splits: Iterable[str]) -> None:
        layout, root = self.layout, self.layout.root
        if not root.has_links:
            return
        for folder in (layout.state, layout.receipts, layout.index):
            folder.require_unlinked(within=root)
        for split in {*splits, *self._splits_with_receipts()}:
            for folder in (root / split, layout.receipts / split, layout.index / split):
                folder.require_unlinked(within=root)

    def stored_plan(self) -> RunPlan | None:
        """Read the plan that this output holds; see :func:`prep.output.plan_file.read_plan`."""
        return read_plan(self.layout)

    def stored_labels(self) -> LabelMap | None:
        """Return the label map of this output; None if it can't be read.

        The plan knows what the shards were written with, even if ``label_map.json`` has changed.
        """
        with contextlib.suppress(PrepError):
            if stored := self.stored_plan():
                return stored.labels
        try:
            value = parse_json(self.layout.labels.read_at_most(LARGEST))
            return LabelMap.stored(value)
        except OSError as error:
            self.layout.root.require_answer(error)
            return None
        except (ValueError, LabelError):
            return None

    def holds(self, plan: RunPlan) -> bool:
        """Return whether nothing of a plan is left for ``begin`` to publish.

        The output may have been moved since: where it was then makes no difference.

        Raises:
            StorageUnavailable: a storage does not answer.
        """
        try:
            there = self.layout.labels.exists() and self._holds_plan(plan)
        except OSError as error:
            self.layout.root.require_answer(error)
            return False
        return there and self.manifest.holds(plan) and self._keeps(self.source(plan).kept)

    def whole_plan(self, stored: RunPlan) -> RunPlan:
        """Return a stored plan with its manifest.

        Raises:
            OSError, ValueError, ArrowException: the manifest can't be read, or is not the plan's.
        """
        return with_manifest(stored, self.manifest.table_of(stored))

    def begin(self, plan: RunPlan) -> None:
        """Publish the plan, unless it is there already, and clear what dead attempts have left.

        The traces of attempts that have died stay, so that the next ones are careful.

        Raises:
            OutputConflict: the output can't be written to.
        """
        layout, root = self.layout, self.layout.root
        try:
            for split in plan.counts:
                for folder in (layout.root / split, layout.receipts / split):
                    folder.make_folder(within=root)
            with contextlib.suppress(OSError):  # It may be forbidden; and no reader sees them.
                root.abort_uploads(layout.holds)
            self.remove_leftovers(plan, keep_names=True)
            self._keep(self.source(plan).kept)
            stored = self.stored_plan()
            if stored is None or not self.manifest.holds(plan):
                self.manifest.write(plan)
            changed = stored is not None and stored.labels != plan.labels
            if changed:
                layout.labels.publish_json(plan.labels.to_json(), within=root)
            if stored is None or stored.to_json() != plan.to_json():
                layout.plan.publish_json(plan.to_json(), within=root)
            if stored is None or not layout.labels.exists():
                # Without the plan, the next run would take this file for somebody else's.
                layout.labels.publish_json(plan.labels.to_json(), within=root)
        except OSError as error:
            raise self.not_writable(error) from None

    def remove_leftovers(self, plan: RunPlan, *, keep_names: bool = False) -> None:
        """Remove what dead attempts have left; see :class:`prep.storage.location.Location`."""
        layout = self.layout
        folders = (layout.root, layout.receipts, layout.index)
        splits = (folder / split for folder in folders for split in plan.counts)
        alone = self._lease is not None
        for folder in (layout.root, layout.state, *splits):
            folder.remove_leftovers(within=layout.root, keep_names=keep_names, alone=alone)

    def clear(self, plan: RunPlan) -> None:
        """Remove what an earlier run has put here, and files that would be mistaken for ours.

        Raises:
            OutputConflict: not all of it can be removed.
        """
        try:
            self._clear(plan)
        except OSError as error:
            raise self.not_writable(error) from None

    def _clear(self, plan: RunPlan) -> None:
        layout, root = self.layout, self.layout.root
        splits = set(plan.counts) | self._splits_with_receipts()
        self.withdraw(splits)
        files = [*layout.results, *(s for split in splits for s in self.shard_files(split))]
        for path in files:
            if path.is_file() or path.is_symlink():
                path.remove_file(within=root)
        for split in splits - set(plan.counts):
            (root / split).remove_leftovers(within=root)
            with contextlib.suppress(OSError):  # Something of the user's is in there.
                (root / split).remove_folder(within=root)
        layout.state.empty_folder(within=root, keep=is_lock_name)  # We hold it.

    def withdraw(self, splits: Iterable[str]) -> None:
        """Remove the files that tell readers what is in the shards, before a shard changes.

        Args:
            splits: whose indexes are removed.

        Raises:
            OutputConflict: not all of them can be removed.
        """
        try:
            withdraw_derived(self.layout, splits)
        except OSError as error:
            raise self.not_writable(error) from None

    def committed(self, plan: RunPlan) -> list[ShardReceipt]:
        """Return the receipts of all shards of a plan that are committed, in the plan's order."""
        return self.receipts.committed(plan.shards, plan.fingerprint.digest)

    def entries(
        self, plan: RunPlan, shard: ShardSpec, *, locked: bool = False
    ) -> Iterator[ImageEntry]:
        """Yield the images of a shard, in the order in which they are written.

        Args:
            locked: whether a run of this plan holds the output, so that the manifest is its own.
        """
        rows = range(shard.start, shard.stop)
        file = self.layout.manifest if locked else self.manifest.file_of(plan)
        return manifest.entries(file, plan.source, plan.classes, rows)

    def source(self, plan: RunPlan) -> Source:
        """Return the source of a plan, as it was given, or else as workers find it."""
        return planned_source(plan.config.source, plan.source, self.layout.state)

    def shard_files(self, split: str) -> Iterator[Location]:
        """Yield whatever is named like a shard of a split, of this plan or not."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for path in (self.layout.root / split).iterdir():
                if is_shard_name(path.name, split):
                    yield path

    def _splits_with_receipts(self) -> set[str]:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return {folder.name for folder in self.layout.receipts.iterdir()}
        return set()

    def _keep(self, files: Sequence[Kept]) -> None:
        """Publish the images that workers could not reach otherwise, unless they are there.

        Those of another run go: it has died before it published its plan.
        """
        absent = [kept for kept in files if not self._keeps([kept])]
        within = self.layout.root
        if absent:
            names = {kept.name for kept in files}
            with contextlib.suppress(FileNotFoundError):
                for path in self.layout.state.iterdir():
                    if Kept.has_name(path.name) and path.name not in names:
                        path.remove_file(within=within)
        for kept in absent:
            with (self.layout.state / kept.name).create(within=within) as file:
                for piece in kept.pieces:
                    file.write(piece)

    def _keeps(self, files: Sequence[Kept]) -> bool:
        """Return whether these images are beside the manifest."""
        try:
            return all((self.layout.state / k.name).file_size() == k.size for k in files)
        except OSError as error:
            self.layout.root.require_answer(error)
            return False

    def _holds_plan(self, plan: RunPlan) -> bool:
        stored = self.stored_plan()
        return stored is not None and _without_place(stored) == _without_place(plan)


def _without_place(plan: RunPlan) -> dict[str, Any]:
    values = plan.to_json()
    del values["config"]["output"]
    return values
