"""Questions to all workers of a cluster, and what is found wrong with them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from distributed import Client

from prep.execution.preflight.findings import Trouble, silent
from prep.monitoring.link import scheduler_identity

_ANSWERS_WITHIN = 60.0  # seconds; libraries are loaded from a slow disk meanwhile


class Poll:
    """Asks workers, and collects what is wrong.

    Attributes:
        workers: what the scheduler knows of each worker, by its address.
        troubles: what is wrong, by process.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self.workers: Mapping[str, Any] = scheduler_identity(client)["workers"]
        self.troubles: dict[str, list[Trouble]] = {}

    @property
    def has_errors(self) -> bool:
        return any(t.level == "error" for found in self.troubles.values() for t in found)

    def add(self, process: str, troubles: Iterable[Trouble]) -> None:
        """Notes what is wrong with a process."""
        self.troubles.setdefault(process, []).extend(troubles)

    def ask(self, workers: list[str], function: Callable[..., Any], *args: Any) -> dict[str, Any]:
        """Calls a function on workers, at the same time.

        Returns:
            The answers. Those that don't answer are in trouble.
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
                self.add(worker, [silent(answer)])
        return {w: answer for w, answer in answers.items() if not isinstance(answer, Exception)}
