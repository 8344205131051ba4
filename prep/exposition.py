"""What this process counts, for Prometheus: under ``/metrics`` of each worker."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from prep.counters import COUNTERS


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
