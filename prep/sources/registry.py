"""The kinds of sources: the only place that knows more than one of them."""

from __future__ import annotations

from prep.sources.base import Source, SourceKind
from prep.sources.file_source import FileSource
from prep.sources.memory import KeptImages
from prep.sources.naming import SourceName, Sources
from prep.storage.locate import absolute
from prep.storage.location import Location

# The first that claims a name opens it.
_KINDS: tuple[SourceKind, ...] = (KeptImages, FileSource)


def open_source(source: str | Sources | Source) -> Source:
    """Return the source that a configuration names or holds."""
    if isinstance(source, Source):
        return source
    given = source if isinstance(source, Sources) else absolute(source)
    return reopen_source(str(SourceName(given=given)))


def planned_source(given: str | Sources | Source, name: str, folder: Location | None) -> Source:
    """Return the source of a plan: as it was given, if that holds images, or else by its name.

    Args:
        given: what the configuration names or holds.
        name, folder: as for :func:`reopen_source`.
    """
    return given if isinstance(given, Source) else reopen_source(name, folder)


def is_source_name(name: str) -> bool:
    """Return whether a plan can name its source so."""
    return any(kind.claims(name) for kind in _KINDS)


def reopen_source(name: str, folder: Location | None = None) -> Source:
    """Return the source that a plan names.

    Args:
        name: a name of which :func:`is_source_name` is true.
        folder: the folder of the plan and its manifest; None before there is one.
    """
    return next(kind(name, folder) for kind in _KINDS if kind.claims(name))
