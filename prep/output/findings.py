"""What may be wrong with an output, and what mends it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: ``rewrite`` the shard from its images, ``remake`` the file from the receipts, ``remove`` it, or
#: ``none``: it takes a person.
Remedy = Literal["rewrite", "remake", "remove", "none"]

#: What was expected, and what was found instead.
Difference = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with an output.

    Attributes:
        where: the file, relative to the output.
        expected: what should be there.
        found: what is there.
        remedy: what mends it.
    """

    where: str
    expected: str
    found: str
    remedy: Remedy

    def __str__(self) -> str:
        return f"{self.where}: expected {self.expected}; found {self.found}"
