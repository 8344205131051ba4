"""Messages over a pipe: a length, and that many bytes."""

from __future__ import annotations

from typing import BinaryIO

_LENGTH = 8  # bytes


def send(pipe: BinaryIO, message: bytes) -> None:
    """Raises OSError where nobody is at the other end any more."""
    pipe.write(len(message).to_bytes(_LENGTH, "little"))
    pipe.write(message)
    pipe.flush()


def receive(pipe: BinaryIO) -> bytes | None:
    """The next message; None where the other end was closed, or died within one."""
    header = pipe.read(_LENGTH)
    if len(header) < _LENGTH:
        return None
    length = int.from_bytes(header, "little")
    message = pipe.read(length)
    return message if len(message) == length else None
