"""One shard, from its place in the plan to a committed file. Knows nothing of Dask."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from prep.errors import BadImageError, RefusedImage
from prep.images.decoders.process import configure_process
from prep.images.depths import Depths
from prep.images.dimensions import Dimensions
from prep.output.journal import Journal
from prep.output.opened import OpenedPlan, not_seen, open_plan, taken_over
from prep.output.receipt import ShardReceipt, of_outcome
from prep.output.report.checksums import to_text
from prep.planning.shards import ShardSpec
from prep.settings import ImageSettings
from prep.shards.formats.base import Sample, record_format, record_key
from prep.shards.isolation.guarded import GuardedProcessor
from prep.shards.tally import Tally
from prep.sources.base import ImageEntry, Source
from prep.sources.folders.names import UNREAD, extension_of
from prep.sources.prefetch import ReadAhead
from prep.storage.newfile import NewFile
from prep.storage.retry import Retries, is_transient
from prep.text import quoted

# Pauses before something is tried again, in seconds: for one image, and for the whole shard.
_READ_PAUSES = (0.1, 0.5, 2.0)
_WRITE_PAUSES = (1.0, 4.0)
# So many images one after the other can't be read, although each was tried again and again: then
# it is the source that is away, and the run had better say so than refuse them all.
_MOST_FAILED_IN_A_ROW = 5
# What the largest allowed image takes uncompressed, 16 bits a sample with transparency, and some
# metadata. More is not read: a file can claim to be larger than any memory.
_BYTES_PER_PIXEL = 8
_SPARE = 64 << 20  # 64 MiB


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRef:
    """All that a task has to be told beside which shard it is.

    Attributes:
        output: the output folder.
        digest: fingerprint of the plan that it must hold.
        run: unique to the run, so that no scheduler mistakes its tasks for an earlier run's.
        stop_at_bad_image: whether the first refused image ends the run.
        image_timeout: seconds after which an image is refused as too slow.
    """

    output: str
    digest: str
    run: str
    stop_at_bad_image: bool = False
    image_timeout: float = 60.0


class Observer(Protocol):
    """Watches the work from another thread, by what has come together so far."""

    def attempt_begun(self, tally: Tally) -> None:
        """It begins, or begins again, with the first image."""

    def image_settled(self, class_name: str, image: bytes | None) -> None:
        """An image is in the tally; ``image`` is what was written of it.

        What this raises ends the work.
        """


def write_shard(shard: ShardSpec, run: RunRef, observer: Observer | None = None) -> ShardReceipt:
    """Writes one shard and commits it; does nothing if it is committed already, and settled.

    The file is published under its final name first and its receipt after it, both atomically. So
    this can be killed at any point and run again, or run twice at the same time: the bytes and the
    receipt are the same.

    Raises:
        BadImageError: an image was refused, and the run is to stop at that.
        OutputConflict: another run has taken the output over; nothing was put into it.
        OutputNotSeen: it is not there, or not any more.
        OSError: the shard could not be written, or the source can't be read any more.
    """
    journal = Journal(run.output)
    held = journal.receipts.stored(shard)
    if held and journal.receipts.is_true(held, run.digest):
        opened = _opened(run)
        if is_settled(held, opened.source, lambda: journal.entries(opened.plan, shard)):
            return held
    configure_process()
    writer = _ShardWriter(shard, run, journal, observer, replaces=held is not None)
    return writer.retries.call(writer.write, _WRITE_PAUSES)


def is_settled(
    receipt: ShardReceipt, source: Source, entries: Callable[[], Iterable[ImageEntry]]
) -> bool:
    """Return whether no image that could not be read for a shard can be read now.

    If one can, the shard is to be written again.

    Args:
        source: of its images.
        entries: lists its images; only called if one of them could not be read.
    """
    refused = of_outcome(receipt.findings, "refused")
    unread = {finding.path for finding in refused if finding.reason == "unreadable"}
    if not unread:
        return True
    return not any(_can_be_read(source, e) for e in entries() if e.name in unread)


def _can_be_read(source: Source, entry: ImageEntry) -> bool:
    try:
        next(source.read_in_pieces(entry), None)
    except OSError:
        return False
    return True


class _ShardWriter:
    """Attempts at one shard.

    Args:
        replaces: whether there is a receipt of it already.
    """

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
        """One attempt, from the first image to the receipt."""
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
        self._require_plan()
        self._journal.receipts.commit(receipt)
        path.parent.remove_leftovers(tag, within=within)
        return receipt

    def _make_way(self, sha256: str) -> None:
        """Makes sure, right before a shard appears, that no receipt vouches for what it is not.

        A receipt counts if the shard is as large as it says. One of other bytes could be so by
        chance, if this is killed after it has published the shard and before it has published the
        receipt. So it goes first: then the shard has none, and is written again. It goes no sooner,
        for until then it is true of the shard that is there. One of the same bytes stays, for it
        is true before and after: what a twin of this attempt has committed is never without.

        Where there was none when this began, only a twin can have put one there since, and that is
        of the same bytes.
        """
        self._require_plan()
        if self._replaces:
            self._journal.receipts.withdraw(self._shard, sha256)

    def _require_plan(self) -> None:
        """Raises an error where the output no longer holds the plan that this is part of."""
        identity = self._journal.layout.plan.identity()
        if identity is None:
            raise not_seen(self._run.output)
        if identity != self._opened.identity:
            raise taken_over(self._run.output)

    def _write_records(self, file: NewFile, tally: Tally) -> None:
        plan, timeout = self._opened.plan, self._run.image_timeout
        format = record_format(plan.config.format)
        encode = format.encoder(plan.settings, plan.labels)
        writer = format.writer(file, plan.compression)
        reader = _Reader(plan.settings, self.retries)
        # Another attempt's file: its process has died at this shard, or hangs there.
        with (
            GuardedProcessor(plan.settings, timeout, isolated=bool(file.others)) as processor,
            _read_ahead(self._journal.entries(plan, self._shard), self._opened.source) as images,
        ):
            for entry, read in images:
                data = b""
                image = None
                try:
                    data = reader.read(entry, read)
                    processed = processor(data)
                except RefusedImage as error:
                    refusal = _by_name(entry, error)
                    self._stop_if_asked(entry, refusal)
                    tally.refuse(entry.name, entry.class_name, data, refusal)
                else:
                    image = processed.image
                    key = record_key(self._shard.index, tally.images - tally.refused)
                    writer.write(encode(Sample(image, entry.class_name, entry.name, key)))
                    tally.accept(entry.name, entry.class_name, data, processed)
                    tally.file_bytes = file.size
                if self._observer is not None:
                    self._observer.image_settled(entry.class_name, image)
        writer.finish()
        tally.file_bytes = file.size

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
            traits=tally.traits(shard.split, shard.index, self._opened.plan.settings.size),
            mean_image=tally.mean_image,
        )


def _read_ahead(entries: Iterable[ImageEntry], source: Source) -> ReadAhead[ImageEntry]:
    """Return the images of a shard, each with what reads it."""
    return ReadAhead(entries, source.read, lambda entry: entry.stamp.size, source.storage)


class _Reader:
    """Reads the images of a shard, and tells a bad file from a bad file server."""

    def __init__(self, settings: ImageSettings, retries: Retries) -> None:
        self._largest = settings.max_pixels * _BYTES_PER_PIXEL + _SPARE
        self._retries = retries
        self._failed_in_a_row = 0

    def read(self, entry: ImageEntry, read: Callable[[], bytes]) -> bytes:
        """The contents of an image file.

        Args:
            entry: which one.
            read: reads it; is called again where that may help.

        Raises:
            RefusedImage: it can't be read, or is not what it was when it was listed.
            OSError: as little can be read of many images, so that it is not the images' fault.
        """
        if entry.stamp.size > self._largest:
            raise RefusedImage(
                "too large", f"{entry.stamp.size:,} bytes; at most {self._largest:,} are read"
            )
        try:
            data = self._retries.call(read, _READ_PAUSES)
        except OSError as error:
            away = is_transient(error) or _is_gone(error, entry)
            self._failed_in_a_row = self._failed_in_a_row + 1 if away else 0
            # One that can't be read, however long that takes, is not the source being away.
            most = 2 if self._retries.spent else _MOST_FAILED_IN_A_ROW
            if self._failed_in_a_row >= most:
                raise
            raise RefusedImage("unreadable", error.strerror or str(error)) from None
        self._failed_in_a_row = 0
        return data


def _by_name(entry: ImageEntry, error: RefusedImage) -> RefusedImage:
    """Why an image is refused, where its bytes tell nothing and its name does."""
    extension = extension_of(entry.raw_name)
    if error.reason != "not an image" or extension not in UNREAD:
        return error
    return RefusedImage("unsupported", f"{extension.decode().upper()}, which no decoder here reads")


def _is_gone(error: OSError, entry: ImageEntry) -> bool:
    """Whether an image was there when it was listed, and is not: the source may be unmounted."""
    return error.errno in (errno.ENOENT, errno.ENOTDIR) and entry.stamp != (0, 0)


def _opened(run: RunRef) -> OpenedPlan:
    return open_plan(run.output, run.digest, run.run)
