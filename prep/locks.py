"""One run at a time in an output.

The lock is the kernel's (flock), which lets go of it when its holder ends, however that comes
about: there are no stale locks to recognise, and no clock to trust. What the file says is only for
people: who holds it. Where there is no such lock, a lease stands in for it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from prep import storage
from prep.leases import Lease, Owner, conflict, leased
from prep.storage import NO_LOCKS


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[Lease | None]:
    """Holds the lock at ``path`` for the length of the block; gives the lease that it is, if it is.

    Where nothing came to lie beside it, it is removed at the end, with the folders it was made in.

    Raises:
        OutputConflict: another process holds it; says which.
        OSError: the file can't be made.
    """
    if storage.is_remote(path):
        with leased(path.parent) as lease:
            yield lease
        return
    new = _new_folders(path.parent)
    with _locked(path) as (file, locked):
        try:
            if locked:
                file.truncate(0)
                json.dump(asdict(Owner()), file)
                file.flush()
                yield None
            else:
                with leased(path.parent) as lease:
                    yield lease
        finally:
            file.truncate(0)
            _remove_if_alone(path, new)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[tuple[TextIO, bool]]:
    """The file, still in its place, for its last holder may have removed it; and whether locked."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a+", encoding="utf-8") as file:
            locked = _lock(file, path)
            if _is_at(file, path):
                yield file, locked
                return


def _lock(file: TextIO, path: Path) -> bool:
    """Locks the file, and says whether there is such a thing here."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        raise conflict(path.parent, Owner.read(file.read())) from None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return False
    return True


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
