"""From a configuration to a plan, and from a plan to a finished output."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import time
import uuid
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from distributed import Client

from prep.catalog import Catalog, scan_folders
from prep.clusters import cluster, require_startable
from prep.config import Config
from prep.errors import BadImageError, ConfigError, Interrupted
from prep.images import codec_versions
from prep.journal import Journal
from prep.labels import LabelMap
from prep.pipeline import write_on_cluster
from prep.planning import RunPlan, ShardSpec, make_plan
from prep.progress import Work, make_display
from prep.receipts import (
    ShardReceipt,
    SplitTotals,
    merge_totals,
    of_outcome,
    total_receipts,
)
from prep.report import RunReport, make_report
from prep.shards import RunRef
from prep.stats import CHANNELS, RGB

_LABEL_MAP = "label_map.json"


def plan(config: Config) -> RunPlan:
    """Decides what a run would do: which images, which labels, which shards. Writes nothing.

    Raises:
        SourceError: the source is missing or has no images.
        LabelError: the label map is malformed, or lacks a class.
        ConfigError: the mean file can't be used, or the output is the source.
    """
    if os.path.realpath(config.source) == os.path.realpath(config.output):
        raise ConfigError(f"output: got {config.output!r}, which is the source; expected another")
    catalog = scan_folders(config.source, config.splits, config.image_type)
    labels = find_labels(config, catalog)
    mean = read_mean(config.mean_file) if config.mean_file else None
    versions = {"prep": version("prep"), **codec_versions()}
    made = make_plan(config, catalog, labels, mean, versions)
    labels.require(name for classes in made.counts.values() for name in classes)
    return made


def run(
    config: Config,
    client: Client | None = None,
    *,
    workers: int | None = None,
    overwrite: bool = False,
    cluster_spec: str | Path | None = None,
    progress: bool | None = None,
) -> RunReport:
    """Writes the shards, the mean and the report.

    What is committed in the output already is not written again, so a run that was stopped is
    continued by starting it once more.

    Args:
        config: what to do.
        client: a Dask client to use, and leave running. Without one, a cluster is started as
            ``cluster_spec`` says (by default, one process per core), and closed at the end.
        workers: number of workers of a cluster that is started.
        overwrite: start afresh: remove what earlier runs have put into the output, and any file
            there that bears the name of a shard or of a file of ours. Others are never touched.
        progress: whether to show progress on standard error; if None, only at a terminal.

    Raises:
        UsageError: it can't be done as asked. Nothing was written.
        BadImageError: an image was refused, and ``on_bad_image`` is ``fail``.
        ShardError: shards failed; all others are committed.
        Interrupted: the user stopped it (a KeyboardInterrupt, too); committed shards stay.

    A script that lets this start a cluster needs the usual guard of multiprocessing::

        if __name__ == "__main__":
            prep.run(prep.Config(source="photos", output="shards"))
    """
    started = time.perf_counter()
    made = plan(config)
    if client is None:
        require_startable(cluster_spec, workers)
    elif workers is not None or cluster_spec is not None:
        raise ConfigError("workers, cluster_spec: are for a cluster started here, not for a client")
    journal = Journal(config.output)
    if overwrite:
        journal.clear(made)
    journal.check(made)
    journal.begin(made)
    before = _committed(made, journal)
    _stop_at_refused(config, before)
    done = {(receipt.split, receipt.index) for receipt in before}
    missing = [shard for shard in made.shards if (shard.split, shard.index) not in done]
    if not missing:
        return publish_finished(made, journal, total_receipts(before))
    try:
        with _client(client, workers, cluster_spec) as used:
            written = write_shards(made, missing, journal, used, progress)
    except KeyboardInterrupt:
        raise Interrupted(_how_to_resume(made, journal)) from None
    journal.remove_leftovers(made)  # Of workers that were killed meanwhile.
    report = make_report(
        made,
        journal.layout.root,
        merge_totals([total_receipts(before), written]),
        seconds=time.perf_counter() - started,
        images_now=sum(shard.images for shard in missing),
        resumed=len(before),
    )
    report.publish()
    return report


def find_labels(config: Config, catalog: Catalog) -> LabelMap:
    """The label map that was given, or lies in the source, or else one made of the classes.

    Raises:
        LabelError: it is malformed.
    """
    if isinstance(config.label_map, str):
        return LabelMap.read(config.label_map)
    if config.label_map is not None:
        return LabelMap.parse(config.label_map)
    beside = os.path.join(catalog.root, _LABEL_MAP)
    if os.path.exists(beside):
        return LabelMap.read(beside)
    return LabelMap.build(catalog.classes)


def read_mean(path: str) -> RGB:
    """Reads ``{"R": …, "G": …, "B": …}``.

    Raises:
        ConfigError: it can't be read, or a channel is missing or not from 0 to 255.
    """
    try:
        value: Any = json.loads(Path(path).read_text(encoding="utf-8"))
        r, g, b = (float(value[channel]) for channel in CHANNELS)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"mean_file: {path!r} can't be used ({error!r}); "
            'expected JSON like {"R": 122.6, "G": 116.7, "B": 104.4}'
        ) from None
    if not all(0 <= channel <= 255 for channel in (r, g, b)):
        raise ConfigError(f"mean_file: got {value}; expected means from 0 to 255")
    return r, g, b


def _committed(made: RunPlan, journal: Journal) -> list[ShardReceipt]:
    digest = made.fingerprint.digest
    receipts = (journal.receipt(shard.split, shard.index, digest) for shard in made.shards)
    return [receipt for receipt in receipts if receipt is not None]


def _stop_at_refused(config: Config, receipts: list[ShardReceipt]) -> None:
    refused = [f for receipt in receipts for f in of_outcome(receipt.findings, "refused")]
    if refused and config.on_bad_image == "fail":
        raise BadImageError(
            f"{refused[0].path!r} was refused ({refused[0].reason}) by an earlier run, and "
            "on_bad_image is 'fail'; mend or remove it, or leave on_bad_image at 'refuse'"
        )


def publish_finished(made: RunPlan, journal: Journal, totals: SplitTotals) -> RunReport:
    """The report of a run that is all there: as it was, or made anew if it is gone or wrong.

    Args:
        totals: of all shards of the plan.
    """
    try:
        stored = RunReport.read(journal.layout.root)
    except (OSError, ValueError, TypeError):
        stored = None
    root, shards = journal.layout.root, len(made.shards)
    report = make_report(made, root, totals, seconds=0.0, images_now=0, resumed=shards)
    if stored is not None:
        report = dataclasses.replace(
            report,
            seconds=stored.seconds,
            images_per_second=stored.images_per_second,
            versions=stored.versions,
        )
        if dataclasses.replace(report, resumed_shards=stored.resumed_shards) == stored:
            report.publish_mean()
            return report
    report.publish()
    return report


def _how_to_resume(made: RunPlan, journal: Journal) -> str:
    committed, planned = len(_committed(made, journal)), len(made.shards)
    return (
        f"stopped: {committed:,} of {planned:,} shards are committed and stay; "
        "run the same command again to go on from there"
    )


@contextlib.contextmanager
def _client(
    given: Client | None, workers: int | None, cluster_spec: str | Path | None
) -> Iterator[Client]:
    if given is not None:
        yield given
    else:
        with cluster(cluster_spec, workers=workers) as client:
            yield client


def write_shards(
    made: RunPlan,
    missing: list[ShardSpec],
    journal: Journal,
    client: Client,
    progress: bool | None,
) -> SplitTotals:
    """Writes shards of a plan that has begun in this output, and shows how far it has come.

    Args:
        missing: those to write; at least one, and none of them committed.

    Raises:
        BadImageError: an image was refused, and ``on_bad_image`` is ``fail``.
        ShardError: shards failed; all others are committed.
    """
    run_ref = RunRef(
        output=str(journal.layout.root),
        digest=made.fingerprint.digest,
        run=uuid.uuid4().hex,
        stop_at_bad_image=made.config.on_bad_image == "fail",
    )
    work = Work(
        title="preparing",
        planned=sum(shard.images for shard in missing),
        shards=len(missing),
        dashboard=client.dashboard_link,
    )
    with make_display(work, progress) as display:
        return write_on_cluster(missing, run_ref, client, display.update)
