"""The progress of a run, put together from workers' heartbeats and the states of its tasks."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from prep.images.colour import by_channel
from prep.images.stats import ChannelStats
from prep.monitoring.counts import LiveCounts, Pace, RefusedName, ShardState, SplitCounts
from prep.monitoring.heartbeat import ProcessMessage, RunMessage, Sums, TallyMessage
from prep.output.report.history import History, Measurement, Recorder
from prep.output.report.verdict import RUNNING, Verdict
from prep.planning.shards import Partition, ShardSizes, plan_shards
from prep.sources.folders.names import training_splits

SHARD_STATES: tuple[ShardState, ...] = get_args(ShardState)
_NUMBER = {state: number for number, state in enumerate(SHARD_STATES)}
_DONE = (_NUMBER["committed"], _NUMBER["resumed"])
_LATEST = 8  # refused images that are kept by name
_SAMPLE_EVERY = 1.0  # seconds
_WORKERS_SAMPLED = 64  # beyond that, hosts are enough


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """Facts about a run that are known before it begins.

    Attributes:
        run: its id.
        output: the folder or URL that it writes to.
        page: the address of the report that it will write.
        began: in seconds since 1970.
        elapsed: seconds since then.
        splits: images planned, by split, in the order of the plan.
        images_per_shard, partition, sizes: as in the plan.
        missing: the shards to write, numbered through all splits, in the order of their tasks; all
            others are committed.
        classes: images planned by class, at most ``CLASSES_COUNTED``, in the order of the plan.
        before: the totals of what is committed.
    """

    run: str
    output: str
    page: str
    began: float
    elapsed: float
    splits: Mapping[str, int]
    images_per_shard: int
    missing: Sequence[int]
    classes: Mapping[str, int]
    before: TallyMessage
    partition: Partition = "even"
    sizes: ShardSizes | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> RunInfo:
        return cls(**value)


class WorkerLook(NamedTuple):
    """A worker's last heartbeat: its message, and the processor time of the process in percent."""

    message: ProcessMessage
    cpu: float


