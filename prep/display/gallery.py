"""What lies in an output, as pictures below its report: a few images, and how the work went."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from prep.display import html
from prep.images.encode import Thumbnailer
from prep.images.readback import SquareReader
from prep.output.journal import Journal
from prep.output.layout import OutputLayout
from prep.output.receipt import ShardReceipt, of_outcome
from prep.output.report.history import rates, read_histories
from prep.output.report.report import RunReport
from prep.planning.plan import RunPlan
from prep.shards.formats.example import parse_example
from prep.shards.formats.tfrecord import read_chosen
from prep.storage import store

_SHARDS = 4  # that are opened
_RECORDS = 64  # that are considered of each
_IMAGES = 24  # that are shown, no two of a class
_PIXELS = 96
_FEWEST = 5  # samples that make a curve


def preview(report: RunReport) -> str:
    """HTML; nothing where the output is gone, or has become another."""
    try:
        journal = Journal(report.output)
        plan = journal.stored_plan()
        if plan is None or plan.fingerprint.digest != report.fingerprint:
            return ""
        return "".join((*_images(journal, plan), *_curves(journal.layout)))
    except Exception:  # A report is no worse without, whatever is wrong with the output by now.
        return ""


def _images(journal: Journal, plan: RunPlan) -> Iterator[str]:
    found: dict[str, bytes] = {}
    squares, thumbnail = SquareReader(plan.settings), Thumbnailer(_PIXELS)
    for shard in plan.shards[:_SHARDS]:
        receipt = journal.receipt(shard, plan.fingerprint.digest)
        if receipt is None:
            continue
        entries = journal.entries(plan, shard)
        refused = {finding.path for finding in of_outcome(receipt.findings, "refused")}
        names = [entry.class_name for entry in entries if entry.name not in refused]
        wanted = _choose(names[:_RECORDS], found)
        for number, image in _read(journal.layout.root, receipt, wanted, plan.largest_record):
            found[wanted[number]] = thumbnail(squares.pixels(image))
    if found:
        yield html.section("Some of the images")
        yield html.contact_sheet(sorted(found.items()))


def _choose(names: list[str], found: Mapping[str, bytes]) -> dict[int, str]:
    """Which records to read: the first of each class of which none was found yet."""
    first = {name: number for number, name in reversed(list(enumerate(names)))}
    left = [name for name in first if name not in found][: _IMAGES - len(found)]
    return {first[name]: name for name in left}


def _read(
    root: Path, receipt: ShardReceipt, wanted: Mapping[int, str], largest: int
) -> Iterator[tuple[int, bytes]]:
    with store.open_regular(root / receipt.file) as file:
        for number, data in read_chosen(file, wanted, largest):
            yield number, parse_example(data).image


def _curves(layout: OutputLayout) -> Iterator[str]:
    """Of the last part of the run."""
    for history in read_histories(layout)[-1:]:
        if len(history.seconds) < _FEWEST:
            continue
        yield html.section("How the work went")
        yield html.sparkline(
            history.seconds, rates(history.seconds, history.images).tolist(), "images/s"
        )
        for name, percent in history.hosts.items():
            yield html.sparkline(history.seconds, percent, f"processor time of {name}, %")
