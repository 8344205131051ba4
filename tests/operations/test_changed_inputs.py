"""Images and outputs that change during a run."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from distributed import Client

import prep
from prep.errors import OutputConflict, OutputNotSeen
from prep.execution.dask import DaskExecutor
from prep.execution.writing import write_serially, write_shards
from prep.output.journal import Journal
from prep.shards.tally import Tally
from prep.shards.writer import RunRef, write_shard
from prep.storage import local, newfile
from prep.storage.local import LocalPath
from prep.storage.locate import read_file
from prep.storage.location import FileChanged, Stamp
from prep.storage.newfile import AtomicFile, trace_name
from tests.support.clusters import contents, wait_until
from tests.support.pictures import jpeg, picture, write_tree

LISTED = 10**18  # when write_tree's files were last changed, in ns


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_tree(tmp_path / "source", {"train": {"cat": 7, "dog": 5}})
    return tmp_path


def config(home: Path, **more: Any) -> prep.Config:
    values = {"size": 32, "images_per_shard": 4, "max_refused": 1.0, **more}
    return prep.Config(source=str(home / "source"), output=str(home / "out"), **values)


def begin(made: prep.RunPlan) -> RunRef:
    journal = Journal(made.config.output)
    journal.begin(made)
    root, digest = str(journal.layout.root), made.fingerprint.digest
    return RunRef(output=root, digest=digest, run=uuid.uuid4().hex)


# Images


def grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"more")


def shrink(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def rewrite(path: Path) -> None:
    """Other contents of the same size."""
    path.write_bytes(path.read_bytes()[::-1])


def replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_by_dangling_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (Path.unlink, "No such file or directory"),
        (grow, "changed since it was listed: {size} bytes then, {new_size} now"),
        (shrink, "changed since it was listed: {size} bytes then, {new_size} now"),
        (rewrite, "changed since it was listed: written to in the meantime"),
        (replace_by_pipe, "not a regular file"),
        (replace_by_folder, "not a regular file"),
        (replace_by_dangling_link, "No such file or directory"),
    ],
)
def test_an_image_that_is_not_what_it_was_is_refused(
    change: Callable[[Path], None], detail: str, home: Path, client: Client
) -> None:
    made = prep.plan(config(home))
    run_ref = begin(made)
    path = home / "source/train/cat/0003.jpg"
    size = path.stat().st_size
    change(path)
    new_size = path.stat().st_size if path.exists() else 0
    (total,) = write_shards(made.shards, run_ref, DaskExecutor(client)).values()
    (finding,) = total.refused
    assert (finding.path, finding.reason) == ("train/cat/0003.jpg", "unreadable")
    assert finding.detail == detail.format(size=f"{size:,}", new_size=f"{new_size:,}")
    assert (total.images, total.retries) == (11, 0)


def test_a_file_that_claims_to_be_larger_than_any_memory_is_not_read(
    home: Path, client: Client
) -> None:
    with open(home / "source/train/cat/huge.jpg", "wb") as file:
        file.write(jpeg(picture(40, 50)))
        file.truncate(1 << 42)  # 4 TiB, all of them holes
    report = prep.run(config(home), client)
    assert [r["reason"] for r in report.refused] == ["too large"]
    assert report.images["written"] == 12


@pytest.mark.parametrize(
    ("there", "here", "same"),
    [
        (LISTED + 123_456_789, LISTED + 123_456_789, True),
        (LISTED + 123_456_789, LISTED + 123_456_700, True),  # SMB keeps 100 ns
        (LISTED + 123_456_000, LISTED + 123_456_789, True),  # a microsecond
        (LISTED + 123_456_789, LISTED, True),  # a second
        (LISTED + 123_456_789, LISTED + 123_456_790, False),
        (LISTED + 123_456_789, LISTED + 1_000_000_000, False),
        (LISTED, LISTED + 1_000_000_000, False),
    ],
)
def test_times_that_filesystems_keep_otherwise_are_the_same(
    there: int, here: int, same: bool, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"1")
    os.utime(path, ns=(here, here))
    if same:
        assert read_file(str(path), Stamp(1, there)) == b"1"
    else:
        with pytest.raises(FileChanged):
            read_file(str(path), Stamp(1, there))


# The output


def published(output: Path) -> dict[str, bytes]:
    """All files, but for the one that an attempt is at."""
    found = contents(output)
    return {name: data for name, data in found.items() if not name.endswith(".partial")}


class AtFirstImage:
    """Does something once the first image of a shard is done."""

    def __init__(self, action: Callable[[], object]) -> None:
        self._action: Callable[[], object] | None = action

    def attempt_begun(self, tally: Tally) -> None:
        """Nothing yet."""

    def image_done(self, class_name: str, image: bytes | None) -> None:
        if self._action is not None:
            self._action()
            self._action = None


@pytest.mark.parametrize("more", [{}, {"quality": 50}])
def test_a_late_attempt_leaves_an_output_alone_that_was_prepared_afresh(
    more: dict[str, Any], home: Path, client: Client
) -> None:
    made = prep.plan(config(home))
    late = begin(made)
    after: dict[str, bytes] = {}

    def prepare_afresh() -> None:
        prep.run(config(home, **more), client, overwrite=True)
        after.update(published(home / "out"))

    with pytest.raises(OutputConflict, match="taken over by another run"):
        write_shard(made.shards[1], late, AtFirstImage(prepare_afresh))
    assert published(home / "out") == after


def test_a_late_attempt_finds_the_output_gone(home: Path) -> None:
    made = prep.plan(config(home))
    late = begin(made)
    with pytest.raises(OutputNotSeen, match="finds none"):
        write_shard(
            made.shards[0], late, AtFirstImage(lambda: (home / "out/.prep/plan.json").unlink())
        )
    assert list((home / "out/train").iterdir()) == []


def test_attempts_at_the_same_time_do_each_other_no_harm(home: Path) -> None:
    """Each has begun before the other ends, and the other's end clears what is left."""
    made = prep.plan(config(home))
    run_ref = begin(made)
    both = threading.Barrier(2)
    threads = [
        threading.Thread(
            target=write_shard, args=[made.shards[0], run_ref, AtFirstImage(both.wait)]
        )
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert list((home / "out/train").glob(".*")) == []
    assert Journal(home / "out").receipts.of(made.shards[0], made.fingerprint.digest) is not None


# What attempts leave


def test_what_is_being_written_is_no_leftover(tmp_path: Path) -> None:
    with AtomicFile(tmp_path / "file", tag="00012") as file:
        file.write(b"whole")
        LocalPath(tmp_path).remove_leftovers()
        LocalPath(tmp_path).remove_leftovers("00012")
    assert contents(tmp_path) == {"file": b"whole"}


def test_others_are_earlier_attempts_at_the_same_thing(tmp_path: Path) -> None:
    with (
        AtomicFile(tmp_path / "a", tag="00012") as one,
        AtomicFile(tmp_path / "a", tag="00012") as other,
        AtomicFile(tmp_path / "b", tag="000121") as third,
        AtomicFile(tmp_path / "c") as untagged,
    ):
        assert [trace_name("00012")] == other.others[:1]
        assert len(other.others) == 2
        assert one.others == []
        assert third.others == untagged.others == []


def test_a_name_may_stay_as_a_trace(tmp_path: Path) -> None:
    dead = tmp_path / f".00012.{uuid.uuid4().hex}.partial"
    nobody = tmp_path / f".{uuid.uuid4().hex}.partial"
    for path in (dead, nobody):
        path.write_bytes(b"half")
    LocalPath(tmp_path).remove_leftovers(keep_names=True)
    trace = {trace_name("00012"): b""}
    assert contents(tmp_path, ".*") == trace
    with AtomicFile(tmp_path / "file", tag="00012") as file:
        assert file.others == [*trace]
    LocalPath(tmp_path).remove_leftovers("00013")
    assert contents(tmp_path, ".*") == trace
    LocalPath(tmp_path).remove_leftovers("00012")
    assert contents(tmp_path, ".*") == {}


def test_no_folder_is_listed_for_a_shard_that_nobody_has_tried_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or else a hundred thousand shards would be listed as often."""
    source = write_tree(tmp_path / "source", {"train": {"cat": 4}})
    output = str(tmp_path / "out")
    made = prep.plan(prep.Config(source=str(source), output=output, size=32, images_per_shard=2))
    Journal(output).begin(made)
    listed = list[object]()
    for module in (newfile, local):
        monkeypatch.setattr(module, "temporaries", lambda *found: listed.append(found) or [])
    run = RunRef(output=output, digest=made.fingerprint.digest, run="one")
    assert write_serially(made.shards[:1], run)["train"].images == 2
    assert listed == []
    (tmp_path / "out/train" / trace_name("00001")).touch()
    assert write_serially(made.shards[1:], run)["train"].images == 2
    assert listed != []


def test_a_file_taken_for_a_leftover_before_it_is_locked_is_made_anew(tmp_path: Path) -> None:
    """One thread clears leftovers all the time while another makes files."""
    done = threading.Event()
    cleared = threading.Event()

    def clear() -> None:
        while not done.is_set():
            LocalPath(tmp_path).remove_leftovers()
            cleared.set()

    thread = threading.Thread(target=clear)
    thread.start()
    try:
        wait_until(cleared.is_set)
        for number in range(300):
            with AtomicFile(tmp_path / f"{number}", durable=False) as file:
                file.write(b"whole")
    finally:
        done.set()
        thread.join()
    assert contents(tmp_path) == {f"{number}": b"whole" for number in range(300)}


def test_images_that_could_not_be_read_are_written_by_the_next_run(
    tmp_path: Path, client: Client
) -> None:
    source = write_tree(tmp_path / "source", {"train": {"cat": 8}})
    asked = prep.Config(
        source=str(source), output=str(tmp_path / "out"), size=32, images_per_shard=4
    )
    made = prep.plan(asked)
    journal = Journal(tmp_path / "out")
    journal.begin(made)
    away = source / "train/cat/0003.jpg"
    away.rename(tmp_path / "away")
    run = RunRef(output=str(tmp_path / "out"), digest=made.fingerprint.digest, run="one")
    (refused,) = write_serially(made.shards, run)["train"].refused
    assert (refused.path, refused.reason) == ("train/cat/0003.jpg", "unreadable")
    (tmp_path / "away").rename(away)
    report = prep.run(asked, client)
    assert report.images == {"planned": 8, "written": 8, "refused": 0}
    assert report.resumed_shards == 1


def test_a_source_that_goes_away_fails_its_shards_and_loses_nothing(
    tmp_path: Path, client: Client
) -> None:
    source = write_tree(tmp_path / "source", {"train": {"cat": 12}})
    asked = prep.Config(source=str(source), output=str(tmp_path / "out"), size=32)
    made = prep.plan(asked)
    Journal(tmp_path / "out").begin(made)
    source.rename(tmp_path / "unmounted")
    run = RunRef(output=str(tmp_path / "out"), digest=made.fingerprint.digest, run="one")
    with pytest.raises(FileNotFoundError):
        write_serially(made.shards, run)
    (tmp_path / "unmounted").rename(source)
    assert prep.run(asked, client).images == {"planned": 12, "written": 12, "refused": 0}
