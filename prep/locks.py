"""One run at a time in an output.

The lock is the kernel's (flock), which lets go of it when its holder ends, however that comes
about: there are no stale locks to recognise, and no clock to trust. What the file says is only for
people: who holds it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from prep.errors import OutputConflict
from prep.storage import NO_LOCKS


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Holds the lock at ``path`` for the length of the block.

    Where nothing came to lie beside it, it is removed at the end, with the folders it was made in.

    Raises:
        OutputConflict: another process holds it; says which.
        OSError: the file can't be made.
    """
    new = _new_folders(path.parent)
    with _locked(path) as file:
        file.truncate(0)
        json.dump(
            {
                "host": socket.gethostname(),
                "process": os.getpid(),
                "since": datetime.now(UTC).isoformat(timespec="seconds"),
            },
            file,
        )
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
            _remove_if_alone(path, new)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[TextIO]:
    """The file, locked, and still in its place: its last holder may just have removed it."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a+", encoding="utf-8") as file:
            _lock(file, path)
            if _is_at(file, path):
                yield file
                return


def _lock(file: TextIO, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        raise OutputConflict(
            f"output: another run is at work in {path.parent.parent} ({_holder(file.read())}); "
            "wait for it to end, or stop it, or choose another output"
        ) from None
    except OSError as error:
        # Without locks, two runs at once are not kept apart; they do each other no harm beyond
        # doing the work twice, for the bytes they write are the same.
        if error.errno not in NO_LOCKS:
            raise


def _is_at(file: TextIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _new_folders(folder: Path) -> list[Path]:
    """Those that making this one would make, the innermost first."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


def _remove_if_alone(path: Path, folders: list[Path]) -> None:
    with contextlib.suppress(OSError):
        if path.parent in folders and os.listdir(path.parent) == [path.name]:
            path.unlink()
            for folder in folders:
                folder.rmdir()


def _holder(text: str) -> str:
    try:
        holder = json.loads(text)
        return f"process {holder['process']} on {holder['host']}, since {holder['since']}"
    except (ValueError, KeyError, TypeError):  # It is about to write down who it is.
        return "a process that has just begun"
