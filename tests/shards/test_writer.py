"""Writing a shard: when its images and records are counted."""

from __future__ import annotations

from pathlib import Path

import pytest

import prep
from prep.output.journal import Journal
from prep.shards.tally import Tally
from prep.shards.writer import RunRef, write_shard
from tests.support.pictures import write_tree

IMAGES = 8


class Counts:
    """What the tally of a shard says after each image."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int, int]] = []

    def attempt_begun(self, tally: Tally) -> None:
        self.tally = tally

    def image_done(self, class_name: str, image: bytes | None) -> None:
        tally = self.tally
        self.seen.append((tally.images, len(tally.measures), tally.file_bytes))


@pytest.mark.parametrize(
    ("size", "waits"),
    [
        (64, True),  # 12 kB a record: the next images are decoded first.
        (512, False),  # 786 kB: as much as may wait.
    ],
)
def test_an_image_is_counted_at_once_and_its_record_when_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, waits: bool
) -> None:
    monkeypatch.setattr("prep.shards.writer._AT_MOST", 3600.0)  # However slow the machine is.
    classes = {"cat": IMAGES - 1, "dog": {"bad.jpg": b"no image"}}
    photos = write_tree(tmp_path / "photos", {"train": classes})
    config = prep.Config(
        source=str(photos), output=str(tmp_path / "out"), size=size, encoding="raw"
    )
    plan = prep.plan(config)
    journal = Journal(config.output)
    journal.begin(plan)
    run = RunRef(output=journal.output, digest=plan.fingerprint.digest, run="1")
    counts = Counts()
    receipt = write_shard(plan.shards[0], run, counts)
    assert [images for images, _, _ in counts.seen] == list(range(1, IMAGES + 1))
    behind = [images - records for images, records, _ in counts.seen]
    assert (max(behind) > 1) == waits
    assert counts.tally.file_bytes == receipt.bytes
    assert receipt.written == {"cat": IMAGES - 1}
    assert len(counts.tally.measures) == counts.tally.accepted == receipt.stats.images
