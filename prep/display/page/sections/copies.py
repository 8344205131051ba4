"""Images with the same bytes: leaks between splits, conflicts of labels, and plain duplicates."""

from __future__ import annotations

from typing import Any, Literal, get_args

from prep.display.page.facts import Facts
from prep.display.page.samples import thumbnails_of
from prep.display.page.section import Section, View, make_section
from prep.display.page.shots import make_shot
from prep.output.report.duplicates import Copies
from prep.output.report.summary import describe_conflicts, describe_leaks
from prep.text import counted, one_line

_MOST_PAIRS = 6  # of each kind

_Kind = Literal["split", "class_name"]


def duplicates(view: View) -> Section:
    """Which images are the same, byte for byte, with a pair of pictures of each."""
    leaks = [copies for copies in view.copies if copies.leak]
    conflicts = [copies for copies in view.copies if copies.conflict]
    plain = [copies for copies in view.copies if not copies.leak and not copies.conflict]
    kinds: list[tuple[str, list[Copies], _Kind]] = [
        ("In more than one split", leaks, "split"),
        ("In more than one class", conflicts, "class_name"),
        ("In the same split and class", plain, "class_name"),
    ]
    shown = {copies.images[0].row for _, found, _ in kinds for copies in found[:_MOST_PAIRS]}
    pictures = thumbnails_of(view.journal, view.facts, shown)
    return make_section(
        "duplicates",
        "Duplicates and leaks",
        {
            "alarms": alarms(view),
            "copies": view.duplicates["images"],
            "dropped": view.facts.plan.config.duplicates == "drop",
            "finished": view.facts.finished,
            "splits": len(view.facts.splits),
            "kinds": [
                {
                    "title": f"{title}: {counted(len(found), 'image')}",
                    "pairs": [
                        _pair(view.facts, copies, kind, pictures.get(copies.images[0].row))
                        for copies in found[:_MOST_PAIRS]
                    ],
                    "more": max(len(found) - _MOST_PAIRS, 0),
                }
                for title, found, kind in kinds
                if found
            ],
            "table": view.journal.layout.duplicates.name
            if view.journal.layout.duplicates.is_file()
            else "",
        },
        short="Duplicates",
    )


def alarms(view: View) -> list[str]:
    """What of it spoils training or testing, a sentence each."""
    found = view.duplicates
    said = describe_leaks(found, view.facts.plan.splits)
    return said + ([describe_conflicts(found)] if found["conflicts"] else [])


def _pair(facts: Facts, copies: Copies, kind: _Kind, jpeg: bytes | None) -> dict[str, Any]:
    """Two of them; what each lies in, and whether they differ in that."""
    both = copies.unlike(kind)
    splits, classes = ({getattr(image, name) for image in both} for name in get_args(_Kind))
    return {
        "images": [
            (
                make_shot(facts, image.path, f"{image.class_name}, {image.split}", jpeg),
                (one_line(image.split), len(splits) > 1),
                (one_line(image.class_name), len(classes) > 1),
            )
            for image in both
        ],
        "more": len(copies.images) - len(both),
    }
