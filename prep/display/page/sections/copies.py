"""Images with the same bytes, and images that look alike: leaks, conflicts, and others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from prep.display.page.samples import thumbnails_of
from prep.display.page.section import Section, Shot, View, make_section
from prep.output.report.duplicates import Copies, Copy
from prep.output.report.near_copies import NearPair
from prep.output.report.summary import (
    describe_conflicts,
    describe_leaks,
    describe_near_duplicates,
    describe_near_leaks,
)
from prep.text import counted

_MOST_PAIRS = 6  # of each kind

_NEAR_KINDS = {
    "leak": "In more than one split, the nearest",
    "conflict": "In more than one class, the nearest",
    "plain": "In the same split and class, the nearest",
}
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


def look_alikes(view: View) -> Section | None:
    """Return which images look alike, with a pair of pictures of each; None if nobody asked."""
    found, near = _near(view), view.facts.near
    if not found:
        return None
    pairs = near.pairs if near else {}
    shown = {image.row for of in pairs.values() for pair in of for image in pair.images}
    pictures = thumbnails_of(view.journal, view.facts, shown)
    table = view.journal.layout.near_duplicates
    return make_section(
        "look_alikes",
        "Images that look alike",
        {
            "alarms": look_alike_alarms(view),
            "said": describe_near_duplicates(found, table=""),
            "images": found["images"],
            "dropped": found["dropped"],
            "distance": found["distance"],
            "kinds": [
                {
                    "title": title,
                    "pairs": [_near_pair(view, pair, pictures) for pair in pairs[kind]],
                    "more": 0,
                }
                for kind, title in _NEAR_KINDS.items()
                if pairs.get(kind)
            ],
            "table": table.name if table.is_file() else "",
        },
        short="Look-alikes",
    )


def look_alike_alarms(view: View) -> list[str]:
    """Return the images that look alike and spoil training or testing, a sentence each."""
    return describe_near_leaks(_near(view), view.facts.plan.splits)


def _near(view: View) -> Mapping[str, Any]:
    """Return the numbers of images that look alike; nothing if nobody asked for them."""
    facts = view.facts
    if facts.near is not None:
        return facts.near.for_report()
    return facts.report.near_duplicates if facts.report else {}


def _near_pair(view: View, pair: NearPair, pictures: Mapping[int, bytes]) -> dict[str, Any]:
    """Return two images that look alike, with what differs, and how near they are."""
    splits, classes = ({getattr(image, name) for image in pair.images} for name in get_args(_Kind))
    mirrored = ", one of them mirrored" if pair.mirrored else ""
    return {
        "images": [
            _told(view, image, pictures.get(image.row), len(splits) > 1, len(classes) > 1)
            for image in pair.images
        ],
        "note": f"{counted(pair.distance, 'bit')} apart{mirrored}",
        "more": 0,
    }


def _told(
    view: View, image: Copy, jpeg: bytes | None, split_differs: bool, class_differs: bool
) -> tuple[Shot, tuple[str, bool], tuple[str, bool]]:
    title = view.title(image.class_name)
    shot = view.shot(image.path, f"{title}, {image.split}", jpeg)
    return shot, (image.split, split_differs), (title, class_differs)


def _pair(view: View, copies: Copies, kind: _Kind, jpeg: bytes | None) -> dict[str, Any]:
    """Return two copies, with the split and class of each, and whether these differ."""
    both = copies.unlike(kind)
    splits, classes = ({getattr(image, name) for image in both} for name in get_args(_Kind))
    return {
        "images": [_told(view, image, jpeg, len(splits) > 1, len(classes) > 1) for image in both],
        "note": "",
        "more": len(copies.images) - len(both),
    }
