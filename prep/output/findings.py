"""Findings: what is wrong with an output or a cluster, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning"]

#: The remedy for a file of an output: ``rewrite`` the shard from its images, ``remake``
#: the file from the receipts, ``remove`` it, or ``none``, if it takes a person.
Remedy = Literal["rewrite", "remake", "remove", "none"]

#: The expected contents, and those found instead.
Difference = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong with an output or a cluster.

    Attributes:
        level: ``error``, or ``warning`` if a run would succeed all the same.
        where: the file, relative to the output; or the processes or hosts.
        what: what was found; of a cluster, also what it leads to.
        remedy: what to do about it; of a file of an output, one of ``Remedy``.
        expected: what should be there, if ``what`` does not say so.
    """

    level: Level = "error"
    where: str
    what: str
    remedy: str
    expected: str = ""

    @property
    def found(self) -> str:
        """An alias of ``what``."""
        return self.what

    def __str__(self) -> str:
        if self.expected:
            return f"{self.where}: expected {self.expected}; found {self.what}"
        return f"{self.where}: {self.what}; {self.remedy}"


def mismatch(where: str, expected: str, found: str, remedy: Remedy) -> Finding:
    """Return the finding that a file of an output is not as expected.

    >>> print(mismatch("report.json", "the report", "no such file", "remake"))
    report.json: expected the report; found no such file
    """
    return Finding(where=where, what=found, remedy=remedy, expected=expected)
