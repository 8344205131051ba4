"""Shards of a plan: how the images of a split are spread over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Literal

from prep.errors import ConfigError
from prep.settings.choices import Format
from prep.settings.output_names import DEFAULT_FORMAT, MOST_SHARDS, shard_name
from prep.text import counted, quoted

#: ``even``: shards of a split differ by at most one image. ``filled``: all but the last are full,
#: as in outputs of earlier versions. ``given``: a plan says how many images each shard has.
Partition = Literal["even", "filled", "given"]
#: Number of images in each shard of each split, where a plan gives it.
ShardSizes = Mapping[str, Sequence[int]]

_LARGEST_DEFAULT_SHARD = 1000
_SMALLEST_DEFAULT_SHARD = 32
_DEFAULT_SHARDS = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardSpec:
    """Shard ``index`` of the ``count`` of its split: rows ``start`` to ``stop`` of the manifest.

    ``format`` is that of its file.
    """

    split: str
    index: int
    count: int
    start: int
    stop: int
    format: Format = DEFAULT_FORMAT

    @property
    def name(self) -> str:
        """The name of its file."""
        return shard_name(self.split, self.index, self.count, self.format)

    @property
    def images(self) -> int:
        return self.stop - self.start


def plan_shards(
    images: Mapping[str, int],
    images_per_shard: int,
    partition: Partition = "even",
    format: Format = DEFAULT_FORMAT,
    sizes: ShardSizes | None = None,
) -> tuple[ShardSpec, ...]:
    """Spread the rows of each split over shards of at most ``images_per_shard`` images.

    Args:
        sizes: the images of each shard, if the partition is ``given``; they add up to ``images``.

    Raises:
        ConfigError: there would be more shards than an output may have.

    >>> [(s.index, s.start, s.stop) for s in plan_shards({"train": 9}, 4)]
    [(0, 0, 3), (1, 3, 6), (2, 6, 9)]
    >>> [s.images for s in plan_shards({"train": 9}, 4, "filled")]
    [4, 4, 1]
    >>> [s.images for s in plan_shards({"train": 9}, 4, "given", sizes={"train": [2, 7]})]
    [2, 7]
    """
    count_shards(images, images_per_shard, sizes)
    shards: list[ShardSpec] = []
    first = 0
    for split, number in images.items():
        if sizes is not None:
            bounds = [*accumulate(sizes[split], initial=first)]
        elif partition == "even":
            count = -(-number // images_per_shard)
            bounds = [first + index * number // count for index in range(count + 1)]
        else:
            bounds = [*range(first, first + number, images_per_shard), first + number]
        count = len(bounds) - 1
        shards += (
            ShardSpec(split=split, index=index, count=count, start=start, stop=stop, format=format)
            for index, (start, stop) in enumerate(pairwise(bounds))
        )
        first += number
    return tuple(shards)


def count_shards(
    images: Mapping[str, int], images_per_shard: int, sizes: ShardSizes | None = None
) -> int:
    """Count the shards of a plan, which takes no memory.

    Args:
        images, images_per_shard, sizes: as for :func:`plan_shards`.

    Raises:
        ConfigError: there are more than an output may have.
    """
    if sizes is None:
        shards = sum(-(-number // images_per_shard) for number in images.values())
    else:
        shards = sum(map(len, sizes.values()))
    if shards > MOST_SHARDS:
        least = -(-sum(images.values()) // max(MOST_SHARDS - len(images), 1))
        raise ConfigError(
            f"images_per_shard: {images_per_shard:,} would make {shards:,} shards; an output has "
            f"at most {MOST_SHARDS:,}: expected {max(least, 2):,} or more"
        )
    return shards


def equal_sizes(split: str, images: int, count: int) -> list[int]:
    """Return how many images each of ``count`` shards has; they differ by at most one.

    Raises:
        ConfigError: there are fewer images than shards.

    >>> equal_sizes("train", 10, 4)
    [2, 3, 2, 3]
    """
    if not images:
        return []
    if count > images:
        raise ConfigError(
            f"shard_count: {count:,} is more than the {counted(images, 'image')} of "
            f"{quoted(split)}; expected at most {images:,}, for each shard holds at least one"
        )
    bounds = [index * images // count for index in range(count + 1)]
    return [stop - start for start, stop in pairwise(bounds)]


def default_images_per_shard(images: int) -> int:
    """Return the size of shards that makes about 128 of them, of 32 to 1000 images each.

    It depends on the number of images alone, so that the output is the same on any machine.

    >>> [default_images_per_shard(n) for n in (400, 20_000, 1_281_167)]
    [32, 156, 1000]
    """
    return min(_LARGEST_DEFAULT_SHARD, max(_SMALLEST_DEFAULT_SHARD, images // _DEFAULT_SHARDS))
