"""Images that were refused, repaired, or kept damaged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from prep.display.page.section import Section, View, make_section
from prep.display.page.shots import Shot, make_shot
from prep.output.receipt import ImageNote
from prep.output.report.report import RunReport
from prep.output.report.summary import describe_passed
from prep.text import one_line

_MOST_OF_A_REASON = 100
_OUTCOMES = {"refused": "", "repaired": "repaired: ", "damaged": "kept damaged: "}


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRow:
    """An image that was not simply written, with a picture of it where there is one."""

    shot: Shot
    class_name: str
    split: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """What became of images, and why; how many, and the first of them."""

    title: str
    images: int
    rows: Sequence[FindingRow]

    @property
    def seen(self) -> bool:
        """Whether there is a picture of any."""
        return any(row.shot.url for row in self.rows)


def refused(view: View) -> Section:
    """Which images were refused, and why."""
    table = view.journal.layout.refused
    reasons = reasons_of(view)
    return make_section(
        "refused",
        "Refused images",
        {
            "reasons": reasons,
            "any_refused": bool(view.everything.refused),
            "listed": sum(len(reason.rows) for reason in reasons),
            "passed_over": passed_over(view.facts.report),
            "table": table.name if table.is_file() else "",
        },
        short="Refused",
    )


def reasons_of(view: View) -> list[Reason]:
    """Refused images by reason, the most frequent first; then those that were written after all."""
    found: defaultdict[tuple[str, str], list[tuple[str, ImageNote]]] = defaultdict(list)
    for split, finding in view.facts.findings():
        found[finding.outcome, finding.reason].append((split, finding))
    seen = {glimpse.finding.path: glimpse.thumbnail for glimpse in view.glimpses}
    ordered = sorted(found.items(), key=lambda i: (i[0][0] != "refused", -len(i[1]), i[0]))
    return [
        Reason(
            title=one_line(f"{_OUTCOMES[outcome]}{reason}"),
            images=len(images),
            rows=[
                _row(view, split, f, seen.get(f.path)) for split, f in images[:_MOST_OF_A_REASON]
            ],
        )
        for (outcome, reason), images in ordered
    ]


def _row(view: View, split: str, finding: ImageNote, jpeg: bytes | None) -> FindingRow:
    note = f"{finding.reason}: {finding.detail}" if finding.detail else finding.reason
    return FindingRow(
        shot=make_shot(view.facts, finding.path, note, jpeg),
        class_name=one_line(finding.class_name),
        split=one_line(split),
        detail=one_line(finding.detail),
    )


def passed_over(report: RunReport | None) -> str:
    """What lies in the source and is no image of the set."""
    return one_line("; ".join(map(describe_passed, report.passed_over))) if report else ""
