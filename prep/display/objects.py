"""Show configurations, plans and reports in a notebook's cell; tables of them for any display."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from prep.config.model import HIDDEN, Config
from prep.display.links import file_link
from prep.execution.placing import FEW_IMAGES
from prep.images.depths import depth_warning
from prep.output.report.report import RunReport
from prep.planning.description import OBSTACLE, plan_facts, setting_text
from prep.planning.plan import RunPlan
from prep.sources.base import UNLABELLED
from prep.sources.labels import NO_LABEL, class_title
from prep.text import counted, distinct_lines, duration, size_text, triple

if TYPE_CHECKING:
    from prep.operations.averaging.mean_report import MeanReport
    from prep.operations.tools.estimating import Estimate
    from prep.operations.tools.export import ExportReport
    from prep.operations.tools.found_record import FoundRecord
    from prep.operations.tools.reindexing import IndexReport
    from prep.operations.verify import VerificationReport

_MOST_CLASSES = 20
# Loading the libraries and starting worker processes, or a cluster of this machine.
_START_SECONDS, _CLUSTER_SECONDS = 1, 3
_SHOWN_OTHERWISE = ("refused", "mean RGB", "std RGB", "report")


def html_of(value: object) -> str:
    """Return the HTML that a notebook shows for a value.

    Raises:
        TypeError: there is no template for values of this type.
    """
    from prep.display.markup import render  # Terminals need no templates.

    kind = type(value).__name__
    if kind not in _TEMPLATES:
        raise TypeError(f"no HTML is defined for {kind}")
    name, values_of = _TEMPLATES[kind]
    return render(f"notebook/{name}", **values_of(value))


def _config(config: Config) -> dict[str, Any]:
    fields = Config.model_fields
    values = {name: getattr(config, name) for name in fields}
    if values["storage_options"]:
        values["storage_options"] = HIDDEN
    rows = {
        name: (
            name,
            "none" if value is None else setting_text(value),
            fields[name].description or "",
        )
        for name, value in values.items()
    }
    chosen = [rows.pop(name) for name in config.chosen()]
    return {"chosen": chosen, "default": list(rows.values())}


def _plan(plan: RunPlan) -> dict[str, Any]:
    return {
        "title": plan.title,
        "facts": plan_facts(plan),
        "classes": class_table(plan.counts, plan.labels.texts(plan.classes), plan.class_names),
    }


def _report(report: RunReport) -> dict[str, Any]:
    from prep.display.gallery import charts_and_images  # It reads shards.

    images = report.images
    charts, pictures = charts_and_images(report)
    return {
        "report": report,
        "written": f"{images['written']:,} of {counted(images['planned'], 'image')} written",
        "rows": [row for row in report.rows() if row[0] not in _SHOWN_OTHERWISE],
        "link": file_link(report.page) if report.page else None,
        "classes": _by_title(report),
        "reasons": [f"{n:,} {reason}" for reason, n in report.refused_by_reason().items()],
        "refused": [(image["path"], image["reason"], image["detail"]) for image in report.refused],
        "images": pictures,
        "charts": charts,
    }


def _by_title(report: RunReport) -> dict[str, int]:
    """Return the number of images of each class, as people call it."""
    counts = sum(map(Counter, report.classes.values()), Counter[str]())
    titles = distinct_lines(class_title(name, report.class_names) for name in counts)
    return dict(zip(titles, counts.values(), strict=True))


def _mean(report: MeanReport) -> dict[str, Any]:
    return {
        "report": report,
        "state": f"{counted(report.images, 'image')}, by {report.weight}",
        "rows": mean_rows(report),
        "refused": [(note.path, note.reason) for note in report.refused],
    }


def _verification(report: VerificationReport) -> dict[str, Any]:
    found = {"Wrong": report.problems, "Repaired": report.repaired}
    rows = {
        title: [(p.where, p.expected, p.found, p.remedy) for p in problems]
        for title, problems in found.items()
    }
    if report.committed is not None:
        state = "a run is at work" if report.running else "not finished"
    else:
        state = counted(len(report.problems), "problem") if report.problems else "OK"
    unrelated = [(path,) for path in report.unrelated]
    return {"report": report, "state": state, "problems": rows, "unrelated": unrelated}


def _record(record: FoundRecord) -> dict[str, Any]:
    picture = base64.b64encode(record.picture).decode()
    return {"rows": record.facts, "kind": record.kind.lower(), "picture": picture}


def _export(report: ExportReport) -> dict[str, Any]:
    return {
        "title": "Export",
        "state": f"{counted(sum(report.images.values()), 'image')}, read again and compared",
        "rows": [
            *((name, counted(images, "image")) for name, images in report.images.items()),
            ("files", f"{report.files:,}, {size_text(report.bytes)}"),
            ("format", report.to),
            ("of", report.output),
            ("folder", report.folder),
        ],
    }


def _index(report: IndexReport) -> dict[str, Any]:
    return {
        "title": "Files for readers",
        "state": "written" if report.written else "there already",
        "rows": [
            ("images", f"{report.images:,}"),
            ("files", ", ".join(report.files)),
            ("indexes", f"of {counted(report.shards, 'shard')}" if report.indexed else "none"),
            ("output", report.output),
        ],
    }


#: The template of each type, and what fills it. By name, because some types are of higher layers.
_TEMPLATES: Mapping[str, tuple[str, Callable[[Any], dict[str, Any]]]] = {
    "Config": ("config", _config),
    "RunPlan": ("plan", _plan),
    "RunReport": ("report", _report),
    "MeanReport": ("mean", _mean),
    "FoundRecord": ("record", _record),
    "ExportReport": ("files", _export),
    "IndexReport": ("files", _index),
    "VerificationReport": ("verification", _verification),
}


def mean_rows(report: MeanReport) -> list[tuple[str, str]]:
    """Return a mean and what is known of its error, as names and values."""
    # Of samples up to 1, three decimals would show most errors as 0.
    channels = partial(triple, decimals=3 if report.scale == 255 else 6)
    rows = [("mean RGB", channels(report.mean))]
    if report.standard_error is not None:
        rows.append(("standard error", channels(report.standard_error)))
    if report.std is not None:
        rows.append(("std RGB", channels(report.std)))
    if (sample := report.sample) is not None:
        seed = f", seed {sample.seed}" if sample.seed else ""
        rows.append(("sample", f"{sample.drawn:,} of {counted(sample.of, 'image')}{seed}"))
    if (made := report.approximation) is not None:
        rows.append(("decoded at 1/8", counted(made.images, "image")))
        of_them = f"{channels(made.bias)}, measured on {made.checked:,} decoded in full as well"
        rows.append(("bias subtracted", of_them))
    return rows


def plan_rows(plan: RunPlan, guess: Estimate) -> list[tuple[str, str]]:
    """Return the facts of a plan and the estimate of its run, as names and values."""
    facts = plan_facts(plan, _expectations(plan, guess), guess.bytes_left)
    return [fact for fact in facts if fact[0] != OBSTACLE]  # With that the command ends.


def split_rows(plan: RunPlan) -> list[tuple[str, str]]:
    """Return the facts of a plan that are about its images and splits, as names and values."""
    wanted = ("source", "read as", "classes", "warning", "split", "settings", "passed over")
    return [fact for fact in plan_facts(plan) if fact[0] in wanted]


def _expectations(plan: RunPlan, guess: Estimate) -> Iterator[tuple[str, str]]:
    compressed = "" if plan.config.compression is None else " before compression"
    yield "size", f"about {size_text(guess.bytes)}{compressed}"
    if plan.state is None or not plan.state.complete:
        seconds = f"about {duration(guess.seconds)}" if guess.seconds >= 1 else "less than 1 s"
        start = _START_SECONDS if plan.images <= FEW_IMAGES else _CLUSTER_SECONDS
        yield "time", f"{seconds} on {counted(guess.cores, 'core')}, after about {start} s to start"
    if warning := depth_warning(guess.deep, plan.config.depth):
        yield "depth", warning
    unusable = f"; {guess.refused:,} of them can't be used" if guess.refused else ""
    yield "estimated", f"from {counted(guess.sampled, 'image')}{unusable}"


class ClassTable(NamedTuple):
    """Images by class and split.

    Attributes:
        titles: class, label, and the splits.
        rows: the largest classes by name, and one row for all smaller ones.
        total: a last row, with the sum of each split.
    """

    titles: Sequence[str]
    rows: Sequence[Sequence[str | int]]
    total: Sequence[str | int]


def class_table(
    counts: Mapping[str, Mapping[str, int]],
    labels: Mapping[str, object],
    class_names: Mapping[str, str] | None = None,
) -> ClassTable:
    """Return the labels and image counts of classes.

    Args:
        counts: images by split and class.
        class_names: names for people, by class.
    """
    totals: Counter[str] = sum(map(Counter, counts.values()), Counter())
    columns = {**counts, "in all": totals} if len(counts) > 1 else counts
    largest = sorted(totals, key=lambda name: -totals[name])
    rows: list[list[str | int]] = [
        [
            class_title(name, class_names or {}),
            str(NO_LABEL if name == UNLABELLED else labels.get(name, "none")),
            *(of.get(name, 0) for of in columns.values()),
        ]
        for name in sorted(largest[:_MOST_CLASSES])
    ]
    if hidden := largest[_MOST_CLASSES:]:
        rest = (sum(of.get(name, 0) for name in hidden) for of in columns.values())
        rows.append([f"{len(hidden):,} smaller classes", "", *rest])
    total = (sum(of.values()) for of in columns.values())
    return ClassTable(["class", "label", *columns], rows, ["images", "", *total])
