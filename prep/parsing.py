"""Text from outside: JSON, YAML and TOML, of bounded size and depth, without duplicate keys.

Python's parsers silently let the last of two equal keys win, run out of stack on deep nesting, and
accept any size. The functions here raise ValueError. Its message says where the syntax is wrong,
but does not quote the line, which may hold a password.

:class:`Fields` checks the members of JSON objects that somebody else may have written, and
:func:`expand` replaces environment variables.
"""

from __future__ import annotations

import codecs
import itertools
import json
import math
import os
import re
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import yaml

T = TypeVar("T")

#: A place in a file: the keys, and indexes in lists, that lead to it.
KeyPath = tuple[str | int, ...]

#: The largest file that is parsed, in bytes; those of users are far smaller.
LARGEST = 64 << 20  # 64 MiB
_LARGEST_YAML = 4 << 20  # 4 MiB; PyYAML takes 20 s and a gigabyte for that
_DEEPEST = 64  # nested lists and mappings
_MOST_NODES = 1_000_000  # in YAML, where a short alias may stand for a long list
_MOST_VALUES = 8_000_000  # in JSON, where an object weighs as much as four values
_TEXT_IN_JSON = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_TOO_DEEP = f"lists and mappings are nested more than {_DEEPEST} levels deep"
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: str | os.PathLike[str], largest: int = LARGEST) -> str:
    """Read a UTF-8 text file; raise ValueError if it is larger than ``largest``, or not UTF-8."""
    with open(path, "rb") as file:
        return text_of(file.read(largest + 1), largest)


def text_of(data: bytes, largest: int = LARGEST) -> str:
    r"""Decode the contents of a UTF-8 text file, with or without a byte order mark.

    >>> text_of(b"\xef\xbb\xbfsize: 224")
    'size: 224'
    """
    _require_size(len(data), largest)
    if data.startswith(_UTF_16):
        raise ValueError("it is UTF-16; save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"line {line} is not valid UTF-8; save the file in that encoding"
        ) from None


def parse_json(text: str | bytes, largest: int = LARGEST) -> Any:
    """Parse JSON, text or UTF-8, of at most ``largest`` characters or bytes.

    >>> parse_json('{"size": 224, "size": 256}')
    Traceback (most recent call last):
    ValueError: given twice: 'size'
    """
    _require_size(len(text), largest)
    text = text_of(text, largest) if isinstance(text, bytes) else text
    _require_few_values(text)
    value = _shallow(
        json.loads,
        text,
        object_pairs_hook=_object,
        parse_constant=_no_number,
        parse_float=_finite,
    )
    if text.count("[") + text.count("{") > _DEEPEST:
        _require_shallow(value, len(text))
    return value


def parse_toml(text: str) -> dict[str, Any]:
    """Parse TOML."""
    _require_size(len(text), LARGEST)
    value = _shallow(tomllib.loads, text)
    _require_shallow(value, len(text))
    return value


def parse_yaml(text: str) -> Any:
    """Parse YAML 1.1, with the tags of the standard types only."""
    return _parse_yaml(text, _Loader).value


def parse_marked_yaml(text: str) -> MarkedYaml:
    """Parse YAML like :func:`parse_yaml`, and keep line numbers for messages."""
    return _parse_yaml(text, _MarkingLoader)


