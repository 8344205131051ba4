"""A cluster spec → a Dask client."""

from __future__ import annotations

import contextlib
import functools
import importlib
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import dask
from dask.system import CPU_COUNT
from distributed import Client, Worker, WorkerPlugin
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from prep.errors import ClusterError, ConfigError
from prep.interrupts import deferred
from prep.links import install_page
from prep.parsing import parse_yaml

# A spec names the class to start, and so is code. Only Dask's own packages are taken from.
_TRUSTED = ("dask", "distributed", "dask_jobqueue", "dask_kubernetes", "dask_cloudprovider")


class ClusterSpec(BaseModel):
    """A cluster spec file, in the format of dask-ctl."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    version: Literal[1]
    module: str
    class_: str = Field(alias="class")
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    config: dict[str, Any] = {}

    @classmethod
    def read(cls, path: str | Path | None = None) -> ClusterSpec:
        """Reads a spec; without a path, the one that comes with the package.

        Raises:
            ConfigError: it can't be read, or is not a cluster spec.
        """
        file = resources.files("prep") / "cluster.yaml" if path is None else Path(path)
        try:
            spec = cls.model_validate(parse_yaml(file.read_text(encoding="utf-8")))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "file"
            raise ConfigError(
                f"cluster spec {file}: {where}: got {first['input']!r}; {first['msg']}"
            ) from None
        except (OSError, ValueError) as error:
            raise ConfigError(f"cluster spec {file}: can't be read: {error}") from None
        if spec.module.partition(".")[0] not in _TRUSTED:
            raise ConfigError(
                f"cluster spec {file}: module: got {spec.module!r}; expected one of Dask's own "
                f"packages ({', '.join(_TRUSTED)})"
            )
        return spec


def require_startable(spec: str | Path | None = None, workers: int | None = None) -> None:
    """Raises ConfigError where :func:`cluster` could not even try to start what is asked for."""
    _startable(spec, workers)


@dataclass(frozen=True, slots=True)
class _Startable:
    """What to call to start a cluster, and the Dask configuration to do it under."""

    start: Callable[[], Any]
    config: dict[str, Any]


def _startable(spec: str | Path | None, workers: int | None) -> _Startable:
    description = ClusterSpec.read(spec)
    if workers is not None and workers < 1:
        raise ConfigError(f"workers: got {workers}; expected a whole number of at least 1")
    try:
        kind = getattr(importlib.import_module(description.module), description.class_)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"cluster spec: can't load {description.module}.{description.class_}: {error}"
        ) from None
    kwargs = dict(description.kwargs)
    if workers is not None:
        kwargs["n_workers"] = workers
    elif "n_workers" in kwargs and kwargs["n_workers"] is None:
        kwargs["n_workers"] = CPU_COUNT
    return _Startable(functools.partial(kind, *description.args, **kwargs), description.config)


@contextlib.contextmanager
def cluster(spec: str | Path | None = None, *, workers: int | None = None) -> Iterator[Client]:
    """Starts a cluster, and closes it at the end of the ``with`` block.

    Args:
        spec: a cluster spec file; by default, one single-threaded process per core of this machine.
        workers: number of workers, instead of what the spec says.

    Raises:
        ConfigError: the spec is not one, or asks for what does not exist.
        ClusterError: it can't be started.

    ::

        with prep.cluster(workers=4) as client:
            print(client.dashboard_link)
            prep.run(config, client)
    """
    startable = _startable(spec, workers)
    opened = contextlib.ExitStack()
    try:
        with deferred():
            client = _open(startable, opened)
        yield client
    finally:
        with deferred(), _quietly():
            opened.close()


def _open(startable: _Startable, opened: contextlib.ExitStack) -> Client:
    opened.enter_context(dask.config.set(startable.config))
    with warnings.catch_warnings():
        # The progress display shows the port that was taken instead.
        warnings.filterwarnings("ignore", message="Port .* is already in use")
        cluster = opened.enter_context(_started(startable))
    client = Client(cluster)
    opened.callback(client.close)  # Entered as a context, it could only be left in this thread.
    client.register_plugin(_WorkerOfOurs())
    with contextlib.suppress(Exception):  # A run tells why there is no page.
        install_page(client)
    return client


def _started(startable: _Startable) -> Any:
    try:
        with _quietly():  # It is told here.
            return startable.start()
    except Exception as error:  # Whatever the machine lacks: memory, processes, semaphores, ports.
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        raise ClusterError(
            f"the cluster can't be started: {type(cause).__name__}: {cause}; is there memory left, "
            "and room in /dev/shm? Nothing was lost: run the same command again"
        ) from error


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """What Dask logs while connections are made or closed is of no use to anyone."""
    loggers = [logging.getLogger(name) for name in ("distributed", "tornado", "asyncio")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


class _WorkerOfOurs(WorkerPlugin):
    """Has a worker log only what the client does not tell of in the end.

    That is not: what went wrong in a task, that it was stopped, that the scheduler is gone.
    """

    name = "prep-worker-of-ours"

    def setup(self, worker: Worker) -> None:
        names = ("distributed.worker", "distributed.worker.state_machine")
        for name in names if worker.nanny else ():  # Without one, this may be anyone's process.
            logging.getLogger(name).addFilter(_is_not_told_by_the_client)


def _is_not_told_by_the_client(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    cancelled = message.startswith("Async instruction") and message.endswith("CancelledError")
    known = ("Compute Failed", "Failed to communicate with scheduler during heartbeat")
    return not cancelled and not message.startswith(known)
