"""The form of labels: what a record holds for an image, and what readers make of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from prep.settings.choices import Target
from prep.sources.labels import LabelMap


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelForm:
    """The shape and type of labels, in records and in what readers return.

    Every reader asks this, so that all of them agree.

    ========  =====================================  ================================
    target    in a record                            from a reader
    ========  =====================================  ================================
    class     1 int64: the number of the class       int64 scalar
    class     ``width`` int64: a one-hot list        int64 vector (width,)
    multi     any number of int64: class numbers     int64 vector (size,) of 0 and 1
    value     1 float32                              float32 scalar
    soft      ``size`` float32, by class number      float32 vector (size,)
    ========  =====================================  ================================

    Attributes:
        target: what labels say of an image.
        length: how many numbers each record holds; None if records differ, and may hold none.
        shape: shape of the label of one image, from a reader.
        dtype: its type.

    >>> form = LabelForm.of(LabelMap.parse({"cat": 0, "dog": 1}))
    >>> form.shape, form.dtype, form.array((1,))
    ((), dtype('int64'), array(1))
    >>> LabelForm.of(LabelMap.parse({"cat": [1, 0], "dog": [0, 1]})).shape
    (2,)
    """

    target: Target
    length: int | None
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, labels: LabelMap) -> LabelForm:
        """Return the form of the labels of an output.

        Args:
            labels: its label map.
        """
        width = labels.width
        length: int | None
        shape: tuple[int, ...]
        match labels.target:
            case "multi":
                length, shape = None, (labels.size,)
            case "value":
                length, shape = 1, ()
            case "soft":
                length, shape = labels.size, (labels.size,)
            case "class":
                length, shape = width or 1, () if width is None else (width,)
        return cls(
            target=labels.target,
            length=length,
            shape=shape,
            dtype=np.dtype(np.float32 if labels.target in ("value", "soft") else np.int64),
        )

    @property
    def is_floating(self) -> bool:
        """True if records hold float32 numbers (a FloatList), and not int64 (an Int64List)."""
        return self.dtype.kind == "f"

    def array(self, label: Sequence[float]) -> npt.NDArray[Any]:
        """Return the label of one image as readers give it: an array of ``shape`` and ``dtype``.

        Args:
            label: the numbers of its record.

        Raises:
            ValueError: a record of this form can't hold them.
        """
        return self.arrays([label])[0, ...]

    def arrays(self, labels: Sequence[Sequence[float]]) -> npt.NDArray[Any]:
        """Return the labels of n images as readers give them: one array of n rows.

        Args:
            labels: the numbers of each record.

        Raises:
            ValueError: a record of this form can't hold them.
        """
        if self.length is None:
            return self._multi_hot(labels)
        return (
            np.array(labels, self.dtype)
            .reshape(len(labels), self.length)
            .reshape(len(labels), *self.shape)
        )

    def _multi_hot(self, labels: Sequence[Sequence[float]]) -> npt.NDArray[Any]:
        """Return rows of zeros with a one at each of the given positions."""
        found = np.zeros((len(labels), *self.shape), self.dtype)
        for row, numbers in zip(found, labels, strict=True):
            positions = np.array(numbers, np.int64)
            if len(positions) and not 0 <= positions.min() <= positions.max() < len(row):
                raise ValueError(f"expected class numbers below {len(row):,}, found {numbers}")
            row[positions] = 1
        return found
