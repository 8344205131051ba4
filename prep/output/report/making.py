"""Make the report of a run from its plan and the totals of its receipts."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from prep.images.colour import by_channel
from prep.images.decoders.process import codec_versions
from prep.images.traits import Seen
from prep.output.receipt import SplitTotals, Totals, of_outcome
from prep.output.report.report import RunReport
from prep.output.report.stored_report import describe_traits
from prep.planning.plan import RunPlan
from prep.settings.distribution import version
from prep.sources.folders.names import training_splits


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """The time and resources that a run took.

    Attributes:
        seconds: duration, from plan to report.
        start_seconds: the part of it before the first shard was begun.
        images: number of images written or refused in that time.
        resumed_shards: number of shards that were committed before.
    """

    seconds: float
    start_seconds: float = 0.0
    images: int
    resumed_shards: int

    @property
    def images_per_second(self) -> float:
        """While shards were written."""
        work = self.seconds - self.start_seconds
        return round(self.images / work, 1) if work > 0 else 0.0


def make_report(
    plan: RunPlan,
    output: str,
    totals: SplitTotals,
    effort: Effort,
    duplicates: Mapping[str, Any],
    near_duplicates: Mapping[str, Any] | None = None,
) -> RunReport:
    """Return the report of a run.

    Args:
        totals: of all shards, those from before included.
        duplicates, near_duplicates: see :class:`RunReport`.
    """
    mean_of = training_splits(plan.splits)
    reference = sum((totals[split] for split in mean_of), Totals())
    return RunReport(
        output=output,
        duplicates=duplicates,
        near_duplicates=near_duplicates or {},
        seconds=round(effort.seconds, 3),
        start_seconds=round(effort.start_seconds, 3),
        images_per_second=effort.images_per_second,
        resumed_shards=effort.resumed_shards,
        mean_of=mean_of,
        **_moments(reference),
        covariance=reference.stats.covariance(),
        **_numbers(plan, sum(totals.values(), Totals())),
        **_by_split(plan, totals),
        config={**plan.config.model_dump(mode="json"), "images_per_shard": plan.images_per_shard},
        fingerprint=plan.fingerprint.digest,
        versions=all_versions(),
        read_as=plan.read_as,
        passed_over=tuple(map(asdict, plan.ignored)),
        class_names=dict(plan.class_names),
        balance={split: of.to_json() for split, of in plan.balance.items()},
        refusals_allowed=plan.refusals_allowed,
        outdated=dict(Counter(image.difference for image in plan.outdated)),
    )


def _numbers(plan: RunPlan, totals: Totals) -> dict[str, Any]:
    """Return the numbers of the whole run, and the refused images."""
    refused = sorted(totals.refused, key=lambda note: note.path)
    return {
        "images": {"planned": plan.images, "written": totals.images, "refused": len(refused)},
        "repaired": len(of_outcome(totals.findings, "repaired")),
        "damaged": len(of_outcome(totals.findings, "damaged")),
        "shards": totals.shards,
        "bytes": totals.bytes,
        "source_bytes": totals.source_bytes,
        "retries": totals.retries,
        "refused": tuple(
            {"path": note.path, "reason": note.reason, "detail": note.detail} for note in refused
        ),
    }


def _by_split(plan: RunPlan, totals: SplitTotals) -> dict[str, Any]:
    """Return what a report has split by split."""
    found = {split: totals[split] for split in plan.splits}
    path_of = _path_in(plan)
    return {
        "splits": {
            split: {
                "planned": plan.splits[split],
                "written": total.images,
                "refused": len(total.refused),
                "shards": total.shards,
                "bytes": total.bytes,
                **_moments(total),
            }
            for split, total in found.items()
        },
        "classes": {split: dict(sorted(total.written.items())) for split, total in found.items()},
        "depths": {s: t.depths.for_report() for s, t in found.items() if t.depths.classes},
        "traits": {
            s: describe_traits(t.traits, path_of) for s, t in found.items() if t.traits.images
        },
        "mean_image": {
            s: t.mean_image.for_report() for s, t in found.items() if t.mean_image.images
        },
    }


def _moments(totals: Totals) -> dict[str, Any]:
    return {"mean": by_channel(totals.stats.mean()), "std": by_channel(totals.stats.std())}


def all_versions() -> dict[str, str]:
    """Return the versions of Python, this package, and the libraries at work."""
    packages = ("dask", "distributed", "pyarrow")
    return {
        "prep": version(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in packages},
        **codec_versions(),
    }


def _path_in(plan: RunPlan) -> Callable[[Seen], str]:
    """Return the function that gives an image's path, relative to the source."""
    starts = {(shard.split, shard.index): shard.start for shard in plan.shards}
    paths = plan.manifest["path"]

    def path_of(image: Seen) -> str:
        return os.fsdecode(paths[starts[image.split, image.shard] + image.row].as_py())

    return path_of
