"""How large a run's output will be and how long it will take, from a small sample."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import numpy as np

from prep import storage
from prep.depths import Deep
from prep.errors import RefusedImage
from prep.images import ImageProcessor, ImageSettings, configure_process
from prep.locations import locate
from prep.machine import cores
from prep.planning import RunPlan

_SAMPLE = 48  # images: a tenth of a second of work, and a standard error of the size of about 7 %


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a run is expected to come to.

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
    """Processes a few images, evenly spread over the plan, in this process. Writes nothing.

    Args:
        workers: how many will be at work; one per core, if None.
    """
    configure_process()
    processor = ImageProcessor(ImageSettings.of(plan.config, plan.mean))
    rows = sorted(set(np.linspace(0, plan.images - 1, min(_SAMPLE, plan.images)).astype(int)))
    root = os.fsencode(str(locate(plan.source)))
    paths = plan.manifest["path"].take(rows).to_pylist()
    size = refused = 0
    deep = Deep(0, 0)
    started = time.perf_counter()
    for path in paths:
        try:
            data = storage.read_file(os.path.join(root, path))
            processed = processor(data)
            size += len(processed.image)
            deep += Deep(1, processed.bits) if processed.bits else Deep(0, 0)
        except (RefusedImage, OSError):
            refused += 1
    seconds = time.perf_counter() - started
    left, shards = plan.images, len(plan.shards)
    if plan.state is not None and plan.state.images_left is not None:
        left, shards = plan.state.images_left, shards - plan.state.committed
    used = min(workers or cores(), max(shards, 1))
    return Estimate(
        sampled=len(paths),
        refused=refused,
        bytes=round(size * plan.images / len(paths)),
        bytes_left=round(size * left / len(paths)),
        deep=deep,
        seconds=seconds * left / len(paths) / used,
        cores=used,
    )
