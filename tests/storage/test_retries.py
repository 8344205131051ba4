"""Failures of input and output: transient ones are retried, others are reported."""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from distributed import Client

import prep
from prep.errors import RefusedImage, ShardError
from prep.settings.image_settings import ImageSettings
from prep.shards.reading import ImageReader
from prep.sources.base import ImageEntry
from prep.sources.file_source import FileSource
from prep.storage.location import Stamp
from prep.storage.retry import Retries, lasted
from tests.support.clusters import contents
from tests.support.pictures import write_tree

TREE = {"train": {"cat": 7, "dog": 5}}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, client: Client) -> dict[str, bytes]:
    """The shards as they are to be."""
    home = tmp_path_factory.mktemp("undisturbed")
    prep.run(config(write_tree(home / "source", TREE), home / "out"), client)
    return shards(home / "out")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_tree(tmp_path / "source", TREE)
    return tmp_path


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch, faulty_io: Path) -> pytest.MonkeyPatch:
    """Give workers started from now on the faults that FAULTY_IO lists."""
    monkeypatch.setenv("LD_PRELOAD", str(faulty_io))
    return monkeypatch


def config(source: Path, output: Path, **more: Any) -> prep.Config:
    values = {"size": 32, "images_per_shard": 4, "max_refused": 1.0, **more}
    return prep.Config(source=str(source), output=str(output), **values)


def shards(output: Path) -> dict[str, bytes]:
    return contents(output, "*/*.tfrecord")


def run_with(faults: pytest.MonkeyPatch, home: Path, listed: str) -> prep.RunReport:
    faults.setenv("FAULTY_IO", listed)
    with prep.cluster(workers=1) as client:
        return prep.run(config(home / "source", home / "out"), client)


@pytest.mark.parametrize(
    "faulty",
    [
        {f"read:/source/train/cat/0003:{errno.EIO}": 2, f"open:/source/train/dog:{errno.EIO}": 3},
        {f"fsync:/out/train/.00001.:{errno.EIO}": 1, f"write:/out/train/.00002.:{errno.EBUSY}": 1},
        pytest.param({f"close:/out/train/.00000.:{errno.EIO}": 1}, marks=pytest.mark.slow),
        pytest.param(
            {f"open:/out/.prep/receipts/train/.:{errno.EMFILE}": 1}, marks=pytest.mark.slow
        ),
    ],
)
def test_what_passes_leaves_nothing_but_a_count(
    faulty: dict[str, int], faults: pytest.MonkeyPatch, home: Path, undisturbed: dict[str, bytes]
) -> None:
    report = run_with(faults, home, ";".join(f"{f}:{times}" for f, times in faulty.items()))
    assert report.refused == ()
    assert shards(home / "out") == undisturbed
    assert report.retries == sum(faulty.values())
    assert dict(report.rows())["retried"].startswith(f"{report.retries} time")
    assert not list(home.glob("out/**/.*.partial"))


def test_an_image_that_stays_unreadable_is_refused(faults: pytest.MonkeyPatch, home: Path) -> None:
    report = run_with(faults, home, f"read:/source/train/cat/0003:{errno.EIO}:999")
    assert [(r["path"], r["reason"], r["detail"]) for r in report.refused] == [
        ("train/cat/0003.jpg", "unreadable", "Input/output error")
    ]
    assert (report.images["written"], report.retries) == (11, 3)


def test_what_does_not_pass_is_not_tried_again(faults: pytest.MonkeyPatch, home: Path) -> None:
    report = run_with(faults, home, f"open:/source/train/cat/0003:{errno.EACCES}:999")
    assert [(r["reason"], r["detail"]) for r in report.refused] == [
        ("unreadable", "Permission denied")
    ]
    assert report.retries == 0


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("fsync", "ENOSPC"),
        pytest.param("fsync", "EIO", marks=pytest.mark.slow),
        pytest.param("write", "EDQUOT", marks=pytest.mark.slow),
        pytest.param("close", "ENOSPC", marks=pytest.mark.slow),
    ],
)
def test_a_shard_that_can_not_be_written_is_named_and_made_up_for(
    call: str,
    error: str,
    faults: pytest.MonkeyPatch,
    home: Path,
    undisturbed: dict[str, bytes],
    client: Client,
) -> None:
    number = getattr(errno, error)
    with pytest.raises(ShardError, match=rf"1 shard failed: train/1 \({os.strerror(number)}"):
        run_with(faults, home, f"{call}:/out/train/.00001.:{number}:999")
    assert len(shards(home / "out")) == 2
    assert not list(home.glob("out/**/.*.partial"))
    report = prep.run(config(home / "source", home / "out"), client)
    assert report.resumed_shards == 2
    assert shards(home / "out") == undisturbed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("times", "found"),
    [(1, {"SHA-256"}), (999, {"a shard: one that can't be read: Input/output error"})],
    ids=["passing", "staying"],
)
def test_a_read_error_does_not_hide_what_is_wrong_with_a_shard(
    times: int, found: set[str], faults: pytest.MonkeyPatch, home: Path, client: Client
) -> None:
    """One byte of it is another, which the digest of the file alone tells."""
    output, name = home / "out", "train/train-00001-of-00003.tfrecord"
    prep.run(config(home / "source", output, compression="GZIP"), client)
    data = bytearray((output / name).read_bytes())
    data[9] ^= 1  # The system that has written it, as gzip's header has it.
    (output / name).write_bytes(data)
    faults.setenv("FAULTY_IO", f"read:/out/{name}:{errno.EIO}:{times}")
    with prep.cluster(workers=1) as other:
        problems = prep.verify(output, other).problems
    assert {problem.where for problem in problems} == {name}
    assert {
        "SHA-256" if "SHA" in p.expected else f"{p.expected}: {p.found}" for p in problems
    } == found


