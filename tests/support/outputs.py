"""Outputs that are made and read again in this process, without a cluster and its start."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import prep
from prep.display.page.facts import read_facts
from prep.display.page.samples import take_sample
from prep.operations import audit as audits
from prep.operations.publish import publish
from prep.output.inventory import Inventory
from prep.output.journal import Journal
from prep.output.plan_file import require_listed
from prep.planning.plan import RunPlan
from prep.shards.check import inspect_shard
from prep.shards.writer import RunRef, write_shard
from tests.support.serial import SerialExecutor

DERIVED = {"images.parquet", "dataset_info.json", "features.json", "label.labels.txt"}


def without_derived(names: Iterable[str]) -> set[str]:
    """Return the names of files in an output but those that are made of plan and receipts."""
    return {name for name in names if not name.startswith("index/")} - DERIVED


def prepare(config: prep.Config) -> Journal:
    """Write an output, one shard after the other."""
    return write_plan(prep.plan(config))


def write_plan(plan: RunPlan) -> Journal:
    """Write the output of a plan, one shard after the other."""
    journal = Journal(plan.config.output)
    journal.begin(plan)
    run = RunRef(output=journal.output, digest=plan.fingerprint.digest, run=uuid.uuid4().hex)
    publish(plan, journal, [write_shard(shard, run) for shard in plan.shards])
    return journal


def examine(root: Path) -> audits.Audit:
    """Verify an output."""
    journal = Journal(root)
    stored = journal.stored_plan()
    assert stored is not None
    require_listed(journal.layout, stored)
    run = RunRef(output=str(root), digest=stored.fingerprint.digest, run=uuid.uuid4().hex)
    shards = [inspect_shard(shard, run) for shard in stored.shards]
    return audits._look_beside(Inventory(journal, stored), shards)


def look(root: Path) -> None:
    """Read all that is read of an output, but for what needs a cluster or TensorFlow."""
    journal = Journal(root)
    audit = examine(root)
    stored = journal.stored_plan()
    assert stored is not None
    facts = read_facts(journal, stored, own=False)
    facts.digest()
    take_sample(journal, facts)
    if facts.report is not None:
        assert repr(facts.report)
    assert all(str(problem) for problem in audit.problems)


@contextlib.contextmanager
def placed_here(*_: Any) -> Iterator[SerialExecutor]:
    """Stand in for :func:`prep.execution.placing.placed`."""
    yield SerialExecutor()
