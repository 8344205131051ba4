"""Files appear whole or not at all, and only regular files are read."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from prep.storage.local import LocalPath
from prep.storage.locate import read_file
from prep.storage.location import Stamp
from prep.storage.newfile import AtomicFile


def everything(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def seen(folder: Path) -> list[str]:
    """Return the files that a reader's glob finds."""
    return glob.glob(str(folder / "*"))


def test_a_system_that_takes_and_gives_a_part_at_once_is_asked_for_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As file servers may, and Linux beyond 2 GiB."""
    write, read = os.write, os.read

    def write_some(descriptor: int, pieces: list[bytes]) -> int:
        joined = b"".join(pieces)
        return write(descriptor, joined[: len(joined) // 3])

    monkeypatch.setattr(os, "writev", write_some)
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[: len(data) // 2 + 1]))
    pieces = [os.urandom(size) for size in (12, 100_000, 4, 300_000, 0, 7)]
    with AtomicFile(tmp_path / "file") as file:
        for piece in pieces:
            file.writelines((piece, b"end"))
    content = b"".join(piece + b"end" for piece in pieces)
    assert (tmp_path / "file").read_bytes() == content
    assert file.sha256 == hashlib.sha256(content).hexdigest()

    path = tmp_path / "file"
    status = path.stat()
    monkeypatch.setattr(os, "read", lambda file, size: read(file, min(size, 70_000)))
    assert read_file(str(path), Stamp(status.st_size, status.st_mtime_ns)) == content


def test_a_file_is_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file"
    with AtomicFile(path) as file:
        for piece in (b"one", b"", b"two" * 10**6):
            file.write(piece)
        file.writelines([b"%d," % number for number in range(5_000)])  # More than a system takes.
    content = b"one" + b"two" * 10**6 + b"".join(b"%d," % number for number in range(5_000))
    assert path.read_bytes() == content
    assert (file.size, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_nothing_is_there_until_the_end(tmp_path: Path) -> None:
    with AtomicFile(tmp_path / "train-0.tfrecord") as file:
        file.write(bytes(3 << 20))
        assert seen(tmp_path) == []
        assert list(tmp_path.glob("*.tfrecord")) == []
    assert everything(tmp_path) == ["train-0.tfrecord"]


def test_a_reader_sees_whole_files_only(tmp_path: Path) -> None:
    """One thread replaces a file again and again while another reads what its glob finds."""
    size = 200_000
    done = threading.Event()
    read: list[bytes] = []
    broken: list[str] = []

    def reader() -> None:
        last = False
        while not last:
            last = done.is_set()
            for path in seen(tmp_path):
                data = Path(path).read_bytes()
                read.append(data[:1])
                if len(data) != size or len(set(data)) != 1:
                    broken.append(path)

    thread = threading.Thread(target=reader)
    thread.start()
    try:
        for version in range(40):
            with AtomicFile(tmp_path / "file") as file:
                for _ in range(10):
                    file.write(bytes([version]) * (size // 10))
    finally:
        done.set()
        thread.join()
    assert read
    assert broken == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_leaves_nothing_behind(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), AtomicFile(tmp_path / "file") as file:  # noqa: PT012
        file.write(b"half")
        raise error
    assert everything(tmp_path) == []


def test_an_exception_leaves_an_earlier_file_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"earlier")
    with pytest.raises(ValueError, match="no"), AtomicFile(tmp_path / "file") as file:  # noqa: PT012
        file.write(b"half")
        raise ValueError("no")
    assert (tmp_path / "file").read_bytes() == b"earlier"
    assert everything(tmp_path) == ["file"]


@contextlib.contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """As if the disk were full: the system refuses to write more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    "size",
    [
        1 << 19,  # more than waits to be written: writing fails
        1 << 17,  # less: the end does
    ],
)
def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, size: int) -> None:
    too_large = pytest.raises(OSError, match="too large")
    with files_no_larger_than(1 << 16), too_large, AtomicFile(tmp_path / "file") as file:
        file.write(bytes(size))
    assert everything(tmp_path) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from prep.storage.newfile import AtomicFile
with AtomicFile(Path(sys.argv[1])) as file:
    file.write(bytes(3 << 20))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_writer_leaves_nothing_that_a_reader_sees(tmp_path: Path) -> None:
    path = tmp_path / "train-0.tfrecord"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert killed.returncode == -9
    assert len(everything(tmp_path)) == 1  # It was at work there.
    assert seen(tmp_path) == []
    LocalPath(tmp_path).remove_leftovers()
    assert everything(tmp_path) == []


def test_only_our_own_leftovers_are_removed(tmp_path: Path) -> None:
    theirs = ["film.mkv.partial", ".film.mkv.partial", ".partial", "train-0.tfrecord", ".hidden"]
    for name in theirs:
        (tmp_path / name).touch()
    LocalPath(tmp_path).remove_leftovers()
    assert everything(tmp_path) == sorted(theirs)


def test_two_writers_at_once_do_each_other_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with AtomicFile(path) as one:
        one.write(b"one")
        with AtomicFile(path) as other:
            other.write(b"the other")
            one.write(b", still one")
        assert path.read_bytes() == b"the other"
    assert path.read_bytes() == b"one, still one"
    assert everything(tmp_path) == ["file"]


def test_others_may_read_what_they_may_read_of_other_files(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    with AtomicFile(tmp_path / "file"):
        pass
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_json_survives_with_names_that_are_no_unicode(tmp_path: Path) -> None:
    value = {"caf\udce9": [1, None, "größe"]}
    LocalPath(tmp_path / "file").publish_json(value)
    assert json.loads((tmp_path / "file").read_bytes()) == value


@pytest.mark.parametrize("size", [0, 1, 5 << 20])
def test_a_file_is_read_whole(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "file").write_bytes(content)
    assert read_file(str(tmp_path / "file")) == content
    assert read_file(os.fsencode(tmp_path / "file")) == content


def test_a_file_that_says_nothing_of_its_size_is_read_whole() -> None:
    assert read_file("/proc/self/maps").count(b"\n") > 10  # Its size is given as zero.


def test_a_link_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"1")
    (tmp_path / "link").symlink_to("file")
    assert read_file(str(tmp_path / "link")) == b"1"


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # Reading it would block for ever.
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(OSError, match="not a regular file"):
            read_file(str(tmp_path / name))
    with pytest.raises(OSError, match="not a regular file"):
        read_file("/dev/zero")


def test_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("absent", "dangling"):
        with pytest.raises(FileNotFoundError):
            read_file(str(tmp_path / name))


def test_reading_leaves_no_file_open(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"1")
    before = len(os.listdir("/proc/self/fd"))
    read_file(str(tmp_path / "file"))
    with pytest.raises(OSError, match="not a regular file"):
        read_file(str(tmp_path))
    assert len(os.listdir("/proc/self/fd")) == before