class RunWatch:
    """The progress of one run.

    Images are counted by shard, exactly: all images of a committed shard, and those that a worker
    has reported of a shard that is being written. All other numbers are sums of what workers have
    reported, also those that are gone. They may be off by what a lost worker did not report, and by
    shards that were written twice, until the totals of the receipts replace them at the end.

    ``now`` is the time in seconds, by a clock that only goes forward, in all methods.

    Attributes:
        verdict: the state of the run.
        shard_states: the state of each shard, as its index in ``SHARD_STATES``; uint8.
        recorder: the measurements so far, about one a second.
    """

    def __init__(self, info: RunInfo, now: float) -> None:
        self.info = info
        self._began = now - info.elapsed
        self.verdict = RUNNING
        shards = plan_shards(info.splits, info.images_per_shard, info.partition, sizes=info.sizes)
        self._names = {f"{shard.split}/{shard.index}": n for n, shard in enumerate(shards)}
        self._images = np.array([shard.images for shard in shards], np.int64)
        numbers = {split: number for number, split in enumerate(info.splits)}
        self._split = np.array([numbers[shard.split] for shard in shards], np.int64)
        self.shard_states = np.full(len(shards), _NUMBER["resumed"], np.uint8)
        self.shard_states[list(info.missing)] = _NUMBER["waiting"]
        self._images_before = int(self._images[np.isin(self.shard_states, _DONE)].sum())
        self._sums = Sums(len(info.classes))
        self._sums.add(info.before)
        self._reported: dict[str, RunMessage] = {}
        self._seen: dict[str, ProcessMessage] = {}
        self._latest: deque[RefusedName] = deque(maxlen=_LATEST)
        self._add_latest(info.before["latest"])
        self._pace = Pace()
        self.recorder = Recorder(info.began)
        self._next_sample = 0.0
        self._counts = self._count(info.elapsed)

    def shard_is(self, task: int, state: ShardState) -> None:
        """Note the state of a task's shard, by its index in ``RunInfo.missing``.

        A committed shard remains so, even if Dask loses the result and runs the task again.
        """
        number = self.info.missing[task]
        if not self.verdict.ended and self.shard_states[number] not in _DONE:
            self.shard_states[number] = _NUMBER[state]

    def look(self, now: float, workers: Iterable[WorkerLook]) -> LiveCounts:
        """Take in the last heartbeats of all workers that are there."""
        if self.verdict.ended:
            return self._counts
        present = {look.message["process"]: look for look in workers}
        for process in self._reported.keys() - present.keys():
            self._drop_active(process)
        for process, look in present.items():
            if self._seen.get(process) is not look.message:
                self._seen[process] = look.message
                report = look.message["runs"].get(self.info.run)
                if report is not None:
                    self._replace(process, report)
        seconds = now - self._began
        self._counts = self._pace.add_rates(self._count(seconds), now)
        if now >= self._next_sample:
            self._next_sample = now + _SAMPLE_EVERY
            self.recorder.add(_sample(seconds, self._counts, present.values()))
        return self._counts

    def finish(self, verdict: Verdict, now: float, totals: TallyMessage | None = None) -> History:
        """End the watch, and return the measurements. If it has ended, only change the verdict.

        From then on, rates are those of the whole run.

        Args:
            verdict: how the run has ended.
            totals: of all receipts, also earlier ones, if the run is complete; see
                :func:`prep.monitoring.heartbeat.totals_message`.
        """
        if not self.verdict.ended:
            self._close(now, totals)
        self.verdict = verdict
        self._counts = dataclasses.replace(self._counts, verdict=verdict)
        return self.recorder.history(verdict)

    def _close(self, now: float, totals: TallyMessage | None) -> None:
        if totals is not None:
            self._replace_all(totals)
        for process in self._reported:
            self._drop_active(process)
        running = self.shard_states == _NUMBER["running"]
        self.shard_states[running] = _NUMBER["waiting"]
        seconds = now - self._began
        self._counts = self._on_average(self._count(seconds))
        self.recorder.add(_sample(seconds, self._counts, ()))

    def _replace(self, process: str, report: RunMessage) -> None:
        """Replace what a process has reported before."""
        before = self._reported.get(process)
        self._reported[process] = report
        known = set()
        for tally in _tallies(before) if before is not None else ():
            self._sums.add(tally, -1)
            known |= {image[0] for image in tally["latest"]}
        for tally in _tallies(report):
            self._sums.add(tally)
            self._add_latest(image for image in tally["latest"] if image[0] not in known)

    def _drop_active(self, process: str) -> None:
        """Subtract the shards that a process has begun and will not finish."""
        if self._reported[process]["active"]:
            self._replace(process, {**self._reported[process], "active": {}})

    def _add_latest(self, images: Iterable[Sequence[str]]) -> None:
        for path, reason, detail in reversed(list(images)):
            self._latest.appendleft(RefusedName(path=path, reason=reason, detail=detail))

    def _replace_all(self, totals: TallyMessage) -> None:
        """Replace everything that was reported by the totals of all receipts."""
        self._sums = Sums(len(self.info.classes))
        self._sums.add(totals)
        known = {image.path for image in self._latest}
        self._add_latest(image for image in totals["latest"] if image[0] not in known)
        self._reported.clear()
        pending = ~np.isin(self.shard_states, _DONE)
        self.shard_states[pending] = _NUMBER["committed"]

    @property
    def counts(self) -> LiveCounts:
        """The counts of the last look."""
        return self._counts

    @property
    def classes_done(self) -> npt.NDArray[np.int64]:
        """Images written of each class in ``info.classes``; int64."""
        return self._sums.classes

    def _count(self, seconds: float) -> LiveCounts:
        done = self._done_by_split()
        splits = {
            split: SplitCounts(
                planned=planned,
                done=done[number],
                refused=min(self._sums.refused_in[split], done[number]),
            )
            for number, (split, planned) in enumerate(self.info.splits.items())
        }
        states = np.bincount(self.shard_states, minlength=len(SHARD_STATES)).tolist()
        stats = self._training_stats()
        return LiveCounts(
            verdict=self.verdict,
            planned=sum(self.info.splits.values()),
            images=sum(done),
            refused=self._sums.refused.total(),
            shards=states[_NUMBER["committed"]] + states[_NUMBER["resumed"]],
            bytes_read=self._sums.read,
            bytes_written=self._sums.written,
            seconds=seconds,
            splits=splits,
            shard_states=dict(zip(SHARD_STATES, states, strict=True)),
            reasons={reason: n for reason, n in self._sums.refused.most_common() if n > 0},
            latest=tuple(self._latest),
            mean=by_channel(stats.mean()),
            std=by_channel(stats.std()),
        )

    def _on_average(self, counts: LiveCounts) -> LiveCounts:
        """Return the counts with the rates of the whole run, without the start of the workers."""
        worked = counts.seconds - self.info.elapsed
        if worked <= 0:
            return counts
        before = self.info.before
        return dataclasses.replace(
            counts,
            images_per_second=(counts.images - self._images_before) / worked,
            read_per_second=max(counts.bytes_read - before["read"], 0) / worked,
            written_per_second=max(counts.bytes_written - before["written"], 0) / worked,
        )

    def _done_by_split(self) -> list[int]:
        finished = np.isin(self.shard_states, _DONE)
        done = np.bincount(
            self._split[finished], self._images[finished], minlength=len(self.info.splits)
        ).astype(int)
        active: dict[int, int] = {}  # A shard that two workers write counts once.
        for report in self._reported.values():
            for name, shard in report["active"].items():
                number = self._names.get(name)
                if number is not None and not finished[number]:
                    active[number] = max(active.get(number, 0), shard["images"])
        for number, images in active.items():
            done[self._split[number]] += images
        return [int(images) for images in done]

    def _training_stats(self) -> ChannelStats:
        """Return the channel sums that the mean is computed from."""
        splits = training_splits(self.info.splits)
        chosen = [self._sums.stats.get(split, [0] * 8) for split in splits]
        images, pixels, *rest = (sum(column) for column in zip(*chosen, strict=True))
        return ChannelStats(
            images=images,
            pixels=pixels,
            sums=(rest[0], rest[1], rest[2]),
            squares=(rest[3], rest[4], rest[5]),
            products=None,
        )


def _tallies(report: RunMessage) -> Iterator[TallyMessage]:
    yield report["finished"]
    yield from report["active"].values()


def _sample(seconds: float, counts: LiveCounts, workers: Iterable[WorkerLook]) -> Measurement:
    looks = sorted(workers, key=lambda look: (look.message["host"], look.message["pid"]))
    return Measurement(
        seconds=seconds,
        images=counts.images,
        bytes_read=counts.bytes_read,
        bytes_written=counts.bytes_written,
        workers={
            f"{look.message['host']}:{look.message['pid']}": look.cpu
            for look in looks[:_WORKERS_SAMPLED]
        },
        hosts={look.message["host"]: look.message["host_cpu"] for look in looks},
    )
