"""From the labels of samples, numbers or text, to classes."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import numpy.typing as npt

from prep.errors import SourceError
from prep.settings.choices import Target
from prep.sources.labels import BETWEEN
from prep.sources.layouts.number_names import NumberNames
from prep.text import counted, quoted, some

#: A class: its number, or its name; None for no label.
ClassLabel = int | str | None
#: The label of a sample: a class, several of them, a value, or a number for each class.
Label = ClassLabel | float | tuple[int | float | str, ...]
#: The doubt about labels that are taken for a zero or a one for each class.
MULTI_HOT = "labels are lists of zeros and ones, so each one is taken for a class"
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")  # of 64 bits
_DIGITS = re.compile(r"[0-9]{1,18}")
# Classes of which some have no images; a number above is an identifier.
_MOST_CLASSES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Classes:
    """The classes of samples.

    Attributes:
        names: the classes, by name.
        numbers: int32; for each sample the position of its class in ``names``; -1 for no label.
        order: the classes in the order of their numbers, if the labels are numbers; it may have
            classes without samples.
        doubts: what may be a mistake, a sentence each.
    """

    names: tuple[str, ...]
    numbers: npt.NDArray[np.int32]
    order: tuple[str, ...] | None = None
    doubts: tuple[str, ...] = field(default=())


def label_of(text: str, *, always_number: bool = False) -> ClassLabel:
    r"""Return the label that a text is: a number if it is written as one, or else itself.

    Args:
        always_number: whether ``007`` is 7, too.

    >>> label_of(" 7\n"), label_of("007"), label_of("cat"), label_of("")
    (7, '007', 'cat', None)
    """
    text = text.strip()
    if _INTEGER.fullmatch(text) or (always_number and _DIGITS.fullmatch(text)):
        return int(text)
    return text or None


def classes_of(
    labels: Sequence[Label],
    known: NumberNames | None,
    offset: int,
    where: Callable[[int], str],
    target: Target = "class",
) -> Classes:
    """Return the classes of samples.

    Of a target other than one class, they are the values of labels as text; see
    :mod:`prep.sources.labelling.targets`.

    Args:
        labels, known, offset, where: as for :func:`single_classes_of`.
        target: what labels say.

    Raises:
        SourceError: as :func:`single_classes_of`.
    """
    if target == "class":
        return single_classes_of(cast("Sequence[ClassLabel]", labels), known, offset, where)
    each = [label if isinstance(label, tuple) else (label,) for label in labels]
    if target == "multi":
        return _several_classes_of(cast("_Several", each), known, offset, where)
    texts = [BETWEEN.join("" if one is None else str(one) for one in label) for label in each]
    names = sorted({*texts} - {""}, key=os.fsencode)
    position = {name: n for n, name in enumerate(names)}
    order = None
    if target == "soft" and known is not None and {*known.names} == {*range(len(known.names))}:
        order = tuple(known.names[n] for n in range(len(known.names)))
    numbers = np.array([position.get(text, -1) for text in texts], np.int32)
    return Classes(names=tuple(names), numbers=numbers, order=order)


_Several = Sequence[tuple[ClassLabel, ...]]


def _several_classes_of(
    labels: _Several, known: NumberNames | None, offset: int, where: Callable[[int], str]
) -> Classes:
    """Return the classes of samples that have several each."""
    doubts: tuple[str, ...] = ()
    if are_multi_hot(labels):
        labels = [tuple(n + offset for n, one in enumerate(label) if one) for label in labels]
        doubts = (MULTI_HOT,)
    rows = [row for row, label in enumerate(labels) for _ in label]
    flat = [one for label in labels for one in label]
    single = single_classes_of(flat, known, offset, lambda n: where(rows[n]))
    several: list[list[str]] = [[] for _ in labels]
    for row, number in zip(rows, single.numbers.tolist(), strict=True):
        if number >= 0:
            several[row].append(single.names[number])
    texts = [BETWEEN.join(sorted(set(names), key=os.fsencode)) for names in several]
    names = tuple(sorted({*texts} - {""}, key=os.fsencode))
    position = {name: n for n, name in enumerate(names)}
    return Classes(
        names=names,
        numbers=np.array([position.get(text, -1) for text in texts], np.int32),
        order=single.order,
        doubts=(*doubts, *single.doubts),
    )


def are_multi_hot(
    labels: Sequence[Sequence[ClassLabel]], zero: ClassLabel = 0, one: ClassLabel = 1
) -> bool:
    """Return whether labels are lists of one length with a zero or a one for each class.

    Lists without a number twice may as well be the numbers of two classes, and are taken for that.
    """
    lengths = {len(label) for label in labels}
    if len(lengths) > 1 or max(lengths, default=0) < 2:
        return False
    flags = all({*label} <= {zero, one} for label in labels)
    return flags and any(len({*label}) < len(label) for label in labels)


def single_classes_of(
    labels: Sequence[ClassLabel],
    known: NumberNames | None,
    offset: int,
    where: Callable[[int], str],
) -> Classes:
    """Return the classes of samples that have one each.

    Numbers are the numbers of classes, from ``offset`` on; -1 is no label. They are called by their
    names, where a file tells these. Where some labels are text, all are names.

    Args:
        labels: of the samples.
        known: the names of numbers, if a file tells them.
        offset: the number that stands for the first class.
        where: returns the name of a sample by its position, for messages.

    Raises:
        SourceError: a number has no name in the file, or is less than the offset.
    """
    distinct = {label: n for n, label in enumerate(dict.fromkeys(labels))}
    codes = np.fromiter((distinct[label] for label in labels), np.int32, len(labels))
    found: list[str | None]
    if any(isinstance(label, str) for label in distinct):
        found = [None if label is None else str(label) for label in distinct]
        order = _order_of_names(found, known)
        return _with_names(found, codes, order, ())
    numbers = [None if n is None or n == -1 else int(n) - offset for n in distinct]
    _require_numbers(numbers, known, offset, codes, where)
    names = {} if known is None else known.names
    found = [None if n is None else names.get(n, str(n)) for n in numbers]
    used = [n for n in numbers if n is not None]
    doubts: tuple[str, ...] = ()
    if known is None and used and min(used) == 1 and offset == 0:
        doubts = (
            "the lowest label is 1, so labels may be numbered from 1: pass `label_offset=1` to "
            "have the first class be 0",
        )
    highest = max([*used, *names], default=-1)
    order = None
    if highest < _MOST_CLASSES:
        taken = {*names.values()}
        order = tuple(
            names.get(n, f"unused {n}" if str(n) in taken else str(n)) for n in range(highest + 1)
        )
    else:
        doubts += (
            f"a label is the number {highest:,}, which hardly counts classes: they are numbered by "
            "name",
        )
    return _with_names(found, codes, order, doubts)


def _with_names(
    found: Sequence[str | None],
    codes: npt.NDArray[np.int32],
    order: tuple[str, ...] | None,
    doubts: tuple[str, ...],
) -> Classes:
    names = tuple(sorted({name for name in found if name is not None}, key=os.fsencode))
    position = {name: n for n, name in enumerate(names)}
    numbers = np.array([-1 if name is None else position[name] for name in found], np.int32)
    return Classes(
        names=names,
        numbers=numbers[codes] if len(codes) else codes,
        order=order,
        doubts=doubts,
    )


def _order_of_names(
    found: Sequence[str | None], known: NumberNames | None
) -> tuple[str, ...] | None:
    """Return the order of the file, if it has all the names."""
    if known is None:
        return None
    ordered = tuple(known.names[number] for number in sorted(known.names))
    return ordered if {*found} - {None} <= {*ordered} else None


def _require_numbers(
    numbers: Sequence[int | None],
    known: NumberNames | None,
    offset: int,
    codes: npt.NDArray[np.int32],
    where: Callable[[int], str],
) -> None:
    low = [(code, n) for code, n in enumerate(numbers) if n is not None and n < 0]
    if low:
        code, number = low[0]
        raise SourceError(
            f"source: {quoted(_first(where, codes, code))} has the label {number + offset}; "
            f"expected at least {offset}, the `label_offset`, or -1 "
            "for no label"
        )
    if known is None:
        return
    strange = [code for code, n in enumerate(numbers) if n is not None and n not in known.names]
    if strange:
        told = some(
            [f"{numbers[code]} in {quoted(_first(where, codes, code))}" for code in strange]
        )
        raise SourceError(
            f"source: {quoted(known.file)} names {counted(len(known.names), 'class')}, and not "
            f"that of {counted(len(strange), 'label')}: {told}; complete the file, or pass "
            "`label_offset` if labels do not begin at 0"
        )


def _first(where: Callable[[int], str], codes: npt.NDArray[np.int32], code: int) -> str:
    return where(int(np.argmax(codes == code)))
