"""Images with the same bytes: leaks between splits, conflicts of labels, and plain duplicates."""

from __future__ import annotations

from typing import Any, Literal, get_args

from prep.display.page.samples import thumbnails_of
from prep.display.page.section import Section, View, make_section
from prep.output.report.duplicates import Copies
from prep.output.report.summary import describe_conflicts, describe_leaks
from prep.text import counted

_MOST_PAIRS = 6  # of each kind

_Kind = Literal["split", "class_name"]


def duplicates(view: View) -> Section:
    """Return which images are the same, byte for byte, with a pair of pictures of each."""
    leaks = [copies for copies in view.copies if copies.leak]
    conflicts = [copies for copies in view.copies if copies.conflict]
    plain = [copies for copies in view.copies if not copies.leak and not copies.conflict]
    kinds: list[tuple[str, list[Copies], _Kind]] = [
        ("In more than one split", leaks, "split"),
        ("In more than one class", conflicts, "class_name"),
        ("In the same split and class", plain, "class_name"),
    ]
    shown = {copies.images[0].row for _, found, _ in kinds for copies in found[:_MOST_PAIRS]}
    table = view.journal.layout.duplicates
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
                        _pair(view, copies, kind, pictures.get(copies.images[0].row))
                        for copies in found[:_MOST_PAIRS]
                    ],
                    "more": max(len(found) - _MOST_PAIRS, 0),
                }
                for title, found, kind in kinds
                if found
            ],
            "table": table.name if table.is_file() else "",
        },
        short="Duplicates",
    )


def alarms(view: View) -> list[str]:
    """Return the duplicates that spoil training or testing, a sentence each."""
    found = view.duplicates
    said = describe_leaks(found, view.facts.plan.splits)
    return said + ([describe_conflicts(found)] if found["conflicts"] else [])


def _pair(view: View, copies: Copies, kind: _Kind, jpeg: bytes | None) -> dict[str, Any]:
    """Return two copies, with the split and class of each, and whether these differ."""
    both = copies.unlike(kind)
    splits, classes = ({getattr(image, name) for image in both} for name in get_args(_Kind))
    return {
        "images": [
            (
                view.shot(image.path, f"{view.title(image.class_name)}, {image.split}", jpeg),
                (image.split, len(splits) > 1),
                (view.title(image.class_name), len(classes) > 1),
            )
            for image in both
        ],
        "more": len(copies.images) - len(both),
    }
