"""Classes renamed, merged, left out, named for people and numbered, as ``labels`` says."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import zip_longest

import numpy as np

from prep.errors import ConfigError
from prep.sources.base import Catalog
from prep.sources.columns import with_numbers
from prep.sources.labelling.class_lookup import ClassLookup
from prep.sources.labelling.label_rules import LabelRules
from prep.sources.labelling.name_files import class_names_in, names_given
from prep.sources.labelling.rows import without_rows
from prep.text import MANY, counted, quoted, some

_LEFT_OUT = -2  # As the number of a class; -1 is no label.


def with_class_rules(catalog: Catalog, rules: LabelRules) -> Catalog:
    """Return a catalog with its final classes.

    Classes are renamed, and then ``include`` and ``exclude`` choose among the new names. A class
    that was renamed may also be called as before. Any class may be called by a name for people, if
    no other class has it.

    Raises:
        ConfigError: a name is of no class or of several, or no class is left; a file can't be used.
        StorageUnavailable: a file is in a storage that does not answer.
    """
    return _Renaming(catalog, rules).applied()


@dataclass(frozen=True)
class _Renaming:
    catalog: Catalog
    rules: LabelRules

    @cached_property
    def lookup(self) -> ClassLookup:
        """The classes as the source calls them."""
        return ClassLookup(self.catalog.classes, self.texts)

    @cached_property
    def texts(self) -> Mapping[str, str]:
        """Names for people, by class, whether old or new."""
        given = self.rules.names
        if given is None:
            return self.catalog.class_names
        names = {*self.catalog.classes, *self.rules.rename.values()}
        return {**self.catalog.class_names, **class_names_in("labels.names", given, names)}

    @cached_property
    def new_names(self) -> Mapping[str, str]:
        """The new names of classes that have one, by the old one."""
        renamed = self.rules.rename
        olds = self.lookup.find_all("labels.rename", renamed)
        return dict(zip(olds, renamed.values(), strict=True))

    @cached_property
    def finals(self) -> tuple[str, ...]:
        """The new name of each class."""
        return tuple(self.new_names.get(name, name) for name in self.catalog.classes)

    @cached_property
    def kept(self) -> tuple[bool, ...]:
        """For each class, whether it stays."""
        rules, every = self.rules, [True] * len(self.finals)
        included = every if rules.include is None else self._named("include", rules.include)
        excluded = [] if rules.exclude is None else self._named("exclude", rules.exclude)
        pairs = zip_longest(included, excluded, fillvalue=False)
        return tuple(is_in and not is_out for is_in, is_out in pairs)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The final classes, by name."""
        left = {final for final, keep in zip(self.finals, self.kept, strict=True) if keep}
        return tuple(sorted(left, key=os.fsencode))

    def applied(self) -> Catalog:
        """Return the catalog with all of it."""
        if self.catalog.classes and not self.classes:
            raise ConfigError(
                "labels: no class is left; expected labels.include and labels.exclude to leave "
                f"some of {some([*map(quoted, self.catalog.classes)])}"
            )
        position = {name: number for number, name in enumerate(self.classes)}
        pairs = zip(self.finals, self.kept, strict=True)
        numbers = [position[final] if keep else _LEFT_OUT for final, keep in pairs]
        return replace(
            _renumbered(self.catalog, numbers),
            classes=self.classes,
            class_names=self._final_texts(),
            order=self._order(),
        )

    def _named(self, key: str, given: str | tuple[str, ...]) -> list[bool]:
        """Return of each class whether it is named, by its new name or else by its old one."""
        key = f"labels.{key}"
        names = names_given(key, given)
        if isinstance(given, str):
            names = [self._class_in(line) for line in names]
        new = set(names).intersection(self.finals)
        old = set(self.lookup.find_all(key, [name for name in names if name not in new]))
        return [
            final in new or name in old
            for name, final in zip(self.catalog.classes, self.finals, strict=True)
        ]

    def _class_in(self, line: str) -> str:
        """Return a line, or the class that it begins with if the whole line is none."""
        known = {*self.finals, *self.catalog.classes}
        first = line.split(None, 1)[0]
        return first if line not in known and first in known else line

    def _final_texts(self) -> dict[str, str]:
        """Return names for people, by final class; merged classes lend it none of theirs."""
        olds: defaultdict[str, list[str]] = defaultdict(list)
        for name, final in zip(self.catalog.classes, self.finals, strict=True):
            olds[final].append(name)
        texts = {}
        for name in self.classes:
            is_new = name in olds[name] or name not in self.lookup
            called = [name] if is_new else []
            called += olds[name] if len(olds[name]) == 1 else []
            texts[name] = next(filter(None, map(self.texts.get, called)), "")
        return {name: text for name, text in texts.items() if text}

    def _order(self) -> tuple[str, ...] | None:
        """Return the final classes in the order of their numbers; None if that is by name."""
        order, before = self.rules.order, self.catalog.order
        if order == "name" or (order is None and before is None):
            return None
        if order is None or order == "file":
            before = _by_appearance(self.catalog) if before is None else before
            return self._without_left_out(self.new_names.get(name, name) for name in before)
        return self._order_in(order)

    def _order_in(self, path: str) -> tuple[str, ...]:
        """Return the order of classes in a file, with one class in a line."""
        key, finals = "labels.order", {*self.finals}
        lines = [*map(self._class_in, names_given(key, path))]
        found = self._without_left_out(
            line if line in finals else self.new_names.get(line, line) for line in lines
        )
        absent = sorted(set(self.classes) - set(found), key=os.fsencode)
        if absent:
            raise ConfigError(
                f"{key}: {quoted(path)} lacks {counted(len(absent), 'class')} of the source: "
                f"{some([*map(quoted, absent)], most=MANY)}; expected each class in a line "
                "of its own"
            )
        return found

    def _without_left_out(self, finals: Iterable[str]) -> tuple[str, ...]:
        """Return final classes, each once, without those that are left out."""
        kept = set(self.classes)
        left_out = {*self.finals, *self.catalog.classes} - kept
        chosen = self.rules.include is not None
        return tuple(
            name
            for name in dict.fromkeys(finals)
            if name in kept or not (chosen or name in left_out)
        )


def _renumbered(catalog: Catalog, numbers: Sequence[int]) -> Catalog:
    """Return a catalog with other numbers of classes, without the images of those left out."""
    if [*numbers] == [*range(len(catalog.classes))]:
        return catalog
    now = np.array([*numbers, -1], np.int32)[catalog.images["class"].to_numpy()]
    found = replace(catalog, images=with_numbers(catalog.images, "class", now))
    return without_rows(found, now == _LEFT_OUT, "image of a class that labels leave out")


def _by_appearance(catalog: Catalog) -> tuple[str, ...]:
    """Return the classes in the order in which the source has them first."""
    found, rows = np.unique(catalog.images["class"].to_numpy(), return_index=True)
    numbers = [number for number in found[np.argsort(rows)].tolist() if number >= 0]
    return tuple(dict.fromkeys([*(catalog.classes[n] for n in numbers), *catalog.classes]))
