"""Images that were refused, repaired, or kept damaged."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from prep.display.page.section import Section, View, make_section
from prep.output.receipt import ImageNote
from prep.output.report.summary import describe_passed, summarise_outdated

_MOST_OF_A_REASON = 100
_OUTCOMES = {"refused": "", "repaired": "repaired: ", "damaged": "kept damaged: "}


def refused(view: View) -> Section:
    """Return which images were refused, and why."""
    table, report = view.journal.layout.refused, view.facts.report
    reasons = _reasons(view)
    passed = "; ".join(map(describe_passed, report.passed_over)) if report else ""
    return make_section(
        "refused",
        "Refused images",
        {
            "reasons": reasons,
            "any_refused": bool(view.everything.refused),
            "listed": sum(len(reason["rows"]) for reason in reasons),
            "passed_over": passed,
            "outdated": summarise_outdated(report.outdated) if report and report.outdated else "",
            "table": table.name if table.is_file() else "",
        },
        short="Refused",
    )


def _reasons(view: View) -> list[dict[str, Any]]:
    """Return refused images by reason, the most frequent first; then those written after all."""
    found: defaultdict[tuple[str, str], list[tuple[str, ImageNote]]] = defaultdict(list)
    for split, note in view.facts.findings():
        found[note.outcome, note.reason].append((split, note))
    seen = {glimpse.finding.path: glimpse.thumbnail for glimpse in view.glimpses}
    ordered = sorted(found.items(), key=lambda i: (i[0][0] != "refused", -len(i[1]), i[0]))
    reasons = []
    for (outcome, reason), images in ordered:
        rows = [
            {
                "shot": view.shot(note.path, _say(note), seen.get(note.path)),
                "class_name": view.title(note.class_name),
                "split": split,
                "detail": note.detail,
            }
            for split, note in images[:_MOST_OF_A_REASON]
        ]
        seen_any = any(note.path in seen for _, note in images[:_MOST_OF_A_REASON])
        title = f"{_OUTCOMES[outcome]}{reason}"
        reasons.append({"title": title, "images": len(images), "rows": rows, "seen": seen_any})
    return reasons


def _say(note: ImageNote) -> str:
    return f"{note.reason}: {note.detail}" if note.detail else note.reason
