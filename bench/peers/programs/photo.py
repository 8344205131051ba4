"""What all programs have in common: the files, their labels, and a function for an image."""

from __future__ import annotations

import os
import random
from pathlib import Path

import cv2
import numpy as np

from bench.settings import QUALITY, SIZE, SPLIT

CORES = os.cpu_count() or 1
_PARAMETERS = [int(cv2.IMWRITE_JPEG_QUALITY), QUALITY]


def labelled_files(source: str) -> list[tuple[str, int]]:
    """Return the paths of all images with their labels, shuffled."""
    paths = sorted(Path(source, SPLIT).glob("*/*.JPEG"))
    labels = {name: i for i, name in enumerate(sorted({path.parent.name for path in paths}))}
    files = [(str(path), labels[path.parent.name]) for path in paths]
    random.Random(0).shuffle(files)
    return files


def convert(data: bytes) -> bytes:
    """Decode a file, crop its centre, resize that linearly, and encode it.

    Threads of OpenCV are off: there is a process for each core.
    """
    cv2.setNumThreads(0)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    height, width = image.shape[:2]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    square = cv2.resize(image[top : top + short, left : left + short], (SIZE, SIZE))
    return cv2.imencode(".jpg", square, _PARAMETERS)[1].tobytes()
