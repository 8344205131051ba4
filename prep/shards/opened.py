"""The plan of an output as one process finds it, read once per run: the only cache of plans."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache

from prep.errors import OutputConflict, OutputNotSeen
from prep.images.decoders.process import codec_versions, webp_version
from prep.output.journal import Journal
from prep.planning.plan import RunPlan
from prep.settings.distribution import version
from prep.settings.image_settings import ImageSettings
from prep.sources.base import Source


@dataclass(frozen=True, kw_only=True)
class OpenedPlan:
    """A plan that was read from an output.

    Attributes:
        plan: the plan, without its manifest.
        source: its source, as this process reads it.
        identity: which file it was read from; another one's is different.
    """

    plan: RunPlan
    source: Source
    identity: tuple[int | str, ...] | None

    def require_held(self, output: str) -> None:
        """Raise OutputConflict or OutputNotSeen if the output no longer holds this plan.

        Args:
            output: its path or URL.
        """
        identity = Journal(output).layout.plan.identity()
        if identity is None:
            raise not_seen(output)
        if identity != self.identity:
            raise taken_over(output)

    @cached_property
    def misfit(self) -> str:
        """The reason why this process can't carry the plan out, in one line; empty if it can."""
        for name, expected in self.plan.fingerprint.versions.items():
            if (here := versions_here().get(name)) != expected:
                return (
                    f"{name} {here} on {socket.gethostname()}, planned with {expected}: "
                    "the shards would differ; install the same version everywhere"
                )
        if self.source.is_visible():
            return ""
        return (
            f"source: {socket.gethostname()} does not see {self.plan.shown_source}; mount "
            "it under the same path on all hosts, or give the host's own path under mounts in the "
            "cluster file"
        )


#: The name of a library among the versions.
WEBP = "libwebp"


@lru_cache(maxsize=4)
def open_plan(output: str, digest: str, run: str) -> OpenedPlan:
    """Open the plan of an output, once per process and run.

    Raises:
        OutputConflict: it has another digest: another run has replaced it.
        OutputNotSeen: there is none.
    """
    journal = Journal(output)
    # In this order: if it is replaced in between, the identity is that of a file that is gone.
    identity = journal.layout.plan.patiently(journal.layout.plan.identity)
    plan = journal.stored_plan()
    if plan is None:
        raise not_seen(output)
    if plan.fingerprint.digest != digest:
        raise taken_over(output)
    return OpenedPlan(plan=plan, source=journal.source(plan), identity=identity)


def not_seen(output: str) -> OutputNotSeen:
    """Return the error of a shard that finds no plan in its output."""
    return OutputNotSeen(
        f"output: expected the plan of this run in {output}, {socket.gethostname()} finds none; "
        "mount the output under the same path on all hosts, or give the host's own path under "
        "mounts in the cluster file; if the output was removed, run the same command again"
    )


def taken_over(output: str) -> OutputConflict:
    """Return the error of a shard that finds another run's plan in its output."""
    return OutputConflict(
        f"output: {output} has been taken over by another run; wait for it to end, or choose "
        "another output"
    )


@cache
def versions_here() -> dict[str, str]:
    """Return the versions of this package and of the libraries that decide an output's bytes.

    That of libwebp decides the bytes of WebP alone, and that of cykooz-resizer those of
    interpolations ``bilinear`` and ``bicubic``.
    """
    return {"prep": version(), **codec_versions(), WEBP: webp_version()}


def known_settings(shard: str) -> ImageSettings | None:
    """Return the settings of a shard's images, if its output has a plan.

    Args:
        shard: its path or URL, as every process is told it.
    """
    plan = Journal(os.path.dirname(os.path.dirname(shard))).stored_plan()
    return plan.settings if plan else None