def _parse_yaml(text: str, kind: type[_Loader]) -> MarkedYaml:
    _require_size(len(text), _LARGEST_YAML)
    try:
        loader = kind(text)
        node = _shallow(loader.get_single_node)
        if node is None:
            return MarkedYaml(None, {})
        _require_shallow(node, _MOST_NODES, ", or a part contains itself (&name, *name)")
        lines = dict(_lines(node, ()))  # before the construction resolves merges (<<)
        return MarkedYaml(loader.construct_document(node), lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ValueError(f"{where}{error.problem}") from None
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
    except (TypeError, KeyError, AttributeError, OverflowError):  # of !!bool maybe, for instance
        raise ValueError("a value does not match its tag (!!…)") from None


def _require_size(size: int, largest: int) -> None:
    if size > largest:
        raise ValueError(f"it is larger than {largest >> 20} MiB, the most that is read")


def _require_few_values(text: str) -> None:
    """Raise ValueError if JSON would take much more memory than its text: ``[],[],[],…``."""
    if _weight(text) > _MOST_VALUES and _weight(_TEXT_IN_JSON.sub("", text)) > _MOST_VALUES:
        raise ValueError(f"more than {_MOST_VALUES:,} values")


def _weight(text: str) -> int:
    return text.count(",") + text.count("[") + 4 * text.count("{")


def _shallow(parse: Callable[..., T], *args: Any, **options: Any) -> T:
    try:
        return parse(*args, **options)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None


def _require_shallow(top: Any, most: int, or_else: str = "") -> None:
    """Raise ValueError if something contains itself, is nested too deeply, or has too many members.

    Args:
        top: lists and mappings, or YAML nodes.
        most: the largest number of members at any depth; aliases count each time.
        or_else: another possible cause, for the message about depth.
    """
    layer = [members] if (members := _members(top)) is not None else []
    for _ in range(_DEEPEST):
        inner = map(_members, itertools.chain.from_iterable(layer))
        found = (each for each in inner if each is not None)
        layer = list(itertools.islice(found, most + 1))
        if sum(map(len, layer)) > most:
            raise ValueError(f"more than {most:,} values, aliases (*name) taken apart")
        if not layer:
            return
    raise ValueError(_TOO_DEEP + or_else)


def _members(value: Any) -> Collection[Any] | None:
    """Return the members of a list or a mapping; None for anything else."""
    if isinstance(value, dict):
        return value.values()
    if isinstance(value, yaml.MappingNode):
        return list(itertools.chain.from_iterable(value.value))
    if isinstance(value, yaml.SequenceNode):
        return value.value  # type: ignore[no-any-return]
    return value if isinstance(value, list) else None


def _finite(digits: str) -> float:
    value = float(digits)
    return value if math.isfinite(value) else _no_number(digits[:40])


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number in JSON")


class PlainText(str):
    """Text without quotes in a YAML file."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class MarkedYaml:
    """The value of a YAML file, with line numbers.

    Attributes:
        value: text without quotes is :class:`PlainText`.
        lines: the line, from 1, of each key and each member of a list.
    """

    value: Any
    lines: dict[KeyPath, int]

    def line_of(self, path: KeyPath) -> int | None:
        """Return the line of a place, or of the innermost place around it that has one."""
        around = (path[:length] for length in range(len(path), 0, -1))
        return next((self.lines[place] for place in around if place in self.lines), None)


def scalar_of(text: str) -> str | int | float | bool | None:
    """Return the value of a word without quotes in YAML.

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
    """Refuse duplicate keys."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        # Before merges (<<), which a mapping's own keys override.
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise ValueError(f"line {key.start_mark.line + 1}: given twice: {key.value!r}")
            seen.add(key.value)
        return node


class _MarkingLoader(_Loader):
    """Return text without quotes as :class:`PlainText`."""

    def construct_yaml_str(self, node: yaml.ScalarNode) -> str:
        text = self.construct_scalar(node)
        return PlainText(text) if node.style is None else str(text)


_MarkingLoader.add_constructor("tag:yaml.org,2002:str", _MarkingLoader.construct_yaml_str)

#: The default upper limit of whole numbers.
LARGEST_WHOLE = (1 << 63) - 1
_LONGEST_TEXT = 1 << 16  # characters
_LONGEST_SHOWN = 80
_ABSENT: Any = object()


class Fields:
    """The members of a JSON object.

    Each method takes out a member and returns it, or the default if it is absent; a member of
    another kind raises ValueError. :meth:`end` refuses members that nobody took.

    Args:
        value: parsed JSON.
        what: a name for the object, for messages.

    >>> Fields({"index": -1}, "a receipt").whole("index")
    Traceback (most recent call last):
    ValueError: index: expected a whole number of at least 0, found -1
    """

    def __init__(self, value: object, what: str) -> None:
        if not isinstance(value, dict):
            raise ValueError(f"expected {what}, found {_shown(value)}")
        self._left = dict(value)
        self._what = what

    def any(self, name: str, default: Any = _ABSENT) -> Any:
        """Take a member of any kind."""
        value = self._left.pop(name, default)
        if value is _ABSENT:
            raise ValueError(f"expected {self._what} with {name!r}, found none")
        return value

    def whole(
        self, name: str, least: int = 0, most: int = LARGEST_WHOLE, default: Any = _ABSENT
    ) -> int:
        """Take a whole number within bounds."""
        return whole(self.any(name, default), name, least, most)

    def number(
        self, name: str, least: float = 0.0, most: float = 1e15, default: Any = _ABSENT
    ) -> float:
        """Take a number within bounds, and so a finite one."""
        return number(self.any(name, default), name, least, most)

    def text(self, name: str, most: int = _LONGEST_TEXT, default: Any = _ABSENT) -> str:
        """Take text of limited length."""
        return text(self.any(name, default), name, most)

    def list(self, name: str, default: Any = _ABSENT) -> list[Any]:
        """Take a list of anything."""
        value = self.any(name, default)
        return value if isinstance(value, list) else refuse(name, "a list", value)

    def object(self, name: str, default: Any = _ABSENT) -> dict[str, Any]:
        """Take an object of anything."""
        value = self.any(name, default)
        return value if isinstance(value, dict) else refuse(name, "an object", value)

    def counts(self, name: str, least: int = 0) -> dict[str, int]:
        """Take an object of whole numbers."""
        return counts(self.any(name), name, least)

    def end(self) -> None:
        """Raise ValueError if members are left that nobody took."""
        if self._left:
            unknown = _shown(next(iter(self._left)))
            raise ValueError(f"expected {self._what} of known members, found {unknown}")


def whole(value: object, name: str, least: int = 0, most: int = LARGEST_WHOLE) -> int:
    """Return the value if it is a whole number within bounds."""
    if type(value) is int and least <= value <= most:
        return value
    upper = "" if most == LARGEST_WHOLE else f" and at most {most}"
    return refuse(name, f"a whole number of at least {least}{upper}", value)


def number(value: object, name: str, least: float = 0.0, most: float = 1e15) -> float:
    """Return the value if it is a number within bounds."""
    if type(value) in (int, float) and least <= value <= most:  # type: ignore[operator]
        found: float = value  # type: ignore[assignment]
        if math.isfinite(found):
            return found
    return refuse(name, f"a number from {least:g} to {most:g}", value)


def text(value: object, name: str, most: int = _LONGEST_TEXT) -> str:
    """Return the value if it is text, and not too long."""
    if isinstance(value, str) and len(value) <= most:
        return value
    return refuse(name, f"text of at most {most:,} characters", value)


def counts(value: object, name: str, least: int = 0) -> dict[str, int]:
    """Return the value if it is an object of whole numbers."""
    if not isinstance(value, dict):
        return refuse(name, "an object of whole numbers", value)
    return {key: whole(member, f"{name} of {_shown(key)}", least) for key, member in value.items()}


def refuse(name: str, expected: str, found: object) -> NoReturn:
    """Raise ValueError; a long value is abbreviated."""
    raise ValueError(f"{name}: expected {expected}, found {_shown(found)}")


def _shown(value: object) -> str:
    """Return a value as JSON, abbreviated."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


_NAME = r"[A-Za-z_]\w*"
_VARIABLE = re.compile(
    rf"\$\$|\$\{{(?:(?P<name>{_NAME})(?::-(?P<default>[^}}]*))?\}})?|\$(?P<bare>{_NAME})"
)


def expand(text: str, variables: Mapping[str, str], *, bare: bool = False) -> str:
    """Replace ``${NAME}`` and ``${NAME:-default}``, not recursively, and ``$$`` by a dollar.

    The default replaces a variable that is unset or empty. Any other dollar stays.

    Args:
        bare: whether to replace ``$NAME`` as well.

    Raises:
        ValueError: a variable is unset and has no default, or a ``${`` is not of these forms.

    >>> expand("${HOME}/${SET:-photos}, $$5", {"HOME": "/home/me"})
    '/home/me/photos, $5'
    >>> expand("$DATA/photos, $5", {"DATA": "/data"}, bare=True)
    '/data/photos, $5'
    """

    def replaced(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        if match["bare"] and not bare:
            return match[0]
        if match[0] == "${":
            raise ValueError(
                f"got {text!r}; expected ${{NAME}} or ${{NAME:-default}}, or $$ for a dollar"
            )
        name, default = match["name"] or match["bare"], match["default"]
        if default is not None:
            return variables.get(name) or default
        if name not in variables:
            raise ValueError(
                f"the environment variable {name} is not set; set it, or give a default: "
                f"${{{name}:-…}}"
            )
        return variables[name]

    return _VARIABLE.sub(replaced, text)
