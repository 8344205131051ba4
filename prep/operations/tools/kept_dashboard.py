"""A run whose cluster and dashboard stay up after it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager

from prep.config.model import Config
from prep.execution.clusters.choice import ClusterChoice
from prep.execution.executor import Executor, Workload
from prep.execution.placing import placed, require_usable
from prep.monitoring.events import Callback
from prep.operations.growth.appending import aim_of
from prep.operations.running.carrying_out import carry_out
from prep.output.report.report import RunReport


class KeptDashboard(contextlib.ExitStack):
    """Keep the cluster that a run starts until the end of the block.

    Raises:
        UsageError: no such cluster can be started.
    """

    def __init__(self, choice: ClusterChoice) -> None:
        super().__init__()
        self._choice = dataclasses.replace(choice, dashboard=True)
        self._executor: Executor | None = None
        require_usable(None, self._choice)

    @property
    def link(self) -> str | None:
        """The address of the dashboard; None if there was nothing to do, and no cluster started."""
        return self._executor.dashboard if self._executor else None

    def run(
        self,
        config: Config,
        *,
        callbacks: Iterable[Callback],
        overwrite: bool = False,
        append: bool = False,
        compact: bool = False,
    ) -> RunReport:
        """Prepare a source; see :func:`prep.run`."""
        aim = aim_of(overwrite=overwrite, append=append, compact=compact)
        return carry_out(config, self._start, aim=aim, callbacks=callbacks)

    def _start(
        self, workload: Workload, tell: Callable[[str], None]
    ) -> AbstractContextManager[Executor]:
        self._executor = self.enter_context(placed(None, self._choice, workload, tell))
        return contextlib.nullcontext(self._executor)
