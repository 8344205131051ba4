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
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from prep.storage.newfile import NewFile, temporary_name

if TYPE_CHECKING:
    from prep.storage.remote import RemotePath

_IN_MEMORY = 64 << 20  # 64 MiB
_PIECE = 1 << 20  # 1 MiB


class Upload(NewFile):
    """A new file in a storage; see :meth:`prep.storage.location.Location.create`."""

    def __init__(
        self,
        path: RemotePath,
        *,
        tag: str = "",
        before_publishing: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(before_publishing)
        self._path = path
        self._tag = tag
        self._temporary = path.parent / temporary_name(tag)
        self._others: list[str] = []

    @property
    def others(self) -> list[str]:
        return self._others

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        if self._tag:
            self._mark()
        # It has no name on disk: nothing of it is left if this process is killed.
        with tempfile.SpooledTemporaryFile(_IN_MEMORY, buffering=_PIECE) as self._spool:
            try:
                yield
                self._publish()
            finally:
                self._remove_temporary()

    def _mark(self) -> None:
        """Put an empty file under the temporary name, and look for those of other attempts."""
        with ThreadPoolExecutor(1) as pool:  # To wait for two answers at once.
            marked = pool.submit(_put, self._temporary, b"")
            names = [other.name for other in self._path.parent.leftovers(self._tag)]
            marked.result()
        self._others = [name for name in names if name != self._temporary.name]

    def writelines(self, pieces: Collection[bytes]) -> None:
        self._spool.writelines(pieces)
        super().writelines(pieces)

    def _publish(self) -> None:
        if self._path.puts_whole:
            self._agree()
            _put(self._path, self._content())
        else:
            _put(self._temporary, self._content())
            self._agree()
            self._temporary.replace(self._path)

    def _content(self) -> bytes | Path:
        """Return all that was written, or the local file that it is in."""
        if self.size > _IN_MEMORY:
            self._spool.flush()
            return Path(f"/dev/fd/{self._spool.fileno()}")
        self._spool.seek(0)
        return self._spool.read()

    def _agree(self) -> None:
        if self._before_publishing is not None:
            self._before_publishing()

    def _remove_temporary(self) -> None:
        """Remove the mark; if it stays, the next attempt decodes with more care than needed."""
        if self._tag or not self._path.puts_whole:
            with contextlib.suppress(OSError):
                self._temporary.remove_file()


def _put(path: RemotePath, content: bytes | Path) -> None:
    try:
        path.upload(content)
    except FileNotFoundError:
        if path.puts_whole:
            raise
        path.parent.make_folder()
        path.upload(content)
