"""Random numbers and permutations that are computed from a position, not stored.

They depend on the integers given here alone, and not on NumPy's generators, whose streams may
change between versions. So an order stays the same wherever it is continued.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

UInts: TypeAlias = npt.NDArray[np.uint64]

#: Records that an epoch may have, for which the square root of a float64 is exact enough.
MOST = 1 << 52
_ROUNDS = 6
_ROUNDS_OF_SMALL = 24  # Where the digits take few values, it takes longer to mix them.
_SMALL = 4096
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2**64 divided by the golden ratio
_HALF = np.uint64(32)
_ONE = np.uint64(1)
_ROUND_KEYS = np.arange(_ROUNDS_OF_SMALL, dtype=np.uint64) * _GOLDEN


def mixed(numbers: npt.ArrayLike) -> UInts:
    """Return 64 random bits for each number: the finalizer of SplitMix64.

    The mapping is one to one. Constants: Stafford's Mix13, as in Steele, Lea and Flood,
    https://doi.org/10.1145/2660193.2660195
    """
    bits = np.atleast_1d(np.asarray(numbers)).astype(np.uint64)
    bits += _GOLDEN
    bits ^= bits >> np.uint64(30)
    bits *= np.uint64(0xBF58476D1CE4E5B9)
    bits ^= bits >> np.uint64(27)
    bits *= np.uint64(0x94D049BB133111EB)
    bits ^= bits >> np.uint64(31)
    return bits


def key(seed: int, *parts: npt.ArrayLike) -> UInts:
    """Return a key of 64 random bits for a seed and further integers, which may be arrays."""
    bits = mixed(np.array([seed % (1 << 64)], np.uint64))
    for part in parts:
        bits = mixed(bits ^ mixed(part))
    return bits


def fraction(keys: UInts) -> npt.NDArray[np.float64]:
    """Return a number from 0 up to but without 1 for each key: a multiple of 2**-32."""
    return (keys >> _HALF).astype(np.float64) * 2.0**-32


def permuted(index: npt.ArrayLike, size: npt.ArrayLike, keys: UInts) -> npt.NDArray[np.int64]:
    """Return where a permutation of 0 … size-1 puts each index, in O(1) memory.

    A Feistel network over pairs of digits of two bases whose product is a little above ``size``.
    What falls outside of 0 … size-1 is permuted again until it falls inside ("cycle walking"):
    Black and Rogaway, "Ciphers with arbitrary finite domains",
    https://doi.org/10.1007/3-540-45760-7_9

    Args:
        index: shape (n,), each from 0 to size-1.
        size: of the set that is permuted, at most ``MOST``; one, or one for each index.
        keys: of the permutation; one, or one for each index.
    """
    places = np.atleast_1d(np.asarray(index)).astype(np.uint64)
    sizes = np.broadcast_to(np.asarray(size, np.uint64), places.shape)
    keys = np.broadcast_to(keys, places.shape)
    result = np.empty(places.shape, np.int64)
    small = sizes <= _SMALL
    for part, rounds in ((small, _ROUNDS_OF_SMALL), (~small, _ROUNDS)):
        if part.any():
            result[part] = _walked(places[part], sizes[part], keys[part], rounds)
    return result


def _walked(places: UInts, sizes: UInts, keys: UInts, rounds: int) -> UInts:
    """Permute places until each is inside of its set."""
    places = _scrambled(places, sizes, keys, rounds)
    outside = np.flatnonzero(places >= sizes)
    while outside.size:
        again = _scrambled(places[outside], sizes[outside], keys[outside], rounds)
        places[outside] = again
        outside = outside[again >= sizes[outside]]
    return places


def _scrambled(places: UInts, sizes: UInts, keys: UInts, rounds: int) -> UInts:
    """Return where a permutation of a slightly larger set puts each place."""
    high_base = np.sqrt(sizes.astype(np.float64)).astype(np.uint64) + _ONE
    low_base = sizes // high_base + _ONE
    low_base += (
        low_base & _ONE
    )  # Shifts of odd numbers of digits are even permutations, all of them.
    high, low = np.divmod(places, low_base)
    for number in range(0, rounds, 2):
        high = _shifted(high, high_base, low, keys, number)
        low = _shifted(low, low_base, high, keys, number + 1)
    result: Any = high * low_base + low
    return result  # type: ignore[no-any-return]


def _shifted(digit: UInts, base: UInts, other: UInts, keys: UInts, number: int) -> UInts:
    """Add a random number that depends on the other digit to a digit, modulo its base."""
    # The upper 32 bits, scaled to the base: faster than a remainder.
    shift = ((mixed((other + _ROUND_KEYS[number]) ^ keys) >> _HALF) * base) >> _HALF
    total = digit + shift
    return np.where(total >= base, total - base, total)
