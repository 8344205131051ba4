"""The child process that images are isolated in: ``python -m prep.shards.isolation``.

It receives the settings, then image after image, and answers each. It ends when its input is
closed, and its timer ends it if an image takes too long, so it never stays behind alone.
"""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import resource
import signal
import sys
from typing import BinaryIO

from prep.errors import RefusedImage
from prep.images.decoders.process import configure_process
from prep.images.processor import Processed
from prep.settings.image_settings import ImageSettings
from prep.shards.isolation.processing import CRASHED, Process, make_processor, process_or_refuse
from prep.shards.isolation.processors import receive, send
from prep.shards.isolation.watchdog import SIGNAL, WATCHDOG
from prep.text import size_text

# The most that an image needs is 26.5 bytes a pixel, for JPEG 2000 with transparency
# (docs/picture.md; `python -m bench.largest`). No good image must fail for lack of memory.
_BYTES_PER_PIXEL = 32  # of the image, and of its result as well
_SPARE = 1 << 30  # 1 GiB, for the file, and what libraries allocate late


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(SIGNAL, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [SIGNAL])
    inbox, outbox = _pipes()
    first = receive(inbox)
    if first is None:
        return
    settings, timeout, hashed = pickle.loads(first)
    configure_process()
    process = make_processor(settings, hashed=hashed)
    memory = _limit_memory(settings)
    WATCHDOG.enable()
    send(outbox, b"ready")
    while (data := receive(inbox)) is not None:
        send(outbox, pickle.dumps(_outcome(process, data, timeout, memory)))


def _pipes() -> tuple[BinaryIO, BinaryIO]:
    """Keep standard output for messages, and send what libraries print to standard error."""
    outbox = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return sys.stdin.buffer, outbox


def _limit_memory(settings: ImageSettings) -> int:
    """Limit memory to what is in use and an allowance; return the allowance in bytes."""
    allowed = (settings.max_pixels + math.prod(settings.largest)) * _BYTES_PER_PIXEL + _SPARE
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    with contextlib.suppress(OSError, ValueError):  # macOS has no such file and no limit.
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
        return process_or_refuse(process, data)
    except RefusedImage as error:
        return error
    except MemoryError:
        return RefusedImage(CRASHED, f"it takes more than {size_text(memory)} of memory")
    finally:
        WATCHDOG.stop()


if __name__ == "__main__":
    main()
