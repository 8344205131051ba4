"""Process one image, whatever it does to the codecs."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable

from prep.errors import RefusedImage
from prep.images.processor import ImageProcessor, Processed
from prep.settings.image_settings import ImageSettings
from prep.text import failure

CRASHED = "crashed the decoder"
TOO_SLOW = "too slow"
_VARIABLE = "PREP_TEST_FAULT"
_SET_BY_PYTEST = "PYTEST_CURRENT_TEST"

Process = Callable[[bytes], Processed]


def make_processor(settings: ImageSettings, *, hashed: bool = False) -> Process:
    """Return an image processor; in a test, with the fault that the test injects."""
    processor, fault = ImageProcessor(settings, hashed=hashed), injected_fault()
    if fault is None:
        return processor

    def faulty(data: bytes) -> Processed:
        fault(data)
        return processor(data)

    return faulty


def process_or_refuse(process: Process, data: bytes) -> Processed:
    """Process one image, whatever the codecs raise.

    Raises:
        RefusedImage: it can't be used.
        MemoryError: memory is short, which need not be the image's fault.
    """
    try:
        return process(data)
    except (RefusedImage, MemoryError):
        raise
    except Exception as error:  # Codecs may raise anything.
        raise RefusedImage(CRASHED, failure(error)) from None


def injected_fault() -> Callable[[bytes], object] | None:
    """Return the function that a test has named, if any.

    What a damaged image may do to a decoder (crash it, hang it, take all memory) depends on bugs
    that get fixed. So tests inject such faults: ``PREP_TEST_FAULT`` names a function, as
    ``module:function``, to be called with the bytes of each image before it is decoded. It counts
    only while pytest runs a test, in this process or in one that started it.
    """
    name = os.environ.get(_VARIABLE)
    if name is None or _SET_BY_PYTEST not in os.environ:
        return None
    module, _, function = name.partition(":")
    found: Callable[[bytes], object] = getattr(importlib.import_module(module), function)
    return found
