"""The ``labels`` of a configuration: how classes are made of what a source says."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from prep.errors import ConfigError
from prep.parsing import parse_json
from prep.sources.base import Wanted
from prep.storage.arguments import typed
from prep.storage.locate import absolute
from prep.storage.urls import is_url, without_credentials
from prep.text import kind_of, one_line, quoted, shown, unknown

#: The words that ``from`` may be; anything else is a regular expression.
Origin = Literal["folder", "leaf", "path", "column"]
_ORIGINS = ("folder", "leaf", "path", "column")
_ORDERS = ("name", "file")
# A comma that ends a value of ``NAME=VALUE,…``.
_NEXT_PAIR = re.compile(r",(?=\s*\w+\s*=)")
_EXPECTED_FROM = (
    "folder, leaf, path, column, or a regular expression with (?P<label>…) that is searched for in "
    "the name of an image"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRules:
    """How classes are made of what a source says.

    Attributes:
        origin: what the label of an image is taken from (``from`` in a configuration): the class
            folder, the folder that the image is in (leaf), the path of that folder, a column, or
            a regular expression; None for what the layout says.
        names: file of names for people, or None.
        order: how classes are numbered: by ``name``; in the order that the source has them in
            (``file``), by its own numbers or by its first images; in that of a file with one class
            in a line, by its path; None for the numbers of the source, or else by name.
        rename: new names of classes; several of one name are merged.
        include: the only classes to take: their names, or the path of a file of them.
        exclude: classes to leave out, likewise.
        separator: what stands between the classes of an image in text, for target ``multi``.
    """

    origin: str | None = None
    names: str | None = None
    order: str | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    include: str | tuple[str, ...] | None = None
    exclude: str | tuple[str, ...] | None = None
    separator: str | None = None

    @classmethod
    def parse(cls, value: Any) -> LabelRules:
        """Read a mapping, or ``KEY=VALUE,…`` or JSON as text.

        Raises:
            ConfigError: a key is unknown, or a value not allowed.
        """
        if isinstance(value, LabelRules):
            return value
        given = read_pairs("labels", value)
        known = ("from", *(item.name for item in fields(cls) if item.name != "origin"))
        for key in given:
            if key not in known:
                raise ConfigError(f"labels.{one_line(key)}: {unknown('key', key, known)}")
        rules: dict[str, Any] = {}
        if given.get("from") is not None:
            rules["origin"] = _origin(given["from"])
        if given.get("names") is not None:
            rules["names"] = file_named("labels.names", given["names"])
        if given.get("order") is not None:
            order = given["order"]
            rules["order"] = order if order in _ORDERS else file_named("labels.order", order)
        if given.get("rename") is not None:
            rules["rename"] = _renames(given["rename"])
        for key in ("include", "exclude"):
            if given.get(key) is not None:
                rules[key] = names_or_file(f"labels.{key}", given[key])
        if given.get("separator") is not None:
            rules["separator"] = _separator(given["separator"])
        return cls(**rules)

    def to_json(self) -> dict[str, Any]:
        """Return the mapping that :meth:`parse` reads; what is as by default is left out."""
        found: dict[str, Any] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if value not in (None, {}):
                key = "from" if item.name == "origin" else item.name
                value = list(value) if isinstance(value, tuple) else value
                found[key] = dict(value) if isinstance(value, Mapping) else value
        return found

    @property
    def files(self) -> tuple[str, ...]:
        """The paths and URLs of the files that are read for them."""
        order = None if self.order in _ORDERS else self.order
        given = (self.names, order, self.include, self.exclude)
        return tuple(value for value in given if isinstance(value, str))


def files_for_labels(wanted: Wanted) -> tuple[str, ...]:
    """Return the paths and URLs of files that say which images and classes are wanted."""
    rules = () if wanted.labels is None else wanted.labels.files
    return (*rules, wanted.exclude) if isinstance(wanted.exclude, str) else rules


def read_pairs(key: str, value: Any) -> dict[str, Any]:
    """Return a mapping that may be given as ``NAME=VALUE,…``, or as JSON text.

    A comma before anything else than a name and ``=`` belongs to the value.

    Raises:
        ConfigError: it is none.

    >>> read_pairs("labels", "from=(?P<label>.+)_[0-9]{1,3}[.],order=name")
    {'from': '(?P<label>.+)_[0-9]{1,3}[.]', 'order': 'name'}
    """
    expected = f"{key}: got {{}}; expected a mapping, NAME=VALUE,… or, for lists, a JSON object"
    if isinstance(value, str):
        text = value.strip()
        if text.startswith("{"):
            try:
                value = parse_json(text)
            except ValueError:
                raise ConfigError(expected.format(shown(text))) from None
        else:
            pairs = [part.partition("=") for part in _NEXT_PAIR.split(text)]
            if not all(equals and name.strip() for name, equals, _ in pairs):
                raise ConfigError(expected.format(shown(text)))
            value = {name.strip(): given.strip() for name, _, given in pairs}
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise ConfigError(expected.format(kind_of(value)))
    return dict(value)


def names_or_file(key: str, value: Any) -> str | tuple[str, ...]:
    """Return names given as a list or as JSON, or the absolute path of a file of them.

    Raises:
        ConfigError: it is neither.
    """
    if isinstance(value, str) and value.lstrip().startswith("["):
        with contextlib.suppress(ValueError):  # The name of a file may begin so.
            value = parse_json(value)
    if isinstance(value, list | tuple):
        wrong = [name for name in value if not isinstance(name, str | int) or name == ""]
        if wrong:
            raise ConfigError(f"{key}: got {shown(wrong[0])} in it; expected names")
        return tuple(map(str, value))
    return file_named(key, value)


def file_named(key: str, value: Any) -> str:
    """Return the absolute path or the URL of a file; raise ConfigError if it can be none."""
    if not isinstance(value, str | os.PathLike):
        raise ConfigError(f"{key}: got {kind_of(value)}; expected the path or URL of a file")
    path = absolute(typed(key, value))
    if is_url(path) and without_credentials(path).options:
        raise ConfigError(
            f"{key}: got a URL with credentials in it, which is kept and shown; give it without: "
            "it is opened with the options of the source"
        )
    return path


def _origin(value: Any) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"labels.from: got {kind_of(value)}; expected {_EXPECTED_FROM}")
    if value in _ORIGINS:
        return value
    try:
        groups = re.compile(value).groupindex
    except re.error as error:
        raise ConfigError(
            f"labels.from: got {quoted(value)}, which is no regular expression: {error}; "
            f"expected {_EXPECTED_FROM}"
        ) from None
    if "label" not in groups:
        raise ConfigError(f"labels.from: got {quoted(value)}; expected {_EXPECTED_FROM}")
    return value


def _separator(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigError(
            f"labels.separator: got {shown(value)}; expected the text that stands between the "
            "classes of an image, such as a comma, or a blank in quotes"
        )
    return value


def _renames(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise ConfigError(
            f"labels.rename: got {kind_of(value)}; expected a mapping of old to new, such as "
            '{"pug": "dog"}'
        )
    for old, new in value.items():
        if not isinstance(old, str | int) or not isinstance(new, str | int) or "" in (old, new):
            raise ConfigError(
                f"labels.rename: got {shown(old)}: {shown(new)}; expected names of classes"
            )
    return {str(old): str(new) for old, new in value.items()}
