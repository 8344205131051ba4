"""Export an output to another format, without decoding its images."""

from __future__ import annotations

import functools
import os
import time
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from prep.display.displays import display_for
from prep.errors import ConfigError
from prep.execution.clusters.choice import ClusterChoice, choice_of
from prep.execution.executor import Executor, TaskEvent, Tasks, Workload
from prep.execution.placing import placed, require_usable
from prep.monitoring.events import Callback, Events, WorkStarted, emitting, require_callbacks
from prep.operations.running.work import count_tasks
from prep.output.journal import Journal
from prep.output.plan_file import no_plan
from prep.output.report.verdict import Verdict
from prep.planning.plan import RunPlan
from prep.planning.shards import ShardSpec
from prep.shards.exports.base import EXPORTS, ExportedFile, ExportFormat, ExportName, export_class
from prep.shards.exports.export_target import ExportTarget
from prep.shards.exports.exported_shard import export_shard
from prep.shards.writer import RunRef
from prep.sources.folders.names import LABEL_MAP
from prep.storage.arguments import admit
from prep.storage.local import LocalPath
from prep.storage.urls import is_url
from prep.text import Displayable, counted, quoted, shown, size_text, unknown
from prep.training.opened_split import OpenedSplit, open_split

if TYPE_CHECKING:
    from distributed import Client

