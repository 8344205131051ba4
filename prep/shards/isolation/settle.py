"""What comes of one image: a result, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable

from prep.errors import RefusedImage
from prep.images.processor import ImageProcessor, Processed
from prep.settings import ImageSettings
from prep.shards.isolation.fault_injection import injected_fault
from prep.text import failure

CRASHED = "crashed the decoder"
TOO_SLOW = "too slow"

Process = Callable[[bytes], Processed]


def make_processor(settings: ImageSettings) -> Process:
    """An image processor; in a test, with the fault that the test asks for."""
    processor, fault = ImageProcessor(settings), injected_fault()
    if fault is None:
        return processor

    def faulty(data: bytes) -> Processed:
        fault(data)
        return processor(data)

    return faulty


def settle(process: Process, data: bytes) -> Processed:
    """Processes one image, whatever the codecs raise.

    Raises:
        RefusedImage: it can't be used.
        MemoryError: there is too little memory, which need not be the image's fault.
    """
    try:
        return process(data)
    except (RefusedImage, MemoryError):
        raise
    except Exception as error:  # A codec that raises what nobody has thought of.
        raise RefusedImage(CRASHED, failure(error)) from None
