"""Thumbnails of refused images, as far as they can be decoded safely."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from prep.display.page.samples import THUMBNAIL
from prep.errors import RefusedImage
from prep.images.encoding.encode import QUALITY
from prep.output.journal import Journal
from prep.output.receipt import ImageNote, ShardReceipt, of_outcome
from prep.planning.plan import RunPlan
from prep.settings.image_settings import ImageSettings
from prep.shards.isolation.processors import IsolatedProcessor
from prep.sources.base import ImageEntry

# Others show nothing, or were refused because of what they do to a decoder.
_HARMLESS = ("truncated", "damaged", "too small")
_MOST_TRIED = 48
_MOST_SHARDS = 32
_TIMEOUT = 5.0  # seconds for one image
_PATIENCE = 8.0  # seconds after which no other is begun
_LARGEST_FILE = 64 << 20  # 64 MiB
_MOST_PIXELS = 50_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Glimpse:
    """A refused image, and a JPEG thumbnail of what can be decoded of it."""

    finding: ImageNote
    thumbnail: bytes


def look_at_refused(
    journal: Journal, plan: RunPlan, receipts: tuple[ShardReceipt, ...]
) -> list[Glimpse]:
    """Decode refused images once more, leniently, in a separate process.

    Images that are gone or have changed, and those that are worse than damaged, are left out.
    """
    source = journal.source(plan)
    processor = IsolatedProcessor(_lenient(plan.settings), _TIMEOUT)
    deadline = time.monotonic() + _PATIENCE
    seen = []
    try:
        for entry, finding in _candidates(journal, plan, receipts):
            if time.monotonic() > deadline:
                break
            with contextlib.suppress(RefusedImage, OSError):
                if entry.stamp.size <= _LARGEST_FILE:
                    thumbnail = processor(source.read(entry)).image
                    seen.append(Glimpse(finding=finding, thumbnail=thumbnail))
    finally:
        processor.close()
    return sorted(seen, key=lambda glimpse: (glimpse.finding.reason, glimpse.finding.path))


def _lenient(settings: ImageSettings) -> ImageSettings:
    return dataclasses.replace(
        settings,
        size=THUMBNAIL,
        encoding="jpeg",
        keep_fitting=False,
        quality=QUALITY,
        interpolation="area",
        geometry="exact",
        damaged="keep",
        min_size=1,
        max_pixels=min(settings.max_pixels, _MOST_PIXELS),
    )


def _candidates(
    journal: Journal, plan: RunPlan, receipts: tuple[ShardReceipt, ...]
) -> Iterator[tuple[ImageEntry, ImageNote]]:
    shards = {(shard.split, shard.index): shard for shard in plan.shards}
    tried = opened = 0
    for receipt in receipts:
        refused = of_outcome(receipt.findings, "refused")
        wanted = {f.path: f for f in refused if f.reason in _HARMLESS}
        if not wanted:
            continue
        opened += 1
        if opened > _MOST_SHARDS:
            return
        with contextlib.suppress(OSError, IndexError, ValueError, pa.ArrowException):
            for entry in journal.entries(plan, shards[receipt.split, receipt.index]):
                finding = wanted.get(entry.name)
                if finding is not None:
                    tried += 1
                    yield entry, finding
                if tried == _MOST_TRIED:
                    return