# Bytes that are written and read again in about the time in which an image is prepared.
_BYTES_PER_IMAGE = 1 << 19  # 512 KiB


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport(Displayable):
    """The result of an export.

    Attributes:
        output: the output that was exported.
        folder: the folder of the export.
        to: its format.
        images: number of images by split.
        files: number of files that hold them.
        kept: how many of these an earlier attempt had written.
        bytes: size of the files together.
        seconds: how long it took.
    """

    output: str
    folder: str
    to: ExportName
    images: Mapping[str, int]
    files: int
    kept: int
    bytes: int
    seconds: float

    @property
    def verdict(self) -> Verdict:
        """Done: all images that an export names have been written and read again."""
        return Verdict("done")

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON values."""
        return asdict(self)

    def summary(self) -> str:
        """Return the report in one line.

        >>> print(ExportReport(output="shards", folder="wds", to="webdataset", kept=0, files=2,
        ...     images={"train": 64}, bytes=1_500_000, seconds=1.5).summary())
        wds: 64 images of shards in 2 files (webdataset, 1.5 MB), each read again and compared
        """
        verb = "was" if self.kept == 1 else "were"
        kept = f"; {counted(self.kept, 'file')} {verb} there already" if self.kept else ""
        return (
            f"{self.folder}: {counted(sum(self.images.values()), 'image')} of {self.output} in "
            f"{counted(self.files, 'file')} ({self.to}, {size_text(self.bytes)}), each read again "
            f"and compared{kept}"
        )


def export(
    output: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    to: ExportName,
    client: Client | None = None,
    *,
    splits: Sequence[str] | None = None,
    workers: int | None = None,
    cluster: str | os.PathLike[str] | ClusterChoice | None = None,
    profile: str | None = None,
    progress: bool | None = None,
    storage_options: Mapping[str, Any] | None = None,
    dashboard: bool = False,
    callbacks: Iterable[Callback] = (),
) -> ExportReport:
    """Export an output to another format. No image is decoded, and none is encoded again.

    Each shard becomes a file, which is read again and compared before it appears. An export that
    was stopped or killed is continued by the same call.

    ============  ================================================================================
    webdataset    tar files, as ``prep run --format webdataset`` writes them
    parquet       tables that Hugging Face's ``datasets`` opens, with ``Image`` and ``ClassLabel``
    mds           files of MosaicML's Streaming: columns class, image, label and name
    array_record  Examples for Grain, and for ``tfds.builder_from_directory(…).as_data_source()``
    ============  ================================================================================

    Args:
        output: an output folder, or its URL; complete.
        folder: the folder of the export: a new or empty one, or that of an export of the same
            output to the same format, which is continued. All workers must see it.
        to: the format.
        client: a Dask client to use, and leave running. Without one, a cluster is started if there
            is enough work for it.
        splits: names of the splits; by default, all.
        workers: number of workers of a cluster that is started.
        cluster, profile: as for ``prep.run``.
        progress: whether to show progress on standard error; if None, only at a terminal.
        storage_options: options of the output's storage; see :class:`prep.Config`.
        dashboard: use a cluster, which has a dashboard, even for few images.
        callbacks: objects to call as the work goes on; see :class:`prep.Callback`.

    Raises:
        ConfigError: there is no such format, the output can't be exported to it, or a package that
            it needs is not installed.
        SourceError: there is no finished run in ``output``, or it has no such split.
        OutputConflict: ``folder`` holds something else, is no folder, or another export is at work
            in it.
        RecordError: a shard is damaged, or a file was not read again as it was written.
        StorageUnavailable: the storage of the output does not answer.
        ClusterError: the cluster can't be started, or would not do.
        PrepError: a file can't be written.
    """
    choice = choice_of(cluster, profile, workers, dashboard)
    own = require_callbacks(callbacks)
    if not isinstance(to, str) or to not in EXPORTS:
        raise ConfigError(f"to: {shown(to)}: {unknown('format', to, EXPORTS)}")
    opened = _open(output, splits, storage_options)
    plan, journal = opened[0].plan, opened[0].journal
    format = export_class(to)(plan)
    format.require_possible()
    target = ExportTarget(folder=str(_folder(folder, journal)), to=to)
    require_usable(client, choice)
    began = time.perf_counter()
    shards = [s for s in plan.shards if s.split in {split.split for split in opened}]
    size = sum(receipt.bytes for split in opened for receipt in split.receipts)
    workload = Workload(images=size // _BYTES_PER_IMAGE, parts=len(shards))
    with (
        emitting([*display_for("exporting", progress), *own]) as events,
        target.claimed(plan.fingerprint.digest, [split.split for split in opened]),
    ):
        with placed(client, choice, workload, events.stage) as executor:
            executor.require_fit(readable=[str(journal.layout.plan)], writable=target.folder)
            files = _export_all(shards, journal, plan, target, executor, events)
        _describe(format, files, target)
        report = ExportReport(
            output=journal.output,
            folder=target.folder,
            to=to,
            images={split.split: split.images for split in opened},
            files=len(files),
            kept=sum(file.kept for file in files),
            bytes=sum(file.bytes for file in files),
            seconds=time.perf_counter() - began,
        )
        events.end(report)
    return report


def _open(
    output: str | os.PathLike[str],
    splits: Sequence[str] | None,
    storage_options: Mapping[str, Any] | None,
) -> list[OpenedSplit]:
    """Return the splits of a finished output that are asked for, in its order."""
    place = admit("output", output, storage_options)
    journal = Journal(place)
    plan = journal.stored_plan()
    if plan is None:
        raise no_plan(journal.layout)
    asked = list(plan.splits) if splits is None else _names(splits)
    asked.sort(key=[*plan.splits, *asked].index)
    return [open_split(place, split, storage_options) for split in dict.fromkeys(asked)]


def _names(splits: object) -> list[str]:
    """Return names of splits as a list; raise ConfigError if they are something else."""
    if isinstance(splits, Collection) and not isinstance(splits, str | bytes):
        names = [name for name in splits if isinstance(name, str)]
        if names and len(names) == len(splits):
            return names
    raise ConfigError(f"splits: got {shown(splits)}; expected a list of names of splits")


def _folder(folder: str | os.PathLike[str], journal: Journal) -> LocalPath:
    """Return the path of an export's folder.

    Raises:
        ConfigError: it is in a storage, or in the output.
    """
    place = admit("folder", folder, None)
    if is_url(place):
        raise ConfigError(
            f"folder: got {quoted(place)}; expected a folder on a disk: export there, and copy it"
        )
    path = LocalPath(os.path.abspath(place))
    root = journal.layout.root.local
    if root is not None and path.resolve().is_relative_to(root.resolve()):
        raise ConfigError(f"folder: {quoted(path)} is in the output; expected another folder")
    return path


def _export_all(
    shards: Sequence[ShardSpec],
    journal: Journal,
    plan: RunPlan,
    target: ExportTarget,
    executor: Executor,
    events: Events,
) -> list[ExportedFile]:
    """Export shards, and return their files in the order of the shards."""
    run = RunRef(output=journal.output, digest=plan.fingerprint.digest, run=uuid.uuid4().hex)
    work = WorkStarted(
        title="exporting",
        planned=sum(shard.images for shard in shards),
        shards=len(shards),
        dashboard=executor.dashboard,
    )
    count = count_tasks(events, work, [shard.images for shard in shards])
    found: dict[int, ExportedFile] = {}

    def look(event: TaskEvent[ExportedFile]) -> None:
        if event.error is not None:
            raise event.error
        if event.task is not None and event.result is not None:
            found[event.task] = event.result
        count(event)

    function = functools.partial(export_shard, run=run, target=target)
    executor.run_tasks(Tasks(function=function, items=shards), look)
    return [found[number] for number in sorted(found)]


def _describe(format: ExportFormat, files: Sequence[ExportedFile], target: ExportTarget) -> None:
    """Write the label map, if there are classes, and the files by which readers open the others."""
    root = LocalPath(target.folder)
    labels = format.plan.labels
    if labels.numbers and labels.target != "value":
        (root / LABEL_MAP).publish_json(labels.to_json(), within=root)
    for name, data in format.beside(files):
        (root / name).publish(data, within=root)
