"""What C libraries print to the terminal.

Process-wide settings of the codec libraries, and their versions.
"""

from __future__ import annotations

import contextlib
import ctypes
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
from PIL import _imaging


@contextlib.contextmanager
def captured_stderr() -> Iterator[list[str]]:
    """Collects the lines that this process writes to its standard error meanwhile.

    They are in the list that is yielded once the block is left. Other threads' lines are among
    them: whoever uses this passes on what is not his own.
    """
    lines: list[str] = []
    sys.stderr.flush()
    with tempfile.TemporaryFile() as file:
        try:
            before = os.dup(2)
        except OSError:  # It is closed, and what is written to it goes nowhere.
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


def silence_libtiff() -> None:
    """Has libtiff raise its errors through Pillow alone, and not print them as well."""
    with contextlib.suppress(OSError, AttributeError):  # Pillow was built without it.
        pillow = ctypes.CDLL(_imaging.__file__)  # Its names include those of what it is linked to.
        for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
            getattr(pillow, name)(None)


def configure_process() -> None:
    """Makes OpenCV use one thread, and give the same bytes on every machine.

    Parallelism comes from processes: threads inside OpenCV would only fight over the same cores.
    Intel's IPP is switched off because its cubic interpolation gives other bytes on other CPUs
    (it was even seen to differ between two runs on one machine). What is wrong with an image is in
    its refusal, so OpenCV, Pillow and libtiff don't print it as well.
    """
    cv2.setNumThreads(1)
    cv2.ipp.setUseIPP(False)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    silence_libtiff()
    logging.getLogger("PIL").addHandler(logging.NullHandler())  # What it logs, it raises, too.


def opencv_threads() -> int:
    """How many threads OpenCV uses in this process."""
    return int(cv2.getNumThreads())


def codec_versions() -> dict[str, str]:
    """Versions of the libraries that have a say in the output's bytes."""
    return {
        "numpy": numpy.__version__,
        "opencv": cv2.__version__,
        "pillow": PIL.__version__,
        "simplejpeg": simplejpeg.__version__,
        "zlib": zlib.ZLIB_RUNTIME_VERSION,
    }
