"""Look at what a run finds in its output before it begins: the same for ``run`` and ``plan``."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from prep.config.model import AnyConfig, Config
from prep.errors import (
    BadImageError,
    LeaksFound,
    NotAsAsked,
    OutputConflict,
    PrepError,
    TooManyRefused,
)
from prep.operations.growth.adoption import Adoption, pending_adoptions
from prep.operations.growth.appending import (
    Aim,
    aim_of,
    as_it_grew,
    plan_growth,
    receipts_through,
    settled_splits,
    whole_plan,
)
from prep.operations.growth.growing import Growth, describe_growth
from prep.operations.preparation import Tell, as_begun, plan_images
from prep.output.conflicts import require_room, require_room_for_readers
from prep.output.index.derived import lacks_measures
from prep.output.journal import Journal
from prep.output.lock import require_unheld
from prep.output.receipt import ImageNote, ShardReceipt, of_outcome
from prep.output.report.duplicates import (
    changed_since_written,
    copies_in_run,
    summarise_copies,
)
from prep.output.report.near_copies import near_copies_of
from prep.output.report.report import RunReport
from prep.output.report.summary import describe_all_leaks
from prep.output.report.verdict import Verdict
from prep.planning.plan import OutputState, RunPlan
from prep.planning.shards import ShardSpec
from prep.shards.reading import is_settled
from prep.sources.base import ImageEntry
from prep.sources.manifest import entries_of
from prep.storage.location import Location
from prep.text import counted, quoted


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """The state of an output before a run of a plan.

    Attributes:
        plan: as it was begun; see :func:`prep.operations.preparation.as_begun`.
        receipts: of the shards that need not be written.
        adoptions: the shards that are still to be taken over from the plan before; ``receipts``
            has those that need not be written.
        finished: whether nothing is left to write, neither shards nor what describes them.
        suspect: the owner, on another machine, who may be at work in it.
        growth: how the output is to grow, if that is the aim.
        replaces: the plan that it holds before it grows, with its manifest.
    """

    plan: RunPlan
    receipts: tuple[ShardReceipt, ...]
    adoptions: tuple[Adoption, ...]
    finished: bool
    suspect: str | None
    growth: Growth | None = None
    replaces: RunPlan | None = None


def look_at_output(
    journal: Journal, planned: RunPlan, *, aim: Aim = "continue", locked: bool = False
) -> Outlook:
    """Look at an output; write nothing.

    Args:
        aim: what is to become of what it holds.
        locked: whether this run holds it.

    Raises:
        OutputConflict: no run of this plan can begin in it.
        StorageUnavailable: a storage does not answer.
    """
    overwrite = aim == "overwrite"
    stored = None if overwrite else journal.stored_plan()
    growth = replaces = None
    if stored is not None and aim in ("append", "compact"):
        replaces = whole_plan(journal, stored)
        growth = plan_growth(journal, replaces, planned, compact=aim == "compact")
        plan = growth.plan
    elif stored is not None and stored.sizes is not None:
        plan = as_it_grew(journal, stored, planned)
    else:
        plan = as_begun(planned, stored)
    require_room(journal, plan, overwrite=overwrite, grows=growth is not None)
    receipts, adoptions = ((), ()) if overwrite else _receipts(plan, journal, replaces)
    complete = len(receipts) == len(plan.shards) and not adoptions
    finished = complete and journal.holds(plan) and not lacks_measures(plan, receipts)
    if not finished:
        require_room_for_readers(journal, plan, receipts, overwrite=overwrite)
    # A finished output may lie where nothing can be written.
    suspect = None if locked or finished else _require_free(journal, plan)
    return Outlook(
        plan=plan,
        receipts=receipts,
        adoptions=adoptions,
        finished=finished,
        suspect=suspect,
        growth=growth,
        replaces=replaces,
    )


def plan(config: AnyConfig, *, append: bool = False, compact: bool = False) -> RunPlan:
    """Plan a run, and look at what it would find in the output. Write nothing.

    If no run could begin in the output, or one would end with an error for what was refused
    before, this is not an error: the plan's ``state`` says why.

    Args:
        config: what the run would do: a :class:`prep.Config`, a mapping of its keys, or the path
            of a JSON, YAML or TOML file with them.
        append, compact: as for ``prep.run``.

    Returns:
        The plan: images, classes, labels, shards, and the state of the output.

    Raises:
        SourceError: the source is missing or has no images.
        LabelError: the label map is malformed, or lacks a class.
        ConfigError: the mean file can't be used, or the output is the source or in a class folder.
        StorageUnavailable: a storage does not answer.
    """
    return look_ahead(Config.of(config), aim_of(append=append, compact=compact))


def look_ahead(config: Config, aim: Aim, tell: Tell = lambda _: None) -> RunPlan:
    """Plan a run as :func:`plan` does.

    Args:
        config: what the run would do.
        aim: what it would do with what the output holds.
        tell: is told of what takes long.
    """
    config.grant()
    journal, settled, unusable = Journal(config.output), None, None
    try:
        settled = settled_splits(journal, aim)
    except PrepError as error:
        unusable = error
    planned = plan_images(config, settled, tell)
    try:
        if unusable is not None:
            raise unusable
        found = look_at_output(journal, planned, aim=aim)
    except PrepError as error:
        return replace(planned, state=OutputState(obstacle=error))
    missing = missing_shards(found.plan, found.receipts)
    obstacle = _foregone(found, journal.output, complete=not missing)
    state = OutputState(
        committed=len(found.receipts),
        images_left=sum(shard.images for shard in missing),
        free=_free_space(journal.layout.root),
        suspect=found.suspect,
        obstacle=obstacle,
        growth="" if found.growth is None else describe_growth(found.growth),
    )
    return replace(found.plan, state=state)


def missing_shards(plan: RunPlan, receipts: Iterable[ShardReceipt]) -> list[ShardSpec]:
    """Return the shards of a plan without a receipt."""
    done = {(receipt.split, receipt.index) for receipt in receipts}
    return [shard for shard in plan.shards if (shard.split, shard.index) not in done]


def require_none_refused(config: Config, receipts: Iterable[ShardReceipt]) -> None:
    """Raise BadImageError where an earlier run has refused an image, and none may be refused."""
    refused = _refused(receipts)
    if refused and config.on_bad_image == "fail":
        raise BadImageError(
            f"{quoted(refused[0].path)} was refused ({refused[0].reason}) by an earlier run, and "
            "on_bad_image is 'fail'; repair or remove it, or pass `on_bad_image='refuse'`"
        )


def require_unchanged(plan: RunPlan, journal: Journal, receipts: Sequence[ShardReceipt]) -> None:
    """Raise OutputConflict if images were written whose contents have changed since.

    They are compared only if ``check`` is ``digest``.
    """
    if plan.config.check != "digest":
        return
    changed = changed_since_written(plan, journal.source(plan), receipts)
    if changed:
        raise OutputConflict(
            f"output: in {plan.config.output}, {counted(len(changed), 'image')} had other contents "
            f"when written (such as {quoted(changed[0])}), though the same size and time; choose "
            "another output, or pass `overwrite=True` to replace it"
        )


def require_as_asked(report: RunReport) -> None:
    """Raise NotAsAsked, with the report, if too many images were refused, or splits leak."""
    if not report.verdict.good:
        error = _not_as_asked(report.verdict, report.output)
        error.report = report
        raise error


def _not_as_asked(verdict: Verdict, output: str) -> NotAsAsked:
    if verdict.state == "leaks":
        return LeaksFound(
            verdict.reason,
            f"all images are written, and {output}/report.html shows these: leave them out with "
            "`duplicates='drop'` or `near_duplicates='drop'`, or accept them with "
            "`leaks='report'`",
        )
    return TooManyRefused(
        verdict.reason,
        f"all others are written, and {output}/refused.csv lists these: raise "
        "`max_refused` to accept them, or repair or remove them and pass `overwrite=True`",
    )


def _foregone(found: Outlook, output: str, *, complete: bool) -> PrepError | None:
    """Return the error that a run would end with for what was refused before, if any."""
    plan = found.plan
    try:
        require_none_refused(plan.config, found.receipts)
    except PrepError as error:
        return error
    if not complete:
        return None
    verdict = Verdict.of_counts(plan.images, len(_refused(found.receipts)), plan.refusals_allowed)
    if plan.config.leaks == "fail":
        verdict = verdict.unless_leaking(_leaks(found), plan.config.model_dump())
    return None if verdict.good else _not_as_asked(verdict, output)


def _leaks(found: Outlook) -> list[str]:
    """Return which splits of a complete output hold images of others, a phrase each."""
    plan = found.plan
    copies = copies_in_run(plan.manifest, plan.classes, plan.shards, found.receipts)
    near = near_copies_of(plan, plan.manifest, found.receipts)
    return describe_all_leaks(
        summarise_copies(copies, plan.splits), near.for_report() if near else {}, plan.splits
    )


def _refused(receipts: Iterable[ShardReceipt]) -> list[ImageNote]:
    return [f for receipt in receipts for f in of_outcome(receipt.findings, "refused")]


def _free_space(root: Location) -> int | None:
    """Return the free bytes where an output lies or is to lie; None if that is not known."""
    with contextlib.suppress(OSError):
        return shutil.disk_usage(_nearest(root.local)).free if root.local else None
    return None


def _receipts(
    plan: RunPlan, journal: Journal, replaces: RunPlan | None
) -> tuple[tuple[ShardReceipt, ...], tuple[Adoption, ...]]:
    """Return the receipts of the shards that need not be written, and the shards to take over.

    Args:
        replaces: the plan that the output holds before it grows.
    """
    committed: Sequence[ShardReceipt] = journal.committed(plan)
    adoptions = pending_adoptions(journal, plan, missing_shards(plan, committed))
    adopted = [a.receipt for a in adoptions if a.receipt is not None]
    if replaces is not None:
        adopted += receipts_through(journal, replaces, plan)
    if adopted:
        places = {(shard.split, shard.index): shard.start for shard in plan.shards}
        committed = sorted([*committed, *adopted], key=lambda r: places[r.split, r.index])
    return tuple(_settled(plan, journal, committed)), tuple(adoptions)


def _settled(
    plan: RunPlan, journal: Journal, committed: Iterable[ShardReceipt]
) -> Iterator[ShardReceipt]:
    """Return the receipts of shards that need not be written (again).

    A shard is written again if images that could not be read for it can be read now.
    """
    source = journal.source(plan)
    shards = {(shard.split, shard.index): shard for shard in plan.shards}

    def entries(receipt: ShardReceipt) -> Iterator[ImageEntry]:
        shard = shards[receipt.split, receipt.index]
        return entries_of(plan.manifest.slice(shard.start, shard.images), plan.classes)

    return (r for r in committed if is_settled(r, source, functools.partial(entries, r)))


def _require_free(journal: Journal, plan: RunPlan) -> str | None:
    """Raise an error unless a run can take an output and write to it; return a suspected owner."""
    layout = journal.layout
    try:
        splits = [layout.root / name for name in plan.counts]
        for folder in (layout.root, layout.state, *splits):
            if folder.local:
                _require_writable(folder.local)
        suspect = require_unheld(layout.lock)
    except OSError as error:
        raise journal.not_writable(error) from None
    return str(suspect) if suspect else None


def _nearest(path: Path) -> Path:
    """Return a path, or else the nearest folder above it that exists."""
    return next(place for place in (path, *path.parents) if place.exists())


def _require_writable(path: Path) -> None:
    """Raise an error if no file can be made in a folder, which may itself have to be made."""
    place = _nearest(path)
    if not place.is_dir():
        what = f"lies below {place}, which is a file" if place != path else "is a file"
        raise OutputConflict(f"output: {path} {what}; choose another folder")
    if not os.access(place, os.W_OK | os.X_OK):
        locked = os.statvfs(place).f_flag & os.ST_RDONLY
        number = errno.EROFS if locked else errno.EACCES
        raise OSError(number, os.strerror(number), str(place))
