"""Small files of which there is to be one maker, and which that one writes anew in their place.

They are not published whole, as all else is: whoever reads one while it is written may see less.
"""

from __future__ import annotations

import os
from pathlib import Path

from prep.locations import RemotePath


def put_if_absent(path: Path, data: bytes) -> None:
    """Makes a small file, unless there is one of its name already.

    Of several processes at the same time one succeeds, on this machine and in storages that decide
    that; in others, the last one may replace what the first has made.

    Raises:
        FileExistsError: there is one; it may be this process's own, if an answer was lost.
        OSError: it can't be made.
    """
    if isinstance(path, RemotePath):
        path.create(data)
    else:
        _write(path, data, os.O_CREAT | os.O_EXCL)


def put_over(path: Path, data: bytes) -> None:
    """Replaces what is in a small file.

    Raises:
        FileNotFoundError: there is none. A storage makes it then.
        OSError: it can't be written to.
    """
    if isinstance(path, RemotePath):
        path.upload(data)
    else:
        _write(path, data, os.O_TRUNC)


def _write(path: Path, data: bytes, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    with open(descriptor, "wb", buffering=0) as file:
        file.write(data)
