"""Process-wide settings of the codec libraries, and their versions."""

from __future__ import annotations

import logging
import zlib

import cv2
import numpy
import PIL
import simplejpeg

from prep.images.stderr import silence_libtiff


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
