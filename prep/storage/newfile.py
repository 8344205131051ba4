"""Temporary names: hidden, unique to the attempt, and told from everybody else's.

A file that is being written, wherever it is to appear.

Which contents a file had when it was listed.
"""

from __future__ import annotations

import abc
import hashlib
import re
import uuid
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

SUFFIX = ".partial"
_NAME = re.compile(rf"\.(?:(?P<tag>\d+)\.)?[0-9a-f]{{32}}{re.escape(SUFFIX)}")


def temporary_name(tag: str = "") -> str:
    """A new one.

    Args:
        tag: digits by which attempts at the same thing are found.
    """
    return f".{tag}{'.' if tag else ''}{uuid.uuid4().hex}{SUFFIX}"


def is_temporary(name: str, tag: str | None = None) -> bool:
    """Whether a name is a temporary one; with this tag (or with none, if that is empty)."""
    return _NAME.fullmatch(name) is not None and tag in (None, tag_of(name) or "")


def tag_of(name: str) -> str | None:
    """The tag in a temporary name; None where there is none."""
    match = _NAME.fullmatch(name)
    return match["tag"] if match else None


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


# What filesystems keep of a time: SMB 100 ns, others a microsecond or a second. Two machines may
# see the same file through different ones.
_TIME_UNITS = (100, 1_000, 1_000_000_000)  # nanoseconds


class FileChanged(OSError):
    """A file is not what it was when it was listed."""


class Stamp(NamedTuple):
    """Which contents a file had: its size in bytes, and the time of its last change in ns."""

    size: int
    mtime: int

    def require(self, size: int, mtime: int | None) -> None:
        """Raises FileChanged where these are of other contents; a time of None says nothing."""
        if size != self.size:
            raise FileChanged(
                f"changed since it was listed: {self.size:,} bytes then, {size:,} now"
            )
        if mtime is not None and not _same_time(mtime, self.mtime):
            raise FileChanged("changed since it was listed: written to in the meantime")


def _same_time(a: int, b: int) -> bool:
    """Whether two times are the same, or one is the other as another filesystem keeps it."""
    return a == b or any(
        a // unit == b // unit and 0 in (a % unit, b % unit) for unit in _TIME_UNITS
    )
