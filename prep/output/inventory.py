"""Compare what lies in an output beside its shards with the plan and the receipts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from prep.errors import PrepError, SourceError
from prep.output.findings import Finding, Remedy, mismatch
from prep.output.index.publishing import wrong_files
from prep.output.journal import Journal
from prep.output.layout import is_shard_name, split_of
from prep.output.receipt import ShardReceipt, SplitTotals
from prep.output.report.listings import findings_are_published
from prep.output.report.making import Effort, make_report
from prep.output.report.report import RunReport
from prep.parsing import LARGEST, parse_json
from prep.planning.fingerprint import IMAGES
from prep.planning.plan import RunPlan
from prep.storage.location import Location
from prep.text import counted, quoted, reason_of

_LONGEST = 120  # characters of a file's contents in a finding
# Members that differ between runs that give the same result, or with the place of the output.
_NOT_OF_THE_RESULT = {
    *("output", "seconds", "start_seconds", "images_per_second", "resumed_shards", "retries"),
    *("versions", "config", "verdict"),
    "duplicates",  # found by reading the images
    "near_duplicates",
    *("read_as", "passed_over", "balance", "outdated"),  # found by listing the source
    "refusals_allowed",  # as the run was asked
}


def require_whole_plan(journal: Journal, stored: RunPlan) -> RunPlan:
    """Return the stored plan of an output with its manifest.

    Raises:
        PrepError: the manifest can't be read, or is not that of the plan.
    """
    plan, problems = Inventory(journal, stored).plan()
    if plan is None:
        raise PrepError(
            f"{quoted(journal.output)}: {problems[0]}; repair it with `prep.verify` first"
        )
    return plan


def require_complete(
    journal: Journal, plan: RunPlan, argument: str = "output"
) -> list[ShardReceipt]:
    """Return the receipts of all shards of a plan.

    Args:
        journal: of the output.
        plan: its plan.
        argument: what the output was given as, for the message.

    Raises:
        SourceError: some are absent.
    """
    receipts = journal.committed(plan)
    if len(receipts) < len(plan.shards):
        raise SourceError(
            f"{argument}: {quoted(journal.output)} is not complete: {len(receipts):,} of "
            f"{counted(len(plan.shards), 'shard')} are committed; continue its run to the end first"
        )
    return receipts


class Inventory:
    """Looks through one output."""

    def __init__(self, journal: Journal, stored: RunPlan) -> None:
        self._journal = journal
        self._layout = journal.layout
        self._stored = stored

    def plan(self) -> tuple[RunPlan | None, list[Finding]]:
        """Return the plan with its manifest, or else what is wrong with either."""
        stored = self._stored
        try:
            whole = self._journal.whole_plan(stored)
        except (OSError, ValueError, IndexError, pa.ArrowException) as error:
            if isinstance(error, OSError):
                self._layout.root.require_answer(error)
            found = f"one that can't be read ({_why(error)})"
            return None, [self._problem(self._layout.manifest, "the manifest", found, "remake")]
        planned, there = stored.fingerprint, whole.fingerprint
        differences = planned.differences(there)
        if planned.without(IMAGES) != there.without(IMAGES):
            found = "; ".join(differences)
            return None, [
                self._problem(self._layout.plan, "a plan that fits its fingerprint", found, "none")
            ]
        if differences or whole.manifest.num_rows != stored.images:
            expected = f"a manifest of {stored.images} images, as planned"
            found = f"one of {whole.manifest.num_rows}"
            return None, [self._problem(self._layout.manifest, expected, found, "remake")]
        return whole, []

    def strays(self, *, leftovers: bool) -> Iterator[Finding]:
        """Yield files that readers would take for shards of this output, though they are not.

        Args:
            leftovers: whether temporary files of attempts that have ended are wrong, too.
        """
        layout, shards = self._layout, self._stored.shards
        files = {layout.shard(shard) for shard in shards} | self._still_to_rename()
        for split in self._stored.splits:
            for path in _files_in(layout.root / split):
                if is_shard_name(path.name, split) and path not in files:
                    yield self._stray(path, "only the shards of the plan")
        receipts = {layout.receipt(shard.split, shard.index) for shard in shards}
        for folder in _files_in(layout.receipts):
            for path in _files_in(folder):
                if path.suffix == ".json" and path not in receipts:
                    yield self._stray(path, "only the receipts of the plan")
        for folder in self._folders() if leftovers else ():
            for path in folder.leftovers():
                yield self._stray(path, "no temporary files")

    def _still_to_rename(self) -> set[Location]:
        """Return the files of shards that the plan has not taken over yet, by their old names."""
        before, format = self._stored.continues, self._stored.config.format
        if before is None:
            return set()
        return {
            self._layout.root / shard.split / before.name_of(shard, format)
            for shard in self._stored.shards
            if before.has(shard) and self._journal.receipts.of_plan_before(shard, before)
        }

    def unrelated(self) -> Iterator[str]:
        """Yield files that are named like shards, but are not where shards of this plan are."""
        for folder in (self._layout.root, *_files_in(self._layout.root)):
            for path in _files_in(folder):
                split = split_of(path.name)
                if split is None:
                    continue
                if split not in self._stored.splits or folder != self._layout.root / split:
                    yield self._name(path)

    def label_map(self) -> Iterator[Finding]:
        """Yield what is wrong with ``label_map.json``."""
        path = self._layout.labels
        value = _read_json(path)
        if value != self._stored.labels.to_json():
            yield self._problem(path, "the label map of the plan", _what(path, value), "remake")

    def results(self, plan: RunPlan, totals: SplitTotals) -> Iterator[Finding]:
        """Yield what is wrong with ``report.json``, ``mean_rgb.json`` and ``refused.csv``.

        Args:
            totals: of the receipts of all shards.
        """
        nothing = Effort(seconds=0.0, images=0, resumed_shards=0)
        expected = make_report(plan, self._journal.output, totals, nothing, duplicates={})
        mean = _read_json(self._layout.mean)
        if expected.mean is not None and not expected.is_mean_file(mean):
            found = _what(self._layout.mean, mean)
            told = "the mean that the receipts add up to"
            yield self._problem(self._layout.mean, told, found, "remake")
        if not findings_are_published(self._layout, totals):
            path = self._layout.refused
            found = "other images" if path.exists() else "no such file"
            yield self._problem(path, "the images that the receipts name", found, "remake")
        try:
            stored = RunReport.read(self._journal.output)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError):
                self._layout.report.require_answer(error)
            found = _what(self._layout.report, None)
            yield self._problem(self._layout.report, "the report", found, "remake")
            return
        if not stored.mean_of:  # Earlier versions did not say so.
            stored = replace(stored, mean_of=expected.mean_of)
        differing = _differing(_comparable(expected), _comparable(stored))
        if differing:
            found = f"other values of {', '.join(differing)}"
            yield self._problem(self._layout.report, "what the receipts say", found, "remake")

    def for_readers(self, plan: RunPlan, receipts: Sequence[ShardReceipt]) -> Iterator[Finding]:
        """Yield what is wrong with the files that tell readers what is in the shards.

        Args:
            receipts: of all shards, in the order of the plan.
        """
        yield from wrong_files(self._journal, plan, receipts)

    def _folders(self) -> Iterator[Location]:
        layout = self._layout
        yield from (layout.root, layout.state)
        for split in self._stored.splits:
            yield from (layout.root / split, layout.receipts / split, layout.index / split)

    def _stray(self, path: Location, expected: str) -> Finding:
        removable = path.is_symlink() or not path.is_dir()
        found = "this file" if removable else "a folder that prep did not make"
        return self._problem(path, expected, found, "remove" if removable else "none")

    def _problem(self, path: Location, expected: str, found: str, remedy: Remedy) -> Finding:
        return mismatch(self._name(path), expected, found, remedy)

    def _name(self, path: Location) -> str:
        return str(path.relative_to(self._layout.root))


def _files_in(folder: Location) -> list[Location]:
    """Return what lies in a folder, by name; nothing if there is no such folder."""
    try:
        return folder.patiently(lambda: sorted(folder.iterdir()))
    except OSError as error:
        folder.require_answer(error)
        return []


def _why(error: Exception) -> str:
    """Say why a manifest can't be read, without Arrow's messages about Parquet."""
    ours = isinstance(error, ValueError) and not isinstance(error, pa.ArrowException)
    return reason_of(error) if ours or isinstance(error, OSError) else type(error).__name__


def _read_json(path: Location) -> Any:
    try:
        return parse_json(path.read_at_most(LARGEST))
    except OSError as error:
        path.require_answer(error)
    except ValueError:
        pass
    return None


def _what(path: Location, value: Any) -> str:
    if value is not None:
        text = json.dumps(value, ensure_ascii=False)
        return text if len(text) <= _LONGEST else "another"
    return "a file that can't be read" if path.exists() or path.is_symlink() else "no such file"


def _comparable(report: RunReport) -> Mapping[str, Any]:
    """Return what a report says of the result, as JSON values."""
    values: dict[str, Any] = json.loads(json.dumps(report.to_json()))
    return {name: value for name, value in values.items() if name not in _NOT_OF_THE_RESULT}


def _differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterable[str]:
    """Return the members that differ; one that is absent is as one that is null."""
    return [name for name in {**a, **b} if a.get(name) != b.get(name)]
