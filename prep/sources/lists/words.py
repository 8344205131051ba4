"""Columns of few distinct values: words, and the parts that a word may have."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from prep.sources.labels import BETWEEN

_SIGNS = "|;,"
# A list as Python, JSON or PostgreSQL print it, in a column of text.
_PRINTED = re.compile(r"\[.*\]|\(.*\)|\{.*\}", re.DOTALL)
_QUOTED = re.compile(r"""'([^']*)'|"([^"]*)\"""")
_QUOTES = re.compile(rf"\s*({_QUOTED.pattern})(\s*,?\s*({_QUOTED.pattern}))*\s*,?\s*")
_BLANK = " \t\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A value for each row, of few that are distinct.

    Attributes:
        numbers: int32; positions in ``names``; -1 for an empty value.
        names: the distinct values, by name.
    """

    numbers: npt.NDArray[np.int32]
    names: tuple[str, ...]

    def with_marks(self) -> tuple[Words, str]:
        """Return values with ``BETWEEN`` where they have several parts, and the sign before.

        The sign is the first of ``|``, ``;`` and ``,`` that is in any value; none where the format
        of the list has told the parts already.
        """
        if any(BETWEEN in name for name in self.names):
            return self, ""
        if self.names and all(map(_PRINTED.fullmatch, self.names)):
            return self.renamed(_unprinted).without_empty(), ","
        signs = (sign for sign in _SIGNS if any(sign in name for name in self.names))
        sign = next(signs, "")
        return (self.renamed(lambda name: name.replace(sign, BETWEEN)) if sign else self), sign

    def without_empty(self) -> Words:
        """Return values in which an empty text is no value."""
        if "" not in self.names:  # It comes first.
            return self
        return Words(numbers=self.numbers - (self.numbers >= 0), names=self.names[1:])

    def united(self, images: npt.NDArray[np.integer[Any]]) -> Words:
        """Return values of which those of one image are joined, with ``BETWEEN`` between them.

        Args:
            images: a number for each row, the same for rows of one image.
        """
        pairs = np.unique(np.stack([images, self.numbers], axis=1), axis=0)
        pairs = pairs[pairs[:, 1] >= 0]
        several: dict[int, list[str]] = {}
        for image, number in pairs.tolist():
            several.setdefault(image, []).append(self.names[number])
        joined = {image: BETWEEN.join(values) for image, values in several.items()}
        names = sorted({*joined.values()}, key=str.encode)
        position = {name: number for number, name in enumerate(names)}
        numbers = [position[joined[i]] if i in joined else -1 for i in images.tolist()]
        return Words(numbers=np.array(numbers, np.int32), names=tuple(names))

    def renamed(self, rename: Callable[[str], str]) -> Words:
        """Return other names for the same values; those that become equal are one."""
        now = [rename(name) for name in self.names]
        names = sorted(set(now), key=str.encode)
        position = {name: number for number, name in enumerate(names)}
        numbers = np.array([*(position[name] for name in now), -1], np.int32)
        return Words(numbers=numbers[self.numbers], names=tuple(names))

    def take(self, rows: npt.NDArray[np.int64]) -> Words:
        """Return the values of some rows; all names stay."""
        return Words(numbers=self.numbers[rows], names=self.names)

    def as_column(self) -> pa.DictionaryArray:
        """Return them as a column of bytes; empty values are null."""
        numbers = pa.array(self.numbers, pa.int32(), mask=self.numbers < 0)
        names = pa.array([name.encode() for name in self.names], pa.binary())
        return pa.DictionaryArray.from_arrays(numbers, names)

    def name(self, row: int) -> str:
        """Return the value of a row."""
        number = self.numbers[row]
        return "" if number < 0 else self.names[number]


def _unprinted(text: str) -> str:
    """Return the values of a list as Python or JSON prints it, with ``BETWEEN`` between them.

    >>> _unprinted("['a cat', 'dog']").split(BETWEEN), _unprinted("[]")
    (['a cat', 'dog'], '')
    """
    inner = text[1:-1]
    if _QUOTES.fullmatch(inner):
        parts = [single or double for single, double in _QUOTED.findall(inner)]
    else:
        parts = inner.split(",")
    return BETWEEN.join(stripped for part in parts if (stripped := part.strip(_BLANK)))


def words_of(values: pa.Array) -> Words:
    """Return the distinct values of a column, without blanks around them."""
    encoded = values.dictionary_encode()
    stripped = [value.strip(_BLANK) for value in encoded.dictionary.to_pylist()]
    names = sorted(set(stripped) - {""}, key=str.encode)
    number = {name: position for position, name in enumerate(names)}
    numbers = np.array([number.get(value, -1) for value in stripped], np.int32)
    indices = encoded.indices.to_numpy(zero_copy_only=False)
    return Words(numbers=numbers[indices] if len(numbers) else indices, names=tuple(names))


def same_word(rows: int, name: str) -> Words:
    """Return one value for all rows."""
    return Words(numbers=np.zeros(rows, np.int32), names=(name,))


def no_words(rows: int) -> Words:
    """Return no value for any row."""
    return Words(numbers=np.full(rows, -1, np.int32), names=())
