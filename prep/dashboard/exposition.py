"""What the scheduler knows of runs, for Prometheus: under its ``/metrics``."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from prep.watching.counts import LiveCounts
from prep.watching.registry import Runs


class _RunCollector(Collector):
    def __init__(self, runs: Runs) -> None:
        self.runs: weakref.ref[Runs] = weakref.ref(runs)

    def collect(self) -> Iterator[Metric]:
        runs = self.runs()
        watch = runs.current if runs is not None else None
        if watch is not None:
            yield from _metrics(watch.counts)


def _metrics(counts: LiveCounts) -> Iterator[Metric]:
    splits = counts.splits.items()
    yield _by("images_done", "Images settled", "split", {s: c.done for s, c in splits})
    yield _by("images_planned", "Images planned", "split", {s: c.planned for s, c in splits})
    yield _by("refused_images", "Images refused", "reason", counts.reasons)
    yield _by("shards", "Shards by their state", "state", counts.shard_states)
    yield _by("mean", "Mean of what is written so far, 0 to 255", "channel", counts.mean or {})
    single = {
        "read_bytes": ("Bytes of the image files read", counts.bytes_read),
        "written_bytes": ("Bytes written", counts.bytes_written),
        "images_per_second": ("Images a second, lately", counts.images_per_second or 0),
        "seconds": ("Since the run began", counts.seconds),
        "seconds_left": ("At the rate of late", counts.seconds_left or 0),
    }
    for name, (text, value) in single.items():
        yield GaugeMetricFamily(f"prep_{name}", f"{text} (the current run)", value)


def _by(name: str, text: str, label: str, values: Mapping[Any, float]) -> Metric:
    family = GaugeMetricFamily(f"prep_{name}", f"{text} (the current run)", labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


_collectors: list[_RunCollector] = []


def export_metrics(runs: Runs) -> None:
    """Has ``/metrics`` of this process tell of these runs, and of no others."""
    if not _collectors:
        _collectors.append(_RunCollector(runs))
        REGISTRY.register(_collectors[0])
    _collectors[0].runs = weakref.ref(runs)
