"""Hash images before they are planned, on all cores of this machine, to leave out look-alikes.

Decoding is done in child processes, so that an image that crashes or hangs a decoder ends only one
of these. The hashes are kept in the user's cache folder: ``prep plan``, ``prep run`` and a run that
continues it decode each image once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait

import numpy as np
import pyarrow as pa
import xxhash

from prep.config.model import Config
from prep.errors import RefusedImage, SourceError
from prep.images.likeness.alike import Flags
from prep.images.likeness.hashing import UNKNOWN, Hashes, Positions
from prep.planning.dealing import units_of_images
from prep.planning.left_out import LookAlikes, leave_out_look_alikes
from prep.settings.image_settings import ImageSettings
from prep.shards.isolation.processors import IsolatedProcessor
from prep.shards.opened import versions_here
from prep.shards.reading import ImageReader
from prep.sources.archives.tars.kept_indexes import cache_path, load_from_cache, store_in_cache
from prep.sources.base import Catalog, ImageEntry, Source
from prep.sources.manifest import entries_of
from prep.storage.retry import Retries
from prep.text import counted, reason_and_file

_KIND = "image-hashes"
_AT_ONCE = 256  # images that a thread takes at once
_FEWEST = 64  # images for which another process is worth starting
_TOLD_EVERY, _KEPT_EVERY = 5.0, 60.0  # seconds


def without_look_alikes(
    catalog: Catalog,
    source: Source,
    config: Config,
    settled: pa.ChunkedArray | None,
    *,
    processes: int,
    tell: Callable[[str], None],
) -> tuple[Catalog, LookAlikes]:
    """Return the catalog of a source without images that look like others, and which these are.

    Args:
        catalog: the images of a source.
        source: reads them.
        config: what happens to them.
        settled: names of images that an output holds, which stay in any case.
        processes, tell: as for :func:`hash_images`.

    Raises:
        SourceError: the source can't be read.
    """
    hashes = hash_images(
        source,
        catalog.images,
        catalog.classes,
        config.image_settings(None),
        timeout=config.image_timeout,
        processes=processes,
        tell=tell,
    )
    return leave_out_look_alikes(catalog, hashes, settled)


def hash_images(
    source: Source,
    images: pa.Table,
    classes: Sequence[str],
    settings: ImageSettings,
    *,
    timeout: float,
    processes: int,
    tell: Callable[[str], None],
) -> Hashes:
    """Return the hash of each image as it will be written; ``UNKNOWN`` if it will be refused.

    Args:
        source: reads the images.
        images: of a catalog.
        classes: that the images number.
        settings: what happens to an image before it is hashed.
        timeout: seconds that an image may take.
        processes: how many decode at once.
        tell: is told of the progress every few seconds. An exception ends the work.

    Raises:
        SourceError: the source can't be read.
    """
    plain = ImageSettings()
    settings = dataclasses.replace(
        settings, encoding="jpeg", quality=plain.quality, keep_fitting=False, mean=None
    )
    kept = _KeptHashes(source.name, settings)
    keys = _keys(images)
    hashes, known = kept.get(keys)
    missing = _in_reading_order(images, np.flatnonzero(~known))
    work = _Work(source, images, classes, missing, hashes, known)
    threads = max(1, min(processes, -(-len(missing) // _FEWEST))) if len(missing) else 0
    try:
        work.carry_out(threads, settings, timeout, tell, lambda: kept.put(keys, hashes, known))
    except OSError as error:
        raise SourceError(
            f"source: images can't be read to compare them: {reason_and_file(error)}; repair that, "
            "or set `near_duplicates='report'`"
        ) from None
    finally:
        if threads:
            kept.put(keys, hashes, known)
    return hashes


class _Work:
    """Images that threads hash, each with a process of its own."""

    def __init__(
        self,
        source: Source,
        images: pa.Table,
        classes: Sequence[str],
        rows: Positions,
        hashes: Hashes,
        known: Flags,
    ) -> None:
        self._source = source
        self._images = images
        self._classes = classes
        self._hashes = hashes
        self._known = known
        self._total = len(rows)
        self._stopped = threading.Event()
        self._parts: queue.SimpleQueue[Positions] = queue.SimpleQueue()
        for part in _parts(images, rows):
            self._parts.put(part)

    def carry_out(
        self,
        threads: int,
        settings: ImageSettings,
        timeout: float,
        tell: Callable[[str], None],
        keep: Callable[[], None],
    ) -> None:
        """Hash all images; raise OSError if the source can't be read."""
        if not threads:
            return
        before = int(np.count_nonzero(self._known))
        with ThreadPoolExecutor(threads, thread_name_prefix="prep-hash") as pool:
            futures = [pool.submit(self._hash_parts, settings, timeout) for _ in range(threads)]
            try:
                self._follow(futures, before, tell, keep)
            finally:
                self._stopped.set()

    def _follow(
        self,
        futures: Sequence[Future[None]],
        before: int,
        tell: Callable[[str], None],
        keep: Callable[[], None],
    ) -> None:
        kept = time.monotonic()
        while True:
            done = int(np.count_nonzero(self._known)) - before
            tell(f"comparing images: {done:,} of {counted(self._total, 'image')} decoded")
            ended, going = wait(futures, _TOLD_EVERY, FIRST_EXCEPTION)
            for future in ended:
                future.result()
            if not going:
                return
            if time.monotonic() - kept > _KEPT_EVERY:
                keep()
                kept = time.monotonic()

    def _hash_parts(self, settings: ImageSettings, timeout: float) -> None:
        processor = IsolatedProcessor(settings, timeout, hashed=True)
        reader = ImageReader(settings, Retries(), self._source)
        with contextlib.closing(processor):
            while not self._stopped.is_set():
                try:
                    rows = self._parts.get_nowait()
                except queue.Empty:
                    return
                self._hash_part(rows, processor, reader)

    def _hash_part(
        self, rows: Positions, processor: IsolatedProcessor, reader: ImageReader
    ) -> None:
        entries = [*entries_of(self._images.take(pa.array(rows)), self._classes)]
        with contextlib.closing(self._source.read_ahead(entries)) as images:
            for row, (entry, fetch) in zip(rows.tolist(), images, strict=True):
                if self._stopped.is_set():
                    return
                self._hash(row, entry, fetch, processor, reader)

    def _hash(
        self,
        row: int,
        entry: ImageEntry,
        fetch: Callable[[], bytes],
        processor: IsolatedProcessor,
        reader: ImageReader,
    ) -> None:
        try:
            data = reader.read(entry, fetch)
        except RefusedImage:  # The next time, it may be there.
            return
        with contextlib.suppress(RefusedImage):
            self._hashes[row] = processor(data).likeness
        self._known[row] = True


