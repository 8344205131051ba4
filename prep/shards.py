"""One shard, from its place in the plan to a committed file. Knows nothing of Dask."""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from prep import storage
from prep.errors import BadImageError, RefusedImage
from prep.examples import example, label_entry
from prep.images import ImageProcessor, Processed, configure_process
from prep.journal import ImageEntry, Journal, StoredPlan, open_plan
from prep.layout import shard_name
from prep.planning import ShardSpec
from prep.receipts import Finding, Outcome, ShardReceipt
from prep.records import RecordWriter, crc32c
from prep.stats import ChannelStats


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRef:
    """All that a task has to be told beside which shard it is.

    Attributes:
        output: the output folder.
        digest: fingerprint of the plan that it must hold.
        run: unique to the run, so that no scheduler mistakes its tasks for an earlier run's.
        stop_at_bad_image: whether the first refused image ends the run.
    """

    output: str
    digest: str
    run: str
    stop_at_bad_image: bool = False


class Observer(Protocol):
    """Is told of each image as it is settled."""

    def image_settled(self, *, read: int, written: int, refused: bool) -> None: ...


@dataclass(slots=True)
class _Tally:
    """What becomes the receipt."""

    observer: Observer | None
    written: Counter[str] = field(default_factory=Counter)
    stats: ChannelStats = ChannelStats()
    findings: list[Finding] = field(default_factory=list)
    source_bytes: int = 0
    checksums: list[int] = field(default_factory=list)

    def accept(self, entry: ImageEntry, data: bytes, processed: Processed) -> None:
        self.written[entry.class_name] += 1
        self.stats += processed.stats
        if processed.note is not None:
            note = processed.note
            self._note(entry, note.outcome, note.reason, note.detail)
        self._settle(data, len(processed.image), refused=False)

    def refuse(self, entry: ImageEntry, data: bytes, error: RefusedImage) -> None:
        self._note(entry, "refused", error.reason, error.detail)
        self._settle(data, 0, refused=True)

    def _note(self, entry: ImageEntry, outcome: Outcome, reason: str, detail: str) -> None:
        self.findings.append(
            Finding(
                path=entry.name,
                outcome=outcome,
                reason=reason,
                detail=detail[:200],
                class_name=entry.class_name,
            )
        )

    def _settle(self, data: bytes, written: int, *, refused: bool) -> None:
        self.source_bytes += len(data)
        self.checksums.append(crc32c(data))
        if self.observer is not None:
            self.observer.image_settled(read=len(data), written=written, refused=refused)


def write_shard(shard: ShardSpec, run: RunRef, observer: Observer | None = None) -> ShardReceipt:
    """Writes one shard and commits it; does nothing if it is committed already.

    The file is published under its final name first and its receipt after it, both atomically. So
    this can be killed at any point and run again, or run twice at the same time: the bytes and the
    receipt are the same.

    Raises:
        BadImageError: an image was refused, and the run is to stop at that.
        OSError: the shard could not be written.
    """
    journal = Journal(run.output)
    committed = journal.receipt(shard.split, shard.index, run.digest)
    if committed is not None:
        return committed
    configure_process()
    plan = open_plan(run.output, run.digest, run.run)
    started = time.perf_counter()
    tally = _Tally(observer)
    path = journal.layout.shard(shard.split, shard.index, shard.count)
    with storage.AtomicFile(path) as file:
        _write_records(file, journal, plan, shard, run, tally)
    receipt = ShardReceipt(
        split=shard.split,
        index=shard.index,
        count=shard.count,
        fingerprint=run.digest,
        file=os.path.join(shard.split, shard_name(shard.split, shard.index, shard.count)),
        bytes=file.size,
        sha256=file.sha256,
        written=dict(sorted(tally.written.items())),
        source_bytes=tally.source_bytes,
        checksums=b"".join(crc.to_bytes(4, "big") for crc in tally.checksums).hex(),
        stats=tally.stats,
        findings=tuple(tally.findings),
        seconds=time.perf_counter() - started,
        worker=f"{socket.gethostname()}:{os.getpid()}",
    )
    journal.commit(receipt)
    return receipt


def _write_records(
    file: storage.AtomicFile,
    journal: Journal,
    plan: StoredPlan,
    shard: ShardSpec,
    run: RunRef,
    tally: _Tally,
) -> None:
    processor = ImageProcessor(plan.settings)
    labels = {name: label_entry(plan.labels.feature(name)) for name in plan.labels.numbers}
    writer = RecordWriter(file, plan.compression)
    for entry in journal.entries(plan, shard):
        data = b""
        try:
            data = _read(entry)
            processed = processor(data)
        except RefusedImage as error:
            if run.stop_at_bad_image:
                raise BadImageError(
                    f"{entry.name!r} was refused ({error}), and on_bad_image is 'fail'; "
                    "mend or remove it, or leave on_bad_image at 'refuse' to go on without it"
                ) from None
            tally.refuse(entry, data, error)
        else:
            writer.write(example(processed.image, labels[entry.class_name]))
            tally.accept(entry, data, processed)
    writer.finish()


def _read(entry: ImageEntry) -> bytes:
    try:
        return storage.read_file(entry.path)
    except OSError as error:
        raise RefusedImage("unreadable", error.strerror or str(error)) from None
