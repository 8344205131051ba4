"""A gate that holds the images of a run, so that work can't end before a test lets it.

What a test does to a run at work (stop it, kill a worker, start a second run) comes too late where
the machine is fast or the test is slow. At a gate, it never does.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from distributed import Client

from prep.monitoring.counters import COUNTERS

_FAULT, _GATE = "PREP_TEST_FAULT", "PREP_TEST_GATE"
_STEP = 0.01  # seconds


class Gate:
    """Holds images right before they are decoded, from the start of a ``with`` block to its end.

    It holds them in all processes that are started in the block, and in the workers of a client.
    A worker that is told to stop leaves the image at which it is held, as it would any other.

    Args:
        folder: where to keep the file that says that the gate is closed.
        client: workers that are at work already.
        after: an output; images are held only once one of its shards is committed.
    """

    def __init__(
        self, folder: Path, *, client: Client | None = None, after: Path | None = None
    ) -> None:
        self._file = folder / "gate"
        self._client = client
        self._after = after
        self._environment = pytest.MonkeyPatch()

    def __enter__(self) -> Gate:
        self._file.write_text(str(self._after or ""))
        variables = {_FAULT: f"{__name__}:{wait_at_gate.__name__}", _GATE: str(self._file)}
        for name, value in variables.items():
            self._environment.setenv(name, value)
        if self._client is not None:
            self._client.run(_remember, variables)
        return self

    def __exit__(self, *_: object) -> None:
        self.open()
        self._environment.undo()
        if self._client is not None:
            self._client.run(_forget)

    def open(self) -> None:
        """Let all images go."""
        self._file.unlink(missing_ok=True)


def wait_at_gate(_: bytes) -> None:
    """Wait, in the process that decodes an image, until the gate lets it go."""
    file = os.environ.get(_GATE)
    while file and _is_closed(Path(file)) and not _is_told_to_stop():
        time.sleep(_STEP)


def _is_closed(file: Path) -> bool:
    try:
        after = file.read_text()
    except FileNotFoundError:
        return False
    return not after or any(Path(after).glob(".prep/receipts/*/*.json"))


def _is_told_to_stop() -> bool:
    return any(counter._known.stop.is_set() for counter in list(COUNTERS._active))


def _remember(variables: Mapping[str, str]) -> None:
    os.environ.update(variables)


def _forget() -> None:
    for name in (_FAULT, _GATE):
        os.environ.pop(name, None)
