"""Read a member of an archive by its place, and make sure that it is what was listed."""

from __future__ import annotations

from prep.sources.base import ImageEntry
from prep.storage.location import Stamp


def read_member(path: str | bytes, entry: ImageEntry) -> bytes:
    """Return the contents of a member, unpacked.

    Raises:
        FileChanged: the archive or the member is not what was listed.
        OSError: it can't be read.
    """
    raise NotImplementedError


def stamp_of_member(path: str | bytes, entry: ImageEntry) -> Stamp:
    """Return the stamp that a member has now; raise OSError if there is none."""
    raise NotImplementedError
