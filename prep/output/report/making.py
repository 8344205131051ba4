"""Totals → the report of a run."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from prep import settings
from prep.images.decoders.process import codec_versions
from prep.images.stats import ChannelStats, by_channel
from prep.images.traits import Seen
from prep.output.receipt import ImageNote, SplitTotals, Totals, of_outcome
from prep.output.report.report import RunReport
from prep.output.report.stored import describe_traits
from prep.planning.plan import RunPlan
from prep.sources.folders.names import training_splits


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """What it took.

    Attributes:
        seconds: from plan to report.
        start_seconds: of these, until the first shard could be begun.
        images: how many were settled in that time.
        resumed_shards: how many were committed before.
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
) -> RunReport:
    """Puts a report together.

    Args:
        totals: of all shards, those from before included.
        duplicates: see :class:`RunReport`.
    """
    everything = sum(totals.values(), Totals())
    planned = {split: sum(classes.values()) for split, classes in plan.counts.items()}
    mean_of = training_splits(plan.counts)
    reference = sum((totals[split] for split in mean_of), Totals()).stats
    return RunReport(
        output=output,
        images={
            "planned": plan.images,
            "written": everything.images,
            "refused": len(everything.refused),
        },
        repaired=len(of_outcome(everything.findings, "repaired")),
        damaged=len(of_outcome(everything.findings, "damaged")),
        duplicates=duplicates,
        shards=everything.shards,
        bytes=everything.bytes,
        source_bytes=everything.source_bytes,
        seconds=round(effort.seconds, 3),
        start_seconds=round(effort.start_seconds, 3),
        images_per_second=effort.images_per_second,
        resumed_shards=effort.resumed_shards,
        retries=everything.retries,
        **_moments(reference),
        splits={
            split: {
                "planned": planned[split],
                "written": t.images,
                "refused": len(t.refused),
                "shards": t.shards,
                "bytes": t.bytes,
                **_moments(t.stats),
            }
            for split, t in ((split, totals[split]) for split in plan.counts)
        },
        classes={split: dict(sorted(totals[split].written.items())) for split in plan.counts},
        refused=tuple(map(_refusal, sorted(everything.refused, key=lambda f: f.path))),
        config={**plan.config.model_dump(mode="json"), "images_per_shard": plan.images_per_shard},
        fingerprint=plan.fingerprint.digest,
        versions=all_versions(),
        depths={s: totals[s].depths.for_report() for s in plan.counts if totals[s].depths.classes},
        traits={
            s: describe_traits(totals[s].traits, _path_in(plan))
            for s in plan.counts
            if totals[s].traits.images
        },
        mean_image={
            s: totals[s].mean_image.for_report() for s in plan.counts if totals[s].mean_image.images
        },
        mean_of=mean_of,
        passed_over=tuple(asdict(ignored) for ignored in plan.ignored),
        refusals_allowed=plan.refusals_allowed,
    )


def all_versions() -> dict[str, str]:
    """Versions of Python, this package, and the libraries at work."""
    packages = ("dask", "distributed", "pyarrow")
    return {
        "prep": settings.version(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in packages},
        **codec_versions(),
    }


def _path_in(plan: RunPlan) -> Callable[[Seen], str]:
    """What gives the path of an image, relative to the source."""
    starts = {(shard.split, shard.index): shard.start for shard in plan.shards}
    paths = plan.manifest["path"]

    def path_of(image: Seen) -> str:
        return os.fsdecode(paths[starts[image.split, image.shard] + image.row].as_py())

    return path_of


def _moments(stats: ChannelStats) -> dict[str, Any]:
    return {"mean": by_channel(stats.mean()), "std": by_channel(stats.std())}


def _refusal(finding: ImageNote) -> dict[str, str]:
    return {"path": finding.path, "reason": finding.reason, "detail": finding.detail}
