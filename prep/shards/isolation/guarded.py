"""Processes images here, as long as that is safe."""

from __future__ import annotations

from prep.images.processor import Processed
from prep.settings import ImageSettings
from prep.shards.isolation.child import IsolatedProcessor
from prep.shards.isolation.settle import make_processor, settle
from prep.shards.isolation.watchdog import WATCHDOG


class GuardedProcessor:
    """Processes images in this process, or in one of their own if they are to be isolated.

    In this process, an image that takes too long ends it, where that is allowed (see
    :mod:`prep.shards.isolation.watchdog`). Not for two threads.

    Args:
        settings: what is to happen to the images.
        timeout: seconds that one of them may take.
        isolated: whether an earlier attempt at the same images did not survive them.
    """

    def __init__(self, settings: ImageSettings, timeout: float, *, isolated: bool) -> None:
        self._timeout = timeout
        self._process = make_processor(settings)
        self._elsewhere = IsolatedProcessor(settings, timeout)
        self._isolated = isolated

    def __enter__(self) -> GuardedProcessor:
        return self

    def __exit__(self, *_: object) -> None:
        self._elsewhere.close()

    def __call__(self, data: bytes) -> Processed:
        """Processes one image file.

        Raises:
            RefusedImage: the image can't be used; it may have crashed the decoder.
            OSError: there is no process to isolate it in.
        """
        if self._isolated:
            return self._elsewhere(data)
        WATCHDOG.start(self._timeout)
        try:
            return settle(self._process, data)
        except MemoryError:  # Is it the image, or what else this process holds?
            pass
        finally:
            WATCHDOG.stop()
        return self._elsewhere(data)
