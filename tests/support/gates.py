"""A gate that holds the images of a run, so that work can't end before a test lets it.

What a test does to a run at work (stop it, kill a worker, start a second run) comes too late where
the machine is fast or the test is slow. At a gate, it never does.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

from prep.monitoring.counters import COUNTERS

if TYPE_CHECKING:
    from distributed import Client

_REPO = Path(__file__).resolve().parents[2]
_FAULT, _GATE = "PREP_TEST_FAULT", "PREP_TEST_GATE"
_STEP = 0.01  # seconds

# How many images have come to each gate in this process.
_come: Counter[str] = Counter()


class Gate:
    """Holds images right before they are decoded, from the start of a ``with`` block to its end.

    It holds them in all processes that are started in the block, and in the workers of a client.
    A worker that is told to stop leaves the image at which it is held, as it would any other; a run
    of this process that stops waits for that, however busy the machine is.

    Args:
        folder: where to keep the file that says that the gate is closed.
        first: number of images that each process may decode before one is held. With so many in
            each shard, a worker commits one shard, and is held at the next one.
        client: workers that are at work already.

    Attributes:
        variables: environment variables of processes that are started in the block.
    """

    def __init__(self, folder: Path, *, first: int = 0, client: Client | None = None) -> None:
        self._file = folder / f"gate-{uuid.uuid4().hex}"
        self._first = first
        self._client = client
        paths = [str(_REPO), os.environ.get("PYTHONPATH", "")]
        self.variables = {
            _FAULT: f"{__name__}:{wait_at_gate.__name__}",
            _GATE: str(self._file),
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        }
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Gate:
        self.let(self._first)
        self._stack.enter_context(mock.patch.dict(os.environ, self.variables))
        for patience in ("dask._PATIENCE", "local.crew.END_WITHIN"):
            self._stack.enter_context(mock.patch(f"prep.execution.{patience}", 60.0))
        if self._client is not None:
            self._client.run(_remember, self.variables)
            self._stack.callback(self._client.run, _forget)
        return self

    def __exit__(self, *_: object) -> None:
        self.open()
        self._stack.close()

    def let(self, count: int) -> None:
        """Let each process decode so many images in all."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{count}")
        new.replace(self._file)

    def open(self) -> None:
        """Let all images go."""
        self._file.unlink(missing_ok=True)


def wait_at_gate(_: bytes) -> None:
    """Wait, in the process that decodes an image, until the gate lets it go."""
    file = os.environ.get(_GATE, "")
    _come[file] += 1
    while _is_closed(file) and not _is_told_to_stop():
        time.sleep(_STEP)


def _is_closed(file: str) -> bool:
    try:
        return _come[file] > int(Path(file).read_text())
    except OSError:
        return False


def _is_told_to_stop() -> bool:
    return any(counter._known.stop.is_set() for counter in list(COUNTERS._active))


def _remember(variables: Mapping[str, str]) -> None:
    os.environ.update({name: variables[name] for name in (_FAULT, _GATE)})


def _forget() -> None:
    for name in (_FAULT, _GATE):
        os.environ.pop(name, None)
