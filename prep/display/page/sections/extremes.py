"""Kinds of images, the most extreme ones, and the mean image."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, zip_longest

from prep.display.page.facts import Facts
from prep.display.page.samples import THUMBNAIL, thumbnails_of
from prep.display.page.section import FEWEST, Section, Shot, View, data_url, make_section
from prep.images.decoders.values import Pixels
from prep.images.encoding.encode import Thumbnailer
from prep.images.fitting.framing import Framing, placement_of
from prep.images.fitting.resizer import Resizer
from prep.images.mean_image import MeanImage, grid_side
from prep.images.traits import Group, Seen, Traits
from prep.output.receipt import Totals
from prep.settings.image_settings import ImageSettings
from prep.text import counted

_MARKS = {
    "gray": "stored in gray",
    "CMYK": "stored in CMYK",
    "transparent": "with transparency",
    "turned": "turned by Exif orientation",
}
_KEPT = "kept as they are"
_TITLES = {
    "smallest": "Smallest",
    "widest": "Widest",
    "tallest": "Tallest",
    "darkest": "Darkest",
    "brightest": "Brightest",
    "least colourful": "Nearest to gray",
}
_MOST_SHOWN = 8  # of each kind, and of each extreme
# So many where each takes long: in a storage, or in shards that are packed.
_MOST_IF_SLOW = 3
_MOST_MEANS = 8  # splits


@dataclass(frozen=True, slots=True, kw_only=True)
class KindRow:
    """A kind of images: how many of each split, and pictures of some."""

    name: str
    counts: tuple[int, ...]
    shots: tuple[Sequence[Shot], ...]

    @property
    def total(self) -> int:
        return sum(self.counts)


def extremes(view: View) -> Section | None:
    """Return counts of kinds, the extremes, and the mean image; each number with its pictures."""
    facts, noted = view.facts, view.everything.traits.images
    if not noted:
        return None
    groups = _groups(facts)
    ends = _ends(view.everything, facts.plan.settings)
    examples = {name: _by_turns([group.first for group in of]) for name, of in groups.items()}
    named = [*(images for of in examples.values() for images in of), *ends.values()]
    shot_of = _pictures(view, named)
    kinds = [
        KindRow(
            name=name,
            counts=tuple(group.images for group in of),
            shots=tuple([shot_of(image, "") for image in of] for of in examples[name]),
        )
        for name, of in groups.items()
    ]
    framing = Framing.of(facts.plan.settings)
    return make_section(
        "extremes",
        "Kinds and extremes",
        {
            "noted": counted(noted, "image"),
            "missing": view.everything.images - noted,
            "splits": facts.splits,
            "kinds": [kind for kind in kinds if kind.total],
            "absent": [kind.name for kind in kinds if not kind.total],
            "ends": [
                {
                    "title": _TITLES[name],
                    "most": _measure(name, images[0], framing),
                    "shots": [shot_of(image, _measure(name, image, framing)) for image in images],
                }
                for name, images in ends.items()
            ],
            "means": _means(facts),
            "grid": grid_side(facts.plan.settings),
            "stretched": not facts.plan.settings.same_size,
        },
        short="Extremes",
    )


def _groups(facts: Facts) -> dict[str, list[Group]]:
    """Return the images of each kind, by split."""
    traits = [facts.totals[split].traits for split in facts.splits]
    framing, none = Framing.of(facts.plan.settings), Group(0, ())
    formats = sorted({name for of in traits for name in of.formats})
    return {
        **{name: [of.formats.get(name, none) for of in traits] for name in formats},
        **{text: [of.marks.get(mark, none) for of in traits] for mark, text in _marks(facts)},
        f"enlarged from less than {_pixels_of(framing)}": [_enlarged(of, framing) for of in traits],
    }


def _marks(facts: Facts) -> Iterator[tuple[str, str]]:
    """Yield the marks that images of this run can have, and what to call them."""
    yield from _MARKS.items()
    if facts.plan.settings.keep_fitting:
        yield "kept", _KEPT


def _enlarged(traits: Traits, framing: Framing) -> Group:
    smallest = traits.extremes.get("smallest", ())
    some = tuple(image for image in smallest if framing.enlarges(image.height, image.width))
    return Group(traits.enlarged, some)


def _pixels_of(framing: Framing) -> str:
    if framing.height == framing.width:
        return f"{framing.height:,} pixels"
    return f"{framing.width:,} × {framing.height:,} pixels"


def _by_turns(of_each: Sequence[Sequence[Seen]]) -> list[Sequence[Seen]]:
    """Return the images to show, as evenly from all splits as possible."""
    turns = (image for images in zip_longest(*of_each) for image in images if image is not None)
    shown = {*islice(turns, _MOST_SHOWN)}
    return [[image for image in images if image in shown] for images in of_each]


def _ends(everything: Totals, settings: ImageSettings) -> dict[str, tuple[Seen, ...]]:
    """Return the extremes, without those of sizes, aspects and colours that are all alike."""
    traits, dimensions = everything.traits, everything.dimensions
    alike = {"least colourful"} if settings.mode == "gray" else set()
    if len(dimensions.sides) == 1 and not traits.enlarged:
        alike.add("smallest")
    if len(dimensions.aspects) == 1:
        alike |= {"widest", "tallest"}
    if traits.images < FEWEST:
        return {}
    return {
        name: of[:_MOST_SHOWN] for name, of in traits.extremes.items() if of and name not in alike
    }


def _measure(extreme: str, image: Seen, framing: Framing) -> str:
    """Return the measure in which an image is extreme."""
    if extreme == "smallest":
        times = 1 / framing.pixels_per_pixel(image.height, image.width)
        enlarges = framing.enlarges(image.height, image.width)
        enlarged = f", enlarged {float(times):.1f} times" if enlarges else ""
        return f"shorter side {image.shorter:,}{enlarged}"
    if extreme in ("widest", "tallest"):
        return _lost(image, framing)
    if extreme in ("darkest", "brightest"):
        return f"mean brightness {image.brightness / 100:.1f} of 255"
    return f"R, G and B differ by {image.chroma / 100:.1f} on average"


def _lost(image: Seen, framing: Framing) -> str:
    """Return what becomes of an image whose aspect is another than the framing's."""
    placement = placement_of(framing, image.height, image.width)
    if framing.fit == "crop":
        kept = placement.kept_rows * placement.kept_columns / (image.height * image.width)
        return f"{float(1 - kept):.0%} cut off by the centre crop"
    if framing.fit == "pad":
        filled = placement.height * placement.width / (framing.height * framing.width)
        return f"{1 - filled:.0%} of the result is background"
    return f"becomes {placement.width:,} × {placement.height:,}"


