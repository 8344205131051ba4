"""Values in samples: the number in a ``.cls``, a text, or a member of a ``.json``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prep.errors import ConfigError, SourceError
from prep.parsing import parse_json
from prep.settings.choices import Target
from prep.sources.layouts.numbered_labels import Label, label_of
from prep.sources.webdataset.sample_members import Parts, is_image_part
from prep.text import kind_of, quoted, reason_of, shown, unknown

#: Bytes that a member with a label may have.
LARGEST = 1 << 20  # 1 MiB
#: Members of a ``.json`` that are labels, the first that is there.
LABEL_KEYS = ("label", "cls", "class", "class_id", "category_id", "class_name", "category")
#: Those that name a class for people.
NAME_KEYS = ("class_name", "classname", "label_name", "class", "category", "text")
_JSON = b"json"


@dataclass(frozen=True, kw_only=True)
class ValuePlace:
    """The place of a value in a sample.

    Attributes:
        part: the member that has it, such as ``cls``.
        path: the keys that lead to it in a ``.json``; empty of other members.
    """

    part: bytes
    path: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the place as the key ``columns`` has it."""
        return ".".join([os.fsdecode(self.part), *self.path])


def value_place(role: str, given: str, parts: Parts) -> ValuePlace:
    """Return the place that a configuration names: ``cls``, ``txt``, or ``json.label``.

    Raises:
        ConfigError: there is no such part.
    """
    part = os.fsencode(given.lower())
    if part in parts and part.rpartition(b".")[2] != _JSON:
        return ValuePlace(part=part)
    words = given.split(".")
    for count in range(len(words) - 1, 0, -1):
        part = os.fsencode(".".join(words[:count]).lower())
        if part in parts and part.rpartition(b".")[2] == _JSON:
            return ValuePlace(part=part, path=tuple(words[count:]))
    known = [os.fsdecode(part) for part in parts if not is_image_part(part)]
    known = [f"{name}.KEY" if name.endswith("json") else name for name in known]
    raise ConfigError(f"columns.{role}: {quoted(given)}: {unknown('part', given, known)}")


def label_in(place: ValuePlace, data: bytes, member: str, target: Target = "class") -> Label:
    """Return the label that a member tells.

    Args:
        data: its contents.
        member: its name, for messages.
        target: what labels say.

    Raises:
        SourceError: it tells none.
    """
    if target != "class":
        value = _value_in(place.path, data, member) if place.path else _text(data, member).split()
        return _label_of_target(value, place, member, target)
    if place.path:
        return _label_of_value(_value_in(place.path, data, member), place, member)
    return label_of(_text(data, member), always_number=place.part == b"cls")


def json_in(data: bytes, member: str) -> Mapping[str, Any]:
    """Return the object that a ``.json`` holds; raise SourceError if it holds none."""
    try:
        value = parse_json(data, LARGEST)
    except ValueError as error:
        raise SourceError(f"source: {quoted(member)} can't be read: {reason_of(error)}") from None
    if not isinstance(value, Mapping):
        raise SourceError(f"source: {quoted(member)} holds {kind_of(value)}; expected an object")
    return value


def name_in(data: bytes, member: str) -> str | None:
    """Return the name of its class that a ``.json`` has for people; None if it has none."""
    found = json_in(data, member)
    values = (found.get(key) for key in NAME_KEYS)
    return next((v.strip() for v in values if isinstance(v, str) and v.strip()), None)


def _value_in(path: tuple[str, ...], data: bytes, member: str) -> Any:
    value: Any = json_in(data, member)
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _label_of_value(value: Any, place: ValuePlace, member: str) -> Label:
    match value:
        case None | "":
            return None
        case bool():
            pass
        case int() if abs(value) < 1 << 63:
            return value
        case str():
            return value.strip() or None
        case float() if value.is_integer():
            return int(value)
        case list() if sorted(value, key=str) == [0] * (len(value) - 1) + [1]:
            return value.index(1)
    raise SourceError(
        f"source: {quoted(member)} has {shown(value)} for {quoted('.'.join(place.path))}; expected "
        "a whole number, a name or a one-hot list; other labels need `target`: multi, value or soft"
    )


def _label_of_target(value: Any, place: ValuePlace, member: str, target: Target) -> Label:
    """Return several classes, a value, or a number for each class; None of no value."""
    several = value if isinstance(value, list) else [value]
    if value is None or (not several and target != "multi"):
        return None
    kinds: tuple[type, ...] = (int, str) if target == "multi" else (int, float, str)
    most = 1 if target == "value" else len(several)
    if len(several) > most or not all(type(one) in kinds for one in several):
        raise SourceError(
            f"source: {quoted(member)} has {shown(value)} for {quoted(str(place))}; expected "
            f"{_EXPECTED[target]}, for target {target}"
        )
    if target == "multi" and not place.path:
        return tuple(one for one in map(label_of, several) if one is not None)
    return tuple(several)


_EXPECTED: Mapping[Target, str] = {
    "multi": "a list of the names or the numbers of classes",
    "value": "a number",
    "soft": "a list with a number for each class",
}


def _text(data: bytes, member: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SourceError(
            f"source: {quoted(member)} is not valid UTF-8; expected a label, or name another part "
            "with `columns.label`"
        ) from None
