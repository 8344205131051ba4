"""Images that were refused, repaired, or kept damaged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prep.receipts import Totals
from prep.report import RunReport, describe_passed
from prep.text import one_line
from prep.webpage.facts import Facts
from prep.webpage.refusals import Glimpse
from prep.webpage.samples import THUMBNAIL
from prep.webpage.sections import Section, View, data_url, make_section

_MOST_FINDINGS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRow:
    """An image that was not simply written."""

    path: str
    class_name: str
    split: str
    outcome: str
    reason: str
    detail: str


def refused(view: View) -> Section:
    """Which images were refused, and why."""
    return make_section(
        "refused",
        "Refused",
        {
            "everything": view.everything,
            "glimpses": _glimpses(view.glimpses),
            "reasons": _reasons(view.everything),
            "passed_over": passed_over(view.facts.report),
            "findings": finding_rows(view.facts),
            "thumbnail": THUMBNAIL,
        },
    )


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


def _glimpses(glimpses: Sequence[Glimpse]) -> list[dict[str, str]]:
    return [
        {
            "path": one_line(glimpse.finding.path),
            "reason": one_line(glimpse.finding.reason),
            "detail": one_line(glimpse.finding.detail),
            "image": data_url(glimpse.thumbnail),
        }
        for glimpse in glimpses
    ]


def _reasons(everything: Totals) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    for finding in everything.refused:
        counts[finding.reason] = counts.get(finding.reason, 0) + 1
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