def _pictures(view: View, lists: Sequence[Sequence[Seen]]) -> Callable[[Seen, str], Shot]:
    """Return a function that makes a picture of an image, with a note."""
    facts = view.facts
    starts = {(shard.split, shard.index): shard.start for shard in facts.plan.shards}
    slow = facts.plan.compression is not None or facts.root.is_remote
    some = chain.from_iterable(images[: _MOST_IF_SLOW if slow else None] for images in lists)

    def row_of(image: Seen) -> int:
        return starts[image.split, image.shard] + image.row

    jpegs = thumbnails_of(view.journal, facts, sorted({row_of(image) for image in some}))

    def shot_of(image: Seen, said: str) -> Shot:
        row = row_of(image)
        path = os.fsdecode(facts.manifest["path"][row].as_py())
        class_name = view.title(facts.plan.classes[facts.class_rows[row]])
        size = f"{image.width:,} × {image.height:,} pixels"
        note = f"{class_name}, {image.split} · {size}{' · ' if said else ''}{said}"
        return view.shot(path, note, jpegs.get(row))

    return shot_of


def _means(facts: Facts) -> list[dict[str, str]]:
    """Return the mean image of each split."""
    thumbnail, framing = Thumbnailer(THUMBNAIL), Framing.of(facts.plan.settings)
    noted = [(split, facts.totals[split].mean_image) for split in facts.splits]
    return [
        {
            "split": split,
            "images": counted(mean.images, "image"),
            "url": data_url(thumbnail(_in_aspect(mean, framing))),
        }
        for split, mean in noted
        if mean.images
    ][:_MOST_MEANS]


def _in_aspect(mean: MeanImage, framing: Framing) -> Pixels:
    """Return a mean image in the aspect of the results, if these are all of one."""
    pixels = mean.pixels()
    shorter = min(framing.height, framing.width)
    if framing.fit == "shorter" or framing.height == framing.width:
        return pixels
    height, width = (round(mean.side * side / shorter) for side in (framing.height, framing.width))
    return Resizer("linear").resize(pixels, height, width)
