"""Metrics for Prometheus: counts of a process, and on the scheduler the progress of a run.

Dask serves them under ``/metrics`` of each worker and of the scheduler.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from prep.monitoring.counters import COUNTERS
from prep.monitoring.counts import LiveCounts
from prep.monitoring.watches import Runs
from prep.output.report.verdict import STATES


class _WorkerCollector(Collector):
    def collect(self) -> Iterator[Metric]:
        totals = COUNTERS.totals()
        images = CounterMetricFamily(
            "prep_worker_images",
            "Images that this process has written or refused",
            labels=["outcome"],
        )
        images.add_metric(["written"], totals["images"])
        images.add_metric(["refused"], totals["refused"])
        yield images
        yield CounterMetricFamily(
            "prep_worker_read_bytes", "Bytes of the image files read", totals["read"]
        )
        yield CounterMetricFamily(
            "prep_worker_written_bytes", "Bytes of the shards written", totals["written"]
        )
        yield GaugeMetricFamily(
            "prep_worker_active_shards", "Shards being written", totals["active"]
        )


@functools.cache
def export_counters() -> None:
    """Add the counts of this process to its ``/metrics``."""
    REGISTRY.register(_WorkerCollector())


class _RunCollector(Collector):
    """The current run of the scheduler that was started last, among those of this process.

    Prometheus has one registry in a process, whichever scheduler serves it.
    """

    def __init__(self) -> None:
        self.exported: list[Runs] = []

    def collect(self) -> Iterator[Metric]:
        watch = self.exported[-1].current if self.exported else None
        if watch is not None:
            yield from _metrics(watch.counts)


def _metrics(counts: LiveCounts) -> Iterator[Metric]:
    states = {state: float(state == counts.verdict.state) for state in STATES}
    splits = counts.splits.items()
    yield _by("run_state", "1 for the state of the run, 0 for all others", "state", states)
    yield _by("images_done", "Images done", "split", {s: c.done for s, c in splits})
    yield _by("images_written", "Images written", "split", {s: c.written for s, c in splits})
    yield _by("images_refused", "Images refused", "split", {s: c.refused for s, c in splits})
    yield _by("images_planned", "Images planned", "split", {s: c.planned for s, c in splits})
    yield _by("refused_images", "Images refused", "reason", counts.reasons)
    yield _by("shards", "Shards by state", "state", counts.shard_states)
    yield _by("mean", "Mean of what is written so far, 0 to 255", "channel", counts.mean or {})
    single = {
        "read_bytes": ("Bytes of the image files read", counts.bytes_read),
        "written_bytes": ("Bytes written", counts.bytes_written),
        "images_per_second": ("Images per second, recently", counts.images_per_second or 0),
        "seconds": ("Seconds since the run began", counts.seconds),
        "seconds_left": ("Seconds left at the recent rate", counts.seconds_left or 0),
    }
    for name, (text, value) in single.items():
        yield GaugeMetricFamily(f"prep_{name}", f"{text} (the current run)", value)


def _by(name: str, text: str, label: str, values: Mapping[Any, float]) -> Metric:
    family = GaugeMetricFamily(f"prep_{name}", f"{text} (the current run)", labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


_COLLECTOR = _RunCollector()


def export_runs(runs: Runs) -> None:
    """Add the runs of a scheduler to ``/metrics`` of this process, in place of earlier ones."""
    if not _COLLECTOR.exported:
        REGISTRY.register(_COLLECTOR)
    _COLLECTOR.exported.append(runs)


def withdraw_runs(runs: Runs) -> None:
    """Remove the runs of a scheduler from ``/metrics``."""
    if runs in _COLLECTOR.exported:
        _COLLECTOR.exported.remove(runs)
        if not _COLLECTOR.exported:
            REGISTRY.unregister(_COLLECTOR)
