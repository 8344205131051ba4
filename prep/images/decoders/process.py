"""Process-wide settings of the codec libraries, their output to stderr, and their versions."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.metadata
import logging
import os
import sys
import tempfile
import zlib
from collections.abc import Iterator

import cv2
import numpy
import PIL
import simplejpeg
from PIL import _imaging, features

from prep.settings.choices import RESIZER


@contextlib.contextmanager
def captured_stderr() -> Iterator[list[str]]:
    """Collect the lines that this process writes to its standard error within the block.

    The list that is yielded has them once the block is left. The lines of other threads are among
    them; the caller passes these on.
    """
    lines: list[str] = []
    sys.stderr.flush()
    with tempfile.TemporaryFile() as file:
        try:
            before = os.dup(2)
        except OSError:  # It is closed.
            before = None
        os.dup2(file.fileno(), 2)
        try:
            yield lines
        finally:
            sys.stderr.flush()
            if before is None:
                os.close(2)
            else:
                os.dup2(before, 2)
                os.close(before)
            file.seek(0)
            lines += file.read().decode("utf-8", "replace").splitlines()


@functools.cache
def _silence_pillow() -> None:
    """Stop Pillow and its libtiff from printing errors, which Pillow raises."""
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    with contextlib.suppress(OSError, AttributeError):  # Pillow was built without it.
        pillow = ctypes.CDLL(_imaging.__file__)  # It exports the names of the linked libtiff.
        for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
            getattr(pillow, name)(None)


def configure_process() -> None:
    """Make OpenCV use one thread, and give the same bytes on every machine.

    Parallelism comes from processes; threads inside OpenCV would compete for the same cores. The
    cubic interpolation of Intel's IPP, which is switched off, gives other bytes on other CPUs (and
    has differed between two runs on one machine). Refusals say what is wrong with an image, so
    OpenCV, Pillow and libtiff don't print it as well.
    """
    cv2.setNumThreads(1)
    cv2.ipp.setUseIPP(False)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    _silence_pillow()


def opencv_threads() -> int:
    """Return the number of threads that OpenCV uses in this process."""
    return int(cv2.getNumThreads())


def webp_version() -> str:
    """Return the version of the libwebp that Pillow encodes with."""
    return features.version("webp") or "none"


def codec_versions() -> dict[str, str]:
    """Return the versions of the libraries that determine the output's bytes."""
    return {
        RESIZER: importlib.metadata.version(RESIZER),
        "numpy": numpy.__version__,
        "opencv": cv2.__version__,
        "pillow": PIL.__version__,
        "simplejpeg": simplejpeg.__version__,
        "zlib": zlib.ZLIB_RUNTIME_VERSION,
    }
