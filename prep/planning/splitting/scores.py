"""Scores: a number for each image, or for its group, that decides splits and subsets."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

#: For each image, 64 bits of a hash.
Scores = npt.NDArray[np.uint64]
_BYTES = 8


def scores_of(seed: int, keys: Iterable[bytes]) -> Scores:
    """Return the score of each key: BLAKE2b (RFC 7693) of the seed, a zero byte and the key.

    Args:
        seed: of the configuration; it is written in decimal digits.
        keys: names of images or groups.

    Returns:
        Integers of 64 bits, the first byte of the digest foremost; 2^64 stands for 1.

    >>> scores_of(0, [b"cat/1.jpg"]).tolist(), as_fractions(scores_of(0, [b"a"])).round(3).tolist()
    ([6784412026836184174], [0.085])
    """
    before = str(seed).encode() + b"\0"
    digests = b"".join([blake2b(before + key, digest_size=_BYTES).digest() for key in keys])
    return np.frombuffer(digests, ">u8").astype(np.uint64)


def as_fractions(scores: Scores) -> npt.NDArray[np.float64]:
    """Return scores as numbers from 0 to less than 1."""
    fractions = scores.astype(np.float64) / 2.0**64
    return np.minimum(fractions, np.nextafter(1.0, 0.0))
