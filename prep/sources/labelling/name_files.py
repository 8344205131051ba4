"""Files of names that users give: one name in a line, or names for people by class."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from prep.errors import ConfigError
from prep.parsing import LARGEST, parse_json, text_of
from prep.storage.locate import locate
from prep.text import counted, quoted, reason_of

_NAMES = "a list of names, or a file with one in a line"
_EXPECTED = {
    "exclude": _NAMES,
    "labels.include": _NAMES,
    "labels.exclude": _NAMES,
    "labels.order": "name, file, or a file with one class in a line",
    "labels.names": "a file with a class and its name in each line",
}


def names_given(key: str, value: str | tuple[str, ...]) -> list[str]:
    """Return the names of a list as it was given, or those in a file, one in a line.

    Args:
        key: of the configuration, for messages.
        value: names, or the absolute path or URL of a file; see ``label_rules.names_or_file``.

    Raises:
        ConfigError: the file can't be read, or is empty.
        StorageUnavailable: it is in a storage that does not answer.
    """
    if not isinstance(value, str):
        return [*value]
    names = [name for line in _text(key, value).splitlines() if (name := line.strip())]
    if not names:
        raise ConfigError(f"{key}: {quoted(value)} is empty; expected one name in a line")
    return names


def class_names_in(key: str, path: str, classes: Collection[str]) -> dict[str, str]:
    """Return names for people by class, from a file of classes and their names.

    The file is JSON (a mapping of class to name, or of number to class and name), or has a class
    and its name in each line, with a tab, a comma or a blank between them: ``words.txt`` of
    WordNet, ``LOC_synset_mapping.txt`` and the like. Names of other classes are left out.

    Raises:
        ConfigError: the file can't be read, or has a name for none of the classes.
        StorageUnavailable: it is in a storage that does not answer.
    """
    text = _text(key, path)
    if text.lstrip().startswith("{"):
        found = _of_json(key, path, text)
        known = {name: found[name] for name in classes if name in found}
    else:
        ways = (_partitioned("\t"), _comma_separated, _partitioned(None))
        tables = [{k: v for k, v in way(text) if k in classes and v} for way in ways]
        known = max(tables, key=len)
    if not known:
        example = quoted(min(classes, key=os.fsencode, default=""))
        raise ConfigError(
            f"{key}: {quoted(path)} has a name for none of the {counted(len(classes), 'class')} of "
            f"the source, such as {example}; expected a class and its name in each line"
        )
    return known


def _text(key: str, path: str) -> str:
    place = locate(path)
    try:
        return text_of(place.read_at_most(LARGEST))
    except (OSError, ValueError) as error:
        if isinstance(error, OSError):
            place.require_answer(error, f"{key}: can't be read")
        raise ConfigError(
            f"{key}: {quoted(path)} can't be read: {reason_of(error)}; expected {_EXPECTED[key]}"
        ) from None


def _of_json(key: str, path: str, text: str) -> Mapping[str, str]:
    try:
        value = parse_json(text)
    except ValueError as error:
        raise ConfigError(f"{key}: {quoted(path)} can't be read: {reason_of(error)}") from None
    pairs = dict(map(_pair, value.items()))
    return {name: text for name, text in pairs.items() if isinstance(text, str) and text}


def _pair(item: tuple[str, Any]) -> tuple[str, Any]:
    """Return a class and its name, which ``{"0": ["n01440764", "tench"]}`` has in a list."""
    match item:
        case (_, [str() as name, str() as text]):
            return name, text
    return item


def _partitioned(separator: str | None) -> Callable[[str], Iterator[tuple[str, str]]]:
    def pairs(text: str) -> Iterator[tuple[str, str]]:
        for line in text.splitlines():
            parts = line.strip().split(separator, 1)
            if len(parts) == 2:
                yield parts[0].strip(), parts[1].strip()

    return pairs


def _comma_separated(text: str) -> Iterator[tuple[str, str]]:
    try:
        for row in csv.reader(text.splitlines()):
            if len(row) > 1:
                yield row[0].strip(), row[1].strip()
    except csv.Error:  # Something else than CSV.
        return
