"""Two runs on one output where nothing keeps them apart, and what they say at their end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from clusters import contents
from distributed import Client
from pictures import write_tree

import prep
from prep.errors import ShardError
from prep.images import configure_process
from prep.journal import Journal
from prep.pipeline import write_serially
from prep.progress import Silent, Work
from prep.receipts import ShardReceipt, total_receipts
from prep.runs import carry_out
from prep.sessions import usable_client
from prep.shards import RunRef, write_shard
from prep.storage import Stamp

SHARDS = 6


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with images, of which one is there twice, far apart, and one is none."""
    root = write_tree(tmp_path / "source", {"train": {"cat": 12, "dog": 10}})
    (root / "train/dog/copy.jpg").write_bytes((root / "train/cat/0000.jpg").read_bytes())
    (root / "train/dog/none.jpg").write_bytes(b"\xff\xd8 no image")
    return tmp_path


def config(home: Path, output: str = "out", **more: Any) -> prep.Config:
    values = {"size": 32, "images_per_shard": 4, **more}
    return prep.Config(source=str(home / "source"), output=str(home / output), **values)


class Thief(Silent):
    """Takes receipts away when all shards of a run are written."""

    def __init__(self, receipts: Path, counts: list[int]) -> None:
        self._receipts = receipts
        self._counts = counts

    def __exit__(self, *_: object) -> None:
        for path in sorted(self._receipts.glob("*/*.json"))[: self._counts.pop()]:
            path.unlink()


def run_with_thief(home: Path, client: Client, counts: list[int]) -> prep.RunReport:
    receipts = home / "out/.prep/receipts"

    def thief(work: Work) -> Thief:
        return Thief(receipts, counts)

    made = config(home)
    return carry_out(made, lambda: usable_client(client, None), overwrite=False, progress=thief)


def test_shards_whose_receipts_are_gone_at_the_end_are_written_again(
    home: Path, client: Client
) -> None:
    expected = prep.run(config(home, "undisturbed"), client)
    report = run_with_thief(home, client, [0, 4])
    for name in ("images", "shards", "splits", "classes", "duplicates", "refused", "mean"):
        assert getattr(report, name) == getattr(expected, name)
    assert report.resumed_shards == 0
    assert len(list(home.glob("out/.prep/receipts/*/*.json"))) == SHARDS
    for name in ("duplicates.csv", "refused.csv", "mean_rgb.json", "train"):
        pattern = f"{name}*" if "." in name else f"{name}/*"
        assert contents(home / "out", pattern) == contents(home / "undisturbed", pattern)
    assert prep.verify(home / "out", client).clean


def test_a_run_whose_receipts_are_taken_again_and_again_does_not_end_well(
    home: Path, client: Client
) -> None:
    with pytest.raises(ShardError, match="found 2 receipts gone, again and again") as caught:
        run_with_thief(home, client, [2] * 3)
    assert caught.value.exit_code == 1
    assert not (home / "out/report.json").exists()
    report = prep.run(config(home), client)
    assert report.images == {"planned": 24, "written": 23, "refused": 1}
    assert report.resumed_shards == SHARDS - 2


class Written:
    """Shards of a plan, written here, in this process."""

    def __init__(self, home: Path) -> None:
        configure_process()
        self.plan = prep.plan(config(home))
        self.journal = Journal(home / "out")
        self.journal.begin(self.plan)
        self._count = 0

    def run(self) -> RunRef:
        self._count += 1
        digest = self.plan.fingerprint.digest
        return RunRef(output=self.journal.output, digest=digest, run=f"{self._count}")

    def receipts(self) -> list[ShardReceipt]:
        return self.journal.committed(self.plan)


def test_what_workers_tell_is_what_receipts_say(home: Path) -> None:
    written = Written(home)
    told = write_serially(written.plan.shards, written.run())
    assert told == total_receipts(written.receipts())


