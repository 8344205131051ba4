"""How the run went."""

from __future__ import annotations

from prep.text import counted
from prep.watching.history import BUSY
from prep.webpage import timelines
from prep.webpage.facts import Facts
from prep.webpage.sections import Figure, Section, View, make_section
from prep.webpage.shardbars import split_key


def run(view: View) -> Section:
    """When which shard was written, how fast, and whether the cores were busy."""
    return make_section(
        "run",
        "How it ran",
        {
            "busy": timelines.busy_rows(view.facts.histories),
            "busy_from": f"{BUSY:.0f} %",
        },
        short="Run",
        figures=_figures(view.facts),
    )


def _figures(facts: Facts) -> dict[str, Figure]:
    figures = {}
    timed = [receipt for receipt in facts.receipts if receipt.began]
    if timed:
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
    if histories:
        figures["image_rate"] = Figure(
            title="Images per second",
            caption="Averaged over a few seconds.",
            key=[("written or refused", 0)],
            model=timelines.image_rate(histories),
        )
        figures["byte_rates"] = Figure(
            title="Read and written",
            caption="Bytes of image files, and of the images in the records.",
            key=[("read", 0), ("written", 1)],
            model=timelines.byte_rates(histories),
        )
        figures["processors"] = Figure(
            title="Processor time",
            caption="Workers in percent of one core; dashed, hosts in percent of all their cores.",
            key=timelines.worker_key(histories),
            model=timelines.processor_time(histories),
        )
    return figures
