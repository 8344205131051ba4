"""Try out, in a worker's process, what it can do."""

from __future__ import annotations

import contextlib
import hashlib
import os
import resource
import shutil
from collections.abc import Sequence
from typing import Any

from prep.images.decoders.process import opencv_threads
from prep.storage.locate import locate, read_range

# Like the buffers of a large photo: beyond what glibc keeps by itself.
_BUFFER = 8 << 20  # 8 MiB
_PAGE = 4 << 10
_ROUNDS = 8
# Of a file: all of an image, and enough of an archive to tell it from another.
_MOST_READ = 4 << 20  # 4 MiB


def probe_process() -> dict[str, Any]:
    """Return whether this process is set up as it should be.

    Returns:
        ``keeps_memory``, see :func:`keeps_memory`, and ``opencv_threads``, the number of OpenCV's
        threads.
    """
    return {"keeps_memory": keeps_memory(), "opencv_threads": opencv_threads()}


def keeps_memory() -> bool:
    """Return whether freed memory of image size is kept, instead of returned to the system.

    A buffer that was returned costs a page fault for each of its pages when it is taken again.
    """
    _touch()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(_ROUNDS):
        _touch()
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    # Where the system gives huge pages, a handed back buffer costs few faults; but some.
    return faults < _ROUNDS * _BUFFER // _PAGE // 8


def _touch() -> None:
    len(b"\1" * _BUFFER)


def read_digests(paths: Sequence[str]) -> list[str]:
    """Return, for each file, the digest of its contents, or why it can't be read.

    Of a large file, such as an archive, it is that of the beginning, and the size.
    """
    return [_read_digest(path) for path in paths]


def _read_digest(path: str) -> str:
    place = locate(path)
    try:
        size = place.file_size()
        if size <= _MOST_READ:
            return digest_of(place.read_bytes())
        return f"{digest_of(read_range(str(place), 0, _MOST_READ))} of {size} bytes"
    except OSError as error:
        return _reason(error)


def digest_of(data: bytes) -> str:
    """Return the SHA-256 digest of some contents, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def is_digest(text: str) -> bool:
    """Return whether this is from :func:`digest_of`, and not the text of an error."""
    return ":" not in text


def write_file(folder: str, name: str, data: bytes) -> str | None:
    """Write a file as shards are written; return what is wrong, if anything."""
    try:
        (locate(folder) / name).publish(data, within=locate(folder))
    except OSError as error:
        return _reason(error)
    return None


def remove_files(folder: str, names: Sequence[str]) -> None:
    """Remove files from a folder, as far as they are there."""
    for name in names:
        with contextlib.suppress(OSError):
            (locate(folder) / name).remove_file(within=locate(folder))


def new_folders(folder: str) -> list[str]:
    """Return the folders that a write to this one would create, the innermost first."""
    place = locate(folder).local
    above = (place, *place.parents) if place else ()
    return [str(path) for path in above if not os.path.lexists(path)]


def remove_folders(folders: Sequence[str]) -> None:
    """Remove folders, as far as they are empty."""
    for folder in folders:
        with contextlib.suppress(OSError):
            os.rmdir(folder)


def free_space(folder: str) -> int | None:
    """Return the bytes free at a folder; None if not known."""
    path = locate(folder).local
    with contextlib.suppress(OSError):
        while path and not path.exists():
            path = path.parent
        return shutil.disk_usage(path).free if path else None
    return None


def _reason(error: OSError) -> str:
    return f"{type(error).__name__}: {error.strerror or error}"
