"""Kinds of source images, and the most extreme ones.

An image is identified by its shard and its row; the manifest has its path.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, NamedTuple

from prep.images.fitting.framing import Framing
from prep.parsing import Fields, refuse, whole

#: Images that are listed of each kind and each extreme.
MOST_NAMED = 12
#: Properties of a stored image, besides its format.
MARKS = ("gray", "CMYK", "transparent", "turned", "kept")
_MOST_FORMATS = 64
_LONGEST_FORMAT = 64  # characters
_MOST_LEVEL = 25_500  # 255, in hundredths
_FIVE = re.compile(" ".join([r"(0|[1-9][0-9]{0,9})"] * 5))
_ROWS = re.compile(rf"(?:[0-9]{{1,9}}(?: [0-9]{{1,9}}){{0,{MOST_NAMED - 1}}})?")


class Noted(NamedTuple):
    """A written image.

    Attributes:
        row: its index among the images of the shard, refused ones included.
        width, height: of the source image, upright, in pixels.
        brightness: mean luma of the result (ITU-R BT.601), in hundredths, 0 to 25,500.
        format: of its file.
        marks: those of :data:`MARKS` that apply.
    """

    row: int
    width: int
    height: int
    brightness: int
    format: str
    marks: tuple[str, ...] = ()


class Seen(NamedTuple):
    """An image that is listed.

    Attributes:
        split, shard, row: identify it.
        width, height, brightness: as in :class:`Noted`.
        chroma: mean of max(R, G, B) - min(R, G, B) over points of the result, in hundredths.
    """

    split: str
    shard: int
    row: int
    width: int
    height: int
    brightness: int
    chroma: int

    @property
    def shorter(self) -> int:
        """Its shorter side, in pixels."""
        return min(self.width, self.height)


# The sort key of each extreme, the most extreme image first.
_ORDERS: Mapping[str, Callable[[Seen], float]] = {
    "smallest": lambda image: min(image.width, image.height),
    "widest": lambda image: -image.width / image.height,
    "tallest": lambda image: -image.height / image.width,
    "darkest": lambda image: image.brightness,
    "brightest": lambda image: -image.brightness,
    "least colourful": lambda image: image.chroma,
}
#: The names of the extremes.
EXTREMES = tuple(_ORDERS)


class Group(NamedTuple):
    """The number of images that have something in common, and the ``first`` of them."""

    images: int
    first: tuple[Seen, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """Kinds and extremes of written images. The order of adding up does not matter.

    Attributes:
        images: the number of images; 0 in a receipt of a version that did not note traits.
        enlarged: the number of images that were made larger.
        formats: images by format, such as ``JPEG``.
        marks: images by :data:`MARKS`: stored in ``gray`` or ``CMYK``, with an alpha channel or a
            ``transparent`` colour, ``turned`` by their Exif orientation, or ``kept`` to the byte.
        extremes: the first images of each of :data:`EXTREMES`. The ``widest`` are wider than high,
            the ``tallest`` higher than wide, and the ``least colourful`` not stored in gray.
    """

    images: int = 0
    enlarged: int = 0
    formats: Mapping[str, Group] = field(default_factory=dict)
    marks: Mapping[str, Group] = field(default_factory=dict)
    extremes: Mapping[str, tuple[Seen, ...]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, noted: Sequence[Noted], chroma: Sequence[int], split: str, shard: int, framing: Framing
    ) -> Traits:
        """Collect the traits of one shard.

        Args:
            noted: its images, in order.
            chroma: of each image, as in :class:`Seen`.
            split, shard: identify the shard.
            framing: the size of the results, and how images take it.
        """
        if not noted:
            return cls()
        seen = [Seen(split, shard, *n[:4], c) for n, c in zip(noted, chroma, strict=True)]
        formats: dict[str, list[Seen]] = {}
        marks: dict[str, list[Seen]] = {}
        for image, described in zip(seen, noted, strict=True):
            formats.setdefault(described.format, []).append(image)
            for mark in described.marks:
                marks.setdefault(mark, []).append(image)
        gray = {image.row for image in marks.get("gray", ())}
        some = {
            "widest": [image for image in seen if image.width > image.height],
            "tallest": [image for image in seen if image.width < image.height],
            "least colourful": [image for image in seen if image.row not in gray],
        }
        return cls(
            images=len(seen),
            enlarged=sum(framing.enlarges(image.height, image.width) for image in seen),
            formats=_groups_of(formats),
            marks=_groups_of(marks),
            extremes={  # Ties go to the first.
                name: tuple(heapq.nsmallest(MOST_NAMED, some.get(name, seen), order))
                for name, order in _ORDERS.items()
            },
        )

    @classmethod
    def sum(cls, parts: Iterable[Traits]) -> Traits:
        """Add them up."""
        noted = [part for part in parts if part.images]
        if len(noted) < 2:
            return noted[0] if noted else cls()
        return cls(
            images=sum(part.images for part in noted),
            enlarged=sum(part.enlarged for part in noted),
            formats=_sum_of_groups([part.formats for part in noted]),
            marks=_sum_of_groups([part.marks for part in noted]),
            extremes={
                name: _first_of([part.extremes[name] for part in noted], order)
                for name, order in _ORDERS.items()
            },
        )

    def moved_to(self, split: str, shard: int) -> Traits:
        """Return the traits of the same images as those of another shard."""

        def moved(images: Iterable[Seen]) -> tuple[Seen, ...]:
            return tuple(image._replace(split=split, shard=shard) for image in images)

        def moved_groups(groups: Mapping[str, Group]) -> dict[str, Group]:
            return {name: Group(group.images, moved(group.first)) for name, group in groups.items()}

        return replace(
            self,
            formats=moved_groups(self.formats),
            marks=moved_groups(self.marks),
            extremes={name: moved(images) for name, images in self.extremes.items()},
        )

    def to_json(self) -> dict[str, Any]:
        """Return the traits of one shard as JSON: lists of rows, and one description per row.

        Numbers are joined into strings, because indented JSON has a line for each element.
        """
        seen = sorted({image[2:] for image in self._named()})
        return {
            "images": self.images,
            "enlarged": self.enlarged,
            "formats": _rows_of_groups(self.formats),
            "marks": _rows_of_groups(self.marks),
            "extremes": {name: _rows(images) for name, images in self.extremes.items()},
            "seen": [" ".join(map(str, numbers)) for numbers in seen],
        }

    def _named(self) -> Iterator[Seen]:
        groups = chain(self.formats.values(), self.marks.values())
        return chain(*self.extremes.values(), *(group.first for group in groups))

    @classmethod
    def from_json(cls, value: object, split: str, shard: int, rows: int) -> Traits:
        """Read the JSON of :meth:`to_json`; raise ValueError for anything else.

        Args:
            split, shard: identify the shard.
            rows: the number of images of the shard, refused ones included.
        """
        fields = Fields(value, "traits")
        images = fields.whole("images", most=rows)
        enlarged = fields.whole("enlarged", most=images)
        named = [_seen(image, split, shard, rows) for image in fields.list("seen")]
        seen = {image.row: image for image in named}
        formats = _groups(fields.object("formats"), seen, images)
        marks = _groups(fields.object("marks"), seen, images)
        extremes = {
            name: _at(rows_, seen, name) for name, rows_ in fields.object("extremes").items()
        }
        fields.end()
        if not marks.keys() <= {*MARKS}:
            refuse("marks", " or ".join(MARKS), sorted(marks.keys() - MARKS))
        if extremes.keys() != ({*EXTREMES} if images else set()):
            refuse("extremes", ", ".join(EXTREMES), sorted(extremes))
        if sum(group.images for group in formats.values()) != images:
            refuse("formats", f"{images} images in all", {n: g.images for n, g in formats.items()})
        if len(formats) > _MOST_FORMATS or any(len(name) > _LONGEST_FORMAT for name in formats):
            refuse("formats", f"at most {_MOST_FORMATS}, of short names", len(formats))
        return cls(
            images=images, enlarged=enlarged, formats=formats, marks=marks, extremes=extremes
        )


def _first_of(parts: Iterable[Sequence[Seen]], order: Callable[[Seen], float]) -> tuple[Seen, ...]:
    """Return the most extreme images; ties go to the first by split, shard and row."""
    return tuple(heapq.nsmallest(MOST_NAMED, sorted(chain.from_iterable(parts)), order))


def _groups_of(members: Mapping[str, Sequence[Seen]]) -> dict[str, Group]:
    return {
        name: Group(len(images), tuple(images[:MOST_NAMED])) for name, images in members.items()
    }


def _sum_of_groups(parts: Sequence[Mapping[str, Group]]) -> dict[str, Group]:
    found: dict[str, list[Group]] = {}
    for name, group in chain.from_iterable(part.items() for part in parts):
        found.setdefault(name, []).append(group)
    return {
        name: Group(
            sum(group.images for group in groups),
            _first_of([group.first for group in groups], lambda _: 0),
        )
        for name, groups in found.items()
    }


def _rows(images: Iterable[Seen]) -> str:
    return " ".join(str(image.row) for image in images)


def _rows_of_groups(groups: Mapping[str, Group]) -> dict[str, list[Any]]:
    return {name: [group.images, _rows(group.first)] for name, group in groups.items()}


def _seen(value: object, split: str, shard: int, rows: int) -> Seen:
    match = _FIVE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return refuse("seen", "five numbers, between spaces", value)
    row, width, height, brightness, chroma = map(int, match.groups())
    if row >= rows or not width or not height or max(brightness, chroma) > _MOST_LEVEL:
        refuse("seen", "an image of the shard", value)
    return Seen(split, shard, row, width, height, brightness, chroma)


def _at(rows: object, seen: Mapping[int, Seen], name: str) -> tuple[Seen, ...]:
    """Return the images in these rows."""
    if not isinstance(rows, str) or not _ROWS.fullmatch(rows):
        return refuse(name, f"at most {MOST_NAMED} rows, between spaces", rows)
    images = [seen.get(int(row)) for row in rows.split()]
    return tuple(
        refuse(name, "rows of images that are described", rows) if image is None else image
        for image in images
    )


def _groups(value: Mapping[str, Any], seen: Mapping[int, Seen], images: int) -> dict[str, Group]:
    groups = {}
    for name, group in value.items():
        if not isinstance(group, list) or len(group) != 2:
            return refuse(name, "a number of images and the first of them", group)
        first = _at(group[1], seen, name)
        groups[name] = Group(whole(group[0], name, least=1, most=images), first)
    return groups
