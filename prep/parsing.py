"""The text of JSON and YAML files, where a key that is given twice is an error.

Python's parsers let the last one win, and say nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

#: Where something stands in a file: the keys, and numbers in lists, that lead to it.
KeyPath = tuple[str | int, ...]


def parse_json(text: str) -> Any:
    """What a JSON file holds.

    Raises:
        ValueError: it is no JSON, or gives a key twice; the message names the key.

    >>> parse_json('{"size": 224, "size": 256}')
    Traceback (most recent call last):
    ValueError: given twice: 'size'
    """
    return json.loads(text, object_pairs_hook=_object)


def parse_yaml(text: str) -> Any:
    """What a YAML file holds.

    Raises:
        ValueError: it is no YAML, or gives a key twice; the message names the key.
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ValueError(_without_lines(error)) from None


def _without_lines(error: yaml.YAMLError) -> str:
    """What is wrong and where, but not what stands there: it may be a password."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return str(error)
    return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"  # type: ignore[attr-defined]


class PlainText(str):
    """Text that stood in a YAML file without quotes."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class MarkedYaml:
    """What a YAML file holds, and where.

    Attributes:
        value: what it holds. Text without quotes is :class:`PlainText`.
        lines: the line, from 1, of each key and each member of a list.
    """

    value: Any
    lines: dict[KeyPath, int]

    def line_of(self, path: KeyPath) -> int | None:
        """The line of what is there, or of the nearest thing around it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return None


def parse_marked_yaml(text: str) -> MarkedYaml:
    """The same as :func:`parse_yaml`, for files that errors are to be found in.

    Raises:
        ValueError: as there.
    """
    try:
        loader = _MarkingLoader(text)
        node = loader.get_single_node()
        # Before the construction, which takes merges (<<) apart.
        lines = dict(_lines(node, ())) if node else {}
        return MarkedYaml(loader.construct_document(node) if node else None, lines)
    except yaml.YAMLError as error:
        raise ValueError(_without_lines(error)) from None
    except RecursionError:
        raise ValueError("a part of it contains itself (&name, *name)") from None


def scalar_of(text: str) -> str | int | float | bool | None:
    """What YAML takes a word without quotes for.

    >>> scalar_of("4"), scalar_of("true"), scalar_of("4 cores")
    (4, True, '4 cores')
    """
    loader = _Loader("")
    tag: str = loader.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    if tag.rpartition(":")[2] not in ("null", "bool", "int", "float"):
        return text
    value: int | float | bool | None = loader.construct_object(yaml.ScalarNode(tag, text))
    return value


def _lines(node: yaml.Node, path: KeyPath) -> Iterator[tuple[KeyPath, int]]:
    if isinstance(node, yaml.MappingNode):
        members = [(key.value, key, value) for key, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        members = [(number, value, value) for number, value in enumerate(node.value)]
    else:
        return
    for name, marked, value in members:
        if isinstance(name, str | int):
            yield (*path, name), marked.start_mark.line + 1
            yield from _lines(value, (*path, name))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for key, member in pairs:
        if key in value:
            raise ValueError(f"given twice: {key!r}")
        value[key] = member
    return value


class _Loader(yaml.SafeLoader):
    """Makes no objects but those of JSON and dates."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        # Before merges (<<), for what a mapping says itself is meant to win over those.
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        seen: set[str] = set()
        for key in keys:
            if key.value in seen:
                raise ValueError(f"line {key.start_mark.line + 1}: given twice: {key.value!r}")
            seen.add(key.value)
        return node


class _MarkingLoader(_Loader):
    """Tells text that stood without quotes from other text."""


def _text(loader: _MarkingLoader, node: yaml.ScalarNode) -> str:
    text = loader.construct_scalar(node)
    return PlainText(text) if node.style is None else str(text)


_MarkingLoader.add_constructor("tag:yaml.org,2002:str", _text)
