"""Classes as users call them: by their names, or by names for people."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from prep.errors import ConfigError, LabelError
from prep.sources.labels import LabelMap
from prep.text import MANY, counted, quoted, some, unknown


class ClassLookup:
    """The classes of a source, by any name that stands for one of them alone.

    Args:
        classes: their names.
        class_names: names for people, by class; synonyms with commas between them.
    """

    def __init__(self, classes: Sequence[str], class_names: Mapping[str, str]) -> None:
        self.classes = classes
        self._exact = frozenset(classes)
        # The first name of a class counts more than its synonyms, and is told apart from others by
        # capitals: the ``Cardigan`` is a dog, and ``missile`` a synonym of ``projectile``, too.
        self._tiers: tuple[defaultdict[str, set[str]], ...] = tuple(
            defaultdict(set) for _ in range(3)
        )
        for name, text in class_names.items():
            first, *others = text.split(",")
            for each in (text, first):
                self._tiers[0][_plain(each)].add(name)
                self._tiers[1][_plain(each).casefold()].add(name)
            for each in others:
                self._tiers[2][_plain(each).casefold()].add(name)

    def __contains__(self, name: str) -> bool:
        return name in self._exact

    def candidates(self, name: str) -> list[str]:
        """Return the classes that a name may stand for."""
        if name in self._exact:
            return [name]
        plain = _plain(name)
        for tier, written in zip(self._tiers, (plain, *[plain.casefold()] * 2), strict=True):
            if written in tier:
                return sorted(tier[written])
        return []

    def find(self, key: str, name: str) -> str:
        """Return the class that a name stands for.

        Args:
            key: of the configuration, for messages.

        Raises:
            ConfigError: it stands for none, or for several.
        """
        found = self.candidates(name)
        if len(found) == 1:
            return found[0]
        if found:
            raise ConfigError(
                f"{key}: {quoted(name)} is the name of several classes, "
                f"{some([*map(quoted, found)])}; name one of these"
            )
        raise ConfigError(f"{key}: {quoted(name)}: {unknown('class', name, self.classes)}")

    def find_all(self, key: str, names: Iterable[str]) -> list[str]:
        """Return the classes that names stand for; raise ConfigError with the first 20 wrong."""
        found, wrong = [], []
        for name in names:
            try:
                found.append(self.find(key, name))
            except ConfigError as error:
                wrong.append((name, error))
        if len(wrong) == 1:
            raise wrong[0][1]
        if wrong:
            raise ConfigError(
                f"{key}: {counted(len(wrong), 'name')} of no class, or of several: "
                f"{some([quoted(name) for name, _ in wrong], most=MANY)}; the source has "
                f"{counted(len(self.classes), 'class')}: {some([*map(quoted, self.classes)])}"
            )
        return found


def resolve_label_map(
    labels: LabelMap, classes: Sequence[str], class_names: Mapping[str, str]
) -> LabelMap:
    """Return a label map with the names of classes in place of names for people.

    Names that stand for no class stay as they are.

    Args:
        labels: a map, such as one with ``Persian_cat`` for the class ``n02123394``.
        classes: those of the source.
        class_names: names for people, by class; synonyms with commas between them.

    Raises:
        LabelError: a name stands for several classes, or two stand for one.

    >>> map = LabelMap.parse({"Persian_cat": 7})
    >>> resolve_label_map(map, ["n02123394"], {"n02123394": "Persian cat"}).numbers
    {'n02123394': 7}
    """
    if labels.numbers.keys() <= set(classes) or not class_names:
        return labels
    lookup = ClassLookup(
        classes, {name: class_names[name] for name in classes if name in class_names}
    )
    given: dict[str, str] = {}
    for name in labels.numbers:
        found = lookup.candidates(name)
        if len(found) > 1:
            raise LabelError(
                f"label map: {quoted(name)} is the name of several classes, "
                f"{some([*map(quoted, found)])}; name one of them so with "
                f"labels.rename: {{{found[0]}: {name}}}, or write its id in the map"
            )
        known = found[0] if found else name
        if known in given:
            raise LabelError(
                f"label map: {quoted(given[known])} and {quoted(name)} are both the class "
                f"{quoted(known)}; leave one out"
            )
        given[known] = name
    numbers = {known: labels.numbers[name] for known, name in given.items()}
    return replace(labels, numbers=numbers)


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").split())
