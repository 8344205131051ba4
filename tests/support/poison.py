"""Faults injected into decoders, triggered by a mark in an image."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import sys
import time

#: Put at the end of an image file, these change nothing for a healthy decoder.
CRASH = b"[crash]"
ABORT = b"[abort]"
HANG_IN_PYTHON = b"[hang in Python]"
HANG_IN_C = b"[hang in C]"
HANG_IN_A_PATTERN = b"[hang in a pattern]"
HOG = b"[hog]"
RAISE = b"[raise]"
SUICIDE = b"[suicide]"
EXIT = b"[exit]"
SLOW = b"[slow]"
PRINT = b"[print]"
LAST_WORDS = b"[last words]"
NO_MEMORY_HERE = b"[no memory here]"

#: What PREP_TEST_FAULT is set to.
NAME = "tests.support.poison:swallow"
_STEP = 32 << 20  # 32 MiB


def swallow(data: bytes) -> None:
    """Does what the image's mark says."""
    match = re.search(rb"\[[\w ]+\]\Z", data[-32:])
    if match:
        _EFFECTS[match.group()]()


def _crash() -> None:
    ctypes.string_at(0)


def _hang_in_python() -> None:
    while True:
        pass


def _hang_in_c() -> None:
    """PyDLL keeps Python's global lock while it calls: no other thread ever runs again."""
    ctypes.PyDLL(None).sleep(3600)


def _hang_in_a_pattern() -> None:
    re.match(r"(a+)+b", "a" * 64)


def _hog() -> None:
    eaten = []
    while True:
        eaten.append(bytearray(b"x") * _STEP)


def _raise() -> None:
    raise SystemError("this codec has a bug")


def _say_last_words() -> None:
    os.write(2, b"free(): invalid pointer\n")
    os.abort()


def _no_memory_here() -> None:
    if "pytest" in sys.modules:
        raise MemoryError


_EFFECTS = {
    CRASH: _crash,
    ABORT: os.abort,
    HANG_IN_PYTHON: _hang_in_python,
    HANG_IN_C: _hang_in_c,
    HANG_IN_A_PATTERN: _hang_in_a_pattern,
    HOG: _hog,
    RAISE: _raise,
    SUICIDE: lambda: os.kill(os.getpid(), signal.SIGKILL),
    EXIT: lambda: os._exit(3),
    SLOW: lambda: time.sleep(1.5),
    PRINT: lambda: os.write(1, b"warning: something odd\n"),
    LAST_WORDS: _say_last_words,
    NO_MEMORY_HERE: _no_memory_here,
}
