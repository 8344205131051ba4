"""A cluster file: its profiles, with line numbers for messages.

Keys at the top of the file apply to all profiles; a profile overrides them.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from prep.errors import ConfigError
from prep.parsing import (
    KeyPath,
    MarkedYaml,
    PlainText,
    expand,
    parse_marked_yaml,
    read_text,
    scalar_of,
)
from prep.text import reason_of, shown, unknown

#: The profile that is used by default.
DEFAULT_PROFILE = "local"

# How to get a cluster. A profile with any of these keys inherits none of them.
_HOW = ("module", "class", "args", "kwargs", "address", "scheduler_file")
# The number of workers. The same applies to these.
_HOW_MANY = ("workers", "adapt")


@dataclass(frozen=True, slots=True)
class Origin:
    """The place of a spec, for messages. Specs that differ in it alone are equal.

    Attributes:
        file: the name of the file; None for a spec that is not from a file.
        content: of the file.
        profile: the name of the profile; None for the top of the file.
    """

    file: str | None = field(default=None, compare=False)
    content: MarkedYaml = field(default=MarkedYaml(None, {}), compare=False)
    profile: str | None = field(default=None, compare=False)

    def error(self, path: KeyPath, message: str) -> ConfigError:
        """Return an error at a place in the merged spec, with file, line and key."""
        return self.error_at(self._place(path), message)

    def error_at(self, place: KeyPath, message: str) -> ConfigError:
        """Return an error at a place in the file, with file, line and key."""
        line = self.content.line_of(place)
        file = f" {self.file}" if self.file is not None else ""
        where = f", line {line}" if line is not None else ""
        key = ".".join(map(str, place))
        return ConfigError(f"cluster spec{file}{where}: {key + ': ' if key else ''}{message}")

    def _place(self, path: KeyPath) -> KeyPath:
        if self.profile is None:
            return path
        own: KeyPath = ("profiles", self.profile)
        for length in range(len(path), 0, -1):
            if (*own, *path[:length]) in self.content.lines:
                return (*own, *path)
            if path[:length] in self.content.lines:
                return path
        return (*own, *path)


@dataclass(frozen=True, slots=True)
class ClusterFile:
    """A cluster file."""

    name: str
    content: MarkedYaml

    @classmethod
    def read(cls, path: str | os.PathLike[str] | None, known: Collection[str]) -> ClusterFile:
        """Read a cluster file, by default that of the package.

        Raises:
            ConfigError: it can't be read, or has unknown keys.
        """
        file = str(resources.files("prep") / "cluster.yaml") if path is None else os.fspath(path)
        try:
            content = parse_marked_yaml(read_text(file))
        except (OSError, ValueError) as error:
            raise ConfigError(f"cluster spec {file}: can't be read: {reason_of(error)}") from None
        read = cls(file, content)
        read._require_mappings(known)
        return read

    def profile(self, name: str | None) -> tuple[dict[str, Any], Origin]:
        """Return a profile, merged over the top of the file and with its variables replaced.

        Raises:
            ConfigError: there is no such profile, or a variable is not set, or is empty in a key
                that says how to get a cluster.
        """
        top = {key: value for key, value in self.content.value.items() if key != "profiles"}
        origin = Origin(self.name, self.content, self._choose(name))
        own = {} if origin.profile is None else self._profiles[origin.profile]
        raw = _merged(top, own)
        value: dict[str, Any] = _expanded(raw, origin, ())
        for key in _HOW:
            if "$" in str(raw.get(key)) and value[key] in (None, ""):
                raise origin.error((key,), f"{str(raw[key])!r} is empty; set the variable")
        return value, origin

    @property
    def _profiles(self) -> dict[str, Any]:
        profiles: dict[str, Any] = self.content.value.get("profiles") or {}
        return profiles

    def _error(self, place: KeyPath, message: str) -> ConfigError:
        return Origin(self.name, self.content).error_at(place, message)

    def _require_mappings(self, known: Collection[str]) -> None:
        """Check the keys of all profiles, not only of the one in use."""
        if self.content.value is None:
            raise self._error((), "the file is empty; expected keys and values")
        if not isinstance(self.content.value, dict):
            raise self._error((), f"expected keys and values, got {shown(self.content.value)}")
        places: list[tuple[KeyPath, Any]] = [((), self.content.value)]
        if "profiles" in self.content.value:
            profiles = self.content.value["profiles"]
            if not isinstance(profiles, dict) or not profiles:
                raise self._error(("profiles",), "expected profiles by name")
            places += [(("profiles", name), profile) for name, profile in profiles.items()]
        for place, value in places:
            if not isinstance(value, dict):
                raise self._error(place, f"expected keys and values, got {shown(value)}")
            for key in value:
                if key not in known and not (key == "profiles" and not place):
                    raise self._error((*place, key), unknown("key", key, sorted(known)))

    def _choose(self, profile: str | None) -> str | None:
        """Return the name of the profile to use; None for the top of the file."""
        if profile is None and DEFAULT_PROFILE in self._profiles:
            return DEFAULT_PROFILE
        if profile is None and (not self._profiles or set(_HOW) & set(self.content.value)):
            return None
        if profile is None:
            raise self._error(
                ("profiles",), f"choose a profile: {', '.join(map(str, self._profiles))}"
            )
        if profile not in self._profiles:
            there = ", ".join(map(str, self._profiles)) or "none: it is used without"
            raise self._error(("profiles",), f"no profile {profile!r}; there are {there}")
        return profile


def _expanded(value: Any, origin: Origin, path: KeyPath) -> Any:
    """Return a value of the merged spec with its variables replaced, in plain Python types."""
    if isinstance(value, dict):
        return {
            str(key) if isinstance(key, str) else key: _expanded(item, origin, (*path, key))
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_expanded(item, origin, (*path, i)) for i, item in enumerate(value)]
    if not isinstance(value, str):
        return value
    if "$" not in value:
        return str(value)
    try:
        text = expand(value, os.environ)
    except ValueError as error:
        raise origin.error(path, str(error)) from None
    return scalar_of(text) if isinstance(value, PlainText) else text


def _merged(top: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys at the top of a file, overridden by those of a profile."""
    left = dict(top)
    for group in (_HOW, _HOW_MANY):
        if any(key in own for key in group):
            left = {key: value for key, value in left.items() if key not in group}
    if any(key in own for key in ("address", "scheduler_file")):
        left = {key: value for key, value in left.items() if key not in _HOW_MANY}
    merged: dict[str, Any] = _overridden(left, own)
    return merged


def _overridden(base: Any, by: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(by, dict):
        return by
    both = {key: _overridden(base[key], by[key]) for key in base.keys() & by.keys()}
    return {**base, **by, **both}
