"""The folder that images are to be in."""

from __future__ import annotations

from pathlib import Path

from prep.errors import SourceError
from prep.storage import store
from prep.storage.location import locate
from prep.text import quoted, reason_and_file


def require_folder(source: str) -> None:
    """Makes sure that there is such a folder.

    Raises:
        SourceError: there is none, or it can't be asked for.
        StorageUnavailable: it would be in a storage that does not answer.
    """
    place = locate(source)
    try:
        found = place.is_dir()
        absent = None if found else store.absent_bucket(place)
    except OSError as error:
        store.require_answer(place, error, "source: can't be opened")
        raise SourceError(f"source: can't be opened: {reason_and_file(error)}") from None
    if absent:
        raise SourceError(f"source: {quoted(source)}: {absent} does not exist; expected a bucket")
    if not found:
        raise SourceError(
            f"source: {quoted(source)} {_instead(place)}; expected a folder of images"
        )


def _instead(place: Path) -> str:
    """Say what there is in place of a folder."""
    if place.exists():
        return "is a file" if place.is_file() else "is not a folder"
    return "is a broken link" if place.is_symlink() else "does not exist"
