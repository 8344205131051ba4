"""What this process counts, for Prometheus: under ``/metrics`` of each worker.

What the scheduler knows of runs, for Prometheus: under its ``/metrics``.
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
from prep.monitoring.registry import Runs
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
    """Has ``/metrics`` tell of this process, from now on."""
    REGISTRY.register(_WorkerCollector())


class _RunCollector(Collector):
    """Tells of the scheduler that was started last, of those of this process that are not closed.

    Prometheus knows one registry of a process, whichever scheduler's page is asked for it.
    """

    def __init__(self) -> None:
        self.told: list[Runs] = []

    def collect(self) -> Iterator[Metric]:
        watch = self.told[-1].current if self.told else None
        if watch is not None:
            yield from _metrics(watch.counts)


def _metrics(counts: LiveCounts) -> Iterator[Metric]:
    states = {state: float(state == counts.verdict.state) for state in STATES}
    splits = counts.splits.items()
    yield _by("run_state", "1 for the state of the run, 0 for all others", "state", states)
    yield _by("images_done", "Images settled", "split", {s: c.done for s, c in splits})
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
    """Has ``/metrics`` of this process tell of these runs, and of no others until they are over."""
    if not _COLLECTOR.told:
        REGISTRY.register(_COLLECTOR)
    _COLLECTOR.told.append(runs)


def withdraw_metrics(runs: Runs) -> None:
    """Has ``/metrics`` tell of them no longer."""
    if runs in _COLLECTOR.told:
        _COLLECTOR.told.remove(runs)
        if not _COLLECTOR.told:
            REGISTRY.unregister(_COLLECTOR)
