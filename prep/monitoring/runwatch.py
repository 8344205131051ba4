"""Workers' heartbeats → how far a run has come."""

from __future__ import annotations

import dataclasses
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from prep.images.stats import ChannelStats, by_channel
from prep.monitoring.counts import LiveCounts, Pace, RefusedName, ShardState, SplitCounts
from prep.monitoring.messages import ProcessMessage, RunMessage, TallyMessage
from prep.output.receipt import SplitTotals, Totals
from prep.output.report.history import History, Recorder, Sample
from prep.output.report.verdict import RUNNING, Verdict
from prep.planning.shards import Partition, plan_shards
from prep.sources.folders.names import training_splits
from prep.text import one_line

SHARD_STATES: tuple[ShardState, ...] = get_args(ShardState)
_NUMBER = {state: number for number, state in enumerate(SHARD_STATES)}
_DONE = (_NUMBER["committed"], _NUMBER["resumed"])
_LATEST = 8  # names of refused images that are kept
_SAMPLE_EVERY = 1.0  # seconds
_WORKERS_SAMPLED = 64  # beyond that, hosts say enough


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """What is known of a run before it begins.

    Attributes:
        run: its id.
        output: where it writes to.
        page: the address of what is to be looked at when it is done.
        began: in seconds since 1970.
        elapsed: seconds since then.
        splits: images planned, by split, in the order of the plan.
        images_per_shard, partition: as in the plan.
        missing: which shards are to be written, counted through all splits, in the order of their
            tasks; all others are there from before.
        classes: images planned by class, at most ``CLASSES_COUNTED``, in the order of the plan.
        before: what is committed already.
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

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> RunInfo:
        return cls(**value)


def totals_message(totals: SplitTotals, classes: Iterable[str]) -> TallyMessage:
    """What receipts have added up to, in the form in which workers tell of it.

    Args:
        classes: those that are counted, in their order.
    """
    everything = sum(totals.values(), Totals())
    refused = everything.refused
    return {
        "read": everything.source_bytes,
        "written": everything.bytes,
        "refused": dict(Counter(finding.reason for finding in refused)),
        "refused_in": {one_line(split): len(t.refused) for split, t in totals.items()},
        "stats": {
            one_line(split): [s.images, s.pixels, *s.sums, *s.squares]
            for split, s in ((split, t.stats) for split, t in totals.items())
        },
        "classes": np.array([everything.written.get(c, 0) for c in classes], np.uint32).tobytes(),
        "latest": [
            [one_line(f.path), f.reason, one_line(f.detail)] for f in refused[: -_LATEST - 1 : -1]
        ],
    }


class WorkerLook(NamedTuple):
    """What a worker's last heartbeat told: our message, and its processor time in percent."""

    message: ProcessMessage
    cpu: float


class _Sums:
    """Tallies added up; they can be taken out again."""

    def __init__(self, splits: Iterable[str], classes: int) -> None:
        self.read = 0
        self.written = 0
        self.refused: Counter[str] = Counter()
        self.refused_in: Counter[str] = Counter()
        self.stats = {split: [0] * 8 for split in splits}
        self.classes: npt.NDArray[np.int64] = np.zeros(classes, np.int64)

    def add(self, tally: TallyMessage, sign: int = 1) -> None:
        self.read += sign * tally["read"]
        self.written += sign * tally["written"]
        for reason, count in tally["refused"].items():
            self.refused[reason] += sign * count
        for split, count in tally["refused_in"].items():
            self.refused_in[split] += sign * count
        for split, values in tally["stats"].items():
            ours = self.stats.setdefault(split, [0] * 8)
            for i, value in enumerate(values):
                ours[i] += sign * value
        counts = np.frombuffer(tally["classes"], np.uint32)[: len(self.classes)]
        self.classes[: len(counts)] += sign * counts.astype(np.int64)


