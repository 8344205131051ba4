"""Write a shard: from its place in the plan to a committed file."""

from __future__ import annotations

import os
import socket
import time
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

from prep.errors import BadImageError, RefusedImage
from prep.images.decoders.process import configure_process
from prep.images.depths import Depths
from prep.images.dimensions import Dimensions
from prep.images.fitting.framing import Framing
from prep.images.processor import Processed
from prep.output.index.measures import measures_to_text
from prep.output.journal import Journal
from prep.output.receipt import ShardReceipt
from prep.output.report.checksums import to_text
from prep.planning.plan import RunPlan
from prep.planning.shards import ShardSpec
from prep.shards.formats.base import RecordFormat, Sample, record_format, record_key
from prep.shards.isolation.processors import GuardedProcessor
from prep.shards.opened import OpenedPlan, open_plan
from prep.shards.reading import ImageReader, by_name, is_settled
from prep.shards.tally import NOTHING_READ, Read, Tally
from prep.sources.base import ImageEntry
from prep.storage.newfile import NewFile
from prep.storage.retry import Retries
from prep.text import quoted

_PAUSES = (1.0, 4.0)  # seconds before a shard is tried again
# Results wait until they have so many bytes, or one has waited so many seconds.
_TOGETHER, _AT_MOST = 1 << 18, 0.05  # 256 KiB


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRef:
    """The run that a task belongs to.

    Attributes:
        output: the output folder.
        digest: fingerprint of the plan that the output must hold.
        run: identifier of the run, so that no scheduler confuses its tasks with those of another.
        stop_at_bad_image: whether the first refused image ends the run.
        image_timeout: seconds after which an image is refused as too slow.
    """

    output: str
    digest: str
    run: str
    stop_at_bad_image: bool = False
    image_timeout: float = 60.0


class Observer(Protocol):
    """Follows the work on a shard, also from another thread."""

    def attempt_begun(self, tally: Tally) -> None:
        """Begin an attempt at the first image; ``tally`` grows with it."""

    def image_done(self, class_name: str, image: bytes | None) -> None:
        """Count one more image, which the tally has counted; its record may follow.

        Args:
            class_name: its class.
            image: its bytes as written; None if it was refused.

        An exception ends the work.
        """


def write_shard(shard: ShardSpec, run: RunRef, observer: Observer | None = None) -> ShardReceipt:
    """Write one shard and commit it, unless it is committed already for good.

    The file is published under its final name, and then its receipt, both atomically. So this can
    be killed at any point and run again, or run twice at the same time: the bytes and the receipt
    are the same.

    Raises:
        BadImageError: an image was refused, and ``stop_at_bad_image`` is set.
        OutputConflict: another run has taken the output over; nothing was written to it.
        OutputNotSeen: there is no output, or there is none any more.
        OSError: the shard could not be written, or the source can't be read any more.
    """
    journal = Journal(run.output)
    held = journal.receipts.stored(shard)
    if held and journal.receipts.is_true(held, run.digest):
        opened = _opened(run)
        if is_settled(
            held, opened.source, lambda: journal.entries(opened.plan, shard, locked=True)
        ):
            return held
    configure_process()
    writer = _ShardWriter(shard, run, journal, observer, replaces=held is not None)
    return writer.retries.call(writer.write, _PAUSES)


