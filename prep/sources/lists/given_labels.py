"""Labels of a list in Python: which there may be, and how a catalog has them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from prep.errors import ConfigError
from prep.settings.choices import Target
from prep.sources.labels import BETWEEN, INT64
from prep.text import kind_of, shown

#: The label of an image: a class or a value, or several of them.
GivenLabel = str | int | float | tuple[str | int | float, ...]


def given_label(where: str, label: Any) -> GivenLabel:
    """Return a checked label, with Python's types in place of NumPy's.

    Args:
        where: the item that has it, for messages.

    Raises:
        ConfigError: no target has such labels.
    """
    if hasattr(label, "dtype") and hasattr(label, "tolist"):
        label = label.tolist()
    if isinstance(label, list | tuple | set | frozenset):
        several = sorted(label, key=str) if isinstance(label, set | frozenset) else label
        return tuple(_one_label(where, each) for each in several)
    return _one_label(where, label)


def _one_label(where: str, label: Any) -> str | int | float:
    if isinstance(label, int) and not isinstance(label, bool) and label in INT64:
        return label
    if isinstance(label, float):
        return label
    if isinstance(label, str) and label and not {"\0", BETWEEN} & {*label}:
        with contextlib.suppress(UnicodeEncodeError):  # Half of a surrogate pair.
            label.encode()
            return str(label)
    raise _wrong_label(where, label, "class")


def require_given_labels(labels: Sequence[GivenLabel], target: Target) -> None:
    """Raise ConfigError unless all labels are such as a target has, and of one kind."""
    is_allowed = _LABELS[target][0]
    wrong = next((n for n, label in enumerate(labels) if not is_allowed(label)), None)
    if wrong is not None:
        raise _wrong_label(f"source: item {wrong}", labels[wrong], target)
    if target in ("value", "soft"):
        return
    each = [(n, one) for n, label in enumerate(labels) for one in _parts(label)]
    for number, label in each:
        if isinstance(label, str) != isinstance(each[0][1], str):
            raise ConfigError(
                f"source: item {number}: got the label {shown(label)}, and item {each[0][0]} has "
                f"{shown(each[0][1])}; expected names of classes for all items, or numbers for all"
            )


def _wrong_label(where: str, label: Any, target: Target) -> ConfigError:
    got = shown(label) if isinstance(label, str | int | float) else kind_of(label)
    more = ""
    if target == "class" and isinstance(label, float | tuple):
        more = "; other labels need `target`: multi, value or soft"
    return ConfigError(f"{where}: got the label {got}; expected {_LABELS[target][1]}{more}")


def _parts(label: GivenLabel) -> tuple[str | int | float, ...]:
    return label if isinstance(label, tuple) else (label,)


def _is_class(label: GivenLabel) -> bool:
    return isinstance(label, str | int)


def _are_classes(label: GivenLabel) -> bool:
    return all(map(_is_class, _parts(label)))


def _is_number(label: GivenLabel) -> bool:
    return isinstance(label, int | float)


def _are_numbers(label: GivenLabel) -> bool:
    return isinstance(label, tuple) and all(map(_is_number, label)) and len(label) > 1


# Which labels go with a target, and what is expected in words.
_LABELS: Mapping[Target, tuple[Callable[[GivenLabel], bool], str]] = {
    "class": (_is_class, "the name of a class, or its number"),
    "multi": (_are_classes, "the classes of the image, as a sequence of names or numbers"),
    "value": (_is_number, "a number"),
    "soft": (_are_numbers, "a sequence with a number for each class"),
}


def numbers_given(labels: Iterable[GivenLabel]) -> set[int]:
    """Return the numbers of classes among labels."""
    return {one for label in labels for one in _parts(label) if isinstance(one, int)}


def labels_in_order(labels: Iterable[GivenLabel]) -> list[GivenLabel]:
    """Return distinct labels in the order of a catalog: numbers as such, all others as bytes."""
    return sorted(labels, key=_in_order)


def _in_order(label: GivenLabel) -> tuple[float, bytes]:
    if isinstance(label, int | float):
        return label, b""
    return 0, os.fsencode(text_of_label(label))


def text_of_label(label: GivenLabel) -> str:
    """Return a label as the class of a catalog; see :mod:`prep.sources.labelling.targets`."""
    return BETWEEN.join(map(str, _parts(label)))
