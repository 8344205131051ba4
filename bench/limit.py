"""The limit: the speed of the codecs alone.

A bare loop over bytes in memory, one process per core, that decodes strictly into memory that is
kept, resizes the centre crop into memory that is kept, and encodes. It neither reads nor writes,
counts nothing and checks nothing, so whatever a real program adds is overhead.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

from bench.settings import QUALITY, SIZE
from prep.images.geometry import shrink_factor

Pixels = npt.NDArray[np.uint8]
T = TypeVar("T")
Prepare = Callable[[Sequence[Path]], tuple[Sequence[T], Callable[[T], object]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """The cost of an image while every core is busy.

    Attributes:
        wall: seconds, for all cores together: its inverse is the rate of the machine.
        cpu: seconds of processor time.
    """

    wall: float
    cpu: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """A file in memory, and the size that it is decoded to."""

    data: bytes
    height: int
    width: int
    factor: int

    @classmethod
    def of(cls, data: bytes, *, scaled: bool) -> Photo:
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
        factor = shrink_factor(min(height, width), SIZE) if scaled else 1
        return cls(data=data, height=-(-height // factor), width=-(-width // factor), factor=factor)


def measure_limit(photos: Sequence[Path], images: int, processes: int, *, scaled: bool) -> Pace:
    """Run the loop over whole passes of ``photos``, at least ``images`` in all.

    Args:
        scaled: whether large photos are halved while they are decoded, as ``prep`` does.
    """
    return measure_pace(photos, images, processes, partial(_prepare, scaled=scaled))


def measure_pace(
    photos: Sequence[Path], images: int, processes: int, prepare: Prepare[Any]
) -> Pace:
    """Run a bare loop over whole passes of ``photos``, at least ``images`` in all.

    Args:
        prepare: makes the loop's input of each process's photos, and the function that is called
            with one input after the other. It is called in that process, and not timed.
    """
    context = multiprocessing.get_context("spawn")
    passes = -(-images // len(photos))
    ready, results = context.Barrier(processes), context.SimpleQueue()
    running = [
        context.Process(target=_loop, args=(photos[i::processes], passes, prepare, ready, results))
        for i in range(processes)
    ]
    for process in running:
        process.start()
    for process in running:
        process.join()
        if process.exitcode != 0:
            raise RuntimeError(f"a process of the limit ended with {process.exitcode}")
    measured = [results.get() for _ in running]
    done = passes * len(photos)
    # A core's seconds per image, shared out: the mean over images, however they were dealt.
    wall = sum(seconds for seconds, _ in measured) / done / processes
    return Pace(wall=wall, cpu=sum(cpu for _, cpu in measured) / done)


def _loop(
    paths: Sequence[Path],
    passes: int,
    prepare: Prepare[Any],
    ready: Barrier,
    results: SimpleQueue[tuple[float, float]],
) -> None:
    cv2.setNumThreads(1)
    photos, handle = prepare(paths)
    for photo in photos[:20]:
        handle(photo)
    ready.wait(timeout=60)
    started, cpu_started = time.perf_counter(), time.process_time()
    for _ in range(passes):
        for photo in photos:
            handle(photo)
    results.put((time.perf_counter() - started, time.process_time() - cpu_started))


def _prepare(
    paths: Sequence[Path], *, scaled: bool
) -> tuple[Sequence[Photo], Callable[[Photo], bytes]]:
    photos = [Photo.of(path.read_bytes(), scaled=scaled) for path in paths]
    decoded = np.empty(max(photo.height * photo.width * 3 for photo in photos), np.uint8)
    square = np.empty((SIZE, SIZE, 3), np.uint8)
    return photos, lambda photo: convert(photo, decoded, square)


def convert(photo: Photo, decoded: Pixels, square: Pixels) -> bytes:
    """Decode, resize and encode one photo, as the loop does."""
    pixels = simplejpeg.decode_jpeg(
        photo.data,
        "RGB",
        min_height=photo.height,
        min_width=photo.width,
        min_factor=photo.factor,
        buffer=decoded,
        strict=True,
    )
    short = min(photo.height, photo.width)
    top, left = (photo.height - short) // 2, (photo.width - short) // 2
    crop = pixels[top : top + short, left : left + short]
    cv2.resize(crop, (SIZE, SIZE), dst=square, interpolation=cv2.INTER_LINEAR)
    encoded: bytes = simplejpeg.encode_jpeg(square, QUALITY, "RGB", "420", fastdct=False)
    return encoded
