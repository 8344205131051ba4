"""Images by class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prep.text import counted, one_line
from prep.webpage import pictures
from prep.webpage.facts import Facts
from prep.webpage.sections import Figure, Section, View, make_section

#: So many classes have a bar each; of more, only the largest and the smallest are named.
MOST_CLASS_BARS = 40
_NAMED_OF_MANY = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassRow:
    """A class, with its images in each split and their widths in a bar, in percent."""

    name: str
    label: str
    counts: tuple[int, ...]
    total: int
    widths: tuple[float, ...]


def classes(view: View) -> Section:
    """How many images of each class were written."""
    facts = view.facts
    counts = class_totals(facts)
    return make_section(
        "classes",
        "Classes",
        {
            "class_rows": class_rows(facts, counts),
            "classes": len(counts),
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


def _figures(counts: Mapping[str, tuple[int, ...]]) -> dict[str, Figure]:
    if len(counts) <= MOST_CLASS_BARS:
        return {}
    totals = {name: sum(row) for name, row in counts.items()}
    ordered = sorted(totals.items(), key=lambda item: (-item[1], item[0]))
    middle = ordered[len(ordered) // 2][1]
    caption = (
        f"The largest class has {counted(ordered[0][1], 'image')}, "
        f"the middle one {middle:,}, the smallest {ordered[-1][1]:,}."
    )
    model = pictures.class_profile(ordered)
    return {"classes": Figure(title="Images by class", caption=caption, model=model)}