class _ShardWriter:
    """Attempts at one shard; ``replaces`` tells if it has a receipt already."""

    def __init__(
        self,
        shard: ShardSpec,
        run: RunRef,
        journal: Journal,
        observer: Observer | None,
        *,
        replaces: bool,
    ) -> None:
        self.retries = Retries()
        self._shard = shard
        self._run = run
        self._journal = journal
        self._observer = observer
        self._replaces = replaces
        self._opened = _opened(run)
        self._began = time.time()
        self._started = time.perf_counter()

    def write(self) -> ShardReceipt:
        """Make one attempt, from the first image to the receipt."""
        shard, tally = self._shard, Tally()
        if self._observer is not None:
            self._observer.attempt_begun(tally)
        layout = self._journal.layout
        path = layout.shard(shard)
        within, tag = layout.root, f"{shard.index:05d}"
        with path.create(
            within=within, tag=tag, before_publishing=lambda: self._make_way(file.sha256)
        ) as file:
            self._write_records(file, tally)
        receipt = self._receipt(file, tally)
        self._opened.require_held(self._run.output)
        self._journal.receipts.commit(receipt)
        if file.others:
            path.parent.remove_leftovers(tag, within=within)
        return receipt

    def _make_way(self, sha256: str) -> None:
        """Withdraw the receipt of other bytes, right before the shard is published.

        A receipt counts if the shard has the size that it gives, which a shard of other bytes could
        have by chance, if this process were killed between shard and receipt. Until now, the
        receipt was true of the shard that is there. A receipt of the same bytes stays: a twin of
        this attempt may have committed it. If there was none when this attempt began, only a twin
        can have written one since.
        """
        self._opened.require_held(self._run.output)
        if self._replaces:
            self._journal.receipts.withdraw(self._shard, sha256)

    def _write_records(self, file: NewFile, tally: Tally) -> None:
        plan, timeout = self._opened.plan, self._run.image_timeout
        format = record_format(plan.config.format)
        records = _Records(plan, self._shard, format, file, tally)
        # The file of another attempt: its process has died at this shard, or hangs.
        isolated, hashed = bool(file.others), self._hashed
        guarded = GuardedProcessor(plan.settings, timeout, isolated=isolated, hashed=hashed)
        entries, source = self._journal.entries(plan, self._shard, locked=True), self._opened.source
        reader = ImageReader(plan.settings, self.retries, source)
        with closing(guarded) as processor, closing(source.read_ahead(entries)) as images:
            for entry, fetch in images:
                read, image = NOTHING_READ, None
                try:
                    data = reader.read(entry, fetch)
                    read = Read.of(data)
                    processed = processor(data)
                except RefusedImage as error:
                    refusal = by_name(entry, error)
                    self._stop_if_asked(entry, refusal)
                    tally.refuse(entry, read, refusal)
                else:
                    image = processed.image
                    tally.accept(entry, read, processed)
                    records.add(entry, processed)
                if self._observer is not None:
                    self._observer.image_done(entry.class_name, image)
        records.finish()

    @property
    def _hashed(self) -> bool:
        return self._opened.plan.config.near_duplicates == "report"

    def _stop_if_asked(self, entry: ImageEntry, error: RefusedImage) -> None:
        if self._run.stop_at_bad_image:
            raise BadImageError(
                f"{quoted(entry.name)} was refused ({error}), and on_bad_image is 'fail'; "
                "repair or remove it, or leave on_bad_image at 'refuse' to go on without it"
            ) from None

    def _receipt(self, file: NewFile, tally: Tally) -> ShardReceipt:
        shard = self._shard
        return ShardReceipt(
            split=shard.split,
            index=shard.index,
            count=shard.count,
            fingerprint=self._run.digest,
            file=os.path.join(shard.split, shard.name),
            bytes=file.size,
            sha256=file.sha256,
            written=dict(sorted(tally.written.items())),
            source_bytes=tally.source_bytes,
            checksums=to_text(tally.checksums),
            stats=tally.stats,
            findings=tuple(tally.findings),
            seconds=time.perf_counter() - self._started,
            worker=f"{socket.gethostname()}:{os.getpid()}",
            retries=self.retries.count,
            began=round(self._began, 3),
            dimensions=Dimensions.of(tally.shapes),
            depths=Depths(classes=tally.deep),
            traits=tally.traits(shard.split, shard.index, Framing.of(self._opened.plan.settings)),
            mean_image=tally.mean_image,
            likenesses=to_text(tally.likenesses) if self._hashed else "",
            measures=measures_to_text(tally.measures),
        )


class _Records:
    """Results on their way into the file of a shard.

    They are written some at a time. The codecs leave little of anything else in a processor's
    caches, so that this takes much longer for one image alone than for another one after it.
    """

    def __init__(
        self, plan: RunPlan, shard: ShardSpec, format: RecordFormat, file: NewFile, tally: Tally
    ) -> None:
        self._shard = shard
        self._file = file
        self._tally = tally
        self._encode = format.encoder(plan.settings, plan.labels, plan.features)
        self._writer = format.writer(file, plan.compression)
        self._waiting: list[tuple[int, ImageEntry, Processed]] = []
        self._bytes = 0
        self._due = 0.0

    def add(self, entry: ImageEntry, processed: Processed) -> None:
        """Take the result of the image that was counted last."""
        self._waiting.append((self._tally.images - 1, entry, processed))
        self._bytes += len(processed.image)
        if self._bytes >= _TOGETHER or time.monotonic() >= self._due:
            self._write()

    def finish(self) -> None:
        """Write what is waiting, and the end of the file."""
        self._write()
        self._writer.finish()
        self._tally.file_bytes = self._file.size

    def _write(self) -> None:
        for row, entry, processed in self._waiting:
            key = record_key(self._shard.index, len(self._tally.measures))
            size = processed.width, processed.height
            sample = Sample.of(processed.image, entry, key, size)
            length = self._writer.write(self._encode(sample))
            self._tally.add_record(row, entry.class_name, processed, length)
        self._tally.file_bytes = self._file.size
        self._waiting.clear()
        self._bytes = 0
        self._due = time.monotonic() + _AT_MOST


def _opened(run: RunRef) -> OpenedPlan:
    return open_plan(run.output, run.digest, run.run)
