"""A plan: everything that is decided before work begins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from prep.config.model import Config
from prep.errors import PrepError
from prep.planning.continued import Continued, OutdatedImage
from prep.planning.description import plan_facts
from prep.planning.fingerprint import Fingerprint
from prep.planning.label_form import LabelForm
from prep.planning.left_out import LookAlikes
from prep.planning.shards import Partition, ShardSizes, ShardSpec, plan_shards
from prep.planning.splitting.balance import SplitBalance, SplitShare, balance_of
from prep.settings.choices import RGB, Compression
from prep.settings.image_settings import ImageSettings
from prep.settings.record_features import RecordFeatures, record_features
from prep.sources.folders.ignored import Ignored
from prep.sources.labels import LabelMap, class_title, single_classes, with_label
from prep.sources.naming import shown_source
from prep.text import Displayable, counted, one_line

#: The format of ``plan.json``. Other formats can't be read.
FORMAT = 3
_LARGEST_NUMBER = 32  # bytes of a number of a label, be it a float in JSON
_SPARE = 1 << 16  # 64 KiB, for what stands around images
# Keys that the plans of early versions do not have; they are left out if they are as by default.
_LATER_KEYS = frozenset(
    ["format", "columns", "images", "extension", "on_missing", "unlabelled", "exclude", "labels"]
) | {
    *("unpack", "fit", "enlarge", "geometry", "mode", "keep_fitting"),
    *("label_offset", "split", "subset"),
    *("near_duplicates", "leaks", "first_label", "shard_count", "record", "features", "target"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputState:
    """The state of the output, as a run would find it.

    Attributes:
        committed: how many shards it would not write, for they are there.
        images_left: how many images are in all others; None where no run could begin.
        free: bytes of free space; None in a storage, which does not tell.
        suspect: who may be at work there, on another machine. A run would wait to see.
        obstacle: the error that a run would end with at once; None if it would not.
        growth: what an append would do, in words; empty unless that was asked for.
    """

    committed: int = 0
    images_left: int | None = None
    free: int | None = None
    suspect: str | None = None
    obstacle: PrepError | None = None
    growth: str = ""

    @property
    def complete(self) -> bool:
        """True if there is nothing to write."""
        return self.images_left == 0


@dataclass(frozen=True, kw_only=True)
class RunPlan(Displayable):
    """Everything that is decided before work begins, made now or read from an output.

    What an output does not store is empty in a plan that was read: ``ignored``, ``doubts``,
    ``labels_from``, ``labels_given``, ``outdated``, ``look_alikes``, ``shares`` and ``state``. Its
    manifest is a file of its own, and read only if it is needed.

    Attributes:
        config: the configuration; without ``storage_options``, if it was read.
        source: its name: the absolute path or URL of a folder, or what else stands for it.
        mean: what encoding ``float32`` subtracts.
        labels: the label map.
        classes: names of the classes, which the manifest's ``class`` column numbers.
        images_per_shard: as configured, or chosen by the number of images.
        splits: number of images in each split.
        sizes: number of images in each shard of each split, where neither ``images_per_shard`` nor
            an early version decides; the partition is then ``given``.
        fingerprint: everything that decides the bytes of the output.
        continues: the plan that the output held before, whose shards this one takes over, if any.
        rows: the manifest, if it was made or read.
        ignored: what lies in the source and is not part of the run.
        read_as: what the source was taken for, in words.
        class_names: names for people, by class; not all need to have one.
        doubts: what may be a mistake in the source, a sentence each.
        labels_from: where the label map comes from, in words.
        labels_given: whether somebody gave it, so it is not one made of the classes.
        shares: what each split that was made of a pool has got of it.
        outdated: images whose records stay although the source says something else now.
        look_alikes: the images that are left out because others look alike; None if the plan was
            read, or nobody has asked.
        state: what a run would find in the output; None if nobody has looked.
    """

    config: Config
    source: str
    mean: RGB | None
    labels: LabelMap
    classes: tuple[str, ...]
    images_per_shard: int
    splits: Mapping[str, int]
    fingerprint: Fingerprint
    sizes: ShardSizes | None = None
    continues: Continued | None = None
    rows: pa.Table | None = None
    ignored: tuple[Ignored, ...] = ()
    read_as: str = ""
    class_names: Mapping[str, str] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()
    labels_from: str = ""
    shares: tuple[SplitShare, ...] = ()
    labels_given: bool = False
    outdated: tuple[OutdatedImage, ...] = ()
    look_alikes: LookAlikes | None = None
    state: OutputState | None = None

    def __repr__(self) -> str:
        facts = "".join(f"\n  {name}: {one_line(value)}" for name, value in plan_facts(self))
        return f"RunPlan({self.title}{facts})"

    @property
    def title(self) -> str:
        """The size of the plan, in a few words."""
        images = counted(self.images, "image")
        if self.labels.target == "value":
            return f"{images} with a value each"
        return f"{images} of {counted(len(self.single_classes), 'class')}"

    @property
    def single_classes(self) -> tuple[str, ...]:
        """The classes, without that of images without a label, and without combinations."""
        return single_classes(self.labelled, self.labels.target)

    @property
    def labelled(self) -> tuple[str, ...]:
        """The classes, without that of images without a label."""
        return with_label(self.classes)

    def class_title(self, name: str) -> str:
        """Return what people are shown of a class."""
        return class_title(name, self.class_names)

    @property
    def shown_source(self) -> str:
        """The source as reports show it: its name, or the paths and URLs in its name."""
        return shown_source(self.source)

    @property
    def images(self) -> int:
        """Number of images in all splits."""
        return sum(self.splits.values())

    @property
    def manifest(self) -> pa.Table:
        """The images in the order in which they are written, split after split.

        Its columns are ``path``, ``class``, ``size`` and ``mtime``, and if the name of an image
        does not tell where its bytes are, ``file`` and ``offset``.

        Raises:
            ValueError: the plan was read without it.
        """
        if self.rows is None:
            raise ValueError("manifest: the plan was read without it; see Journal.whole_plan")
        return self.rows

    @cached_property
    def counts(self) -> Mapping[str, Mapping[str, int]]:
        """Number of images by split and class."""
        return count_classes(self.manifest["class"].to_numpy(), self.splits, self.classes)

    @property
    def balance(self) -> Mapping[str, SplitBalance]:
        """The balance of classes in each split."""
        return balance_of(self.counts, self.shares)

    @property
    def class_totals(self) -> Counter[str]:
        """Number of images of each class in all splits together."""
        return sum(map(Counter, self.counts.values()), Counter())

    @property
    def source_bytes(self) -> int:
        """Bytes of all image files."""
        return int(pc.sum(self.manifest["size"]).as_py() or 0)

    @cached_property
    def shards(self) -> tuple[ShardSpec, ...]:
        """The manifest's rows in each shard."""
        partition, format = self.fingerprint.partition, self.config.format
        return plan_shards(self.splits, self.images_per_shard, partition, format, self.sizes)

    def with_partition(self, partition: Partition, sizes: ShardSizes | None = None) -> RunPlan:
        """Return a plan that spreads the same images over shards in another way.

        Args:
            partition: the way.
            sizes: of the shards, if that is ``given``.
        """
        fingerprint = self.fingerprint.with_partition(partition, sizes)
        return replace(self, sizes=sizes, fingerprint=fingerprint)

    @property
    def refusals_allowed(self) -> int:
        """Number of images that may be refused without the run being in error."""
        asked = "max_refused" in self.config.model_fields_set
        return refusals_allowed(self.images, self.config.max_refused, asked=asked)

    @property
    def settings(self) -> ImageSettings:
        """The settings of each image."""
        return self.config.image_settings(self.mean)

    @property
    def features(self) -> RecordFeatures:
        """The features that each record has."""
        return record_features(self.config.record, self.config.features or ())

    @property
    def label_form(self) -> LabelForm:
        """The shape and type of labels, in records and from readers."""
        return LabelForm.of(self.labels)

    @property
    def compression(self) -> Compression | None:
        """Compression of the shards."""
        return self.config.compression

    @property
    def largest_record(self) -> int:
        """Bytes that a record has at most.

        The samples of an image as float32 are more than any JPEG of it, whose blocks have 16 pixels
        on a side.
        """
        height, width = self.settings.largest
        label = self.labels.width or 1 if self.labels.target == "class" else self.labels.size
        return 12 * (height + 15) * (width + 15) + _LARGEST_NUMBER * label + _SPARE

    def most_bytes(self, images: int) -> int:
        """Return how many bytes a shard of so many images has at most, compressed or not."""
        return images * (self.largest_record + 16) + _SPARE

    def to_json(self) -> dict[str, Any]:
        """Return the contents of ``plan.json``; :mod:`prep.planning.stored_plan` reads them."""
        defaults = {key: field.default for key, field in type(self.config).model_fields.items()}
        config = {
            key: value
            for key, value in self.config.model_dump(mode="json").items()
            if key not in _LATER_KEYS or getattr(self.config, key) != defaults[key]
        }
        return {
            "format": FORMAT,
            "digest": self.fingerprint.digest,
            "fingerprint": dict(self.fingerprint.parts),
            "config": config,
            "source": self.source,
            "settings": self.settings.to_json(),
            "compression": self.compression,
            "labels": self.labels.to_json(),
            "classes": list(self.classes),
            "images_per_shard": self.images_per_shard,
            "images": dict(self.splits),
            # Plans of class folders are as those of earlier versions.
            **({"class_names": dict(self.class_names)} if self.class_names else {}),
            **({"shards": {k: [*v] for k, v in self.sizes.items()}} if self.sizes else {}),
            **({"continues": self.continues.to_json()} if self.continues else {}),
        }


def count_classes(
    rows: npt.NDArray[np.integer[Any]], images: Mapping[str, int], classes: Sequence[str]
) -> dict[str, dict[str, int]]:
    """Count images by split and class.

    Args:
        rows: the manifest's ``class`` column, all within ``classes``.
        images: how many of the rows belong to each split, in their order.
        classes: the names that ``rows`` point to.
    """
    counts: dict[str, dict[str, int]] = {}
    first = 0
    for split, number in images.items():
        numbers = np.bincount(rows[first : first + number], minlength=len(classes)).tolist()
        counts[split] = {c: n for c, n in zip(classes, numbers, strict=True) if n}
        first += number
    return counts


# If max_refused is left at its default: a share says little of a few images.
_ALWAYS_ALLOWED = 10


def refusals_allowed(planned: int, share: float, *, asked: bool) -> int:
    """Return how many images may be refused without a run being in error.

    Args:
        share: ``max_refused``.
        asked: whether somebody has set it.

    >>> refusals_allowed(1000, 0.05, asked=False), refusals_allowed(13, 0.05, asked=False)
    (50, 10)
    """
    allowed = int(share * planned)
    return allowed if asked else max(allowed, _ALWAYS_ALLOWED)