class RunWatch:
    """Puts together what is known of a run.

    Images are counted by shards, exactly: all of a committed one, and of one under way what its
    worker has told of. All else is what the workers have told, those too that are gone: it can
    be off by what a lost worker did not come to tell, and by shards that were written twice, until
    the end of the run sets it right.

    Args:
        now: in seconds, of a clock that only goes forward; so in all methods.
    """

    def __init__(self, info: RunInfo, now: float) -> None:
        self.info = info
        self._began = now - info.elapsed
        #: How the run stands.
        self.verdict = RUNNING
        shards = plan_shards(info.splits, info.images_per_shard, info.partition)
        self._names = {f"{shard.split}/{shard.index}": n for n, shard in enumerate(shards)}
        self._images = np.array([shard.images for shard in shards], np.int64)
        numbers = {split: number for number, split in enumerate(info.splits)}
        self._split = np.array([numbers[shard.split] for shard in shards], np.int64)
        #: The state of each shard, as its number in ``SHARD_STATES``; uint8.
        self.shard_states = np.full(len(shards), _NUMBER["resumed"], np.uint8)
        self.shard_states[list(info.missing)] = _NUMBER["waiting"]
        self._images_before = int(self._images[np.isin(self.shard_states, _DONE)].sum())
        self._sums = _Sums(info.splits, len(info.classes))
        self._sums.add(info.before)
        self._told: dict[str, RunMessage] = {}
        self._looked_at: dict[str, ProcessMessage] = {}
        self._latest: deque[RefusedName] = deque(maxlen=_LATEST)
        self._add_latest(info.before["latest"])
        self._pace = Pace()
        #: What was measured so far, about once a second.
        self.recorder = Recorder(info.began)
        self._next_sample = 0.0
        self._counts = self._count(info.elapsed)

    # What happens

    def shard_is(self, task: int, state: ShardState) -> None:
        """The shard of this task (see ``RunInfo.missing``) has come to this state.

        A committed one stays that, even if Dask loses the result and runs the task again.
        """
        number = self.info.missing[task]
        if not self.verdict.ended and self.shard_states[number] not in _DONE:
            self.shard_states[number] = _NUMBER[state]

    def look(self, now: float, workers: Iterable[WorkerLook]) -> LiveCounts:
        """Takes in what all workers that are there have told last."""
        if self.verdict.ended:
            return self._counts
        present = {look.message["process"]: look for look in workers}
        for process in self._told.keys() - present.keys():
            if self._told[process]["active"]:
                self._replace(process, {**self._told[process], "active": {}})
        for process, look in present.items():
            if self._looked_at.get(process) is not look.message:
                self._looked_at[process] = look.message
                told = look.message["runs"].get(self.info.run)
                if told is not None:
                    self._replace(process, told)
        seconds = now - self._began
        self._counts = self._pace.add_rates(self._count(seconds), now)
        if now >= self._next_sample:
            self._next_sample = now + _SAMPLE_EVERY
            self.recorder.add(_sample(seconds, self._counts, present.values()))
        return self._counts

    def finish(self, verdict: Verdict, now: float, totals: TallyMessage | None = None) -> History:
        """Ends the watch; of one that has ended it changes the verdict alone.

        Args:
            verdict: what has come of the run. The rates then are those of the whole run.
            totals: of all receipts, those from before included, if the run is done; see
                :func:`totals_message`.
        """
        if not self.verdict.ended:
            self._close(now, totals)
        self.verdict = verdict
        self._counts = dataclasses.replace(self._counts, verdict=verdict)
        return self.recorder.history(verdict)

    def _close(self, now: float, totals: TallyMessage | None) -> None:
        if totals is not None:
            self._set_right(totals)
        for process, told in list(self._told.items()):  # What was begun and not finished is lost.
            self._replace(process, {**told, "active": {}})
        under_way = self.shard_states == _NUMBER["running"]
        self.shard_states[under_way] = _NUMBER["waiting"]
        seconds = now - self._began
        self._counts = self._on_average(self._count(seconds))
        self.recorder.add(_sample(seconds, self._counts, ()))

    def _replace(self, process: str, told: RunMessage) -> None:
        before = self._told.get(process)
        self._told[process] = told
        known = set()
        for tally in _tallies(before) if before is not None else ():
            self._sums.add(tally, -1)
            known |= {image[0] for image in tally["latest"]}
        for tally in _tallies(told):
            self._sums.add(tally)
            self._add_latest(image for image in tally["latest"] if image[0] not in known)

    def _add_latest(self, images: Iterable[Sequence[str]]) -> None:
        for path, reason, detail in reversed(list(images)):
            self._latest.appendleft(RefusedName(path=path, reason=reason, detail=detail))

    def _set_right(self, totals: TallyMessage) -> None:
        self._sums = _Sums(self.info.splits, len(self.info.classes))
        self._sums.add(totals)
        known = {image.path for image in self._latest}
        self._add_latest(image for image in totals["latest"] if image[0] not in known)
        self._told.clear()
        pending = ~np.isin(self.shard_states, _DONE)
        self.shard_states[pending] = _NUMBER["committed"]

    # What is to be seen

    @property
    def counts(self) -> LiveCounts:
        """As of the last look."""
        return self._counts

    @property
    def classes_done(self) -> npt.NDArray[np.int64]:
        """Images written, of each class in ``info.classes``."""
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
        stats = self._reference()
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
        """With the rates of the whole run, from when there were workers."""
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
        under_way: dict[int, int] = {}  # A shard that two workers are at counts once.
        for told in self._told.values():
            for name, shard in told["active"].items():
                number = self._names.get(name)
                if number is not None and not finished[number]:
                    under_way[number] = max(under_way.get(number, 0), shard["images"])
        for number, images in under_way.items():
            done[self._split[number]] += images
        return [int(images) for images in done]

    def _reference(self) -> ChannelStats:
        """The sums that the mean is taken of."""
        chosen = [self._sums.stats[split] for split in training_splits(self.info.splits)]
        images, pixels, *rest = (sum(column) for column in zip(*chosen, strict=True))
        return ChannelStats(
            images=images,
            pixels=pixels,
            sums=(rest[0], rest[1], rest[2]),
            squares=(rest[3], rest[4], rest[5]),
        )


def _tallies(told: RunMessage) -> Iterator[TallyMessage]:
    yield told["finished"]
    yield from told["active"].values()


def _sample(seconds: float, counts: LiveCounts, workers: Iterable[WorkerLook]) -> Sample:
    looks = sorted(workers, key=lambda look: (look.message["host"], look.message["pid"]))
    return Sample(
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
