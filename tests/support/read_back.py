"""Records of an output as prep itself reads them, for comparison with other readers."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from prep.shards.formats.base import format_of_file, shards_among


class Written(NamedTuple):
    """What a record holds: the bytes of its image, and the numbers of its label."""

    image: bytes
    label: tuple[float, ...]


def read_back(output: Path, split: str) -> list[Written]:
    """Return all records of a split, in the order of its shards."""
    found: list[Written] = []
    folder = output / split
    for name in shards_among(path.name for path in folder.iterdir()):
        form = format_of_file(name)
        with (folder / name).open("rb") as file:
            for record in map(form.parse, form.records(file)):
                found.append(Written(record.image, record.label))
    return found
