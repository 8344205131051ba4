"""A file that is being written, wherever it is to appear."""

from __future__ import annotations

import abc
import hashlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self


class NewFile(abc.ABC):
    """A file that appears under its name whole, or not at all.

    Leave the ``with`` block normally to publish it; by an exception, and there is no trace of it.

    Attributes:
        size: bytes written so far.
    """

    def __init__(self) -> None:
        self.size = 0
        self._digest = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self._digest.update(data)
        self.size += len(data)

    @property
    def sha256(self) -> str:
        """Hexadecimal digest of what was written so far."""
        return self._digest.hexdigest()

    @property
    @abc.abstractmethod
    def others(self) -> Sequence[Path]:
        """What other attempts at the same thing have left, or are at."""

    @abc.abstractmethod
    def __enter__(self) -> Self: ...

    @abc.abstractmethod
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
