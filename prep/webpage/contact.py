"""The contact sheet: some images of each class."""

from __future__ import annotations

from typing import Any

from prep.text import counted, one_line
from prep.webpage.classes import class_anchor, class_totals
from prep.webpage.samples import MOST_CLASSES, shown_classes, thumbnails_per_class
from prep.webpage.sections import Section, View, make_section
from prep.webpage.shots import make_shot

_FEW = 2  # thumbnails of a class, that need no row of their own


def images(view: View) -> Section:
    """Each class with its thumbnails."""
    return make_section(
        "images",
        "Images",
        {
            "sheet": _sheet(view),
            "sheet_is_tiled": thumbnails_per_class(len(view.class_numbers)) <= _FEW,
            "sheet_notes": _notes(view),
        },
    )


def _sheet(view: View) -> list[dict[str, Any]]:
    counts = class_totals(view.facts)
    return [
        {
            "name": one_line(name),
            "anchor": class_anchor(view, name),
            "images": counted(sum(counts.get(name, ())), "image"),
            "shots": [
                make_shot(view.facts, entry.name, f"{name}, {split}", jpeg)
                for jpeg, entry, split in view.sample.thumbnails[name]
            ],
        }
        for name in shown_classes(view.facts)[:MOST_CLASSES]
        if view.sample.thumbnails.get(name)
    ]


def _notes(view: View) -> list[str]:
    """What is not on the contact sheet, and why."""
    classes, sample = shown_classes(view.facts), view.sample
    notes = []
    if classes:
        most = thumbnails_per_class(len(classes))
        number = "One image" if most == 1 else f"Up to {most} images"
        notes.append(f"{number} of each class, as in the shards.")
    if len(classes) > MOST_CLASSES:
        notes.append(f"The first {MOST_CLASSES:,} of {counted(len(classes), 'class')}.")
    missing = sum(not sample.thumbnails.get(name) for name in classes[:MOST_CLASSES])
    if missing:
        notes.append(f"Of {counted(missing, 'class')}, none is in the shards that were looked at.")
    if sample.unreadable:
        notes.append(
            f"{counted(sample.unreadable, 'shard')} could not be read to the end; "
            "prep verify names what is wrong."
        )
    return notes
