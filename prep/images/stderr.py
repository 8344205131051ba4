"""What C libraries print to the terminal."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import tempfile
from collections.abc import Iterator

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
