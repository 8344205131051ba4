"""The report of a run, and the file it is kept in."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from prep.images.colour import ColourStatistics, Matrix, covariance_json, stored_channels
from prep.images.depths import Depths, depth_warnings
from prep.output.layout import OutputLayout
from prep.output.report.stored_report import report_attributes
from prep.output.report.summary import describe_all_leaks, rows_of
from prep.output.report.verdict import Verdict
from prep.parsing import LARGEST, parse_json
from prep.storage.locate import locate
from prep.text import Displayable

_LARGEST = 256 << 20  # bytes of a report.json, with a million refused images
# Attributes that are lists in JSON, and tuples here.
_LISTS = ("refused", "mean_of", "passed_over")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport(Displayable):
    """The results of a run; the contents of ``report.json``.

    Attributes:
        output: the output folder.
        images: ``planned``, ``written`` and ``refused``; the first is the sum of the others.
        repaired: number of written images that lacked only their end marker.
        damaged: number of written images that are incomplete, and were kept as asked.
        duplicates: of those written: ``images``, the number with the same bytes as an earlier one;
            ``across_splits``, the number of groups of such images in more than one split;
            ``conflicts``, the number of groups in more than one class; ``leaks``, how many images
            of a split are copies of images of another, as ``{"val": {"train": 13}}``;
            ``examples``, two paths each of a ``leak`` and a ``conflict``. ``duplicates.csv`` lists
            all of them.
        near_duplicates: images that look alike, if that was asked for: ``compared``, how many
            images were; ``distance``, in how many of 64 bits the hashes of two may differ;
            ``crowded``, how many look like so many others that they were compared with some only;
            ``images``, the number that look like another; their ``groups``, those
            ``across_splits``, and ``conflicts``; ``dropped``, the number that were left
            out; ``leaks`` and ``examples`` as in ``duplicates``. ``near_duplicates.csv``
            lists all of them.
        shards, bytes: number of shard files, and their size.
        source_bytes: size of the image files that were read.
        seconds: duration of the run, from plan to report; if it was resumed, of the last part.
        start_seconds: the part of these before the first shard: listing, starting the workers.
        images_per_second: images written or refused, per second of the rest.
        resumed_shards: number of shards that were committed before this run began.
        retries: how often reading an image or writing a shard was tried again.
        mean, std: per channel, 0 to 255, of the images of the training splits before
            encoding. None without images.
        covariance: of R, G and B of the same images, 3 × 3. None without images, or if some of
            the shards were written by a version that did not sum up products. ``report.json``
            has its ``eigenvalues``, largest first, and ``eigenvectors``, a row each, beside it.
        splits: the same numbers for each split.
        classes: number of images written, by split and class.
        refused: ``path``, ``reason`` and ``detail`` of each image that was not written.
        config: the configuration, with the defaults filled in.
        fingerprint: digest of everything that decides the bytes of the shards.
        versions: versions of the libraries used.
        depths: by split and class, the number of ``images`` of 16 bits per sample that were
            written, and how many ``bits`` their largest sample takes.
        traits: by split: ``images``, the number of images that this was noted for; how many were
            ``enlarged``; counts by ``formats`` and by ``marks`` (stored in ``gray`` or in
            ``CMYK``, partly ``transparent``, ``turned`` by their Exif orientation); and
            ``extremes``, the first twelve of each kind: ``path``, upright ``width`` and
            ``height``, and the mean ``brightness`` and ``chroma`` (how far the
            largest of R, G and B is above the smallest), 0 to 255.
        mean_image: by split, the mean of ``images`` results at the points of a grid: ``rgb``
            is base64 of R, G and B, a byte each, row by row, of ``side`` × ``side`` points.
        mean_of: the splits that mean and std are of; see :mod:`prep.sources.folders.names`.
        read_as: what the source was taken for, in words, such as "class folders in splits".
        passed_over: ``reason``, ``count`` and ``example`` of everything in the source that is not
            an image of the set.
        class_names: names for people, by class. In ``classes``, images without a label are those of
            the class ``""``.
        balance: by split, the balance of the classes of the images planned: ``images``, their
            ``share`` of all, 0 to 1; the number of ``classes``; ``least`` and ``most`` images of
            one; ``skew``, the share of its images that would have to be of other classes for the
            mix of classes to be that of all splits; and if the split was ``made``, what it has
            got of its pool (see :class:`prep.planning.splitting.balance.SplitShare`).
        refusals_allowed: number of images that may be refused before the run is an error.
        outdated: number of images whose records stay although the source says something else, by
            ``gone``, ``changed``, ``relabelled`` and ``moved``; ``outdated.csv`` lists them.
    """

    output: str
    images: Mapping[str, int]
    repaired: int
    damaged: int
    duplicates: Mapping[str, Any]
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
    covariance: Matrix | None = None
    depths: Mapping[str, Any] = field(default_factory=dict)
    traits: Mapping[str, Any] = field(default_factory=dict)
    mean_image: Mapping[str, Any] = field(default_factory=dict)
    mean_of: tuple[str, ...] = ()
    read_as: str = ""
    passed_over: tuple[Mapping[str, Any], ...] = ()
    class_names: Mapping[str, str] = field(default_factory=dict)
    balance: Mapping[str, Any] = field(default_factory=dict)
    refusals_allowed: int = 0
    start_seconds: float = 0.0
    near_duplicates: Mapping[str, Any] = field(default_factory=dict)
    outdated: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in self.__slots__}
        lists = {name: list(values[name]) for name in _LISTS}
        components = covariance_json(self.covariance)
        return {**values, **lists, **components, "verdict": self.verdict.to_json()}

    @classmethod
    def read(cls, output: str | os.PathLike[str]) -> RunReport:
        """Read ``report.json`` of an output folder.

        Raises:
            OSError: there is none.
            ValueError: it is not a report, or not a possible one; the message says why.
        """
        path = OutputLayout(locate(output)).report
        return cls.from_json(parse_json(path.read_at_most(_LARGEST), _LARGEST))

    @classmethod
    def from_json(cls, value: object) -> RunReport:
        """Read what :meth:`to_json` gave; raise ValueError if it is not that."""
        return cls(**report_attributes(value))

    def publish(self) -> None:
        """Write ``report.json``, and ``mean_rgb.json`` if there is a mean."""
        self.publish_mean()
        layout = OutputLayout(locate(self.output))
        layout.report.publish_json(self.to_json(), within=layout.root)

    def publish_mean(self) -> None:
        """Write ``mean_rgb.json``, unless it is there already, or there is no mean.

        A file of an earlier version with the same mean is replaced only if it can be.
        """
        layout = OutputLayout(locate(self.output))
        stored: Any = None
        with contextlib.suppress(OSError, ValueError):
            stored = parse_json(layout.mean.read_at_most(LARGEST))
        if stored == self.mean_file or self.mean_file is None:
            return
        with contextlib.suppress(*([OSError] if self.is_mean_file(stored) else [])):
            layout.mean.publish_json(self.mean_file, within=layout.root)

    @property
    def moments(self) -> ColourStatistics | None:
        """Mean, std and covariance, 0 to 255."""
        if (mean := stored_channels(self.mean, "mean")) is None:
            return None
        std = stored_channels(self.std, "std")
        return ColourStatistics(mean=mean, std=std, covariance=self.covariance)

    @property
    def mean_file(self) -> dict[str, Any] | None:
        """The contents of ``mean_rgb.json``.

        They are the mean; which splits it is ``of``; the number of their ``images``; and the rest
        of the moments.
        """
        if (moments := self.moments) is None:
            return None
        images = sum(self.splits[split]["written"] for split in self.mean_of)
        told = {"of": list(self.mean_of), "images": images}
        return {**(self.mean or {}), **told, **moments.to_json()}

    def is_mean_file(self, value: object) -> bool:
        """Return whether parsed JSON is ``mean_rgb.json``, as this or an earlier version wrote it.

        Earlier versions did not say what it is the mean of, or all of the moments.
        """
        before = [self.mean, {**(self.mean or {}), "of": list(self.mean_of)}]
        return value is not None and value in (self.mean_file, *before)

    @property
    def was_complete(self) -> bool:
        """True if there was nothing to do: all shards were committed before this run began."""
        return self.shards > 0 and self.resumed_shards == self.shards

    @property
    def verdict(self) -> Verdict:
        """The outcome of the run."""
        images = self.images
        counted = Verdict.of_counts(images["planned"], images["refused"], self.refusals_allowed)
        return counted.unless_leaking(self.leaks, self.config)

    @property
    def leaks(self) -> list[str]:
        """Which splits hold images of others, or images that look alike, a phrase each."""
        planned = {name: split["planned"] for name, split in self.splits.items()}
        return describe_all_leaks(self.duplicates, self.near_duplicates, planned)

    @property
    def page(self) -> str | None:
        """The path of ``report.html``; None if there is none, or a browser can't open it."""
        path = OutputLayout(locate(self.output)).page
        return str(path) if path.local and path.is_file() else None

    def refused_by_reason(self) -> dict[str, int]:
        """Count the refused images by reason, the most frequent first."""
        return dict(Counter(image["reason"] for image in self.refused).most_common())

    def depth_warnings(self) -> list[str]:
        """Describe images of 16 bits that ``depth`` does not fit."""
        depths = {split: Depths.of_report(found) for split, found in self.depths.items()}
        return depth_warnings(depths, self.config.get("depth", 16))

    def rows(self) -> list[tuple[str, str]]:
        """Return the summary, as pairs of a name and a value."""
        return rows_of(self)

    def __repr__(self) -> str:
        lines = "\n".join(f"  {name:<11} {value}" for name, value in self.rows())
        return f"RunReport\n{lines}"
