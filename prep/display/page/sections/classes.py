"""Images by class: in numbers, and some of each as a contact sheet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from prep.display.page.figures import pictures
from prep.display.page.samples import MOST_CLASSES, shown_classes, thumbnails_per_class
from prep.display.page.section import Figure, Section, View, make_section
from prep.planning.description import describe_share
from prep.planning.splitting.balance import balance_of
from prep.sources.labels import NO_LABEL, with_label
from prep.text import counted, one_line, some

#: More classes than these are shown in a list that scrolls, and can be searched.
_FEW_CLASSES = 40
_MOST_ROWS = 2000
_FEW_THUMBNAILS = 2  # of a class, which need no row of their own


def classes(view: View) -> Section:
    """Return how many images of each class were written, and how uneven that is."""
    totals = view.class_totals
    by_size = sorted(totals, key=lambda name: (-totals[name], name))
    return make_section(
        "classes",
        "Classes",
        {
            "rows": _rows(view, by_size),
            "classes": len(with_label(totals)),
            "balance": _describe_balance(view),
            "of_splits": _of_splits(view),
            "few": _FEW_CLASSES,
            "splits": view.facts.splits,
        },
        figures=_figures(view, by_size),
    )


def _of_splits(view: View) -> list[dict[str, Any]]:
    """Return the balance of each of several splits, as the report tells it, or else the plan."""
    facts = view.facts
    known = facts.report.balance if facts.report is not None else {}
    found = known or {split: of.to_json() for split, of in balance_of(facts.planned).items()}
    if len(found) < 2:
        return []
    return [
        {
            "split": split,
            "images": of["images"],
            "share": _percent(of["share"]),
            "classes": of["classes"],
            "each": f"{of['least']:,}" + (f" to {of['most']:,}" * (of["most"] > of["least"])),
            "skew": _percent(of["skew"]),
            "made": describe_share(of),
        }
        for split, of in found.items()
    ]


def _rows(view: View, by_size: Sequence[str]) -> list[dict[str, Any]]:
    """Return all classes by name; if there are very many, the largest and the smallest."""
    facts, totals = view.facts, view.class_totals
    most, everything = max(totals.values(), default=0) or 1, sum(totals.values()) or 1
    refused = Counter(note.class_name for note in view.everything.refused)
    names: Sequence[str] = list(totals)
    if len(names) > _MOST_ROWS:
        names = [*by_size[: _MOST_ROWS // 2], *by_size[-_MOST_ROWS // 2 :]]
    labels = facts.plan.labels.texts(names)
    rows = []
    for name in names:
        counts = [facts.totals[split].written.get(name, 0) for split in facts.splits]
        rows.append(
            {
                "name": view.title(name),
                "anchor": _anchor(view, name),
                "label": labels.get(name, NO_LABEL),
                "counts": counts,
                "total": totals[name],
                "refused": refused[name],
                "share": _percent(totals[name] / everything),
                "of_largest": _percent(totals[name] / most),
                "widths": [round(100 * images / most, 2) for images in counts],
            }
        )
    return rows


def _anchor(view: View, name: str) -> str:
    """Return the id of the element with the images of a class; empty where none are shown."""
    shown = view.class_numbers.get(name, MOST_CLASSES)
    return f"class-{shown}" if view.sample.thumbnails.get(name) and shown < MOST_CLASSES else ""


def _describe_balance(view: View) -> list[str]:
    """Return which classes are the smallest and the largest, in sentences."""
    totals = {name: view.class_totals[name] for name in with_label(view.class_totals)}
    if len(totals) < 2 or not any(totals.values()):
        return []
    most, least = max(totals.values()), min(totals.values())
    if most == least:
        return [f"Each class has {counted(most, 'image')}."]
    ratio = f" ({_rounded(most / least)} times as many)" if least else ""
    return [
        f"{_named(view, totals, least, 'smallest')} with {f'{least:,}' if least else 'no'} "
        f"{'image' if least == 1 else 'images'}.",
        f"{_named(view, totals, most, 'largest')} with {most:,}{ratio}.",
    ]


def _named(view: View, totals: Mapping[str, int], images: int, kind: str) -> str:
    names = [view.title(name) for name in sorted(totals) if totals[name] == images]
    if len(names) == 1:
        return f"The {kind} class is {one_line(names[0])}"
    return f"The {kind} classes are {some([one_line(name) for name in names])}, each"


def _rounded(number: float) -> str:
    """Return a number with one decimal place if it is small.

    >>> _rounded(0.38), _rounded(10.04), _rounded(2630)
    ('0.4', '10', '2,630')
    """
    return f"{number:,.1f}" if 0 < number < 9.95 else f"{number:,.0f}"


def _percent(share: float) -> str:
    """Return a share in percent; a very small one does not become zero.

    >>> _percent(0.0), _percent(0.0002), _percent(0.0038)
    ('0%', '<0.1%', '0.4%')
    """
    return "<0.1%" if 0 < share < 0.0005 else f"{_rounded(100 * share)}%"


def _figures(view: View, by_size: Sequence[str]) -> dict[str, Figure]:
    totals = view.class_totals
    if len(totals) <= _FEW_CLASSES or len(set(totals.values())) == 1:
        return {}
    ordered = [(view.title(name), totals[name]) for name in by_size]
    caption = f"Half of the classes have {ordered[len(ordered) // 2][1]:,} images or fewer."
    model = pictures.class_profile(ordered)
    return {"classes": Figure(title="Images by class", caption=caption, model=model)}


def images(view: View) -> Section:
    """Return some images of each class."""
    sheet = [
        {
            "name": view.title(name),
            "anchor": _anchor(view, name),
            "images": counted(view.class_totals.get(name, 0), "image"),
            "shots": [
                view.shot(entry.name, f"{view.title(name)}, {split}", jpeg)
                for jpeg, entry, split in view.sample.thumbnails[name]
            ],
        }
        for name in shown_classes(view.facts)[:MOST_CLASSES]
        if view.sample.thumbnails.get(name)
    ]
    values = {
        "sheet": sheet,
        "sheet_is_tiled": thumbnails_per_class(len(view.class_numbers)) <= _FEW_THUMBNAILS,
        "sheet_notes": _notes(view),
    }
    return make_section("images", "Images", values)


def _notes(view: View) -> list[str]:
    """Return what is not on the contact sheet, and why."""
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
        notes.append(f"No sampled shard has an image of {counted(missing, 'class')}.")
    if sample.unreadable:
        notes.append(
            f"{counted(sample.unreadable, 'shard')} could not be read to the end; "
            "prep verify names what is wrong."
        )
    return notes
