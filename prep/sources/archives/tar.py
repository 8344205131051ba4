"""The index of a tar file."""

from __future__ import annotations

from prep.sources.archives.members import Members
from prep.storage.location import Location


def index_tar(archive: Location) -> Members:
    """Return the index of a tar file.

    Raises:
        SourceError: it is damaged, truncated, or holds what can't be read.
        StorageUnavailable: it is in a storage that does not answer.
    """
    raise NotImplementedError
