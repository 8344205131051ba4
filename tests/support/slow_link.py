"""A slow network link: two network devices, and a relay that delays each packet.

    python slow_link.py DEVICE OTHER_DEVICE SECONDS

What ``tc netem delay`` does, for kernels that are built without it.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import sys
import time
from collections import deque

# From linux/if_tun.h.
_TUNSETIFF = 0x400454CA
_IFF_TAP, _IFF_NO_PI = 0x0002, 0x1000
_LARGEST_PACKET = 1 << 16

Waiting = deque[tuple[float, int, bytes]]  # When to pass on, to which device, and what.


def open_device(name: str) -> int:
    """Makes a network device, and gives the file that its packets are read from and written to."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TAP | _IFF_NO_PI))
    return device


def pass_on(one: int, other: int, delay: float) -> None:
    """Passes packets between two devices for ever, each one ``delay`` seconds late."""
    waiting: Waiting = deque()
    while True:
        patience = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        for source in select.select([one, other], [], [], patience)[0]:
            packet = os.read(source, _LARGEST_PACKET)
            to = other if source == one else one
            waiting.append((time.monotonic() + delay, to, packet))
        while waiting and waiting[0][0] <= time.monotonic():
            _, to, packet = waiting.popleft()
            try:
                os.write(to, packet)
            except OSError:  # As on a real cable: where nobody listens, a packet is lost.
                continue


if __name__ == "__main__":
    pass_on(open_device(sys.argv[1]), open_device(sys.argv[2]), float(sys.argv[3]))
