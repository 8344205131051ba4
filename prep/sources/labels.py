"""The label map: the number, or the one-hot list, of each class."""

from __future__ import annotations

import itertools
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from prep.errors import LabelError
from prep.parsing import parse_json, read_text
from prep.settings.choices import Target
from prep.sources.base import UNLABELLED
from prep.storage.locate import locate
from prep.text import MANY, brief, counted, quoted, reason_of, some

# All lists are kept in each output's plan, which is parsed as any other file is.
_MOST_NUMBERS = 4_000_000
INT64 = range(-(1 << 63), 1 << 63)
#: The label of images without one.
NO_LABEL = -1
#: The mark between the names of an image's classes, where it has several: ``bird|boat``.
SEVERAL = "|"
#: The mark between the values of a row that a source holds several of, until they are settled.
BETWEEN = "\x1f"
#: The one class of images whose labels are values.
VALUE_CLASS = "value"
_MOST_CLASSES = 1 << 20  # of images that have several, or a share of each
_LONGEST_TEXT = 60  # characters of a name for people


def class_title(name: str, class_names: Mapping[str, str]) -> str:
    """Return what people are shown of a class: its name, with one for people if it has one.

    Args:
        class_names: names for people, by class.

    >>> class_title("n01440764", {"n01440764": "tench"}), class_title("", {})
    ('n01440764 (tench)', 'no label')
    >>> class_title("n01440764|n01443537", {"n01440764": "tench"})
    'n01440764 (tench)|n01443537'
    """
    if name == UNLABELLED:
        return "no label"
    single = name.split(SEVERAL)
    if name not in class_names and all(single) and any(each in class_names for each in single):
        return SEVERAL.join(class_title(each, class_names) for each in single)
    text = class_names.get(name, name)
    return name if text == name else f"{name} ({brief(text, _LONGEST_TEXT)})"


def with_label(classes: Iterable[str]) -> tuple[str, ...]:
    """Return classes without that of images without a label.

    >>> with_label(["cat", "dog", ""])
    ('cat', 'dog')
    """
    return tuple(name for name in classes if name != UNLABELLED)


def single_classes(classes: Iterable[str], target: Target) -> tuple[str, ...]:
    """Return the classes that have numbers: of images with several, each of these, by name.

    >>> single_classes(["bird|boat", "boat", ""], "multi"), single_classes(["a|b"], "class")
    (('bird', 'boat'), ('a|b',))
    """
    if target != "multi":
        return tuple(classes)
    found = {name for several in with_label(classes) for name in several.split(SEVERAL)}
    return tuple(sorted(found, key=os.fsencode))


