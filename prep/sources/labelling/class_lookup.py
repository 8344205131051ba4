"""Classes as users call them: by their names, or by names for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from prep.errors import ConfigError
from prep.text import counted, quoted, some, unknown

_MOST_NAMED = 20


class ClassLookup:
    """The classes of a source, by any name that stands for one of them alone.

    Args:
        classes: their names.
        class_names: names for people, by class; synonyms with commas between them.
    """

    def __init__(self, classes: Sequence[str], class_names: Mapping[str, str]) -> None:
        self.classes = classes
        self._exact = frozenset(classes)
        self._by_text: dict[str, set[str]] = {}
        for name, text in class_names.items():
            for each in {text, *text.split(",")}:
                self._by_text.setdefault(_plain(each), set()).add(name)

    def __contains__(self, name: str) -> bool:
        return name in self._exact

    def find(self, key: str, name: str) -> str:
        """Return the class that a name stands for.

        Args:
            key: of the configuration, for messages.

        Raises:
            ConfigError: it stands for none, or for several.
        """
        if name in self._exact:
            return name
        found = sorted(self._by_text.get(_plain(name), ()))
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
                f"{first_named(name for name, _ in wrong)}; the source has "
                f"{counted(len(self.classes), 'class')}: {some([*map(quoted, self.classes)])}"
            )
        return found


def first_named(names: Iterable[str]) -> str:
    """Return the first 20 names, quoted, with the number of the others."""
    given = [*names]
    more = f" and {len(given) - _MOST_NAMED:,} more" if len(given) > _MOST_NAMED else ""
    return ", ".join(map(quoted, given[:_MOST_NAMED])) + more


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").split()).casefold()