@pytest.fixture
def unread(home: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Written, Callable[[], None]]:
    """Shards for which an image could not be read, and what makes it readable."""
    forbidden = {"cat/0003.jpg"}
    from prep import storage

    read = storage.read_file

    def read_file(path: bytes, expected: Stamp | None = None) -> bytes:
        if any(path.endswith(name.encode()) for name in forbidden):
            raise PermissionError(13, "Permission denied")
        return read(path, expected)

    monkeypatch.setattr(storage, "read_file", read_file)
    monkeypatch.setattr("prep.shards._can_be_read", lambda path: not forbidden)
    written = Written(home)
    write_serially(written.plan.shards, written.run())
    return written, forbidden.clear


def shard_with(written: Written, reason: str) -> tuple[Any, ShardReceipt]:
    """The shard of an image that was refused for this reason, and its receipt."""
    for shard, receipt in zip(written.plan.shards, written.receipts(), strict=True):
        if any(finding.reason == reason for finding in receipt.findings):
            return shard, receipt
    raise AssertionError(reason)


def test_a_receipt_stands_until_its_shard_is_replaced(
    unread: tuple[Written, Callable[[], None]],
) -> None:
    written, make_readable = unread
    shard, before = shard_with(written, "unreadable")
    assert write_shard(shard, written.run()) == before  # It is no better now.
    make_readable()

    class Observer:
        seen = 0

        def attempt_begun(self, tally: object) -> None: ...

        def image_settled(self, class_name: str, image: bytes | None) -> None:
            assert written.receipts()[shard.index] == before
            self.seen += 1

    observer = Observer()
    after = write_shard(shard, written.run(), observer)
    assert observer.seen == shard.images
    assert sum(after.written.values()) == sum(before.written.values()) + 1
    assert written.receipts()[shard.index] == after
    assert write_shard(shard, written.run()) == after


@pytest.mark.parametrize("death", ["before the shard", "before the receipt"])
def test_no_receipt_vouches_for_a_shard_that_it_is_not_of(
    death: str, unread: tuple[Written, Callable[[], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the shard be as large by chance."""
    written, make_readable = unread
    shard, before = shard_with(written, "unreadable")
    make_readable()
    if death == "before the shard":
        monkeypatch.setattr("os.replace", killed)
    else:
        monkeypatch.setattr(Journal, "commit", killed)
    with pytest.raises(Killed):
        write_shard(shard, written.run())
    monkeypatch.undo()
    assert before not in written.receipts()
    assert len(written.receipts()) == SHARDS - 1
    path = written.journal.layout.receipt(shard.split, shard.index)
    assert not path.exists()


class Killed(BaseException):
    """The process ends here."""


def killed(*_: object) -> None:
    raise Killed


def test_a_late_twin_takes_no_receipt_away(
    unread: tuple[Written, Callable[[], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It began before the other one had committed the same bytes, and dies before its receipt."""
    written, make_readable = unread
    shard, _ = shard_with(written, "unreadable")
    make_readable()

    class Twin:
        def attempt_begun(self, tally: object) -> None:
            committed.append(write_shard(shard, written.run()))

        def image_settled(self, class_name: str, image: bytes | None) -> None: ...

    committed: list[ShardReceipt] = []
    commit = Journal.commit

    def once(journal: Journal, receipt: ShardReceipt) -> None:
        if committed:
            raise Killed
        commit(journal, receipt)

    monkeypatch.setattr(Journal, "commit", once)
    with pytest.raises(Killed):
        write_shard(shard, written.run(), Twin())
    assert written.receipts()[shard.index] == committed[0]


def test_a_run_that_dies_early_has_withdrawn_nothing(home: Path, client: Client) -> None:
    """What is written again is so one by one."""
    prep.run(config(home), client)
    before = contents(home / "out/.prep/receipts")
    gone = home / "out/train/train-00002-of-00006.tfrecord"
    gone.unlink()

    class Killer(Silent):
        def __enter__(self) -> Silent:
            raise Killed

    with pytest.raises(Killed):
        carry_out(
            config(home),
            lambda: usable_client(client, None),
            overwrite=False,
            progress=lambda work: Killer(),
        )
    assert contents(home / "out/.prep/receipts") == before
    assert prep.run(config(home), client).resumed_shards == SHARDS - 1
    assert json.loads((home / "out/report.json").read_text())["shards"] == SHARDS
