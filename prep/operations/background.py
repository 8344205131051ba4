"""Runs in the background.

``start`` runs a configuration in a daemon thread. When the process ends, its runs are cancelled and
the session's cluster is closed before Python joins the thread pools that Dask needs for that
(:func:`prep.execution.interrupts.before_exit`).
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING

from prep.config.model import AnyConfig, Config
from prep.display.displays import opening_scene
from prep.display.live import Panel, Screen
from prep.errors import UsageError
from prep.execution.clusters.choice import ClusterChoice, choice_of, in_notebook
from prep.execution.clusters.session import require_usable_client, session_client, usable_client
from prep.execution.dask import DaskExecutor
from prep.execution.executor import Executor, Workload
from prep.execution.interrupts import before_exit
from prep.monitoring.counts import LiveCounts
from prep.monitoring.events import Callback, CancelToken, require_callbacks
from prep.operations.growth.appending import Aim, aim_of
from prep.operations.running.carrying_out import Start, carry_out
from prep.output.report.report import RunReport
from prep.output.report.verdict import State, Verdict
from prep.sources.registry import open_source

if TYPE_CHECKING:
    from distributed import Client

_AT_EXIT = 10.0  # seconds for a run to stop; its committed shards stay in any case


def start(
    config: AnyConfig,
    client: Client | None = None,
    *,
    workers: int | None = None,
    overwrite: bool = False,
    append: bool = False,
    compact: bool = False,
    cluster: str | os.PathLike[str] | ClusterChoice | None = None,
    profile: str | None = None,
    callbacks: Iterable[Callback] = (),
) -> RunHandle:
    """Start a run in the background, and return at once.

    The run does what ``prep.run`` does. Without a ``client``, a cluster is started and kept: later
    calls of ``start`` and ``run`` use it, unless they ask for another one. It is closed by
    ``prep.close_cluster``, or when the process ends.

    Args:
        config: what to do; as for ``prep.run``.
        client: a Dask client to use, and leave running.
        workers, overwrite, append, compact, cluster, profile: as for ``prep.run``.
        callbacks: as for ``prep.run``; they are called in the thread of the run.

    Returns:
        A handle, which shows the run's progress in a notebook.

    Raises:
        ConfigError: the configuration or the choice of a cluster is wrong.
        SourceError: the source is not a folder.
        StorageUnavailable: the source is in a storage that does not answer. Whatever goes wrong
            later, ``RunHandle.result`` raises.

    ::

        run = prep.start(config)
        run                  # shows how far it has come
        report = run.result()
    """
    config = Config.of(config)
    aim = aim_of(overwrite=overwrite, append=append, compact=compact)
    choice = choice_of(cluster, profile, workers)
    require_usable_client(client, choice)
    config.grant()
    open_source(config.source).require_there()
    handle = RunHandle(config, require_callbacks(callbacks))
    handle._begin(functools.partial(_on, client, choice), aim)
    return handle


@contextlib.contextmanager
def _on(
    client: Client | None, choice: ClusterChoice, _: Workload, tell: Callable[[str], None]
) -> Iterator[Executor]:
    """Use a cluster, however little there is to do: the next run finds it there."""
    tell("starting the cluster")
    with usable_client(client, choice) if client else session_client(choice) as used:
        yield DaskExecutor(used)


class RunHandle:
    """A run in the background, as ``prep.start`` returns it.

    As the last expression of a notebook cell, it shows the run's progress, and keeps it up to date.
    A run that is still going when the process ends is stopped; its committed shards are kept.
    """

    def __init__(self, config: Config, callbacks: Iterable[Callback] = ()) -> None:
        self._config = config
        self._screen = Screen(opening_scene(config))
        self._callbacks = [Panel(self._screen), *callbacks]
        self._outcome: Future[RunReport] = Future()
        self._token = CancelToken()
        self._thread: threading.Thread | None = None

    @property
    def state(self) -> State:
        """The run's state: one of :data:`prep.output.report.verdict.STATES`."""
        return self.verdict.state

    @property
    def verdict(self) -> Verdict:
        """The run's state, with the reason for it."""
        return self._screen.scene.verdict

    @property
    def done(self) -> bool:
        """True if the run has ended, well or not."""
        return self._outcome.done()

    def counters(self) -> LiveCounts:
        """Return the counts so far: images, bytes, rates, shards."""
        return self._screen.scene.counts

    def result(self, timeout: float | None = None) -> RunReport:
        """Wait for the end of the run, and return its report.

        Ctrl-C, or interrupting the kernel, ends the wait but not the run. In a callback of the run
        there is no result to wait for.

        Args:
            timeout: seconds to wait at most.

        Raises:
            TimeoutError: the run has not ended yet.
            UsageError: a callback of the run calls this.
            PrepError: as ``prep.run`` would have raised it; Interrupted after ``cancel()``.
        """
        if self._is_in_callback() and not self.done:
            raise UsageError("result: called by a callback of this run, which would never end")
        try:
            return self._outcome.result(timeout)
        except TimeoutError:
            if self.done:  # It is what the run has raised.
                raise
            raise TimeoutError(f"the run has not ended after {timeout:g} s: {self!r}") from None
        finally:
            # Some only look at what is published by the cell that they wait for.
            self._screen.refresh()

    def cancel(self, timeout: float | None = None) -> None:
        """Stop the run cleanly, and wait until it has stopped.

        Committed shards are kept, and the next run continues from there. If all shards are
        committed already, the run ends as it would have anyway. In a callback of the run, this
        returns at once.

        Args:
            timeout: seconds to wait at most.

        Raises:
            TimeoutError: the run has not stopped yet, but will.
        """
        self._token.cancel()
        if self._is_in_callback():
            return
        try:
            self._outcome.exception(timeout)
        except TimeoutError:
            raise TimeoutError(
                f"the run has not stopped after {timeout:g} s; it will stop"
            ) from None
        finally:
            self._screen.refresh()

    def _begin(self, start: Start, aim: Aim) -> None:
        # A daemon, so that the process can end, which stops the run.
        self._thread = threading.Thread(
            target=self._go, args=(start, aim), name="prep-run", daemon=True
        )
        _unfinished.add(self)
        self._thread.start()

    def _is_in_callback(self) -> bool:
        return threading.current_thread() is self._thread

    def _go(self, start: Start, aim: Aim) -> None:
        try:
            report = carry_out(
                self._config,
                start,
                aim=aim,
                callbacks=self._callbacks,
                token=self._token,
            )
        except BaseException as error:
            self._outcome.set_exception(error)
        else:
            self._outcome.set_result(report)
        finally:
            _unfinished.discard(self)

    def __repr__(self) -> str:
        return f"RunHandle({self._screen.scene.text()})"

    def _repr_html_(self) -> str:
        return self._screen.scene.html()

    def _ipython_display_(self) -> None:
        if not in_notebook():
            print(repr(self))
            return
        self._screen.show()


#: Runs that are to be stopped when the process ends.
_unfinished: weakref.WeakSet[RunHandle] = weakref.WeakSet()


def _stop_all() -> None:
    handles = list(_unfinished)
    for handle in handles:
        handle._token.cancel()
    for handle in handles:
        with contextlib.suppress(TimeoutError):
            handle.cancel(_AT_EXIT)


# It came after that of prep.execution.clusters.session, and so is called before it.
before_exit(_stop_all)
