"""One run at a time in an output.

The lock is the kernel's (flock), which releases it when its owner ends, however that comes about:
there are no stale locks to recognise, and no clock to trust. The file names the owner, for people
only. Without such locks, a lease takes their place.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from typing import TextIO

from prep.errors import OutputConflict
from prep.output.lease import Lease, Owner, conflict, lease_owner, leased
from prep.storage import folders
from prep.storage.local import LocalPath
from prep.storage.location import Location
from prep.storage.newfile import NO_LOCKS, lock_file

_MOST = 4096  # characters that are read of who holds a lock


@contextlib.contextmanager
def exclusive(path: Location, *, within: Location | None = None) -> Iterator[Lease | None]:
    """Hold the lock at ``path`` for the length of the block; yield its lease, or None.

    If nothing lies beside the lock at the end, it is removed with the folders that it was made in.

    Args:
        within: the output, below which no link is followed; by default, the lock's folder.

    Raises:
        OutputConflict: another process holds it; the message names the process. Or there is a
            link, or something else that is no lock, in its place.
        OSError: the file can't be made.
    """
    if path.local is None:
        with leased(path.parent) as lease:
            yield lease
        return
    path, root = path.local, (within or path.parent).local
    new = [place for place in path.parents if not os.path.lexists(place)]
    with _locked(path, root or path.parent) as (folder, file, locked):
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
            _remove_if_alone(path, folder, new)


def require_unheld(path: Location) -> Owner | None:
    """Raise OutputConflict if a run is at work in an output, without taking its lock.

    Nothing is written, and no run that begins just now is disturbed.

    Args:
        path: of the lock.

    Returns:
        The owner that may be at work on another machine, which only waiting would tell.

    Raises:
        OutputConflict: a run is at work.
        OSError: the lock can't be read.
    """
    if not path.is_remote:
        _require_unlocked(path)
    owner = lease_owner(path.parent)
    alive = owner.is_alive() if owner else False
    if alive:
        raise conflict(path.parent, owner)
    return owner if alive is None else None


def _require_unlocked(path: Location) -> None:
    try:
        file = path.open_regular()
    except (FileNotFoundError, NotADirectoryError):
        return
    with file:
        owner = Owner.read(file.read(_MOST))
        ours = owner is not None and owner.process == os.getpid()
        if owner is None or (not ours and owner.is_alive() is False):
            return  # To try the lock would keep out a run that begins just now.
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise conflict(path.parent, owner) from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise


@contextlib.contextmanager
def _locked(path: LocalPath, within: LocalPath) -> Iterator[tuple[int, TextIO, bool]]:
    """Yield the lock's folder, its file, and False if the filesystem has no locks."""
    while True:
        with (
            folders.opened_folder(path.parent, within, make=True) as folder,
            _open(folder, path) as file,
        ):
            try:
                locked = lock_file(file.fileno())
            except BlockingIOError:
                file.seek(0)
                raise conflict(path.parent, Owner.read(file.read(_MOST))) from None
            # Its last owner may have removed it.
            if _is_at(file, folder, path.name):
                yield folder, file, locked
                return


def _open(folder: int, path: LocalPath) -> TextIO:
    """Open the file without following a link, or writing to it; refuse one with a hard link."""
    mode = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with folders.naming(path):
            descriptor = os.open(path.name, mode, 0o666, dir_fd=folder)
    except OSError:
        folders.require_no_link(folder, path.name, path)
        raise
    if not folders.is_alone(os.fstat(descriptor)):
        os.close(descriptor)
        raise OutputConflict(
            f"output: {path} is not a lock file of prep's own: it is no regular file, or has "
            "more than one name (a hard link); remove it, or choose another output"
        )
    return open(descriptor, "a+", encoding="utf-8")


def _is_at(file: TextIO, folder: int, name: str) -> bool:
    try:
        there = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(file.fileno()), there)


def _remove_if_alone(path: LocalPath, folder: int, new: list[LocalPath]) -> None:
    with contextlib.suppress(OSError):
        if path.parent in new and os.listdir(folder) == [path.name]:
            os.unlink(path.name, dir_fd=folder)
            for made in new:
                made.rmdir()
