"""What to say where images that claim 16 bits a sample hold fewer, or more than was said."""

from __future__ import annotations

from collections.abc import Mapping

from prep.depths import FULL, Deep, Depths
from prep.text import counted, quoted, some

# What cameras and scanners have; of 8 bits, somebody's program has made 16.
_USUAL = (8, 10, 12, 14)


def depth_warnings(splits: Mapping[str, Depths], depth: int) -> list[str]:
    """A line for each split, or for some of its classes, whose samples ``depth`` does not fit.

    Args:
        splits: of all images written.
        depth: how many bits were taken to be in use.
    """
    lines = []
    most = max((depths.all().bits for depths in splits.values()), default=0)
    for split, depths in splits.items():
        where = f"of split {quoted(split)}"
        line = depth_warning(depths.all(), depth, where, most)
        dark = {name: deep for name, deep in depths.classes.items() if _holding(deep) < FULL}
        if not line and dark and depth == FULL:
            line = _some_too_dark(where, dark)
        lines += [line] if line else []
    return lines


def depth_warning(deep: Deep, depth: int, where: str = "of those sampled", most: int = 0) -> str:
    """What ``depth`` does to images that are to be scaled alike; empty if it fits them.

    Args:
        most: how many bits are in use in the whole set, which ``depth`` is for.
    """
    if deep.bits > depth:
        return _too_bright(where, deep, depth)
    if depth == FULL and deep.images and _holding(deep) < FULL:
        return _too_dark(where, deep, apart=most > _holding(deep))
    return ""


def _holding(deep: Deep) -> int:
    """The least usual number of bits that holds their samples."""
    return next((bits for bits in _USUAL if bits >= deep.bits), FULL)


def _too_dark(where: str, deep: Deep, *, apart: bool) -> str:
    bits = _holding(deep)
    unlike, them = (", unlike in other splits", "them apart,") if apart else ("", "them")
    return (
        f"{_described(deep)} {where}: no value above {(1 << bits) - 1:,}{unlike}. "
        f"They hold {bits} bits, and {_levels(bits)}; prepare {them} with depth: {bits}"
    )


def _some_too_dark(where: str, dark: Mapping[str, Deep]) -> str:
    deep = sum(dark.values(), Deep(0, 0))
    bits = _holding(deep)
    names = some([quoted(name) for name in sorted(dark)])
    return (
        f"{_described(deep)} {where} in {counted(len(dark), 'class')} ({names}): no value "
        f"above {(1 << bits) - 1:,}, unlike in other classes. If they hold {bits} bits, they "
        f"{_levels(bits)}; prepare them apart, with depth: {bits}"
    )


def _too_bright(where: str, deep: Deep, depth: int) -> str:
    return (
        f"{_described(deep)} {where}: values above {(1 << depth) - 1:,}, which depth: {depth} "
        f"makes white; prepare them with depth: {_holding(deep)}"
    )


def _described(deep: Deep) -> str:
    return f"{counted(deep.images, 'image')} of 16 bits a sample"


def _levels(bits: int) -> str:
    return f"come out in {1 << (bits - 8):,} of 256 levels, too dark"
