"""Compute the mean RGB of original images, or of what shards hold."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from prep.display.displays import display_for
from prep.errors import ConfigError
from prep.execution.clusters.choice import ClusterChoice, choice_of
from prep.execution.executor import Executor, TaskEvent, Tasks, Workload
from prep.execution.placing import placed, require_usable
from prep.monitoring.events import (
    Callback,
    Events,
    WorkStarted,
    emitting,
    require_callbacks,
)
from prep.operations.averaging.concluding import conclude
from prep.operations.averaging.image_sums import Weight
from prep.operations.averaging.mean_inputs import find_all, images_in_shards
from prep.operations.averaging.mean_report import MeanReport, SampleFacts, Scale
from prep.operations.averaging.sampling import RandomDraw, parse_sample
from prep.operations.averaging.summing import (
    Method,
    Part,
    Portion,
    merge_parts,
    sum_images,
    sum_shards,
)
from prep.operations.running.work import count_tasks
from prep.shards.formats.base import shards_among
from prep.storage.arguments import admit
from prep.text import one_line, shown, some

if TYPE_CHECKING:
    from distributed import Client

_FILES_PER_TASK = 64
# A graph with 100,000 paths pickles to 5.5 MB, and Dask warns at 10. More go in several graphs.
_TASKS_PER_GRAPH = 1500


def mean_rgb(
    inputs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    client: Client | None = None,
    *,
    weight: Weight = "image",
    scale: Scale = 255,
    sample: float | None = None,
    seed: int = 0,
    approximate: bool = False,
    std: bool = True,
    tfrecord: bool | None = None,
    workers: int | None = None,
    cluster: str | os.PathLike[str] | ClusterChoice | None = None,
    profile: str | None = None,
    progress: bool | None = None,
    storage_options: Mapping[str, Any] | None = None,
    dashboard: bool = False,
    callbacks: Iterable[Callback] = (),
) -> MeanReport:
    """Compute the mean RGB of image files, or of the images in shards.

    Args:
        inputs: a folder (with all folders below it), a file, or a glob pattern (``**`` for any
            depth); or the URL of a folder or a file; or several of these.
        client: a Dask client to use, and leave running. Without one, a cluster is started if there
            is enough work for it.
        weight: ``image`` is the article's definition, the mean of the images' means; ``pixel`` is
            the mean over all pixels. The two are the same where all images are of one size, as in
            most shards.
        scale: the largest sample that the results are for: 255, or 1 as torchvision expects.
        sample: the fraction of the images to draw at random and look at, above 0 and below 1. The
            mean then has a standard error.
        seed: of the sample; the same seed draws the same images again.
        approximate: decode JPEGs at an eighth of their size, which takes 0.7 of the time,
            and some in full as well, to correct the mean by the difference. The mean then has a
            standard error, and there is neither ``std`` nor ``covariance``.
        std: whether to compute ``std`` and ``covariance`` as well. Without, it is faster.
        tfrecord: whether the files are shards, TFRecord or WebDataset; by default, whether all
            are named so.
        workers: number of workers of a cluster that is started.
        cluster, profile: as for ``prep.run``.
        progress: whether to show progress on standard error; if None, only at a terminal.
        storage_options: options of the storage, for URLs; see :class:`prep.Config`.
        dashboard: use a cluster, which has a dashboard, even for few images.
        callbacks: objects to call as the work goes on; see :class:`prep.Callback`.

    Raises:
        ConfigError: an argument has a value that is not allowed.
        SourceError: there are no files, or none could be read; or too few were drawn.
        RecordError: a shard is damaged.
        StorageUnavailable: the files are in a storage that does not answer.
        ClusterError: the cluster can't be started, or is not fit for the work.
    """
    if weight not in ("image", "pixel"):
        raise ConfigError(f"weight: got {shown(weight)}; expected image or pixel")
    if isinstance(scale, bool) or scale not in (1, 255):
        raise ConfigError(f"scale: got {shown(scale)}; expected 1 or 255")
    method = Method(std=std, approximate=approximate, sample=_sample(sample, seed))
    choice = choice_of(cluster, profile, workers, dashboard)
    own = require_callbacks(callbacks)
    require_usable(client, choice)
    given = [inputs] if isinstance(inputs, str | os.PathLike) else [*inputs]
    with emitting([*display_for("mean RGB", progress), *own]) as events:
        places = [admit("input", each, storage_options) for each in given]
        events.stage(f"listing {some([one_line(os.fspath(each)) for each in given])}")
        files = find_all(places, tfrecord)
        shards = tfrecord if tfrecord is not None else len(shards_among(files)) == len(files)
        work = _work(files, method, shards=shards)
        with placed(client, choice, work.load, events.stage) as executor:
            executor.require_fit(readable=files[:1])
            part = _sum_up(work, executor, events)
        report = conclude(part, weight, scale, work.facts(part))
        events.end(report)
    return report


def _sample(fraction: float | None, seed: int) -> RandomDraw | None:
    if fraction is None and seed != 0:
        raise ConfigError(f"seed: got {shown(seed)} without sample; expected a sample to draw")
    return None if fraction is None else parse_sample(fraction, seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """What there is to do.

    Attributes:
        portions: one for each task.
        images: number of images to decode, if that is known; a guess, if they are in shards.
        files: number of files that were found.
        shards: whether these are shards.
        sample: which images are looked at; None for all.
    """

    portions: Sequence[Portion]
    images: int
    files: int
    shards: bool
    sample: RandomDraw | None

    @property
    def load(self) -> Workload:
        return Workload(images=self.images, parts=len(self.portions))

    def facts(self, part: Part) -> SampleFacts | None:
        """Return what the sample has turned out to be, when all is added up."""
        if self.sample is None:
            return None
        return SampleFacts(
            fraction=self.sample.fraction,
            seed=self.sample.seed,
            drawn=part.sums.images + len(part.refused),
            of=part.seen if self.shards else self.files,
        )


def _work(files: Sequence[str], method: Method, *, shards: bool) -> _Work:
    sample = method.sample and method.sample.among(files)
    method = replace(method, sample=sample)
    looked_at = files if sample is None or shards else sample.files(files)
    length = 1 if shards else _FILES_PER_TASK
    images = images_in_shards(files) if shards else len(looked_at)
    return _Work(
        portions=[
            Portion(files=looked_at[start : start + length], method=method)
            for start in range(0, len(looked_at), length)
        ],
        images=round(images * sample.fraction) if shards and sample else images,
        files=len(files),
        shards=shards,
        sample=sample,
    )


def _sum_up(work: _Work, executor: Executor, events: Events) -> Part:
    function: Callable[[Portion], Part] = sum_shards if work.shards else sum_images
    sizes = [len(portion.files) for portion in work.portions]
    started = WorkStarted(
        title="mean RGB",
        planned=sum(sizes),
        unit="shards" if work.shards else "images",
        dashboard=executor.dashboard,
    )
    count = count_tasks(events, started, sizes)

    def look(event: TaskEvent[Part]) -> None:
        if event.error is not None:
            raise event.error  # The others may take long to fail as well.
        count(event)

    tasks = Tasks(
        function=function, items=work.portions, merge=merge_parts, per_graph=_TASKS_PER_GRAPH
    )
    return executor.run_tasks(tasks, look) or Part()
