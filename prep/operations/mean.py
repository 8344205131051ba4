"""Mean RGB of original images, or of what shards hold."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from prep.display.displays import display_for
from prep.errors import ConfigError, RecordError, RefusedImage, SourceError
from prep.execution.clusters.choice import ClusterChoice, choice_of
from prep.execution.executor import Executor, TaskEvent, Tasks, Workload
from prep.execution.placing import placed, require_usable
from prep.images.colour import ColourStatistics, Matrix, by_channel, stored_channels
from prep.images.decoders.decode import Decoder
from prep.images.encoding.record_pixels import make_decoder, pixels_of_record
from prep.images.stats import ChannelStats, MixedStats, channel_sums
from prep.monitoring.events import (
    Callback,
    Events,
    WorkStarted,
    emitting,
    require_callbacks,
)
from prep.operations.running.work import count_tasks
from prep.output.receipt import ImageNote
from prep.output.report.verdict import Verdict
from prep.shards.formats.base import format_of_file, shards_among
from prep.shards.opened import known_settings
from prep.sources.folders.names import EXTENSIONS
from prep.sources.prefetch import ReadAhead
from prep.storage.arguments import admit
from prep.storage.locate import absolute, locate, read_file
from prep.storage.urls import is_url
from prep.text import (
    Displayable,
    one_line,
    quoted,
    reason_and_file,
    reason_of,
    shown,
    some,
)

if TYPE_CHECKING:
    from distributed import Client


Weight = Literal["image", "pixel"]
Scale = Literal[1, 255]

_FILES_PER_TASK = 64
# A graph with 100,000 paths pickles to 5.5 MB, and Dask warns at 10. More go in several graphs.
_TASKS_PER_GRAPH = 1500
# How many images a shard holds is not known before it is read. By size it is guessed: a JPEG of the
# default side takes about so many bytes. In a storage it is by number: by default, up to so many.
_BYTES_PER_RECORD = 20_000
_IMAGES_PER_SHARD = 1000
# Sizes are not known before files are read. As many are read ahead as fit if all are as large.
_LARGE_IMAGE = 1 << 20  # 1 MiB


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The sums of some files, and those that could not be read."""

    stats: MixedStats = MixedStats()
    refused: tuple[ImageNote, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanReport(Displayable):
    """Mean, standard deviation and covariance of the channels, each from 0 to ``scale``.

    Attributes:
        mean, std: ``{"R": …, "G": …, "B": …}``.
        covariance: of R, G and B, 3 × 3. The JSON has its ``eigenvalues``, largest first, and
            ``eigenvectors``, a row each, beside it.
        scale: the largest possible sample, 255 or 1.
        images: number of images that they are of.
        weight: whether each ``image`` or each ``pixel`` counts the same.
        refused: files that could not be read.
    """

    mean: dict[str, float]
    std: dict[str, float]
    images: int
    weight: Weight
    refused: tuple[ImageNote, ...]
    covariance: Matrix
    scale: Scale = 255

    @property
    def moments(self) -> ColourStatistics:
        """The same numbers as a value that readers compute with."""
        mean, std = stored_channels(self.mean, "mean"), stored_channels(self.std, "std")
        assert mean is not None
        return ColourStatistics(
            mean=mean, std=std, covariance=self.covariance, scale=float(self.scale)
        )

    @property
    def verdict(self) -> Verdict:
        """Done, or done with refusals: images that can't be read are left out."""
        refused = len(self.refused)
        return Verdict.of_counts(self.images + refused, refused, allowed=refused)

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON values: ``R``, ``G`` and ``B`` of the mean, and the rest beside them."""
        return {
            **self.moments.to_json(),
            "images": self.images,
            "weight": self.weight,
            "refused": [{"path": r.path, "reason": r.reason} for r in self.refused],
        }


def mean_rgb(
    inputs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    client: Client | None = None,
    *,
    weight: Weight = "image",
    scale: Scale = 255,
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
        SourceError: there are no files, or none could be read.
        RecordError: a shard is damaged.
        StorageUnavailable: the files are in a storage that does not answer.
        ClusterError: the cluster can't be started, or is not fit for the work.
    """
    if weight not in ("image", "pixel"):
        raise ConfigError(f"weight: got {shown(weight)}; expected image or pixel")
    if isinstance(scale, bool) or scale not in (1, 255):
        raise ConfigError(f"scale: got {shown(scale)}; expected 1 or 255")
    choice = choice_of(cluster, profile, workers, dashboard)
    own = require_callbacks(callbacks)
    require_usable(client, choice)
    given = [inputs] if isinstance(inputs, str | os.PathLike) else [*inputs]
    with emitting([*display_for("mean RGB", progress), *own]) as events:
        places = [admit("input", each, storage_options) for each in given]
        events.stage(f"listing {some([one_line(os.fspath(each)) for each in given])}")
        # Workers may have other working directories.
        files = [absolute(file) for place in places for file in find_files(place, tfrecord)]
        files = list(dict.fromkeys(files))  # Patterns may overlap.
        shards = tfrecord if tfrecord is not None else len(shards_among(files)) == len(files)
        length = 1 if shards else _FILES_PER_TASK
        chunks = [files[start : start + length] for start in range(0, len(files), length)]
        images = _images_in_shards(files) if shards else len(files)
        workload = Workload(images=images, parts=len(chunks))
        with placed(client, choice, workload, events.stage) as executor:
            executor.require_fit(readable=files[:1])
            part = _sum_up(chunks, executor, events, shards=shards)
        report = _conclude(part, weight, scale)
        events.end(report)
    return report


def _images_in_shards(files: Sequence[str]) -> int:
    """Guess how many images shards hold, without reading them."""
    if any(is_url(file) for file in files):
        return len(files) * _IMAGES_PER_SHARD
    with contextlib.suppress(OSError):  # Whoever reads it will say so.
        return sum(map(os.path.getsize, files)) // _BYTES_PER_RECORD
    return 0


def find_files(inputs: str, tfrecord: bool | None) -> list[str]:
    """Return the files that ``inputs`` stands for, by name.

    Raises:
        SourceError: there are none.
        StorageUnavailable: they are in a storage that does not answer.
    """
    if is_url(inputs):
        candidates = _files_below(inputs)
    elif os.path.isdir(inputs):
        candidates = [
            os.path.join(folder, name)
            for folder, _, names in os.walk(inputs)
            for name in names
            if not name.startswith(".")
        ]
    elif os.path.exists(inputs):  # Its name may well look like a pattern.
        return [inputs]
    else:
        return _some(
            sorted(p for p in glob.iglob(inputs, recursive=True) if os.path.isfile(p)), inputs
        )
    images = sorted(path for path in candidates if _is_image_name(path))
    shards = shards_among(candidates)
    return _some(shards if tfrecord or (tfrecord is None and not images) else images, inputs)


def _files_below(url: str) -> list[str]:
    place = locate(url)
    try:
        found = [str(path) for path in place.files_below() if not path.name.startswith(".")]
        absent = None if found else place.absent_bucket()
    except OSError as error:
        place.require_answer(error, "input: can't be listed")
        raise SourceError(f"input: can't be listed: {reason_and_file(error)}") from None
    if absent:
        raise SourceError(f"input: {quoted(url)}: {absent} does not exist; expected a bucket")
    return found


def _read(path: str) -> bytes:
    return read_file(str(locate(path)))


def sum_images(paths: Iterable[str]) -> Part:
    """Add up the channels of image files, all of one storage.

    Raises:
        StorageUnavailable: it does not answer; a mean of what else is there would be another one.
    """
    paths = list(paths)
    storage = paths[0] if paths and is_url(paths[0]) else os.sep
    decoder = Decoder()
    images: list[ChannelStats] = []
    refused: list[ImageNote] = []
    with ReadAhead(paths, _read, lambda _: _LARGE_IMAGE, storage) as files:
        for path, read in files:
            try:
                data = locate(path).patiently(read)
                images.append(channel_sums(decoder.decode(data).pixels))
            except RefusedImage as error:
                refused.append(ImageNote(path=path, reason=error.reason, detail=error.detail[:200]))
            except OSError as error:
                locate(path).require_answer(error)
                refused.append(ImageNote(path=path, reason="unreadable", detail=reason_of(error)))
    return Part(stats=MixedStats.of(images), refused=tuple(refused))


def sum_shards(paths: Iterable[str]) -> Part:
    """Add up the images in shards.

    Raises:
        RecordError: a file or a record in it is damaged, or can't be read.
        StorageUnavailable: a storage does not answer.
    """
    return Part(stats=MixedStats.of(stats for path in paths for stats in _images_of_shard(path)))


def merge_parts(parts: Iterable[Part]) -> Part:
    """Add parts up."""
    parts = list(parts)
    return Part(
        stats=MixedStats.merge(part.stats for part in parts),
        refused=tuple(finding for part in parts for finding in part.refused),
    )


def _images_of_shard(path: str) -> Iterator[ChannelStats]:
    settings, decoder = known_settings(path), make_decoder()
    format, number = format_of_file(path), 0
    try:
        with locate(path).open_regular() as file:
            for record in format.records(file):
                image = format.parse(record).image
                yield channel_sums(pixels_of_record(image, settings, decoder))
                number += 1
    except RecordError as error:
        raise RecordError(f"{path}: record {number}: {error}") from None
    except OSError as error:
        locate(path).require_answer(error)
        raise RecordError(f"{path}: can't be read: {reason_of(error)}") from None


def _sum_up(
    chunks: Sequence[Sequence[str]], executor: Executor, events: Events, *, shards: bool
) -> Part:
    function: Callable[[Iterable[str]], Part] = sum_shards if shards else sum_images
    work = WorkStarted(
        title="mean RGB",
        planned=sum(map(len, chunks)),
        unit="shards" if shards else "images",
        dashboard=executor.dashboard,
    )
    count = count_tasks(events, work, [len(chunk) for chunk in chunks])

    def look(event: TaskEvent[Part]) -> None:
        if event.error is not None:
            raise event.error  # The others may take long to fail as well.
        count(event)

    tasks = Tasks(function=function, items=chunks, merge=merge_parts, per_graph=_TASKS_PER_GRAPH)
    return executor.run_tasks(tasks, look) or Part()


def _conclude(part: Part, weight: Weight, scale: Scale) -> MeanReport:
    total = part.stats.total
    moments = part.stats.image_weighted() if weight == "image" else total.moments()
    if moments is None:
        first = f", the first because of: {part.refused[0].reason}" if part.refused else ""
        raise SourceError(
            f"input: none of its {len(part.refused)} images could be read{first}; "
            "expected images or shards; of archives and lists, prep run tells the mean"
        )
    moments = moments.scaled(float(scale))
    mean, std = by_channel(moments.mean), by_channel(moments.std)
    assert mean is not None
    assert std is not None
    assert moments.covariance is not None
    return MeanReport(
        mean=mean,
        std=std,
        covariance=moments.covariance,
        scale=scale,
        images=total.images,
        weight=weight,
        refused=tuple(sorted(part.refused, key=lambda finding: finding.path)),
    )


def _is_image_name(path: str) -> bool:
    return os.fsencode(path).rpartition(b".")[2].lower() in EXTENSIONS


def _some(files: list[str], inputs: str) -> list[str]:
    if not files:
        raise SourceError(
            f"input: nothing found for {quoted(inputs)}; expected a folder, a file, or a quoted "
            "glob pattern of images or shards"
        )
    return files