def _keys(images: pa.Table) -> Hashes:
    """Return 64 bits for each image that change with its name, its place and its stamp."""
    names = [
        name for name in ("path", "file", "offset", "size", "mtime") if name in images.schema.names
    ]
    columns = [images[name].to_pylist() for name in names]
    rows = zip(*columns, strict=True)
    keys = (xxhash.xxh3_64_intdigest(repr(row).encode()) for row in rows)
    return np.fromiter(keys, np.uint64, images.num_rows)


def _in_reading_order(images: pa.Table, rows: Positions) -> Positions:
    """Return rows in the order in which images lie in their files."""
    if "file" not in images.column_names:
        return rows
    files = images["file"].combine_chunks().indices.to_numpy()[rows]
    offsets = images["offset"].to_numpy()[rows]
    return rows[np.lexsort((offsets, files))]


def _parts(images: pa.Table, rows: Positions) -> list[Positions]:
    """Divide rows into parts of about ``_AT_ONCE``, and no group of rows that is read whole."""
    units = units_of_images(images)
    numbers = np.arange(len(rows)) if units is None else units[rows]
    starts = np.append(0, np.flatnonzero(np.diff(numbers)) + 1)
    return np.split(rows, starts[np.flatnonzero(np.diff(starts // _AT_ONCE)) + 1])


class _KeptHashes:
    """The hashes of the images of a source, in the user's cache folder."""

    def __init__(self, source: str, settings: ImageSettings) -> None:
        versions = tuple(sorted(versions_here().items()))
        self._path = cache_path(_KIND, (source, repr(settings), versions))

    def get(self, keys: Hashes) -> tuple[Hashes, Flags]:
        """Return the hash of each image, and whether it is known."""
        hashes = np.full(len(keys), UNKNOWN, np.uint64)
        data = load_from_cache(self._path)
        if data is None or len(data) % 16:
            return hashes, np.zeros(len(keys), bool)
        stored = np.frombuffer(data, "<u8").reshape(2, -1)
        at = np.minimum(np.searchsorted(stored[0], keys), max(stored.shape[1] - 1, 0))
        known = stored[0][at] == keys if stored.shape[1] else np.zeros(len(keys), bool)
        hashes[known] = stored[1][at[known]]
        return hashes, known

    def put(self, keys: Hashes, hashes: Hashes, known: Flags) -> None:
        """Keep the hashes that are known, in the place of those from before."""
        order = np.argsort(keys[known])
        stored = np.stack([keys[known][order], hashes[known][order]]).astype("<u8")
        with contextlib.suppress(OSError):  # No home, a full disk: they are made again next time.
            store_in_cache(self._path, stored.tobytes())
