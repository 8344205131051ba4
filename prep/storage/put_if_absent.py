"""Small files of which there is to be one maker, and which that one writes anew in their place.

They are not published whole, as all else is: whoever reads one while it is written may see less.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from prep.locations import RemotePath
from prep.storage import folders


def put_if_absent(path: Path, data: bytes, *, within: Path | None = None) -> None:
    """Makes a small file, unless there is one of its name already.

    Of several processes at the same time one succeeds, on this machine and in storages that decide
    that; in others, the last one may replace what the first has made.

    Args:
        within: the output that it is in; by default, the folder that the file is in.

    Raises:
        FileExistsError: there is one; it may be this process's own, if an answer was lost.
        OSError: it can't be made.
    """
    if isinstance(path, RemotePath):
        path.create(data)
    else:
        _write(path, data, within or path.parent, os.O_CREAT | os.O_EXCL)


def put_over(path: Path, data: bytes, *, within: Path | None = None) -> None:
    """Replaces what is in a small file.

    Args:
        within: the output that it is in; by default, the folder that the file is in.

    Raises:
        FileNotFoundError: there is none. A storage makes it then.
        OSError: it can't be written to.
    """
    if isinstance(path, RemotePath):
        path.upload(data)
    else:
        _write(path, data, within or path.parent)


def _write(path: Path, data: bytes, within: Path, flags: int = 0) -> None:
    flags |= os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    with folders.opened(path.parent, within) as folder:
        descriptor = os.open(path.name, flags, 0o666, dir_fd=folder)
    with open(descriptor, "wb", buffering=0) as file:
        if not folders.is_alone(os.fstat(descriptor)):
            raise FileExistsError(errno.EEXIST, "somebody else's file is in its place", str(path))
        file.truncate(0)
        file.write(data)
