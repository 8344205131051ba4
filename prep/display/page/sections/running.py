"""How much of the cores was in use, on average.

The shards of each split.

How the run went.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from prep.display.page.facts import Facts
from prep.display.page.figures import pictures, timelines
from prep.display.page.figures.style import short_size
from prep.display.page.section import FEWEST, Figure, Section, View, make_section
from prep.output.report.history import History
from prep.text import counted, one_line

#: More workers than these are shown by the least used, the middle and the most used of them.
_MOST_NAMED = 8
_ALL_AT_WORK = 90.0  # percent


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreUse:
    """Mean use of the cores of a worker or host, in percent; None of too few samples to tell."""

    name: str
    percent: float | None

    @property
    def width(self) -> float:
        """Of a bar on a scale from 0 to 100: threads of a worker may use more than one core."""
        return min(round(self.percent or 0.0, 1), 100.0)


def core_use(histories: Sequence[History]) -> tuple[list[CoreUse], list[CoreUse]]:
    """That of hosts, and of workers."""
    return _means(histories, "hosts"), _means(histories, "workers")


def mean_use(uses: Sequence[CoreUse]) -> float | None:
    """The mean of all, in percent; None where there were too few samples of each to tell."""
    known = [use.percent for use in uses if use.percent is not None]
    return sum(known) / len(known) if known else None


def describe_use(hosts: Sequence[CoreUse], workers: Sequence[CoreUse]) -> str:
    """How much of the cores was in use, in a sentence."""
    of_hosts, of_workers = mean_use(hosts), mean_use(workers)
    said = []
    if of_hosts is not None:
        said.append(f"{of_hosts:.0f}% of all cores were in use")
    if of_workers is not None:
        said.append(f"each worker used {of_workers:.0f}% of a core")
    if not said:
        return "The run was too short to tell whether the cores were busy."
    if used_by_others(hosts, workers):
        verdict = "The cores were busy, but with other programs than this run's workers"
    elif (of_hosts or 0.0) >= _ALL_AT_WORK:
        verdict = "All cores were at work"
    else:
        return f"On average, {' and '.join(said)}."
    return f"{verdict}: on average, {' and '.join(said)}."


def used_by_others(hosts: Sequence[CoreUse], workers: Sequence[CoreUse]) -> bool:
    """Whether the cores were busy while the workers got little of them."""
    of_hosts, of_workers = mean_use(hosts), mean_use(workers)
    if of_hosts is None or of_workers is None:
        return False
    return of_hosts >= _ALL_AT_WORK and of_workers < _ALL_AT_WORK / 2


def _means(histories: Sequence[History], kind: Literal["hosts", "workers"]) -> list[CoreUse]:
    samples: dict[str, list[tuple[float, float]]] = {}
    for history in histories:
        weights = _weights(history.seconds)
        columns: Mapping[str, tuple[float | None, ...]] = getattr(history, kind)
        for name, values in columns.items():
            known = zip(values, weights, strict=True)
            samples.setdefault(name, []).extend((v, w) for v, w in known if v is not None)
    found = [_mean(name, of) for name, of in sorted(samples.items())]
    return found if len(found) <= _MOST_NAMED else _least_middle_most(found, kind)


def _weights(seconds: Sequence[float]) -> Sequence[float]:
    """How long each sample stands for: parts of a run are sampled at intervals of their own."""
    if len(seconds) < 2:
        return [1.0] * len(seconds)
    weights: list[float] = np.maximum(np.gradient(np.asarray(seconds, float)), 1e-9).tolist()
    return weights


def _mean(name: str, samples: Sequence[tuple[float, float]]) -> CoreUse:
    if len(samples) < FEWEST:
        return CoreUse(name=one_line(name), percent=None)
    values, weights = zip(*samples, strict=True)
    return CoreUse(name=one_line(name), percent=float(np.average(values, weights=weights)))


def _least_middle_most(found: Sequence[CoreUse], kind: str) -> list[CoreUse]:
    known = sorted(use.percent for use in found if use.percent is not None)
    chosen = (known[0], known[len(known) // 2], known[-1]) if known else (None,) * 3
    noun = kind.removesuffix("s")
    names = (f"the least used {noun}", f"the middle {noun}", f"the most used {noun}")
    return [CoreUse(name=name, percent=p) for name, p in zip(names, chosen, strict=True)]


def shards(view: View) -> Section:
    """How many there are, and how large."""
    return make_section(
        "shards",
        "Shards",
        {"split_rows": split_rows(view.facts), "committed": len(view.facts.receipts)},
        figures=_shard_figures(view.facts),
    )


def split_rows(facts: Facts) -> list[tuple[str, ...]]:
    """(split, planned, written, refused, shards, size, images of the smallest and largest)."""
    rows: list[tuple[str, ...]] = []
    for split, planned in facts.plan.splits.items():
        total = facts.totals[split]
        sizes = [receipt.images for receipt in facts.receipts if receipt.split == split]
        of_all = sum(shard.split == split for shard in facts.plan.shards)
        shards = f"{total.shards:,}" + (f" of {of_all:,}" if total.shards < of_all else "")
        numbers = (f"{planned:,}", f"{total.images:,}", f"{len(total.refused):,}", shards)
        rows.append((one_line(split), *numbers, short_size(total.bytes), _between(sizes)))
    return rows


def _between(sizes: list[int]) -> str:
    if not sizes:
        return "none"
    low, high = min(sizes), max(sizes)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def split_key(facts: Facts) -> list[tuple[str, int]]:
    """What colours stand for, where there is more than one split."""
    names = [one_line(split) for split in facts.splits]
    return [(name, number) for number, name in enumerate(names)] if len(names) > 1 else []


def _shard_figures(facts: Facts) -> dict[str, Figure]:
    """Images and bytes of each shard, which are much the same by design."""
    receipts, splits = facts.receipts, facts.splits
    if len(receipts) < FEWEST:
        return {}
    images = [receipt.images for receipt in receipts]
    sizes = [receipt.bytes for receipt in receipts]
    every = pictures.bars_shown(len(receipts))
    some = f" One of {every:,} has a bar." if every > 1 else ""
    key = split_key(facts)
    return {
        "shard_images": Figure(
            title="Images in each shard",
            caption=f"{min(images):,} to {counted(max(images), 'image')}.{some}",
            key=key,
            model=pictures.shard_images(receipts, splits),
        ),
        "shard_bytes": Figure(
            title="Size of each shard",
            caption=f"{short_size(min(sizes))} to {short_size(max(sizes))}.{some}",
            key=key,
            model=pictures.shard_bytes(receipts, splits),
        ),
    }


def run(view: View) -> Section | None:
    """Whether the cores were busy, how fast it was, and when which shard was written."""
    facts = view.facts
    if not facts.receipts:
        return None
    hosts, workers = core_use(facts.histories)
    return make_section(
        "run",
        "How it ran",
        {
            "use": describe_use(hosts, workers) if facts.histories else "",
            "bars": _bars(hosts, workers),
        },
        short="Run",
        figures=_figures(facts, used=any(use.percent is not None for use in hosts + workers)),
    )


def _bars(hosts: list[CoreUse], workers: list[CoreUse]) -> list[tuple[str, list[CoreUse]]]:
    bars = [
        ("Hosts, in percent of all their cores", hosts),
        ("Workers, in percent of one core", workers),
    ]
    return [(title, uses) for title, uses in bars if any(use.percent is not None for use in uses)]


def _figures(facts: Facts, *, used: bool) -> dict[str, Figure]:
    figures = {}
    timed = [receipt for receipt in facts.receipts if receipt.began]
    if len(timed) >= FEWEST:
        workers = len({receipt.worker for receipt in timed})
        pauses = timelines.describe_pauses(timelines.lay_out(timed).pauses)
        figures["timeline"] = Figure(
            title="Shards by worker",
            caption=f"{counted(len(timed), 'shard')}, written by {counted(workers, 'worker')}. "
            + pauses,
            key=split_key(facts),
            model=timelines.shard_timeline(timed, facts.splits),
        )
    histories = timelines.usable(facts.histories)
    if sum(len(history.seconds) for history in histories) < FEWEST:
        return figures
    if used:
        figures["processors"] = Figure(
            title="Use of the cores",
            caption="Workers in percent of one core; dashed, hosts in percent of all their cores.",
            key=timelines.worker_key(histories),
            model=timelines.processor_time(histories),
        )
    figures["image_rate"] = Figure(
        title="Images per second",
        caption="Written or refused, averaged over a few seconds.",
        model=timelines.image_rate(histories),
    )
    figures["byte_rates"] = Figure(
        title="Read and written",
        caption="Bytes of image files, and of the images in the records.",
        key=[("read", 0), ("written", 1)],
        model=timelines.byte_rates(histories),
    )
    return figures
