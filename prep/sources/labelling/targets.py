"""Labels that say something else than one class: several classes, a value, or a number a class.

Sources give the values of such a label as text, with ``BETWEEN`` between them, in place of a class.
Here they become what plans hold:

- ``multi``: the class of an image is the names of its classes, with ``SEVERAL`` between them.
- ``value``: a column of one float32. All images are of one class.
- ``soft``: a column of a float32 for each class. The class of an image is its most likely one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from prep.errors import ConfigError, LabelError, SourceError
from prep.sources.base import Catalog
from prep.sources.columns import TARGET, numbers_of, targets_of, with_numbers
from prep.sources.labelling.label_rules import LabelRules
from prep.sources.labelling.name_files import names_given
from prep.sources.labelling.rows import without_rows
from prep.sources.labels import BETWEEN, SEVERAL, VALUE_CLASS, LabelMap
from prep.sources.layouts.numbered_labels import MULTI_HOT, are_multi_hot
from prep.text import MANY, counted, quoted, some

_LEFT_OUT = "image of a class that labels leave out"
# What stands between the numbers of a label in text, or else blanks; and what stands around them.
_SEPARATORS = (BETWEEN, "|", ";", ",")
_AROUND = " \t\r\n[]()"
_SURELY_FINITE = 1e38  # as float32
_MOST_NAMED = 1 << 20  # classes of a label with a number for each


def with_several(catalog: Catalog, rules: LabelRules | None) -> Catalog:
    """Return a catalog in which the class of an image is the names of all its classes.

    Args:
        catalog: its classes are names with ``BETWEEN`` between them, or the separator of the rules.
        rules: applied to each name alone. An image of which they leave no class goes.

    Raises:
        ConfigError: a name can't be told from several, or as ``with_class_rules``.
    """
    mark = (rules and rules.separator) or BETWEEN
    texts = [name.replace(mark, BETWEEN) for name in catalog.classes]
    given = [_names_in(text) for text in texts]
    if are_multi_hot([text.split(BETWEEN) for text in texts], zero="0", one="1"):
        catalog, rules, given = _of_multi_hot(catalog, texts, rules)
    out, pairs = _ruled(catalog, given, rules)
    final: list[set[str]] = [set() for _ in given]
    for row, number in pairs:
        final[row].add(out.classes[number])
    wrong = sorted({name for names in final for name in names if SEVERAL in name})
    if wrong:
        raise ConfigError(
            f"target: got multi, and {counted(len(wrong), 'class')} with a {SEVERAL} in the name, "
            f"which stands between the classes of an image: {some([*map(quoted, wrong)])}; rename "
            "with `labels.rename`"
        )
    joined = [SEVERAL.join(sorted(names, key=os.fsencode)) for names in final]
    classes = sorted({name for name in joined if name}, key=os.fsencode)
    position = {name: number for number, name in enumerate(classes)}
    numbers = np.array([*(position.get(name, -1) for name in joined), -1], np.int32)
    gone = np.array([*(bool(g) and not f for g, f in zip(given, final, strict=True)), False])
    rows = catalog.images["class"].to_numpy()
    found = replace(
        catalog,
        classes=tuple(classes),
        images=with_numbers(catalog.images, "class", numbers[rows]),
        order=out.order,
        class_names=out.class_names,
    )
    return without_rows(found, gone[rows], _LEFT_OUT)


def _of_multi_hot(
    catalog: Catalog, texts: Sequence[str], rules: LabelRules | None
) -> tuple[Catalog, LabelRules | None, list[tuple[str, ...]]]:
    """Return what labels say that have a zero or a one for each class.

    Args:
        texts: the labels.

    Returns:
        The catalog with an order of the classes; the rules that are left; the classes of each text.

    Raises:
        ConfigError: there are not as many names as numbers.
    """
    width = texts[0].count(BETWEEN) + 1
    names, rules = _names_of_numbers(catalog, rules, width)
    flags = [text.split(BETWEEN) for text in texts]
    given = [tuple(names[n] for n, flag in enumerate(each) if flag == "1") for each in flags]
    doubts = (*catalog.doubts, MULTI_HOT)
    return replace(catalog, order=tuple(names), doubts=doubts), rules, given


def _names_in(text: str) -> tuple[str, ...]:
    names = (name.strip() for name in text.split(BETWEEN))
    return tuple(dict.fromkeys(name for name in names if name))


def _ruled(
    catalog: Catalog, given: Sequence[Sequence[str]], rules: LabelRules | None
) -> tuple[Catalog, list[tuple[int, int]]]:
    """Return a catalog of single classes, and which of them each distinct label has.

    Args:
        given: the names in each of the catalog's classes.

    Returns:
        The classes, their order and their names for people; pairs of the position of a label in
        ``given`` and that of a class.
    """
    names = sorted({name for each in given for name in each}, key=os.fsencode)
    position = {name: number for number, name in enumerate(names)}
    found, first = np.unique(catalog.images["class"].to_numpy(), return_index=True)
    by_appearance = found[np.argsort(first)].tolist()
    pairs = [(row, position[name]) for row in by_appearance if row >= 0 for name in given[row]]
    single = replace(
        catalog,
        classes=tuple(names),
        images=pa.table(
            {
                "class": pa.array([number for _, number in pairs], pa.int32()),
                "row": pa.array([row for row, _ in pairs], pa.int64()),
                "path": pa.array([b""] * len(pairs), pa.large_binary()),
            }
        ),
    )
    if rules is not None:
        from prep.sources.labelling.class_rules import with_class_rules

        single = with_class_rules(single, rules)
    columns = (single.images[name].to_pylist() for name in ("row", "class"))
    return single, list(zip(*columns, strict=True))


def with_values(catalog: Catalog) -> Catalog:
    """Return a catalog of images with a value each, which the names of its classes are as text.

    Raises:
        SourceError: one is no finite number.
    """
    if not all(map(_is_finite, catalog.classes)):
        raise _wrong_numbers(catalog, several=False)
    values = np.array([*map(float, catalog.classes)], np.float32)
    rows = catalog.images["class"].to_numpy()
    images = with_numbers(catalog.images, "class", np.zeros(len(rows), np.int32))
    return replace(
        catalog,
        classes=(VALUE_CLASS,),
        images=images.append_column(TARGET, targets_of(values.reshape(-1, 1)[rows])),
        order=None,
        class_names={},
    )


def with_shares(catalog: Catalog, rules: LabelRules | None) -> Catalog:
    """Return a catalog of images with a number for each class, which its classes are as text.

    Its ``order`` has a name for each number, in the order of the numbers: those that the source
    tells, those of the file that ``labels.order`` names, or else ``0``, ``1`` and so on.

    Raises:
        SourceError: a number is not finite, or labels differ in length.
        ConfigError: there are not as many names as numbers.
    """
    labels = [label for text in catalog.classes if (label := _numbers(text)) is not None]
    if len(labels) < len(catalog.classes):
        raise _wrong_numbers(catalog, several=True)
    width = len(labels[0])
    unlike = next((n for n, label in enumerate(labels) if len(label) != width), None)
    if unlike is not None or not 2 <= width <= _MOST_NAMED:
        number = 0 if unlike is None else unlike
        raise SourceError(
            f"source: the label of {_example(catalog, number)} has "
            f"{counted(len(labels[number]), 'number')}; expected a number for each class, "
            + ("at least 2" if unlike is None else f"{width:,} as in others")
        )
    named, at = _named_shares(catalog, rules, width)
    order = named.order or ()
    values = np.stack(labels)[:, at]
    position = {name: number for number, name in enumerate(named.classes)}
    likeliest = np.array([position[name] for name in order], np.int32)[values.argmax(axis=1)]
    rows = catalog.images["class"].to_numpy()
    images = with_numbers(catalog.images, "class", likeliest[rows])
    return replace(
        catalog,
        classes=named.classes,
        images=images.append_column(TARGET, targets_of(values[rows])),
        order=order,
        class_names=named.class_names,
    )


def _named_shares(
    catalog: Catalog, rules: LabelRules | None, width: int
) -> tuple[Catalog, list[int]]:
    """Return a catalog of the classes, with their order, and where the source has each of them.

    Raises:
        ConfigError: there are not as many names as numbers.
    """
    names, rules = _names_of_numbers(catalog, rules, width)
    classes = tuple(sorted(names, key=os.fsencode))
    columns = {
        "class": pa.array(range(width), pa.int32()),
        "path": pa.array([b""] * width, pa.large_binary()),
    }
    named = replace(catalog, classes=classes, order=tuple(names), images=pa.table(columns))
    if rules is not None:
        from prep.sources.labelling.class_rules import with_class_rules

        named = with_class_rules(named, rules)
    order = named.order or named.classes
    if set(order) != set(names):
        raise ConfigError(
            f"labels.order: names {counted(len(order), 'class')}, where labels have "
            f"{width:,} numbers; expected a name for each, and no others"
        )
    at = {name: number for number, name in enumerate(names)}
    return replace(named, order=order), [at[name] for name in order]


def _names_of_numbers(
    catalog: Catalog, rules: LabelRules | None, width: int
) -> tuple[Sequence[str], LabelRules | None]:
    """Return the class of each number of a label, and the rules that are left.

    Raises:
        ConfigError: there are not as many names as numbers.
    """
    names: Sequence[str] = catalog.order or [str(number) for number in range(width)]
    if catalog.order is None and rules is not None and rules.order not in (None, "name", "file"):
        names = names_given("labels.order", str(rules.order))
        rules = replace(rules, order=None)
    if len(names) != width or len(set(names)) < width:
        raise ConfigError(
            f"labels: got {counted(len(set(names)), 'name')} of classes for labels of "
            f"{width:,} numbers; expected a name for each: {some([*map(quoted, names)])}"
        )
    return names, rules


def in_order_of_labels(catalog: Catalog, labels: LabelMap) -> Catalog:
    """Return a catalog whose labels have a number for each class in the order of a label map.

    Where the source has no names for its classes, those with these numbers are taken.

    Args:
        catalog: from :func:`with_shares`.
        labels: the label map of the output.

    Raises:
        LabelError: it has other classes, or numbers that are no positions.
    """
    labels = labels.of_target("soft")
    names: Sequence[str] = sorted(labels.numbers, key=labels.numbers.__getitem__)
    order = catalog.order or ()
    if names == [*order]:
        return catalog
    if len(names) == len(order) and [*order] == [str(number) for number in range(len(order))]:
        catalog = _renamed(catalog, dict(zip(order, names, strict=True)))
        order = tuple(names)
    if set(names) != set(order):
        raise LabelError(
            f"label map: has {counted(len(names), 'class')}, {some([*map(quoted, names)])}, and "
            f"labels of the source have a number for each of {len(order):,}, "
            f"{some([*map(quoted, order)])}; expected the same classes"
        )
    numbers = numbers_of(catalog.images[TARGET])[:, [order.index(name) for name in names]]
    at = catalog.images.column_names.index(TARGET)
    images = catalog.images.set_column(at, TARGET, targets_of(numbers))
    return replace(catalog, images=images, order=tuple(names))


def _renamed(catalog: Catalog, names: Mapping[str, str]) -> Catalog:
    """Return a catalog with other names of its classes."""
    classes = tuple(sorted(names.values(), key=os.fsencode))
    now = np.array([classes.index(names[name]) for name in catalog.classes], np.int32)
    rows = catalog.images["class"].to_numpy()
    return replace(
        catalog, classes=classes, images=with_numbers(catalog.images, "class", now[rows])
    )


def _numbers(text: str) -> npt.NDArray[np.float32] | None:
    """Return the numbers of a label; None if one is no finite float32."""
    try:
        parts = _parts(text)
        found = np.fromiter(map(float, parts), np.float64, len(parts))
    except ValueError:
        return None
    is_known = (np.abs(found) < _SURELY_FINITE).all() and "_" not in text
    return found.astype(np.float32) if is_known or all(map(_is_finite, parts)) else None


def _parts(text: str) -> list[str]:
    """Return the numbers of a label, as text, with the first separator that is in it between them.

    >>> _parts("[0.2, 0.8]"), _parts("0.2 0.8"), _parts("0,2;0,8")
    (['0.2', ' 0.8'], ['0.2', '0.8'], ['0,2', '0,8'])
    """
    text = text.strip(_AROUND)
    return text.split(next((sign for sign in _SEPARATORS if sign in text), None))


def _is_finite(text: str) -> bool:
    """Return whether a text is a number, and finite as float32."""
    try:
        with np.errstate(over="ignore"):
            return "_" not in text and bool(np.isfinite(np.float32(float(text))))
    except ValueError:
        return False


def _wrong_numbers(catalog: Catalog, *, several: bool) -> SourceError:
    """Return the error for labels of which a number is not finite, or something else.

    Args:
        several: whether a label has more than one number.
    """
    texts = [_parts(text) if several else [text] for text in catalog.classes]
    wrong = {
        number: next(part for part in parts if not _is_finite(part))
        for number, parts in enumerate(texts)
        if not all(map(_is_finite, parts))
    }
    images = catalog.images.select(["path", "class"])
    found = images.filter(pc.is_in(images["class"], pa.array(wrong, pa.int32()))).sort_by("path")
    first = found.slice(0, MANY)
    told = [
        f"{quoted(wrong[number].strip())} ({os.fsdecode(path)})"
        for path, number in zip(*(column.to_pylist() for column in first.columns), strict=True)
    ]
    return SourceError(
        f"source: {counted(len(found), 'image')} with a label that is no finite number: "
        f"{some(told, most=MANY, total=len(found))}; expected one such as 0.5, with a point; "
        f"correct {'it' if len(found) == 1 else 'them'}, or leave such images out with `exclude`"
    )


def _example(catalog: Catalog, label: int) -> str:
    """Return the name of the first image with a label, quoted."""
    rows = catalog.images.filter(pc.equal(catalog.images["class"], label))
    return quoted(os.fsdecode(pc.min(rows["path"]).as_py()))
