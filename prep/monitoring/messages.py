"""What travels with a worker's heartbeat, as plain values that any scheduler can read."""

from __future__ import annotations

from typing import TypedDict

#: Under which a worker's heartbeat has a ``ProcessMessage``.
METRIC = "prep"
# Tasks that write shards are called so, followed by the id of their run and a number.
_TASK_PREFIX = "write_shard_task-"
#: The topic of Dask's events under which workers say why they have left.
MISFITS = "prep-misfits"
#: What a worker is asked for a ``SquareMessage`` with.
SQUARE_CALL = "prep_square"
#: Classes that are counted one by one; the others, by name, come after these.
CLASSES_COUNTED = 1000


def task_name(run: str, first: int) -> str:
    """How those tasks of a run are called that begin with the one numbered ``first``."""
    return f"{_TASK_PREFIX}{run}-{first}"


def task_of(key: object) -> tuple[str, int] | None:
    """Run and number of the task with this key; None if it is not one that writes a shard.

    >>> task_of((task_name("5e1f", 512), 3)), task_of("sum-5e1f")
    (('5e1f', 515), None)
    """
    if type(key) is not tuple or not str(key[0]).startswith(_TASK_PREFIX):
        return None
    run, _, first = key[0].removeprefix(_TASK_PREFIX).rpartition("-")
    return run, int(first) + key[1]


class TallyMessage(TypedDict):
    """What has become of some images.

    Attributes:
        read, written: bytes of the image files, and of the shards.
        refused: images by reason.
        refused_in: the same images by split.
        stats: by split: images, pixels, sums of R, G and B, and sums of their squares.
        classes: images written of each class, uint32, in the order of the plan; at most
            ``CLASSES_COUNTED``.
        latest: path, reason and detail of the images refused last, the newest first.
    """

    read: int
    written: int
    refused: dict[str, int]
    refused_in: dict[str, int]
    stats: dict[str, list[int]]
    classes: bytes
    latest: list[list[str]]


class ShardMessage(TallyMessage):
    """A shard under way, of which so many ``images`` are settled."""

    images: int


class RunMessage(TypedDict):
    """What a process has done for a run: its ``finished`` shards, and those ``active`` by name."""

    finished: TallyMessage
    active: dict[str, ShardMessage]


class ProcessMessage(TypedDict):
    """What a worker process tells.

    Attributes:
        process: unique to it.
        host, pid: where it is.
        host_cpu: processor time in use there, in percent of all cores.
        runs: by id.
    """

    process: str
    host: str
    pid: int
    host_cpu: float
    runs: dict[str, RunMessage]


class SquareMessage(TypedDict):
    """An image that was just written, as a small JPEG."""

    run: str
    split: str
    class_name: str
    jpeg: bytes
