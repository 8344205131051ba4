"""Names of sources: one path or URL, or JSON text if it takes more to find the images again."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from prep.errors import ConfigError
from prep.settings.output_names import require_split_name
from prep.storage.arguments import as_stored, typed
from prep.storage.locate import absolute
from prep.storage.urls import is_url, stays_within
from prep.text import kind_of, one_line

#: Names of files of images that are kept beside a manifest.
KEPT_NAME = re.compile(r"images-[0-9a-f]{32}\.bin")
_EXPECTED = "a list of paths and URLs, or a mapping of split to path, URL or a list of these"


@dataclass(frozen=True, slots=True)
class Sources:
    """Several sources that are read as one.

    Attributes:
        parts: the split that each is for, or None if it tells itself, and its absolute path or URL.
    """

    parts: tuple[tuple[str | None, str], ...]

    @classmethod
    def parse(cls, value: Any) -> Sources:
        """Read a list of sources, or a mapping of split to source.

        Raises:
            ConfigError: it is none; the message says which part is wrong.
        """
        if isinstance(value, Sources):
            return value
        parts = [*_of_mapping(value)] if isinstance(value, Mapping) else [*_of_list(None, value)]
        if not parts:
            raise ConfigError(
                f"source: got {kind_of(value)} with nothing in it; expected {_EXPECTED}"
            )
        seen = set[tuple[str | None, str]]()
        for part in parts:
            if part in seen:
                raise ConfigError(f"source: {one_line(part[1])} is given twice; leave one out")
            seen.add(part)
        return cls(tuple(parts))

    def to_json(self) -> Any:
        """Return the list or the mapping that :meth:`parse` reads."""
        if all(split is None for split, _ in self.parts):
            return [path for _, path in self.parts]
        found: dict[str, Any] = {}
        for split, path in self.parts:
            found.setdefault(str(split), []).append(path)
        return {split: paths[0] if len(paths) == 1 else paths for split, paths in found.items()}

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths and URLs, without their splits."""
        return tuple(path for _, path in self.parts)

    def map(self, change: Callable[[str], str]) -> Sources:
        """Return these sources with changed paths."""
        return Sources(tuple((split, change(path)) for split, path in self.parts))

    def __str__(self) -> str:
        """Return the paths as reports show them."""
        return ", ".join(
            path if split is None else f"{split}: {path}" for split, path in self.parts
        )


def _of_mapping(value: Mapping[Any, Any]) -> Iterator[tuple[str | None, str]]:
    for split, given in value.items():
        try:
            require_split_name(split)
        except ValueError as error:
            raise ConfigError(f"source: {error}") from None
        yield from _of_list(split, given if isinstance(given, list | tuple) else [given])


def _of_list(split: str | None, value: Any) -> Iterator[tuple[str | None, str]]:
    if not isinstance(value, list | tuple):
        raise ConfigError(f"source: got {kind_of(value)}; expected {_EXPECTED}")
    for path in value:
        if not isinstance(path, str | os.PathLike):
            raise ConfigError(f"source: got {kind_of(path)} in it; expected {_EXPECTED}")
        yield split, absolute(typed("source", path))


class UnpackedArchive(NamedTuple):
    """An archive that is read from a file which it was unpacked to.

    Attributes:
        archive: its absolute path or URL, as the entries of its images have it.
        name: of the file, which lies beside the manifest.
        size: of the file, in bytes.
    """

    archive: str
    name: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceName:
    """The parts of the name of a source of files.

    Attributes:
        given: what a configuration names: an absolute path or URL, or several.
        roots: where else its images are. Of a single source, the first of them is what the names
            of its images are relative to: the folder that a list refers to.
        unpacked: the archives that are not read themselves.
    """

    given: str | Sources
    roots: tuple[str, ...] = ()
    unpacked: tuple[UnpackedArchive, ...] = ()

    @classmethod
    def parse(cls, name: str) -> SourceName | None:
        """Read a name; return None if it is none of a source of files."""
        if not name.startswith("{"):
            return cls(given=name) if _is_absolute(name) else None
        try:
            value = json.loads(name)
            given, roots = value["source"], value["roots"]
            known = given if isinstance(given, str) else Sources.parse(as_stored(given))
            paths = [known] if isinstance(known, str) else known.paths
            unpacked = tuple(map(_unpacked, value.get("unpacked", ())))
            if all(isinstance(p, str) and _is_absolute(p) for p in [*paths, *roots]):
                return cls(given=known, roots=tuple(roots), unpacked=unpacked)
        except (ValueError, KeyError, TypeError, ConfigError):
            pass
        return None

    def __str__(self) -> str:
        """Return the name, as plans hold it."""
        if isinstance(self.given, str) and not self.roots and not self.unpacked:
            return self.given
        given = self.given if isinstance(self.given, str) else self.given.to_json()
        parts: dict[str, Any] = {"source": given, "roots": list(self.roots)}
        if self.unpacked:
            parts["unpacked"] = [list(each) for each in self.unpacked]
        return json.dumps(parts, ensure_ascii=False)

    @property
    def base(self) -> str:
        """The path or URL that relative names of images are relative to."""
        return self.roots[0] if self.roots and isinstance(self.given, str) else self.paths[0]

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths and URLs at and below which the source reads."""
        given = self.given
        return (*((given,) if isinstance(given, str) else given.paths), *self.roots)


def _unpacked(value: Any) -> UnpackedArchive:
    """Read an archive from a name; raise ValueError or TypeError if it is none."""
    archive, name, size = value
    is_kept = isinstance(name, str) and KEPT_NAME.fullmatch(name) is not None
    if not (isinstance(archive, str) and _is_absolute(archive) and is_kept):
        raise ValueError("no archive")
    if type(size) is not int or size < 0:
        raise ValueError("no size")
    return UnpackedArchive(archive, name, size)


def _is_absolute(path: str) -> bool:
    return "\0" not in path and (is_url(path) or os.path.isabs(path))


def is_absolute(file: bytes) -> bool:
    """Return whether an entry's file is an absolute path or a URL, not relative to its source."""
    return file.startswith(b"/") or b"://" in file


def beyond(paths: Iterable[str], given: Iterable[str]) -> tuple[str, ...]:
    """Return the paths that are not at or below a given one, each once, in order."""
    known = [*given]
    found: list[str] = []
    for path in paths:
        if not any(is_within(path, root) for root in (*known, *found)):
            found.append(path)
    return tuple(found)


def is_within(path: str, root: str) -> bool:
    """Return whether a path or URL is at or below another; both are absolute.

    >>> is_within("/photos/a.jpg", "/photos"), is_within("/photos-2/a.jpg", "/photos")
    (True, False)
    """
    return path == root or path.startswith(root.rstrip("/") + "/")


def leads_below(path: str, root: str) -> bool:
    """Return whether a path or URL is that of a root or of something below it, by all its parts.

    >>> leads_below("/photos/a.jpg", "/photos"), leads_below("/photos/../a.jpg", "/photos")
    (True, False)
    """
    below = path[len(root.rstrip("/")) + 1 :]
    return path == root or (is_within(path, root) and stays_within(below, root))


def paths_of(name: str) -> tuple[str, ...]:
    """Return the paths and URLs at and below which a source reads, by its name."""
    found = SourceName.parse(name)
    return () if found is None else found.paths


def base_of(name: str) -> str:
    """Return the path or URL that images of a source are relative to; its name if it has none."""
    found = SourceName.parse(name)
    return name if found is None else found.base


def shown_source(name: str) -> str:
    """Return the name of a source as reports show it."""
    found = SourceName.parse(name) if name.startswith("{") else None
    return name if found is None else str(found.given)
