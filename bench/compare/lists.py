"""The sections of ``python -m bench``: ``prep`` of this checkout, and of an earlier one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from bench.compare.contenders import ROOT, Contender, prep_program
from bench.compare.loops import Ending, Loop
from bench.compare.records import count_tfrecords
from bench.compare.sections import Durations, Memory, Outputs, Rates, Section
from bench.peers.catalogue import ARTICLE, installed_peers
from bench.settings import QUALITY, SIZE
from prep.settings.choices import Interpolation

# What has a benchmark of its own: modules and their arguments.
_OTHERS = (
    ("bench.way", "--rounds", "3"),
    ("bench.large_photos", "--rule", "0"),
    ("bench.overhead", "--rounds", "1"),
    ("bench.mean", "--rounds", "2"),
)
_RUN = ("run", "--source", "{source}", "--output", "{output}")
_SAME = ("--size", str(SIZE), "--quality", str(QUALITY), "--images-per-shard", "{per_shard}")
_WORDS: dict[Ending, tuple[str, ...]] = {
    "jpeg": (),
    "gzip": ("--compression", "GZIP"),
    "raw": ("--encoding", "raw"),
    "float32": ("--encoding", "float32"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Numbers of images.

    Attributes:
        small, large: between which the slope is taken.
        per_shard: images in a shard.
        few, many: the same where each kernel is compared with its own bare loop.
        few_of_peers, many_of_peers: the same for other programs, of which some are slow.
        rounds: at most.
    """

    small: int = 5_000
    large: int = 20_000
    per_shard: int = 250
    few: int = 1_000
    many: int = 4_000
    few_of_peers: int = 2_000
    many_of_peers: int = 8_000
    rounds: int = 3


def run_of(name: str, *words: str, checkout: Path = ROOT) -> Contender:
    """Return ``prep run`` with options."""
    return prep_program(name, *_RUN, *_SAME, *words, checkout=checkout, count=count_tfrecords)


def sections_of(
    scale: Scale, base: Path | None = None, *, peers: bool = False
) -> Iterator[Section]:
    """Return everything that is measured, the most important first.

    Args:
        base: the checkout of an earlier version, which is measured too.
        peers: whether other programs are measured, too.
    """
    checkouts = {"": ROOT} if base is None else {"before: ": base, "": ROOT}
    yield _rates(scale, checkouts)
    yield _durations(scale, checkouts)
    if peers:
        yield peer_rates(scale)
    yield _kinds(scale)
    yield _memory(scale, checkouts)
    yield Outputs(title="Other benchmarks", benchmarks=_OTHERS)


def peer_rates(scale: Scale, words: tuple[str, ...] = ()) -> Rates:
    """Return the rates of other programs, with those of ``prep``.

    Args:
        words: parts of the names of the programs that are wanted; all, if there are none.
    """
    ours = [run_of("prep, default"), run_of("prep, linear", "--interpolation", "linear")]
    return Rates(
        title="Other programs",
        rounds=scale.rounds - 1 or 1,
        contenders=[(contender, None) for contender in (*ours, *installed_peers(words))],
        small=scale.few_of_peers,
        large=scale.many_of_peers,
        images_per_shard=scale.per_shard,
        reference=ours[0].name,
    )


def _rates(scale: Scale, checkouts: dict[str, Path]) -> Rates:
    article = ARTICLE.contender()
    programs = [
        run_of(f"{when}prep, {name}", *words, checkout=checkout)
        for name, words in (("linear", ("--interpolation", "linear")), ("default", ()))
        for when, checkout in checkouts.items()
    ]
    return Rates(
        title="Rates",
        rounds=scale.rounds,
        contenders=[(program, None) for program in (*programs, article)],
        small=scale.small,
        large=scale.large,
        images_per_shard=scale.per_shard,
        reference=ARTICLE.name,
    )


def _kinds(scale: Scale) -> Rates:
    kernels: Sequence[Interpolation] = get_args(Interpolation)
    loops = [Loop(kernel) for kernel in kernels]
    loops += [Loop("linear", ending) for ending in _WORDS if ending != "jpeg"]
    programs = [
        (run_of(str(loop), "--interpolation", loop.kernel, *_WORDS[loop.ending]), loop)
        for loop in loops
    ]
    return Rates(
        title="Kernels and encodings, each against its own bare loop",
        rounds=1,
        contenders=programs,
        small=scale.few,
        large=scale.many,
        images_per_shard=scale.per_shard // 2,
        reference="linear",
    )


def _durations(scale: Scale, checkouts: dict[str, Path]) -> Durations:
    def runs(name: str, checkout: Path) -> Iterator[tuple[Contender, int]]:
        yield prep_program(f"{name}prep --help", "--help", checkout=checkout), 0
        yield (
            prep_program(f"{name}prep plan", "plan", "{source}", "{output}", checkout=checkout),
            1_000,
        )
        for images in (1, 10, 1_000):
            words = ("run", "{source}", "{output}")
            yield (
                prep_program(f"{name}prep run", *words, checkout=checkout, count=count_tfrecords),
                images,
            )

    before_and_after = [list(runs(*checkout)) for checkout in checkouts.items()]
    return Durations(
        title="From start to end",
        rounds=scale.rounds,
        contenders=[pair for pairs in zip(*before_and_after, strict=True) for pair in pairs],
    )


def _memory(scale: Scale, checkouts: dict[str, Path]) -> Memory:
    shards = (scale.per_shard, 8 * scale.per_shard)
    jobs = [
        (run_of(f"{when}prep, default", checkout=checkout), scale.large, per_shard)
        for when, checkout in checkouts.items()
        for per_shard in (shards if checkout == ROOT else shards[:1])
    ]
    return Memory(
        title="Memory, and use of the cores",
        jobs=[*jobs, (ARTICLE.contender(), scale.large, scale.per_shard)],
    )