@pytest.mark.slow
def test_a_source_that_is_away_does_not_lose_its_images(
    faults: pytest.MonkeyPatch, tmp_path: Path, client: Client
) -> None:
    write_tree(tmp_path / "source", {"train": {"cat": 20, "dog": 4}})
    asked = config(tmp_path / "source", tmp_path / "out", images_per_shard=24)
    faults.setenv("FAULTY_IO", f"open:/source/train/:{errno.EHOSTUNREACH}:999")
    with prep.cluster(workers=1) as own:
        own.run(setattr, prep.shards.reading, "_PAUSES", (0.0, 0.0, 0.0))
        with pytest.raises(ShardError, match="No route to host"):
            prep.run(asked, own)
    report = prep.run(asked, client)
    assert report.images == {"planned": 24, "written": 24, "refused": 0}


HELD = """
import sys
from pathlib import Path
from prep.storage.local import LocalPath
from prep.storage.newfile import AtomicFile
folder = Path(sys.argv[1])
with AtomicFile(folder / "file") as file:
    file.write(b"whole")
    LocalPath(folder).remove_leftovers()
"""


@pytest.mark.parametrize("error", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_without_locks_everything_works_but_leftovers_are_left(
    error: int, faults: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    faults.setenv("FAULTY_IO", f"flock:{tmp_path}:{error}:999")
    subprocess.run([sys.executable, "-c", HELD, tmp_path], check=True)
    assert contents(tmp_path) == {"file": b"whole"}


class Counted:
    """Fails so many times, and counts how often it is called."""

    def __init__(self, failures: int, error: int) -> None:
        self.calls = 0
        self._failures = failures
        self._error = error

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self._failures:
            raise OSError(self._error, os.strerror(self._error))
        return "done"


@pytest.mark.parametrize("failures", [0, 1, 2])
def test_it_is_tried_until_it_succeeds(failures: int) -> None:
    action, counter = Counted(failures, errno.EIO), Retries()
    assert counter.call(action, (0.001, 0.001)) == "done"
    assert (action.calls, counter.count) == (failures + 1, failures)


@pytest.mark.parametrize(
    ("error", "calls"),
    [
        (errno.EIO, 3),  # once, and once more after each pause
        (errno.ENOENT, 1),
        (errno.ENOSPC, 1),
        (errno.EROFS, 1),
    ],
)
def test_in_the_end_its_error_is_raised(error: int, calls: int) -> None:
    action, counter = Counted(9, error), Retries()
    with pytest.raises(OSError, match=os.strerror(error)):
        counter.call(action, (0.001, 0.001))
    assert (action.calls, counter.count) == (calls, calls - 1)


def test_what_takes_long_to_fail_is_not_tried_as_often() -> None:
    """A shard reads images: each is tried four times, and so is the shard."""
    now = 0.0
    counter = Retries(clock=lambda: now)

    def wait_in_vain() -> None:
        nonlocal now
        now += 120.0
        raise TimeoutError(errno.ETIMEDOUT, "no answer")

    def shard() -> None:
        counter.call(lambda: counter.call(wait_in_vain, (0.001,) * 3), (0.001,) * 3)

    with pytest.raises(TimeoutError) as error:
        shard()
    assert (now, counter.spent, lasted(error.value)) == (360.0, True, 240.0)
    assert lasted(pickle.loads(pickle.dumps(error.value))) == 240.0
    counter.call(lambda: None, ())  # It is there again.
    assert not counter.spent
    with pytest.raises(TimeoutError):
        shard()
    assert now == 720.0


def test_all_retries_together_are_bounded() -> None:
    counter = Retries(limit=3)
    for _ in range(10):
        with pytest.raises(OSError, match="Input/output"):
            counter.call(Counted(9, errno.EIO), (0.001, 0.001))
    assert counter.count == 3


def test_an_image_that_is_never_answered_is_refused_and_a_source_that_is_away_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However long each takes to fail."""
    monkeypatch.setattr(time, "sleep", lambda _: None)
    now = 0.0
    reader = ImageReader(ImageSettings(), Retries(clock=lambda: now), FileSource("/photos"))

    def read(*, passes: bool = False) -> bytes:
        nonlocal now
        now += 100.0
        if not passes:
            raise TimeoutError(errno.ETIMEDOUT, "no answer")
        return b"image"

    entry = ImageEntry(b"a.jpg", "cat", Stamp(5, 0), b"a.jpg")
    for _ in range(3):
        with pytest.raises(RefusedImage, match="unreadable"):
            reader.read(entry, read)
        assert reader.read(entry, lambda: read(passes=True)) == b"image"
    with pytest.raises(RefusedImage, match="unreadable"):
        reader.read(entry, read)
    with pytest.raises(TimeoutError):
        reader.read(entry, read)
