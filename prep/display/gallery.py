"""Pictures below a report in a notebook: some of the images, and how the work went."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator, Mapping

from prep.display.markup import Curve, curve
from prep.display.page.samples import read_pixels
from prep.images.encoding.encode import Thumbnailer
from prep.output.journal import Journal
from prep.output.layout import OutputLayout
from prep.output.report.history import rates, read_histories
from prep.output.report.report import RunReport
from prep.planning.plan import RunPlan

_LOGGER = logging.getLogger("prep")

_SHARDS = 4  # that are opened
_RECORDS = 64  # that are considered of each
_IMAGES = 24  # that are shown, no two of a class
_PIXELS = 96
_FEWEST = 5  # samples that make a curve


def charts_and_images(report: RunReport) -> tuple[list[Curve], list[tuple[str, str]]]:
    """Return charts of a run, and images by class as JPEG in base64.

    Both are empty if the output is gone or belongs to another run by now. A report is shown in any
    case, whatever is wrong with its output.
    """
    try:
        journal = Journal(report.output)
        plan = journal.stored_plan()
        if plan is None or plan.fingerprint.digest != report.fingerprint:
            return [], []
        return list(_charts(journal.layout)), _images(journal, plan)
    except Exception:
        _LOGGER.debug("no images can be shown below a report", exc_info=True)
        return [], []


def _images(journal: Journal, plan: RunPlan) -> list[tuple[str, str]]:
    found: dict[str, str] = {}
    thumbnail = Thumbnailer(_PIXELS)
    for shard in plan.shards[:_SHARDS]:
        receipt = journal.receipts.of(shard, plan.fingerprint.digest)
        if receipt is None:
            continue
        entries = receipt.written_among(journal.entries(plan, shard))[:_RECORDS]
        wanted = _choose([entry.class_name for entry in entries], found)
        for number, pixels in read_pixels(journal, plan, receipt, wanted):
            found[wanted[number]] = base64.b64encode(thumbnail(pixels)).decode()
    return [(plan.class_title(name), picture) for name, picture in sorted(found.items())]


def _choose(names: list[str], found: Mapping[str, object]) -> dict[int, str]:
    """Return the first record of each class of which there is no image yet, by its number."""
    first = {name: number for number, name in reversed(list(enumerate(names)))}
    left = [name for name in first if name not in found][: _IMAGES - len(found)]
    return {first[name]: name for name in left}


def _charts(layout: OutputLayout) -> Iterator[Curve]:
    """Yield throughput and use of the processors in the last part of the run."""
    for history in read_histories(layout)[-1:]:
        if len(history.seconds) < _FEWEST:
            continue
        speed = rates(history.seconds, history.images).tolist()
        measured = {"images/s": speed} | {
            f"processor time of {name}, %": percent for name, percent in history.hosts.items()
        }
        for title, values in measured.items():
            chart = curve(history.seconds, values, title)
            if chart is not None:
                yield chart
