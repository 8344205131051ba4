"""The process that images are isolated in: ``python -m prep.shards.isolation``.

It is sent what is to be done and then one image after the other, and answers each. It ends when
nobody sends any more, and its timer ends it when an image takes too long, so that it never stays
behind alone.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import resource
import signal
import sys
from typing import BinaryIO

from prep.errors import RefusedImage
from prep.images.decoders.process import configure_process
from prep.images.processor import Processed
from prep.settings import ImageSettings
from prep.shards.isolation.child import receive, send
from prep.shards.isolation.settle import CRASHED, Process, make_processor, settle
from prep.shards.isolation.watchdog import SIGNAL, WATCHDOG
from prep.text import size_text

# The most that an image needs: JPEG 2000 with transparency takes four bytes a sample, and with what
# comes of it 26.5 bytes a pixel (docs/picture.md; `python -m bench.largest`). Nothing that can be
# written must fail for want of memory.
_BYTES_PER_PIXEL = 32
_SPARE = 1 << 30  # 1 GiB for the file itself, the square, and what libraries set up late


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(SIGNAL, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [SIGNAL])
    inbox, outbox = _pipes()
    first = receive(inbox)
    if first is None:
        return
    settings, timeout = pickle.loads(first)
    configure_process()
    process = make_processor(settings)
    memory = _limit_memory(settings)
    WATCHDOG.enable()
    send(outbox, b"ready")
    while (data := receive(inbox)) is not None:
        send(outbox, pickle.dumps(_outcome(process, data, timeout, memory)))


def _pipes() -> tuple[BinaryIO, BinaryIO]:
    """Keeps standard output for messages: what a library prints goes to standard error."""
    outbox = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return sys.stdin.buffer, outbox


def _limit_memory(settings: ImageSettings) -> int:
    """Allows so many bytes more than are in use, and gives back how many."""
    allowed = settings.max_pixels * _BYTES_PER_PIXEL + _SPARE
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    with contextlib.suppress(OSError, ValueError):  # macOS neither says nor limits it.
        with open("/proc/self/statm", encoding="ascii") as file:
            in_use = int(file.read().split()[0]) * resource.getpagesize()
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (in_use + allowed, hard))
    return allowed


def _outcome(
    process: Process, data: bytes, timeout: float, memory: int
) -> Processed | RefusedImage:
    WATCHDOG.start(timeout)
    try:
        return settle(process, data)
    except RefusedImage as error:
        return error
    except MemoryError:
        return RefusedImage(CRASHED, f"it takes more than {size_text(memory)} of memory")
    finally:
        WATCHDOG.stop()


if __name__ == "__main__":
    main()