def how_to_keep(target: Target) -> str:
    """Return the end of a message that says how images without a label can be kept.

    >>> how_to_keep("class")
    ", or pass `unlabelled='keep'` to give them the label -1"
    >>> how_to_keep("value")
    ''
    """
    if target in ("value", "soft"):
        return ""
    label = f"the label {NO_LABEL}" if target == "class" else "no class"
    return f", or pass `unlabelled='keep'` to give them {label}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelMap:
    """Classes and their numbers.

    A one-hot list is kept as the position of its one, with ``width`` the length of the lists:
    a thousand lists of a thousand numbers are a lot to send around.

    Of target ``multi``, the class of an image is the names of all its classes, sorted, with
    ``SEVERAL`` between them; the map has each of these names alone.

    >>> LabelMap.parse({"cat": [1, 0], "dog": [0, 1]}).feature("dog")
    (0, 1)
    >>> LabelMap.build(["boat", "bird", "cat"]).of_target("multi").feature("bird|cat")
    (0, 2)
    """

    numbers: Mapping[str, int]
    width: int | None = None
    target: Target = "class"

    @classmethod
    def build(cls, classes: Iterable[str], first: int = 0) -> LabelMap:
        """Give the classes numbers from ``first``, by name, but for ``UNLABELLED``.

        >>> LabelMap.build(["dog", "cat"]).numbers
        {'cat': 0, 'dog': 1}
        """
        return cls.ordered(sorted(set(classes)), first)

    @classmethod
    def ordered(cls, classes: Iterable[str], first: int = 0) -> LabelMap:
        """Give the classes numbers from ``first``, in this order, but for ``UNLABELLED``."""
        numbered = enumerate(with_label(classes), first)
        return cls(numbers={name: number for number, name in numbered})

    def of_target(self, target: Target) -> LabelMap:
        """Return the map for labels that say something else.

        Raises:
            LabelError: such labels can't have these numbers.
        """
        if target != "class":
            self._require_positions(target)
        return replace(self, target=target)

    @property
    def size(self) -> int:
        """One more than the largest number; the length of one-hot lists, if there are any."""
        return self.width or max(self.numbers.values(), default=-1) + 1

    def _require_positions(self, target: Target) -> None:
        """Raise LabelError unless the numbers can be positions in a vector."""
        if self.width is not None:
            raise LabelError(
                f"label map: got one-hot lists, which are for target class, and the target is "
                f"{target}; expected a number for each class, from 0"
            )
        numbers = sorted(self.numbers.values())
        if numbers and not 0 <= numbers[0] <= numbers[-1] < _MOST_CLASSES:
            raise LabelError(
                f"label map: got numbers from {numbers[0]:,} to {numbers[-1]:,}; expected numbers "
                f"from 0 to {_MOST_CLASSES - 1:,}, for target {target} makes vectors of them"
            )
        if target != "multi" and numbers != [*range(len(numbers))]:
            raise LabelError(
                f"label map: got {counted(len(numbers), 'class')} with numbers from {numbers[0]} "
                f"to {numbers[-1]}; expected 0 to {len(numbers) - 1}, each once, for labels of "
                f"target {target} have a number for each class"
            )

    def extended(self, classes: Iterable[str], first: int = 0) -> LabelMap:
        """Return a map in which classes that this one lacks have the next numbers, in their order.

        Args:
            first: the number of the first class of a map that has none yet.

        Raises:
            LabelError: labels are one-hot lists, whose length can't change.

        >>> LabelMap.build(["cat", "dog"]).extended(["bee", "dog"]).numbers
        {'cat': 0, 'dog': 1, 'bee': 2}
        """
        new = [name for name in with_label(classes) if name not in self.numbers]
        if new and self.target == "soft":
            raise LabelError(
                f"label map: labels of target soft have {len(self.numbers):,} numbers, and none "
                f"for {some([*map(quoted, new)])}; prepare another output with all classes"
            )
        if new and self.width is not None:
            raise LabelError(
                f"label map: the one-hot lists of {self.width} numbers have no place for "
                f"{some([*map(quoted, new)])}; prepare another output, or leave new classes out "
                "with `labels`"
            )
        following = max(self.numbers.values(), default=first - 1) + 1
        added = {name: number for number, name in enumerate(new, following)}
        return replace(self, numbers={**self.numbers, **added})

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> LabelMap:
        """Read a JSON file.

        Raises:
            LabelError: it can't be read, or is not a label map.
            StorageUnavailable: it is in a storage that does not answer.
        """
        where, place = f"label map {quoted(path)}", locate(path)
        try:
            value = parse_json(read_text(place.local) if place.local else place.read_bytes())
        except (OSError, ValueError) as error:
            if isinstance(error, OSError):
                place.require_answer(error, "label map: can't be read")
            raise LabelError(f"{where}: can't be read: {reason_of(error)}") from None
        return cls.parse(value, where=where)

    @classmethod
    def parse(cls, value: Any, where: str = "label map") -> LabelMap:
        """Read a mapping whose labels are integers, or all one-hot lists of one length.

        Raises:
            LabelError: they are not.
        """
        if not isinstance(value, dict) or not value:
            raise LabelError(f"{where}: expected a mapping of class to number or one-hot list")
        width = len(first) if isinstance(first := next(iter(value.values())), list) else None
        if (width or 0) * len(value) > _MOST_NUMBERS:
            raise LabelError(
                f"{where}: got one-hot lists of {width:,} numbers for {len(value):,} classes; "
                f"expected at most {_MOST_NUMBERS:,} numbers in all: give each class its number "
                "instead"
            )
        return cls(
            numbers={name: _number(name, label, width, where) for name, label in value.items()},
            width=width,
        )

    @classmethod
    def stored(cls, value: Any) -> LabelMap:
        """Read the label map of an output, which is empty if no image has a label.

        Raises:
            LabelError: it is none.
        """
        return cls(numbers={}) if value == {} else cls.parse(value)

    def require(self, classes: Iterable[str]) -> None:
        """Raise LabelError if a class has no label, but for that of images without one."""
        classes = self._single(classes)
        if UNLABELLED in classes and self.width is not None:
            raise LabelError(
                "unlabelled: got keep, and the label map has one-hot lists, none of which stands "
                "for no label; give each class its number instead, or skip images without a label"
            )
        absent = sorted(classes - set(self.numbers) - {UNLABELLED})
        if absent:
            names = some([*map(quoted, absent)], most=MANY)
            raise LabelError(
                f"label map: no number for {counted(len(absent), 'class')} of the source: {names}; "
                f"add {'it' if len(absent) == 1 else 'them'} to the map, or leave label_map out to "
                "have the classes numbered by name"
            )

    def doubts(self, classes: Iterable[str]) -> tuple[str, ...]:
        """Say what may be a mistake in the map, a sentence each, for warnings before a run.

        Nothing of it is an error: two classes may share a number on purpose, and a map may be made
        for a larger set. ``prep.run`` logs each as a warning, and a plan shows them.

        Args:
            classes: those that have images.

        >>> LabelMap.parse({"cat": 0, "dog": 0, "eel": 3}).doubts(["cat", "dog"])[0]
        "label map: several classes have the number 0: 'cat', 'dog'"
        """
        if self.target in ("value", "soft"):
            return ()
        classes = self._single(classes)
        found = (
            *self._shared(),
            *self._gaps(),
            *self._unused(classes),
            *(self._without_label() if UNLABELLED in classes else ()),
        )
        return tuple(f"label map: {doubt}" for doubt in found)

    def _single(self, classes: Iterable[str]) -> set[str]:
        """Return the classes that need a number, and ``UNLABELLED`` if it is among them."""
        given = set(classes)
        return {*single_classes(given, self.target), *(given & {UNLABELLED})}

    def _shared(self) -> Iterator[str]:
        names: defaultdict[int, list[str]] = defaultdict(list)
        for name, number in self.numbers.items():
            names[number].append(name)
        shared = {number: held for number, held in sorted(names.items()) if len(held) > 1}
        if len(shared) == 1:
            ((number, held),) = shared.items()
            yield f"several classes have the number {number}: {some([*map(quoted, held)])}"
        elif shared:
            yield f"{len(shared):,} numbers each belong to several classes: " + some(
                [f"{number} ({some([*map(quoted, held)])})" for number, held in shared.items()]
            )

    def _gaps(self) -> Iterator[str]:
        numbers = sorted(set(self.numbers.values()))
        if not numbers:  # No image has a label.
            return
        if numbers[0] not in (0, 1):
            yield f"the numbers begin at {numbers[0]}; training code usually expects 0"
        end = [] if self.width is None else [self.width]
        gaps = [
            str(low + 1) if low + 2 == high else f"{low + 1} to {high - 1}"
            for low, high in itertools.pairwise([*numbers, *end])
            if high > low + 1
        ]
        if gaps:
            yield f"no class has the number {some(gaps)}"

    def _unused(self, classes: Iterable[str]) -> Iterator[str]:
        unused = sorted(set(self.numbers) - set(classes))
        if unused:
            names = some([*map(quoted, unused)])
            yield f"no images of {counted(len(unused), 'class')} in the map: {names}"

    def _without_label(self) -> Iterator[str]:
        if self.target != "class":
            return
        taken = [quoted(name) for name, number in self.numbers.items() if number == NO_LABEL]
        if taken:
            yield f"images without a label have the number {NO_LABEL}, as has {some(taken)}"

    def feature(self, name: str) -> tuple[int, ...]:
        """Return the integers of a class's ``label`` feature: one, or ``width`` of them.

        That of ``UNLABELLED`` is -1. Of target ``multi``, they are the numbers of all the classes,
        in their order; none for ``UNLABELLED``.
        """
        if self.target == "multi":
            return tuple(sorted({self.numbers[each] for each in single_classes([name], "multi")}))
        number = self.number(name)
        if self.width is None:
            return (number,)
        return tuple(int(i == number) for i in range(self.width))

    def number(self, name: str) -> int:
        """Return the number of a class, -1 for ``UNLABELLED``."""
        return NO_LABEL if name == UNLABELLED else self.numbers[name]

    def aliases(self, name: str) -> frozenset[str | int]:
        """Return the names and numbers by which a class may be called, or one of several.

        >>> sorted(LabelMap.build(["bird", "boat"]).aliases("boat"), key=str)
        [1, 'boat']
        """
        single = single_classes([name], self.target) or (name,)
        return frozenset((name, *single, *map(self.number, single)))

    def texts(self, classes: Iterable[str]) -> dict[str, str]:
        """Return the labels of classes as people are shown them; of no class with a value."""
        if self.target == "value":
            return dict.fromkeys(classes, "")
        return {name: ", ".join(map(str, self._shown(name))) for name in with_label(classes)}

    def _shown(self, name: str) -> tuple[int, ...]:
        return self.feature(name) if self.target == "multi" else (self.number(name),)

    def to_json(self) -> dict[str, int | list[int]]:
        """Return the map as it is stored: numbers or one-hot lists."""
        if self.width is None:
            return dict(self.numbers)
        return {name: list(self.feature(name)) for name in self.numbers}


def _number(name: str, label: Any, width: int | None, where: str) -> int:
    if width is None:
        if type(label) is int and label in INT64:
            return label
        expected = "a whole number, as for the first class"
    else:
        whole = isinstance(label, list) and all(type(x) is int for x in label)
        if whole and sorted(label) == [0] * (width - 1) + [1]:
            return int(label.index(1))
        expected = f"a list of {width} numbers, one of them 1 and the others 0"
    raise LabelError(
        f"{where}: class {quoted(name)} has {json.dumps(label, default=str)[:80]}; "
        f"expected {expected}"
    )
