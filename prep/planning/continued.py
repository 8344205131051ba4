"""Plans that go on with the shards of the plan before, and records that have become outdated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from prep.parsing import Fields, refuse, whole
from prep.planning.shards import ShardSpec
from prep.settings.choices import Format
from prep.settings.output_names import DEFAULT_FORMAT, MOST_SHARDS, shard_name
from prep.text import counted, quoted, some

#: How the record of an image differs from the source: the image is not there any more, has other
#: contents, another class, or another split.
Difference = Literal["gone", "changed", "relabelled", "moved"]
_MOST_NAMED = 3  # images of a kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Continued:
    """The plan whose shards the present plan goes on with.

    Shard ``index`` of a split was the same shard there, and is renamed, because the name of its
    file holds the number of shards.

    Attributes:
        digest: of its fingerprint.
        counts: number of shards of each split.
        rewritten: of these, the indexes of the shards that are to be written anew.
    """

    digest: str
    counts: Mapping[str, int]
    rewritten: Mapping[str, tuple[int, ...]]

    def has(self, shard: ShardSpec) -> bool:
        """Return whether a shard of the present plan was in this one."""
        return shard.index < self.counts.get(shard.split, 0)

    def keeps(self, shard: ShardSpec) -> bool:
        """Return whether a shard of the present plan is one of this plan as it is."""
        return self.has(shard) and shard.index not in self.rewritten.get(shard.split, ())

    def name_of(self, shard: ShardSpec, format: Format = DEFAULT_FORMAT) -> str:
        """Return the name that the file of a shard had."""
        return shard_name(shard.split, shard.index, self.counts[shard.split], format)

    def to_json(self) -> dict[str, Any]:
        """Return what :meth:`from_json` reads."""
        return {
            "digest": self.digest,
            "shards": dict(self.counts),
            "rewritten": {split: [*indexes] for split, indexes in self.rewritten.items()},
        }

    @classmethod
    def from_json(cls, value: object, counts: Mapping[str, int]) -> Continued:
        """Read what :meth:`to_json` gave.

        Args:
            counts: number of shards of each split of the present plan.

        Raises:
            ValueError: it is not that, or no plan that one with so many shards can go on with.
        """
        fields = Fields(value, "the plan that is continued")
        digest = fields.text("digest")
        before = fields.counts("shards", least=1)
        for split, count in before.items():
            if count > min(counts.get(split, 0), MOST_SHARDS):
                refuse("shards", f"at most {counts.get(split, 0)} of {quoted(split)}", count)
        rewritten = {
            split: _indexes(indexes, before.get(split, 0))
            for split, indexes in fields.object("rewritten").items()
        }
        fields.end()
        return cls(digest=digest, counts=before, rewritten=rewritten)


def _indexes(value: object, count: int) -> tuple[int, ...]:
    """Return indexes of shards; raise ValueError for others than those of ``count`` shards."""
    if not isinstance(value, list) or not count:
        refuse("rewritten", "lists of shards that it had", value)
    return tuple(whole(index, "rewritten", most=count - 1) for index in value)


class OutdatedImage(NamedTuple):
    """An image whose record in the output is not what its source says now.

    Attributes:
        path: its name.
        class_name: the class that its record has.
        split: the split that its record is in.
        shard: the name of its shard's file.
        difference: how they differ.
    """

    path: str
    class_name: str
    split: str
    shard: str
    difference: Difference


def describe_outdated(images: Sequence[OutdatedImage]) -> str:
    """Count outdated images by how they differ, and name some with their shards.

    >>> describe_outdated([OutdatedImage("a.jpg", "cat", "train", "train-00000-of-00002", "gone")])
    "1 image gone ('a.jpg' in train-00000-of-00002)"
    """
    parts = []
    for difference, count in Counter(image.difference for image in images).items():
        named = [
            f"{quoted(image.path)} in {image.shard}"
            for image in images
            if image.difference == difference
        ]
        parts.append(f"{counted(count, 'image')} {difference} ({some(named, most=_MOST_NAMED)})")
    return ", ".join(parts)
