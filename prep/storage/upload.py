"""Files that are written to a storage.

What is written is kept here until it is complete: in memory, and if it grows large, in a temporary
file. Then it is uploaded at once. An object store shows it under its final name when all of it is
there; on a server with folders, it is uploaded beside that name, and renamed.

There are no locks. That an attempt is under way, or was when its process died, shows by an empty
file under a temporary name; live ones can't be told from dead ones.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self

from prep.storage.newfile import NewFile, temporary_name

if TYPE_CHECKING:
    from prep.storage.remote import RemotePath

_IN_MEMORY = 64 << 20  # 64 MiB
_PIECE = 1 << 20  # 1 MiB


class Upload(NewFile):
    """One in a storage; made as an :class:`AtomicFile` is."""

    def __init__(
        self,
        path: RemotePath,
        *,
        tag: str = "",
        before_publishing: Callable[[], None] | None = None,
    ) -> None:
        super().__init__()
        self._path = path
        self._tag = tag
        self._before_publishing = before_publishing
        self._temporary = path.parent / temporary_name(tag)
        self._spool = _Spool()
        self._others: list[str] = []

    @property
    def others(self) -> list[str]:
        return self._others

    def __enter__(self) -> Self:
        if self._tag:
            with ThreadPoolExecutor(1) as pool:  # To wait for two answers at once.
                marked = pool.submit(_put, self._temporary, b"")
                found = self._path.parent.leftovers(self._tag)
                marked.result()
            names = [other.name for other in found]
            self._others = [name for name in names if name != self._temporary.name]
        return self

    def write(self, data: bytes) -> None:
        self._spool.write(data)
        super().write(data)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._spool:
            try:
                if kind is None:
                    self._publish()
            finally:
                if self._tag or kind is None:
                    self._remove_temporary()

    def _publish(self) -> None:
        if self._path.puts_whole:
            self._agree()
            _put(self._path, self._spool.content())
        else:
            _put(self._temporary, self._spool.content())
            self._agree()
            self._temporary.replace(self._path)

    def _agree(self) -> None:
        if self._before_publishing is not None:
            self._before_publishing()

    def _remove_temporary(self) -> None:
        """If that fails, somebody will decode with more care than is needed, and no more."""
        if self._tag or not self._path.puts_whole:
            with contextlib.suppress(OSError):
                self._temporary.unlink(missing_ok=True)


class _Spool:
    """Bytes on their way: in memory, or in a temporary file if they are many."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._file: IO[bytes] | None = None

    def __enter__(self) -> _Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._pieces.clear()
        if self._file is not None:
            self._file.close()

    def write(self, data: bytes) -> None:
        if self._file is not None:
            self._file.write(data)
            return
        self._pieces.append(bytes(data))
        self._size += len(data)
        if self._size > _IN_MEMORY:
            # It has no name: nothing of it is left if this process is killed.
            self._file = tempfile.TemporaryFile(buffering=_PIECE)  # noqa: SIM115 (closed at exit)
            self._file.writelines(self._pieces)
            self._pieces.clear()

    def content(self) -> bytes | Path:
        """All of it, or the local file that it is in."""
        if self._file is None:
            return b"".join(self._pieces)
        self._file.flush()
        return Path(f"/dev/fd/{self._file.fileno()}")


def _put(path: RemotePath, content: bytes | Path) -> None:
    try:
        path.upload(content)
    except FileNotFoundError:
        if path.puts_whole:
            raise
        path.parent.make_folder()
        path.upload(content)
