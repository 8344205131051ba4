"""Numbers and names of a page, as rows of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prep.receipts import Totals
from prep.report import RunReport, all_versions, describe_passed
from prep.stats import by_channel
from prep.text import counted, duration, one_line
from prep.webpage.facts import Facts
from prep.webpage.units import size_text

#: So many classes have a bar each; of more, only the largest and the smallest are named.
MOST_CLASS_BARS = 40
_NAMED_OF_MANY = 10
_MOST_FINDINGS = 500

Row = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassRow:
    """A class, with its images in each split and their widths in a bar, in percent."""

    name: str
    label: str
    counts: tuple[int, ...]
    total: int
    widths: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRow:
    """An image that was not simply written."""

    path: str
    class_name: str
    split: str
    outcome: str
    reason: str
    detail: str


def tiles(facts: Facts, everything: Totals) -> list[tuple[str, str, str]]:
    """(name, value, further) of what is to be seen first."""
    planned = sum(facts.plan.images.values())
    refused = len(everything.refused)
    report = facts.report
    shards = f"{len(facts.receipts):,}"
    if not facts.finished:
        shards += f" of {len(facts.plan.shards):,}"
    shown = [
        ("images", f"{everything.images:,}", f"of {planned:,} planned"),
        ("refused", f"{refused:,}", f"{refused / max(planned, 1):.2%} of all"),
        ("classes", f"{len(facts.plan.classes):,}", f"in {counted(len(facts.splits), 'split')}"),
        ("shards", shards, f"{size_text(everything.bytes)} in all"),
        ("read", size_text(everything.source_bytes), "of image files"),
    ]
    if report is not None and report.seconds:
        part = "last part, " if report.resumed_shards else ""
        further = f"{part}{report.images_per_second:,.0f} images/s"
        shown.append(("time", duration(report.seconds), further))
    return shown


def channel_rows(everything: Mapping[str, Totals]) -> list[tuple[str, ...]]:
    """(split, images, mean of R, G, B, std of R, G, B) of each split with any images."""
    rows = []
    for split, totals in everything.items():
        mean, std = totals.stats.mean(), totals.stats.std()
        if mean is None or std is None:
            continue
        values = (f"{value:.3f}" for value in (*mean, *std))
        rows.append((one_line(split), f"{totals.images:,}", *values))
    return rows


def split_rows(facts: Facts, totals: Mapping[str, Totals]) -> list[tuple[str, ...]]:
    """(split, planned, written, refused, shards, size, images of the smallest and largest)."""
    rows: list[tuple[str, ...]] = []
    for split, planned in facts.plan.images.items():
        total = totals[split]
        sizes = [sum(r.written.values()) for r in facts.receipts if r.split == split]
        of_all = sum(shard.split == split for shard in facts.plan.shards)
        shards = f"{total.shards:,}" + (f" of {of_all:,}" if total.shards < of_all else "")
        between = f"{min(sizes):,} to {max(sizes):,}" if sizes else "none"
        numbers = (f"{planned:,}", f"{total.images:,}", f"{len(total.refused):,}", shards)
        rows.append((one_line(split), *numbers, size_text(total.bytes), between))
    return rows


def class_totals(facts: Facts, totals: Mapping[str, Totals]) -> dict[str, tuple[int, ...]]:
    """Images written of each planned class, by split."""
    names = sorted({name for classes in facts.planned.values() for name in classes})
    return {
        name: tuple(totals[split].written.get(name, 0) for split in facts.splits) for name in names
    }


def class_rows(facts: Facts, counts: Mapping[str, tuple[int, ...]]) -> list[ClassRow]:
    """Those that are named: all, or the largest and the smallest."""
    most = max((sum(row) for row in counts.values()), default=0) or 1
    names = list(counts)
    if len(names) > MOST_CLASS_BARS:
        by_size = sorted(names, key=lambda name: (-sum(counts[name]), name))
        names = by_size[:_NAMED_OF_MANY] + by_size[-_NAMED_OF_MANY:]
    return [
        ClassRow(
            name=one_line(name),
            label=_label(facts, name),
            counts=counts[name],
            total=sum(counts[name]),
            widths=tuple(round(100 * images / most, 2) for images in counts[name]),
        )
        for name in names
    ]


def _label(facts: Facts, name: str) -> str:
    number = facts.plan.labels.numbers.get(name)
    return "" if number is None else str(number)


def finding_rows(facts: Facts) -> list[FindingRow]:
    """The first of the images that were not simply written."""
    return [
        FindingRow(
            path=one_line(finding.path),
            class_name=one_line(finding.class_name),
            split=one_line(split),
            outcome=finding.outcome,
            reason=one_line(finding.reason),
            detail=one_line(finding.detail),
        )
        for split, finding in facts.findings()[:_MOST_FINDINGS]
    ]


def passed_over(report: RunReport | None) -> str:
    """What lies in the source and is no image of the set."""
    return one_line("; ".join(map(describe_passed, report.passed_over))) if report else ""


def config_rows(facts: Facts) -> list[Row]:
    """The configuration, with what was chosen by default."""
    values = facts.plan.config.model_dump(mode="json")
    values["images_per_shard"] = facts.plan.images_per_shard
    return [(name, _shown(value)) for name, value in values.items()]


def _shown(value: Any) -> str:
    if value is None or value == []:
        return "not set"
    if isinstance(value, Mapping):
        return f"given, of {counted(len(value), 'class')}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return one_line(", ".join(map(str, value)))
    return one_line(str(value))


def version_rows(report: RunReport | None) -> list[Row]:
    """Of the libraries at work; of those here where no report says which they were."""
    versions = report.versions if report else all_versions()
    return [(one_line(name), one_line(str(value))) for name, value in versions.items()]


def mean_and_std(
    facts: Facts, totals: Mapping[str, Totals]
) -> tuple[dict[str, float] | None, dict[str, float] | None]:
    """Those of the splits that ``mean_rgb.json`` is of."""
    stats = sum((totals[split] for split in facts.references), Totals()).stats
    return by_channel(stats.mean()), by_channel(stats.std())
