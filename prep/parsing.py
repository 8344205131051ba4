"""The text of JSON and YAML files, where a key that is given twice is an error.

Python's parsers let the last one win, and say nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import yaml


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
    return f"{error.problem}, in line {mark.line + 1}, column {mark.column + 1}"  # type: ignore[attr-defined]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    _require_each_once(key for key, _ in pairs)
    return dict(pairs)


class _Loader(yaml.SafeLoader):
    """Makes no objects but those of JSON and dates."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        # Before merges (<<), for what a mapping says itself is meant to win over those.
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        _require_each_once(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        return node


def _require_each_once(keys: Iterable[str]) -> None:
    seen = set()
    for key in keys:
        if key in seen:
            raise ValueError(f"given twice: {key!r}")
        seen.add(key)
