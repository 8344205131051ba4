"""The index of a zip file."""

from __future__ import annotations

from prep.sources.archives.members import Members
from prep.storage.location import Location


def index_zip(archive: Location) -> Members:
    """Return the index of a zip file.

    Raises:
        SourceError: it is damaged, truncated, or holds what can't be read.
        StorageUnavailable: it is in a storage that does not answer.
    """
    raise NotImplementedError
