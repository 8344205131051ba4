"""Balance: how alike the classes of splits are, and how far from what was asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from prep.config.split_rules import PoolPart
from prep.parsing import Fields


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitShare:
    """The share of a pool that a split has got, as it was made.

    Attributes:
        split: its name.
        asked: the share of every class that it was to have, 0 to 1.
        images: how many it has got.
        of: how many images the pool had.
        class_name: the class that is farthest from its share, or ``""``, which may be a class.
        class_images: how many images of that class it has got.
        class_asked: how many it was to have.
    """

    split: str
    asked: float
    images: int
    of: int
    class_name: str
    class_images: int
    class_asked: float

    @property
    def off(self) -> float:
        """How many images the class that is farthest from its share is off."""
        return abs(self.class_images - self.class_asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitBalance:
    """The balance of the classes of a split.

    Attributes:
        images: number of its images.
        share: of all images, 0 to 1.
        classes: number of classes that it has images of.
        least, most: images of the smallest and of the largest of these.
        skew: the total variation distance between the shares of the classes in this split and in
            all splits together: the share of its images that would have to be of other classes, 0
            to 1, for both to be the same.
        made: what it has got of its pool, if it was made.
    """

    images: int
    share: float
    classes: int
    least: int
    most: int
    skew: float
    made: SplitShare | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the values, rounded; ``made`` is left out if the split was found."""
        values = {name: getattr(self, name) for name in ("images", "classes", "least", "most")}
        values |= {"share": round(self.share, 6), "skew": round(self.skew, 6)}
        if self.made is not None:
            made = asdict(self.made)
            del made["split"]
            values["made"] = {
                **made,
                "asked": round(made["asked"], 6),
                "class_asked": round(made["class_asked"], 3),
            }
        return values


def stored_balance(value: object) -> dict[str, Any]:
    """Return what :meth:`SplitBalance.to_json` gave; raise ValueError if it is not that."""
    fields = Fields(value, "the balance of a split")
    stored: dict[str, Any] = {
        name: fields.whole(name) for name in ("images", "classes", "least", "most")
    }
    stored |= {name: fields.number(name, most=1) for name in ("share", "skew")}
    made = fields.any("made", default=None)
    fields.end()
    if made is not None:
        of = Fields(made, "the share of a split")
        stored["made"] = {
            "asked": of.number("asked", most=1),
            "images": of.whole("images"),
            "of": of.whole("of", least=1),
            "class_name": of.text("class_name"),
            "class_images": of.whole("class_images"),
            "class_asked": of.number("class_asked"),
        }
        of.end()
    return stored


def shares_of(
    parts: Sequence[PoolPart],
    chosen: npt.NDArray[np.int64],
    classes: npt.NDArray[np.int64],
    names: Sequence[str],
) -> tuple[SplitShare, ...]:
    """Return what each split that is made of a pool has got of every class.

    Args:
        parts: of the pool; several may be of one split.
        chosen: the part of each image.
        classes: the class of each image, a position in ``names``.
    """
    sizes = np.bincount(classes, minlength=len(names))
    splits = sorted({part.split for part in parts})
    number = np.array([splits.index(part.split) for part in parts])
    found = []
    for at, split in enumerate(splits):
        asked = float(sum(part.share for part in parts if part.split == split))
        got = np.bincount(classes[number[chosen] == at], minlength=len(names))
        worst = int(np.argmax(np.abs(got - asked * sizes)))
        share = SplitShare(
            split=split,
            asked=asked,
            images=int(got.sum()),
            of=len(classes),
            class_name=names[worst],
            class_images=int(got[worst]),
            class_asked=float(asked * sizes[worst]),
        )
        found.append(share)
    return tuple(found)


def balance_of(
    counts: Mapping[str, Mapping[str, int]], shares: Sequence[SplitShare] = ()
) -> dict[str, SplitBalance]:
    """Return the balance of each split.

    Args:
        counts: number of images by split and class.
        shares: of the splits that were made.

    >>> found = balance_of({"train": {"cat": 6, "dog": 2}, "val": {"dog": 8}})
    >>> found["val"].share, found["val"].skew
    (0.5, 0.375)
    """
    names = sorted({name for of in counts.values() for name in of})
    table = np.array([[of.get(name, 0) for name in names] for of in counts.values()], np.int64)
    made = {share.split: share for share in shares}
    totals, everything = table.sum(axis=0), int(table.sum())
    return {
        split: SplitBalance(
            images=int(row.sum()),
            share=float(row.sum()) / max(everything, 1),
            classes=int((row > 0).sum()),
            least=int(row[row > 0].min(initial=int(row.max(initial=0)))),
            most=int(row.max(initial=0)),
            skew=_distance(row, totals),
            made=made.get(split),
        )
        for split, row in zip(counts, table, strict=True)
    }


def _distance(row: npt.NDArray[np.int64], totals: npt.NDArray[np.int64]) -> float:
    """Return the total variation distance between two distributions, given as counts."""
    if not row.any():
        return 0.0
    shares, of_all = row / row.sum(), totals / totals.sum()
    return float(np.abs(shares - of_all).sum() / 2)
