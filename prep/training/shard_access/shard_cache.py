"""Copies of shards in a folder of this machine, each fetched whole when it is first needed."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

from prep.errors import SourceError
from prep.storage.local import LocalPath, close_kept_files
from prep.storage.location import Location
from prep.storage.newfile import NO_LOCKS
from prep.storage.urls import is_url
from prep.text import quoted, reason_of, shown
from prep.training.shard_access.shard_bytes import read_bytes

# A shard is fetched in such pieces, so many of them at the same time.
_PIECE, _AT_ONCE = 8 << 20, 4  # 8 MiB


class ShardCache:
    """Copies of the shards of one output.

    A copy appears whole or not at all. Of several processes that need the same shard, one fetches
    it, and the others wait. Copies stay: whoever needs room may remove them at any time.

    Args:
        folder: on a disk of this machine. Copies lie in a folder below it that is named after
            ``digest``, so several outputs may share it.
        digest: of the output's plan.

    Raises:
        SourceError: it is no path of a folder.
    """

    def __init__(self, folder: str | os.PathLike[str], digest: str) -> None:
        if not isinstance(folder, str | os.PathLike) or not str(folder) or is_url(str(folder)):
            raise SourceError(f"cache: expected a folder of this machine, found {shown(folder)}")
        self.folder = os.path.abspath(os.path.expanduser(folder))
        self._root = LocalPath(self.folder) / digest[:32]

    def copy_of(self, shard: Location, size: int) -> LocalPath:
        """Return the copy of a shard, which is fetched unless it is there.

        Args:
            shard: in the folder of its split.
            size: bytes that it must have.

        Raises:
            SourceError: the shard can't be read, has another size, or the copy can't be written.
            StorageUnavailable: its storage does not answer.
        """
        copy = self._root / shard.parent.name / shard.name
        try:
            if not _is_there(copy, size):
                copy.parent.make_folder(within=self._root.parent)
                with _alone(copy):
                    if not _is_there(copy, size):
                        self._fetch(shard, size, copy)
        except OSError as error:
            raise SourceError(
                f"cache: {quoted(self.folder)} can't be written to: {reason_of(error)}; make room "
                "there, or give another folder"
            ) from None
        return copy

    def _fetch(self, shard: Location, size: int, copy: LocalPath) -> None:
        copy.parent.remove_leftovers(within=self._root)
        with copy.create(within=self._root, durable=False) as file:
            for data in _pieces(shard, size):
                file.write(data)
        close_kept_files()  # One of them may be what this copy has replaced.


def _is_there(copy: LocalPath, size: int) -> bool:
    try:
        return copy.stat().st_size == size
    except (FileNotFoundError, NotADirectoryError):
        return False


def _pieces(shard: Location, size: int) -> Iterator[bytes]:
    """Yield the bytes of a shard, in order."""

    def read(start: int) -> bytes:
        return read_bytes(shard, start, min(start + _PIECE, size), size)

    step = _PIECE * _AT_ONCE
    for first in range(0, size, step):
        yield from shard.each(read, range(first, min(first + step, size), _PIECE))


@contextlib.contextmanager
def _alone(copy: LocalPath) -> Iterator[None]:
    """Wait until no other process or thread fetches a copy, and keep others waiting meanwhile.

    Where the filesystem has no locks, several may fetch the same, which does no harm.
    """
    path = LocalPath(f"{copy}.lock")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
        yield
        # Who waits for this very file looks for the copy first, and so does who makes a new one.
        path.remove_file(within=path.parent)
    finally:
        os.close(descriptor)
