"""Which contents a file had when it was listed."""

from __future__ import annotations

from typing import NamedTuple

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
