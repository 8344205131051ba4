"""Read the complete outputs that are to be merged, and tell what is none, or not ready."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass

from prep.errors import ConfigError
from prep.output.inventory import require_complete, require_whole_plan
from prep.output.journal import Journal
from prep.output.lock import require_unheld
from prep.output.plan_file import Trust, no_plan, require_listed, require_trusted
from prep.planning.plan import RunPlan
from prep.sources.naming import is_within
from prep.text import kind_of, quoted, shown


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedOutput:
    """A complete output that is merged with others.

    Attributes:
        output: its path or URL.
        plan: its plan, with the manifest.
        bytes: of all its shards.
    """

    output: str
    plan: RunPlan
    bytes: int


def outputs_given(outputs: object) -> list[str | os.PathLike[str]]:
    """Return the outputs; raise ConfigError unless there are several."""
    if isinstance(outputs, str | os.PathLike) or not isinstance(outputs, Sequence):
        got = shown(outputs) if isinstance(outputs, str | os.PathLike) else kind_of(outputs)
        raise ConfigError(f"outputs: got {got}; expected a list of two outputs or more")
    if len(outputs) < 2:
        raise ConfigError(f"outputs: got {len(outputs)}; expected two outputs or more to merge")
    return list(outputs)


def require_distinct(journals: Sequence[Journal], journal: Journal) -> None:
    """Raise ConfigError if an output is given twice, or the new one lies in another."""
    for one, other in itertools.combinations(journals, 2):
        if _is_same(one, other):
            raise ConfigError(f"outputs: {quoted(one.output)} is given twice; leave one out")
    for each in journals:
        within = is_within(journal.output, each.output) or is_within(each.output, journal.output)
        if within or _is_same(each, journal):
            raise ConfigError(
                f"output: {quoted(journal.output)} is, holds or lies in {quoted(each.output)}, "
                "which is to be merged; choose another folder"
            )


def _is_same(one: Journal, other: Journal) -> bool:
    """Return whether two outputs are one, maybe under two paths."""
    if one.output == other.output:
        return True
    here, there = one.layout.root.local, other.layout.root.local
    with contextlib.suppress(OSError):
        return here is not None and there is not None and here.samefile(there)
    return False


def read_finished(journal: Journal, trust: Trust) -> FinishedOutput:
    """Read the plan of an output.

    Raises:
        SourceError: it is none, or not complete.
        OutputConflict: a run is at work in it.
        UntrustedPlan: its plan may be somebody else's.
        PrepError: its plan can't be read, or does not fit its manifest.
    """
    journal.require_folders()
    stored = journal.stored_plan()
    if stored is None:
        raise no_plan(journal.layout)
    journal.require_folders(stored.splits)
    require_listed(journal.layout, stored)
    require_trusted(journal.layout, stored, trust, "a repair of the merged output")
    with contextlib.suppress(OSError):  # Only what is read of the output itself has to be there.
        require_unheld(journal.layout.lock)
    plan = require_whole_plan(journal, stored)
    receipts = require_complete(journal, plan, "outputs")
    size = sum(receipt.bytes for receipt in receipts)
    return FinishedOutput(output=journal.output, plan=plan, bytes=size)
