"""Ask all workers of a cluster, and collect findings by process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from distributed import Client

from prep.execution.preflight.rules import not_answering
from prep.monitoring.link import scheduler_identity
from prep.output.findings import Finding

_ANSWERS_WITHIN = 60.0  # seconds; libraries are loaded from a slow disk meanwhile


class Poll:
    """Questions to the workers of a cluster, and findings.

    Attributes:
        workers: what the scheduler knows of each worker, by address.
        findings: by process.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self.workers: Mapping[str, Any] = scheduler_identity(client)["workers"]
        self.findings: dict[str, list[Finding]] = {}

    @property
    def has_errors(self) -> bool:
        return any(one.level == "error" for found in self.findings.values() for one in found)

    def add(self, process: str, findings: Iterable[Finding]) -> None:
        """Note findings of a process."""
        self.findings.setdefault(process, []).extend(findings)

    def ask(self, workers: list[str], function: Callable[..., Any], *args: Any) -> dict[str, Any]:
        """Call a function on several workers at once, and return the answers by worker.

        A worker that does not answer is left out, and becomes a finding.
        """

        async def ask(worker: str) -> Any:
            try:
                call: Any = self._client.run(function, *args, workers=[worker], on_error="return")
                return (await asyncio.wait_for(call, _ANSWERS_WITHIN))[worker]
            except Exception as problem:
                return problem

        async def ask_all() -> list[Any]:
            return await asyncio.gather(*map(ask, workers))

        answers = dict(zip(workers, self._client.sync(ask_all), strict=True))
        for worker, answer in answers.items():
            if isinstance(answer, Exception):
                self.add(worker, [not_answering(answer)])
        return {w: answer for w, answer in answers.items() if not isinstance(answer, Exception)}
