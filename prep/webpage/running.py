"""How the run went."""

from __future__ import annotations

from prep.text import counted
from prep.webpage import timelines
from prep.webpage.cores import CoreUse, core_use, describe_use
from prep.webpage.facts import Facts
from prep.webpage.sections import FEWEST, Figure, Section, View, make_section
from prep.webpage.shardbars import split_key


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
