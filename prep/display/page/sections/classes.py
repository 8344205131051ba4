"""Images by class.

The contact sheet: some images of each class.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prep.display.page.facts import Facts
from prep.display.page.figures import pictures
from prep.display.page.samples import MOST_CLASSES, shown_classes, thumbnails_per_class
from prep.display.page.section import Figure, Section, View, make_section
from prep.display.page.shots import make_shot
from prep.text import counted, one_line, some

#: More classes than these are shown in a list that scrolls, and can be searched.
FEW_CLASSES = 40
_MOST_ROWS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassRow:
    """A class, with its images in each split and their widths in a bar, in percent.

    Attributes:
        anchor: of its images in the page; empty where none are shown.
        share: of all images.
        of_largest: how many images it has for each hundred of the largest class.
    """

    name: str
    anchor: str
    label: str
    counts: tuple[int, ...]
    total: int
    refused: int
    share: str
    of_largest: str
    widths: tuple[float, ...]


def classes(view: View) -> Section:
    """How many images of each class were written, and how uneven that is."""
    facts = view.facts
    counts = class_totals(facts)
    rows = class_rows(view, counts)
    return make_section(
        "classes",
        "Classes",
        {
            "rows": rows,
            "classes": len(counts),
            "balance": describe_balance(counts),
            "few": FEW_CLASSES,
            "splits": [one_line(split) for split in facts.splits],
            "split_key": [(one_line(s), number) for number, s in enumerate(facts.splits)],
        },
        figures=_figures(counts),
    )


def class_totals(facts: Facts) -> dict[str, tuple[int, ...]]:
    """Images written of each planned class, by split."""
    names = sorted({name for classes in facts.planned.values() for name in classes})
    return {
        name: tuple(facts.totals[split].written.get(name, 0) for split in facts.splits)
        for name in names
    }


def class_rows(view: View, counts: Mapping[str, tuple[int, ...]]) -> list[ClassRow]:
    """All classes by name; of very many, the largest and the smallest."""
    totals = {name: sum(row) for name, row in counts.items()}
    most, everything = max(totals.values(), default=0) or 1, sum(totals.values()) or 1
    refused = Counter(finding.class_name for finding in view.everything.refused)
    names = list(counts)
    if len(names) > _MOST_ROWS:
        by_size = _by_size(totals)
        names = by_size[: _MOST_ROWS // 2] + by_size[-_MOST_ROWS // 2 :]
    return [
        ClassRow(
            name=one_line(name),
            anchor=class_anchor(view, name),
            label=_label(view.facts, name),
            counts=counts[name],
            total=totals[name],
            refused=refused[name],
            share=_percent(totals[name] / everything),
            of_largest=_percent(totals[name] / most),
            widths=tuple(round(100 * images / most, 2) for images in counts[name]),
        )
        for name in names
    ]


def class_anchor(view: View, name: str) -> str:
    """The id of the element with the images of a class; empty where none are shown."""
    shown = view.class_numbers.get(name, MOST_CLASSES)
    return f"class-{shown}" if view.sample.thumbnails.get(name) and shown < MOST_CLASSES else ""


def describe_balance(counts: Mapping[str, Sequence[int]]) -> list[str]:
    """How uneven the classes are: which are the smallest, and which are the largest."""
    totals = {name: sum(row) for name, row in counts.items()}
    if len(totals) < 2 or not any(totals.values()):
        return []
    ordered = _by_size(totals)
    most, least = totals[ordered[0]], totals[ordered[-1]]
    if most == least:
        return [f"Each class has {counted(most, 'image')}."]
    ratio = f" ({_rounded(most / least)} times as many)" if least else ""
    return [
        f"{_named(totals, least, 'smallest')} with {f'{least:,}' if least else 'no'} "
        f"{'image' if least == 1 else 'images'}.",
        f"{_named(totals, most, 'largest')} with {most:,}{ratio}.",
    ]


def _named(totals: Mapping[str, int], images: int, kind: str) -> str:
    names = sorted(name for name in totals if totals[name] == images)
    if len(names) == 1:
        return f"The {kind} class is {one_line(names[0])}"
    return f"The {kind} classes are {some([one_line(name) for name in names])}, each"


def _rounded(number: float) -> str:
    """A number with one more place where it is small.

    >>> _rounded(0.38), _rounded(10.04), _rounded(2630)
    ('0.4', '10', '2,630')
    """
    return f"{number:,.1f}" if 0 < number < 9.95 else f"{number:,.0f}"


def _percent(share: float) -> str:
    """A share that is not nothing, however small.

    >>> _percent(0.0), _percent(0.0002), _percent(0.0038)
    ('0%', '<0.1%', '0.4%')
    """
    return "<0.1%" if 0 < share < 0.0005 else f"{_rounded(100 * share)}%"


def _by_size(totals: Mapping[str, int]) -> list[str]:
    return sorted(totals, key=lambda name: (-totals[name], name))


def _label(facts: Facts, name: str) -> str:
    number = facts.plan.labels.numbers.get(name)
    return "" if number is None else str(number)


def _figures(counts: Mapping[str, tuple[int, ...]]) -> dict[str, Figure]:
    totals = {name: sum(row) for name, row in counts.items()}
    if len(totals) <= FEW_CLASSES or len(set(totals.values())) == 1:
        return {}
    ordered = [(name, totals[name]) for name in _by_size(totals)]
    caption = f"Half of the classes have {ordered[len(ordered) // 2][1]:,} images or fewer."
    model = pictures.class_profile(ordered)
    return {"classes": Figure(title="Images by class", caption=caption, model=model)}


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
