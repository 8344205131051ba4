"""Files and folders that are no images of the set: counted by reason, with an example each."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from prep.text import quoted

#: The reason for passing over files that are not named like images.
OTHER = "other extension"
#: The reason for passing over images that a list names.
MISSING = "listed image that is missing"
_NAMED = 3
_ARCHIVES = frozenset(["tar", "tgz", "zip", "7z", "rar"])
_LISTS = frozenset(["csv", "tsv", "jsonl", "parquet", "arrow", "xlsx"])
_PACKED = _ARCHIVES | _LISTS | frozenset(["gz", "tfrecord", "lmdb", "h5", "npz"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """Files or folders that are not part of the set: why, how many, and one of them."""

    reason: str
    count: int
    example: str


def sum_by_reason(ignored: Iterable[Ignored]) -> tuple[Ignored, ...]:
    """Return one entry for each reason, in their order, with the first example by name."""
    passed = Passed()
    for item in ignored:
        passed.note(item.reason, os.fsencode(item.example), item.count)
    return passed.ignored()


@dataclass(slots=True)
class Passed:
    """Counts of what was passed over.

    Attributes:
        counts: by reason.
        examples: for each reason the first by name, in whatever order they were found.
        extensions: of files that are no images, as they are written.
    """

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    extensions: Counter[str] = field(default_factory=Counter)

    def note(self, reason: str, path: bytes, count: int = 1) -> None:
        """Count something."""
        self._add(reason, os.fsdecode(path), count)

    def add(self, other: Passed) -> None:
        """Count all that was counted elsewhere."""
        for reason, count in other.counts.items():
            self._add(reason, other.examples[reason], count)
        self.extensions += other.extensions

    def below(self, prefix: bytes) -> Passed:
        """Return the same counts, with examples below a path."""
        found = Passed(extensions=self.extensions.copy())
        for reason, count in self.counts.items():
            found.note(reason, os.path.join(prefix, os.fsencode(self.examples[reason])), count)
        return found

    def _add(self, reason: str, example: str, count: int) -> None:
        self.counts[reason] += count
        self.examples[reason] = min(example, self.examples.get(reason, example))

    def ignored(self) -> tuple[Ignored, ...]:
        """Return the counts with their examples, by reason."""
        return tuple(
            Ignored(reason=reason, count=count, example=self.examples[reason])
            for reason, count in sorted(self.counts.items())
        )

    def __str__(self) -> str:
        """Return the counts in words."""
        return ", ".join(
            f"{i.count:,} × {i.reason} (such as {quoted(i.example)})" for i in self.ignored()
        )

    def archives(self) -> Counter[str]:
        """Return how many files are named like archives, by extension in lower case."""
        found: Counter[str] = Counter()
        for name, count in self.extensions.items():
            if name.lower() in _ARCHIVES:
                found[name.lower()] += count
        return found

    def describe_extensions(self, *, packed: bool = False) -> str:
        """Describe the extensions of files that are no images; return nothing if there are none.

        Args:
            packed: whether they are in an archive, and can't be given as a source themselves.
        """
        files = self.extensions.total()
        if not files:
            return ""
        by_number = sorted(self.extensions, key=lambda name: (-self.extensions[name], name))
        named = ", ".join(name or "none" for name in by_number[:_NAMED])
        more = ", …" if len(by_number) > _NAMED else ""
        have = "file has another extension" if files == 1 else "files have other extensions"
        unpack = "unpack it, and " if packed else ""
        hint = (
            ""
            if _PACKED.isdisjoint(name.lower() for name in by_number)
            else f"; if one of these holds or lists the images, {unpack}give it as the source"
        )
        return f"{files:,} {have}: {named}{more} (such as {quoted(self.examples[OTHER])}){hint}"
