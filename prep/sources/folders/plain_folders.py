"""Folders of this machine that hold nothing but files, which is what classes are, as columns.

A million files take seconds to look at, nearly all of them in the kernel. Threads make that
slower, for each call lets go of the interpreter's lock. So many folders are shared among processes,
each of which runs this file alone: it must import nothing but small modules of the standard
library, and starts in some 15 ms.
"""

from __future__ import annotations

import os
import stat
import sys
from array import array
from collections.abc import Collection, Iterator, Sequence
from typing import IO, TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import subprocess

_NUMBERS = "q"  # 64 bits
_HEADER = 3  # numbers


class PlainFolder(NamedTuple):
    """The files in a folder that has only files, and links to files.

    Attributes:
        images: names of those named like images, in order.
        sizes, mtimes: of these, in bytes and in nanoseconds.
        others: names of all other files, in order.
    """

    images: list[bytes]
    sizes: array[int]
    mtimes: array[int]
    others: list[bytes]


def is_named_like_image(name: bytes, extensions: Collection[bytes]) -> bool:
    """Return whether a file of this name has one of these extensions, which are in lower case."""
    _, dot, extension = name.rpartition(b".")
    return bool(dot) and extension.lower() in extensions


def read_plain_folder(folder: bytes, extensions: Collection[bytes]) -> PlainFolder | None:
    """List a folder; return None if it holds anything but files, or can't be listed so."""
    images, others = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name
                if is_named_like_image(name, extensions) and name[:1] != b".":
                    images.append(name)
                elif entry.is_file(follow_symlinks=False):
                    others.append(name)
                else:
                    return None
        images.sort()
        others.sort()
        # The kernel need not look up the folder for each file.
        place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            found = [os.stat(name, dir_fd=place) for name in images]
        finally:
            os.close(place)
        if not all(stat.S_ISREG(status.st_mode) for status in found):
            return None
        sizes = array(_NUMBERS, [status.st_size for status in found])
        mtimes = array(_NUMBERS, [status.st_mtime_ns for status in found])
    except (OSError, OverflowError):  # Whoever lists it entry by entry says of which.
        return None
    return PlainFolder(images, sizes, mtimes, others)


def read_plain_folders(
    folders: Sequence[bytes], extensions: Collection[bytes], processes: int
) -> Iterator[PlainFolder | None]:
    """Yield what ``read_plain_folder`` returns of each folder, read by several processes.

    Yields:
        None, too, for a folder whose process has come to its end, or was never begun.
    """
    import contextlib
    import subprocess
    from multiprocessing.spawn import get_executable

    command = [os.fsencode(get_executable() or ""), *(b"-I", b"-S", os.fsencode(__file__))]
    shares = [folders[first::processes] for first in range(processes)]
    with contextlib.ExitStack() as stack:
        pipes: list[IO[bytes] | None] = []
        for share in shares:
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,  # Ctrl-C ends it, too.
                )
            except OSError:
                pipes.append(None)
                continue
            stack.callback(_end, process)
            assert process.stdin is not None
            with contextlib.suppress(OSError), process.stdin as order:
                order.write(b"\0".join([b"/".join(extensions), *share]))
            pipes.append(process.stdout)
        for row in range(len(folders)):
            pipe = pipes[row % processes]
            try:
                yield None if pipe is None else _receive(pipe)
            except (EOFError, OSError):
                pipes[row % processes] = None
                yield None


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    assert process.stdout is not None
    process.stdout.close()
    process.wait()


def _send(pipe: IO[bytes], found: PlainFolder | None) -> None:
    if found is None:
        pipe.write(array(_NUMBERS, [-1] * _HEADER).tobytes())
        return
    names = b"\0".join([*found.images, *found.others])
    pipe.write(array(_NUMBERS, [len(found.images), len(found.others), len(names)]).tobytes())
    pipe.write(names)
    pipe.write(found.sizes.tobytes())
    pipe.write(found.mtimes.tobytes())


def _receive(pipe: IO[bytes]) -> PlainFolder | None:
    images, others, length = _numbers(pipe, _HEADER)
    if images < 0:
        return None
    names = _exactly(pipe, length).split(b"\0") if length else []
    if len(names) != images + others:
        raise EOFError
    sizes, mtimes = _numbers(pipe, images), _numbers(pipe, images)
    return PlainFolder(names[:images], sizes, mtimes, names[images:])


def _numbers(pipe: IO[bytes], count: int) -> array[int]:
    return array(_NUMBERS, _exactly(pipe, count * array(_NUMBERS).itemsize))


def _exactly(pipe: IO[bytes], size: int) -> bytes:
    data = pipe.read(size)
    if len(data) < size:
        raise EOFError
    return data


def _main() -> None:
    """List the folders that stdin names, after the extensions of images; answer on stdout."""
    extensions, *folders = sys.stdin.buffer.read().split(b"\0")
    wanted = frozenset(extensions.split(b"/"))
    for folder in folders:
        _send(sys.stdout.buffer, read_plain_folder(folder, wanted))


if __name__ == "__main__":
    _main()
