"""Estimate the size and the duration of a run from a small sample of its images."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from prep.errors import RefusedImage
from prep.execution.local.resources import cores
from prep.images.decoders.process import configure_process
from prep.images.depths import Deep
from prep.images.processor import ImageProcessor
from prep.planning.dealing import are_in_groups
from prep.planning.plan import RunPlan
from prep.sources.manifest import entries_of
from prep.sources.registry import planned_source

_RUN = 16  # images in a row, where they are read in groups
_SAMPLE = 48  # images: a tenth of a second of work, and a standard error of the size of about 7 %


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The expected size and duration of a run.

    Attributes:
        sampled: number of images tried, of which ``refused`` could not be used.
        bytes: of all shards together, before compression.
        bytes_left: of those that are not there yet.
        deep: of the images tried, those that claim 16 bits a sample.
        seconds: for those that are not there yet, with ``cores`` cores at work, starting the
            cluster not included.
    """

    sampled: int
    refused: int
    bytes: int
    bytes_left: int
    deep: Deep
    seconds: float
    cores: int


def estimate(plan: RunPlan, workers: int | None = None) -> Estimate:
    """Process a few images, evenly spread over the plan, in this process. Write nothing.

    Args:
        workers: how many will be at work; one per core, if None.
    """
    configure_process()
    processor = ImageProcessor(plan.settings)
    source = planned_source(plan.config.source, plan.source, None)
    entries = [*entries_of(plan.manifest.take(_sampled_rows(plan)), plan.classes)]
    size = refused = 0
    deep = Deep(0, 0)
    seconds = 0.0
    for entry in entries:
        started = time.perf_counter()
        try:
            data = source.read(entry)
            if entry.how == "row":  # A whole group was read, which is a small part of the work.
                started = time.perf_counter()
            processed = processor(data)
            size += len(processed.image)
            deep += Deep(1, processed.bits) if processed.bits else Deep(0, 0)
        except (RefusedImage, OSError):
            refused += 1
        seconds += time.perf_counter() - started
    left, shards = plan.images, len(plan.shards)
    if plan.state is not None and plan.state.images_left is not None:
        left, shards = plan.state.images_left, shards - plan.state.committed
    used = min(workers or cores(), max(shards, 1))
    return Estimate(
        sampled=len(entries),
        refused=refused,
        bytes=round(size * plan.images / len(entries)),
        bytes_left=round(size * left / len(entries)),
        deep=deep,
        seconds=seconds * left / len(entries) / used,
        cores=used,
    )


def _sampled_rows(plan: RunPlan) -> list[int]:
    """Return rows of the manifest that are evenly spread over it.

    If images are read in groups, they are runs of rows, because each other one takes as long as its
    whole group.
    """
    most = min(_SAMPLE, plan.images)
    if not are_in_groups(plan.manifest):
        return sorted(set(np.linspace(0, plan.images - 1, most).astype(int).tolist()))
    starts = np.linspace(0, max(plan.images - _RUN, 0), _SAMPLE // _RUN).astype(int)
    rows = starts[:, None] + np.arange(min(_RUN, plan.images))
    return sorted(set(rows.reshape(-1).tolist()))
