"""A record that was found in a shard, and what its output knows of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from prep.images.decoders.values import Pixels
from prep.settings.choices import Target
from prep.shards.formats.base import Label, Values
from prep.text import Displayable, brief, counted

# What names of files of a kind end in.
_SUFFIXES = {"JPEG": (".jpg", ".jpeg"), "PNG": (".png",), "WebP": (".webp",), "GIF": (".gif",)}
_LONGEST_VALUE = 200  # characters of a feature that are shown


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRecord(Displayable):
    """A record, and what its output knows of it.

    Attributes:
        split, row: the split, and the number of the record in it, counted from 0, if it was found
            by these.
        shard: path or URL of its file.
        number: of the record in it, counted from 0.
        label: as stored: one number, or a list.
        target: what the label says.
        classes: the classes that the label stands for, as people are shown them; none if unknown.
        source: the image file that it was made of, relative to the source; None if unknown.
        width, height: in pixels.
        picture: an image file: as it is stored, or a PNG of samples.
        kind: of ``picture``, such as ``JPEG``.
        samples: how they are stored; None for an image file.
        pixels: the same picture, uint8 (height, width, 3), RGB.
        features: what the record holds besides image and label: values by name.
    """

    split: str | None = None
    row: int | None = None
    shard: str
    number: int
    label: Label
    target: Target = "class"
    classes: tuple[str, ...]
    source: str | None
    width: int
    height: int
    picture: bytes = field(repr=False)
    kind: str
    samples: str | None
    pixels: Pixels = field(repr=False, compare=False)
    features: Mapping[str, Values]

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The extensions that a file with this picture may have."""
        return _SUFFIXES[self.kind]

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What is known of it, as names and values for people."""
        stored = f"{self.kind} of {counted(len(self.picture), 'byte')}"
        if self.samples:
            stored = f"{self.samples} samples"
        in_split = [] if self.split is None else [("split", self.split), ("row", f"{self.row:,}")]
        return [
            *in_split,
            ("shard", self.shard),
            ("record", f"{self.number:,}"),
            ("label", _label_text(self.label, self.target)),
            *self._classes,
            ("picture", f"{self.width} × {self.height}, {stored}"),
            ("made of", self.source or "not known"),
            *((name, _text(values)) for name, values in self.features.items()),
        ]

    @property
    def _classes(self) -> list[tuple[str, str]]:
        """The classes of the record, or that of its largest number."""
        if self.target == "value":
            return []
        told = " or ".join(self.classes) or "not known"
        if self.target == "multi":
            return [("classes", told if self.label else "none")]
        return [("class" if self.target == "class" else "likeliest", told)]


def _label_text(label: Label, target: Target = "class") -> str:
    """Return a label for people; a one-hot list as the position of its one.

    >>> _label_text((7,)), _label_text((0, 1, 0)), _label_text((0.25, 0.75))
    ('7', '1 (one-hot of 3)', '0.25, 0.75')
    >>> _label_text((0, 1), "multi"), _label_text((), "multi")
    ('0, 1', 'none')
    """
    if target == "class" and len(label) > 1 and sorted(label) == [0] * (len(label) - 1) + [1]:
        return f"{label.index(1)} (one-hot of {len(label)})"
    numbers = (str(n) if isinstance(n, int) else f"{n:.7g}" for n in label)
    return brief(", ".join(numbers) or "none", _LONGEST_VALUE)


def _text(values: Sequence[object]) -> str:
    """Return the values of a feature on one line."""
    texts = [os.fsdecode(value) if isinstance(value, bytes) else str(value) for value in values]
    return brief(", ".join(texts) or "no value", _LONGEST_VALUE)
