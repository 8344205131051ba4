"""What a worker can do, tried out in its process."""

from __future__ import annotations

import contextlib
import hashlib
import os
import resource
import shutil
from collections.abc import Sequence
from typing import Any

from prep.images.decoders.process import opencv_threads
from prep.storage import store
from prep.storage.location import locate
from prep.storage.urls import is_url

# Like the buffers of a large photo: beyond what glibc keeps by itself.
_BUFFER = 8 << 20  # 8 MiB
_PAGE = 4 << 10
_ROUNDS = 8


def probe_process() -> dict[str, Any]:
    """Whether this process is set up as it should be.

    Returns:
        ``keeps_memory``: whether freed memory of image size is used again, instead of being handed
        back; ``opencv_threads``: how many threads OpenCV uses.
    """
    return {"keeps_memory": keeps_memory(), "opencv_threads": opencv_threads()}


def keeps_memory() -> bool:
    """Whether a buffer that is freed and taken again comes without new pages.

    Told by page faults: a buffer that was handed back costs one for each of its pages again.
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
    """For each file a digest of what is in it here, or why it can't be read."""
    return [_read_digest(path) for path in paths]


def _read_digest(path: str) -> str:
    try:
        return digest_of(locate(path).read_bytes())
    except OSError as error:
        return _told(error)


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def is_digest(text: str) -> bool:
    """Whether this is from :func:`digest_of`, and not the text of an error."""
    return ":" not in text


def write_file(folder: str, name: str, data: bytes) -> str | None:
    """Puts a file into a folder, as shards are; gives back what is wrong, if anything."""
    try:
        store.publish(locate(folder) / name, data, within=locate(folder))
    except OSError as error:
        return _told(error)
    return None


def remove_files(folder: str, names: Sequence[str]) -> None:
    """Removes what others and this process have put there."""
    for name in names:
        with contextlib.suppress(OSError):
            store.remove(locate(folder) / name, within=locate(folder))


def new_folders(folder: str) -> list[str]:
    """Those that writing to this one would make here, the innermost first."""
    if is_url(folder):
        return []
    place = locate(folder)
    return [str(path) for path in (place, *place.parents) if not os.path.lexists(path)]


def remove_folders(folders: Sequence[str]) -> None:
    """Removes those that a probe has made, as far as nothing is in them."""
    for folder in folders:
        with contextlib.suppress(OSError):
            os.rmdir(folder)


def free_space(folder: str) -> int | None:
    """Bytes that are free there; None where that is not known."""
    if is_url(folder):
        return None
    path = locate(folder)
    with contextlib.suppress(OSError):
        while not path.exists():
            path = path.parent
        return shutil.disk_usage(path).free
    return None


def _told(error: OSError) -> str:
    return f"{type(error).__name__}: {error.strerror or error}"
