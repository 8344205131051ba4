"""Folders of an output on this machine, opened without following a symbolic link.

Anybody who may write to an output may put a link in the place of a folder of ours, before a run or
in the middle of one. A path through it leads to somebody else's files. So a folder is opened from
the output's root on, one name at a time, and no name may be that of a link (``O_NOFOLLOW``). Files
in it are named relative to the open folder (``dir_fd``), wherever its path leads by then.

The root itself, and what lies above it, is the user's choice: links there are followed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from prep.errors import OutputConflict
from prep.text import one_line

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@contextlib.contextmanager
def opened_folder(folder: Path, within: Path, *, make: bool = False) -> Iterator[int]:
    """Open a folder for the length of the block; yield its descriptor, for ``dir_fd``.

    Args:
        folder: at or below ``within``.
        within: the root below which no link is followed.
        make: make it if it is absent, with all folders above it.

    Raises:
        OutputConflict: a link is in the way, or ``folder`` is not within ``within``.
        OSError: it can't be opened.
    """
    names = _names(folder, within)
    descriptor = _open_root(within, make)
    try:
        for depth, name in enumerate(names):
            try:
                inner = _open(descriptor, name, make)
            except OSError as error:
                path = within.joinpath(*names[: depth + 1])
                require_no_link(descriptor, name, path)
                raise OSError(error.errno, error.strerror, str(path)) from None
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Make errors raised in the block name this path, not a name in an open folder."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


def _names(folder: Path, within: Path) -> tuple[str, ...]:
    """Return the names of the folders from ``within`` down to this one."""
    depth = len(within.parts)
    names = folder.parts[depth:]
    if folder.parts[:depth] != within.parts or ".." in names:
        raise OutputConflict(
            f"output: expected a folder in {within}, got {one_line(str(folder))}; nothing is "
            "written there: choose another output"
        )
    return names


def _open_root(within: Path, make: bool) -> int:
    try:
        return os.open(within, _FOLDER)
    except FileNotFoundError:
        if not make:
            raise
    try:
        within.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        why = "it is a symbolic link to nothing"
        raise NotADirectoryError(errno.ENOTDIR, why, str(within)) from None
    return os.open(within, _FOLDER)


def _open(outer: int, name: str, make: bool) -> int:
    try:
        return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=outer)
    except FileNotFoundError:
        if not make:
            raise
    with contextlib.suppress(FileExistsError):  # Somebody else was faster.
        os.mkdir(name, dir_fd=outer)
    return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=outer)


def require_no_link(folder: int, name: str, path: Path) -> None:
    """Raise OutputConflict if a name in an open folder is that of a symbolic link."""
    try:
        target = os.readlink(name, dir_fd=folder)
    except OSError:
        return
    raise link_in_the_way(path, target)


def link_in_the_way(path: object, target: str) -> OutputConflict:
    """Return the error for a symbolic link in the place of something of ours.

    Args:
        target: what the link points to.
    """
    return OutputConflict(
        f"output: {path} is a symbolic link (to {one_line(target)}), and nothing in an output is "
        "written through one; remove the link, which leaves what it points to as it is, or choose "
        "another output"
    )


def is_alone(status: os.stat_result) -> bool:
    """Return True for a regular file without another hard link: it may be written to."""
    return stat.S_ISREG(status.st_mode) and status.st_nlink <= 1
