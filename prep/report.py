"""Totals → the report of a run, as a file and to look at."""

from __future__ import annotations

import contextlib
import platform
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from prep import markup, storage
from prep.depth_warnings import depth_warnings
from prep.depths import FULL, Depths
from prep.fields import Fields, counts, refuse, text, whole
from prep.images import codec_versions
from prep.layout import OutputLayout
from prep.locations import locate
from prep.parsing import LARGEST, parse_json
from prep.planning import RunPlan
from prep.receipts import Finding, SplitTotals, Totals, of_outcome
from prep.splits import role_of, training_splits
from prep.stats import CHANNELS, ChannelStats, by_channel
from prep.text import counted, megabytes, triple

_LARGEST = 256 << 20  # bytes of a report.json, with a million refused images
_IMAGES = {"planned", "written", "refused"}
_DUPLICATES = {"images", "across_splits"}
# What is a list in JSON, and a tuple here.
_LISTS = ("refused", "mean_of", "passed_over")
#: Makes HTML of what there is to be seen of a report's output.
Preview = Callable[["RunReport"], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What a run has made; the contents of ``report.json``.

    Attributes:
        output: the output folder.
        images: ``planned``, ``written`` and ``refused``; the first is the sum of the others.
        repaired: how many of those written lacked nothing but an end marker.
        damaged: how many of those written are not whole, but were asked for.
        duplicates: how many images have the same bytes as another one before them (``images``),
            and how many groups of such images lie ``across_splits``.
        shards, bytes: number of shard files, and their size.
        source_bytes: size of the image files that were read.
        seconds: of the run, from plan to report. Where it was resumed, of the last part.
        images_per_second: images settled in that time.
        resumed_shards: shards that were committed before this run began.
        retries: how often reading an image or writing a shard had to be tried again.
        mean, std: per channel, 0 to 255, of the squares of the training splits as they were
            before encoding. None without images.
        splits: the same numbers for each split.
        classes: images written by split and class.
        refused: ``path`` and ``reason`` of each image that was not written, and ``detail``.
        config: the configuration, with what was chosen by default.
        fingerprint: of all that has a say in the bytes of the shards.
        versions: of the libraries at work.
        depths: by split and class, how many ``images`` of 16 bits a sample were written, and how
            many ``bits`` the largest sample in them takes.
        mean_of: the splits that mean and std are of; see :func:`prep.splits.training_splits`.
        passed_over: ``reason``, ``count`` and ``example`` of what lies in the source and is no
            image of the set.
        preview: makes what is to be seen of the output, in a notebook. It is not in the file.
    """

    output: str
    images: Mapping[str, int]
    repaired: int
    damaged: int
    duplicates: Mapping[str, int]
    shards: int
    bytes: int
    source_bytes: int
    seconds: float
    images_per_second: float
    resumed_shards: int
    retries: int
    mean: Mapping[str, float] | None
    std: Mapping[str, float] | None
    splits: Mapping[str, Any]
    classes: Mapping[str, Mapping[str, int]]
    refused: tuple[Mapping[str, str], ...]
    config: Mapping[str, Any]
    fingerprint: str
    versions: Mapping[str, str]
    depths: Mapping[str, Any] = field(default_factory=dict)
    mean_of: tuple[str, ...] = ()
    passed_over: tuple[Mapping[str, Any], ...] = ()
    preview: Preview | None = field(default=None, compare=False, repr=False)

    def to_json(self) -> dict[str, Any]:
        names = (name for name in self.__slots__ if name != "preview")
        values = {name: getattr(self, name) for name in names}
        return {**values, **{name: list(values[name]) for name in _LISTS}}

    @classmethod
    def read(cls, output: str | Path) -> RunReport:
        """Reads ``report.json`` of an output folder.

        Raises:
            OSError: there is none.
            ValueError: it is not a report, or one that can't be; the message says why.
        """
        path = OutputLayout(locate(output)).report
        return cls.from_json(parse_json(storage.read_at_most(path, _LARGEST), _LARGEST))

    @classmethod
    def from_json(cls, value: object) -> RunReport:
        """Read what :meth:`to_json` gave; raises ValueError where it is not that."""
        fields = Fields(value, "a report")
        images = fields.counts("images")
        duplicates = fields.counts("duplicates")
        splits = {name: _split(of) for name, of in fields.object("splits").items()}
        for name, found, expected in (
            ("images", images, _IMAGES),
            ("duplicates", duplicates, _DUPLICATES),
        ):
            if found.keys() != expected:
                refuse(name, ", ".join(sorted(expected)), found)
        config = fields.object("config")
        whole(config.get("depth", FULL), "depth", least=8, most=FULL)
        report = cls(
            output=fields.text("output"),
            images=images,
            repaired=fields.whole("repaired"),
            damaged=fields.whole("damaged"),
            duplicates=duplicates,
            shards=fields.whole("shards"),
            bytes=fields.whole("bytes"),
            source_bytes=fields.whole("source_bytes"),
            seconds=fields.number("seconds"),
            images_per_second=fields.number("images_per_second"),
            resumed_shards=fields.whole("resumed_shards"),
            retries=fields.whole("retries"),
            mean=_channels(fields.any("mean"), "mean"),
            std=_channels(fields.any("std"), "std"),
            splits=splits,
            classes={
                split: counts(of, "classes") for split, of in fields.object("classes").items()
            },
            refused=tuple(map(_stored_refusal, fields.list("refused"))),
            config=config,
            fingerprint=fields.text("fingerprint"),
            versions={
                name: text(version, "versions")
                for name, version in fields.object("versions").items()
            },
            depths={
                split: Depths.of_report(of).for_report()
                for split, of in fields.object("depths", default={}).items()
            },
            mean_of=tuple(text(split, "mean_of") for split in fields.list("mean_of", default=[])),
            passed_over=tuple(map(_passed, fields.list("passed_over", default=[]))),
        )
        fields.end()
        return report

    def publish(self) -> None:
        """Writes ``report.json``, and ``mean_rgb.json`` where there is a mean."""
        self.publish_mean()
        layout = OutputLayout(locate(self.output))
        storage.publish_json(layout.report, self.to_json(), within=layout.root)

    def publish_mean(self) -> None:
        """Writes ``mean_rgb.json``, unless it is there already, or there is no mean."""
        layout = OutputLayout(locate(self.output))
        with contextlib.suppress(OSError, ValueError):
            if parse_json(storage.read_at_most(layout.mean, LARGEST)) == self.mean_file:
                return
        if self.mean_file is not None:
            storage.publish_json(layout.mean, self.mean_file, within=layout.root)

    @property
    def mean_file(self) -> dict[str, Any] | None:
        """The contents of ``mean_rgb.json``: the mean, and which splits it is ``of``."""
        return None if self.mean is None else {**self.mean, "of": list(self.mean_of)}

    def refused_by_reason(self) -> dict[str, int]:
        """How many images were refused for each reason, the most frequent first."""
        return dict(Counter(image["reason"] for image in self.refused).most_common())

    def depth_warnings(self) -> list[str]:
        """What ``depth`` does not fit, in words."""
        depths = {split: Depths.of_report(found) for split, found in self.depths.items()}
        return depth_warnings(depths, self.config.get("depth", 16))

    def rows(self) -> list[tuple[str, str]]:
        """The summary, as pairs of a name and a value."""
        images = self.images
        rows = [
            (
                "images",
                f"{images['written']:,} written, {images['refused']:,} refused, "
                f"of {images['planned']:,} planned",
            ),
        ]
        if self.refused:
            reasons = self.refused_by_reason().items()
            rows.append(("refused", ", ".join(f"{n:,} {reason}" for reason, n in reasons)))
        if self.repaired:
            rows.append(("repaired", f"{self.repaired:,}, which lacked only their end marker"))
        if self.damaged:
            rows.append(("damaged", f"{self.damaged:,}, kept as asked, with a part of each lost"))
        rows += [("depth", line) for line in self.depth_warnings()]
        if self.duplicates["images"]:
            rows.append(("duplicates", self._describe_duplicates()))
        rows += [("passed over", describe_passed(passed)) for passed in self.passed_over]
        rows += [
            (
                f"  {name}",
                f"{counted(split['written'], 'image')} in {counted(split['shards'], 'shard')}, "
                f"{megabytes(split['bytes'])}",
            )
            for name, split in self.splits.items()
        ]
        if self.retries:
            rows.append(("retried", f"{counted(self.retries, 'time')} to read or to write"))
        resumed = f", {self.resumed_shards:,} of them from before" if self.resumed_shards else ""
        rows += [
            ("shards", f"{self.shards:,}{resumed}"),
            ("size", f"{megabytes(self.bytes)}, from {megabytes(self.source_bytes)}"),
            ("time", f"{self.seconds:.1f} s, {self.images_per_second:,.0f} images/s"),
            ("mean RGB", triple(self.mean)),
            ("std RGB", triple(self.std)),
            ("mean of", self._describe_mean_of()),
            ("output", self.output),
        ]
        return rows

    def _repr_html_(self) -> str:
        """In a notebook."""
        hidden = {"refused", "mean RGB", "std RGB"}  # They are shown otherwise.
        images = self.images
        written = f"{images['written']:,} of {counted(images['planned'], 'image')} written"
        parts = [
            markup.heading("Report", written, "good"),
            markup.pairs(row for row in self.rows() if row[0] not in hidden),
            markup.swatch(self.mean, self.std),
        ]
        classes = sum(map(Counter, self.classes.values()), Counter[str]())
        parts += [markup.section("Images by class"), markup.bars(dict(sorted(classes.items())))]
        if self.refused:
            parts += [markup.section(f"Refused: {images['refused']:,}"), self._refused_html()]
        if self.preview is not None:
            parts.append(self.preview(self))
        return markup.panel(*parts)

    def _refused_html(self) -> str:
        reasons = (f"{n:,} {reason}" for reason, n in self.refused_by_reason().items())
        rows = [(image["path"], image["reason"], image["detail"]) for image in self.refused]
        return markup.line(*reasons) + markup.table(("image", "reason", "detail"), rows)

    def _describe_mean_of(self) -> str:
        named = any(role_of(name) == "train" for name in self.mean_of)
        unsure = "" if named or not self.mean_of else "; no split is named as one to train on"
        return f"split {', '.join(self.mean_of) or 'none'}{unsure}"

    def _describe_duplicates(self) -> str:
        copies, across = self.duplicates["images"], self.duplicates["across_splits"]
        text = f"{counted(copies, 'image')} with the same bytes as another"
        if across:
            text += f"; IN MORE THAN ONE SPLIT: {counted(across, 'image')} (see duplicates.csv)"
        return text

    def __repr__(self) -> str:
        lines = "\n".join(f"  {name:<11} {value}" for name, value in self.rows())
        return f"RunReport\n{lines}"


def _split(value: object) -> dict[str, Any]:
    fields = Fields(value, "a split of a report")
    names = ("planned", "written", "refused", "shards", "bytes")
    split: dict[str, Any] = {name: fields.whole(name) for name in names}
    split |= {name: _channels(fields.any(name), name) for name in ("mean", "std")}
    fields.end()
    return split


def _channels(value: object, name: str) -> dict[str, float] | None:
    if value is None:
        return None
    fields = Fields(value, f"a {name} by channel")
    channels = {channel: fields.number(channel, most=255) for channel in CHANNELS}
    fields.end()
    return channels


def _passed(value: object) -> dict[str, Any]:
    fields = Fields(value, "what was passed over")
    passed = {
        "reason": fields.text("reason"),
        "count": fields.whole("count"),
        "example": fields.text("example"),
    }
    fields.end()
    return passed


def _stored_refusal(value: object) -> dict[str, str]:
    fields = Fields(value, "a refused image")
    refusal = {name: fields.text(name) for name in ("path", "reason", "detail")}
    fields.end()
    return refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """What it took.

    Attributes:
        seconds: from plan to report.
        images: how many were settled in that time.
        resumed_shards: how many were committed before.
    """

    seconds: float
    images: int
    resumed_shards: int


def make_report(
    plan: RunPlan,
    output: str,
    totals: SplitTotals,
    effort: Effort,
    duplicates: Mapping[str, int],
    preview: Preview | None = None,
) -> RunReport:
    """Puts a report together.

    Args:
        totals: of all shards, those from before included.
        duplicates, preview: see :class:`RunReport`.
    """
    everything = sum(totals.values(), Totals())
    planned = {split: sum(classes.values()) for split, classes in plan.counts.items()}
    mean_of = training_splits(plan.counts)
    reference = sum((totals[split] for split in mean_of), Totals()).stats
    return RunReport(
        output=output,
        images={
            "planned": plan.images,
            "written": everything.images,
            "refused": len(everything.refused),
        },
        repaired=len(of_outcome(everything.findings, "repaired")),
        damaged=len(of_outcome(everything.findings, "damaged")),
        duplicates=duplicates,
        shards=everything.shards,
        bytes=everything.bytes,
        source_bytes=everything.source_bytes,
        seconds=round(effort.seconds, 3),
        images_per_second=round(effort.images / effort.seconds, 1) if effort.seconds else 0.0,
        resumed_shards=effort.resumed_shards,
        retries=everything.retries,
        **_moments(reference),
        splits={
            split: {
                "planned": planned[split],
                "written": t.images,
                "refused": len(t.refused),
                "shards": t.shards,
                "bytes": t.bytes,
                **_moments(t.stats),
            }
            for split, t in ((split, totals[split]) for split in plan.counts)
        },
        classes={split: dict(sorted(totals[split].written.items())) for split in plan.counts},
        refused=tuple(map(_refusal, sorted(everything.refused, key=lambda f: f.path))),
        config={**plan.config.model_dump(mode="json"), "images_per_shard": plan.images_per_shard},
        fingerprint=plan.fingerprint.digest,
        versions=all_versions(),
        depths={s: totals[s].depths.for_report() for s in plan.counts if totals[s].depths.classes},
        mean_of=mean_of,
        passed_over=tuple(asdict(ignored) for ignored in plan.ignored),
        preview=preview,
    )


def describe_passed(passed: Mapping[str, Any]) -> str:
    """Tell what was passed over for one reason."""
    return f"{passed['count']:,} × {passed['reason']}, such as {passed['example']!r}"


def all_versions() -> dict[str, str]:
    """Versions of Python, this package, and the libraries at work."""
    packages = ("dask", "distributed", "pyarrow")
    return {
        "prep": version("prep"),
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        **codec_versions(),
    }


def _moments(stats: ChannelStats) -> dict[str, Any]:
    return {"mean": by_channel(stats.mean()), "std": by_channel(stats.std())}


def _refusal(finding: Finding) -> dict[str, str]:
    return {"path": finding.path, "reason": finding.reason, "detail": finding.detail}
