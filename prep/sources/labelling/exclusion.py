"""Images that ``exclude`` names, or numbers."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from prep.errors import SourceError
from prep.sources.base import Catalog
from prep.sources.labelling.name_files import names_given
from prep.sources.labelling.rows import without_rows
from prep.text import counted, quoted, some

# ImageNet's validation images, which its blacklist numbers.
_NUMBERED = r"(?:^|/)ILSVRC\d{4}_val_0*(?P<number>\d+)\.[^/.]+$"


def without_excluded(catalog: Catalog, exclude: str | tuple[str, ...]) -> Catalog:
    """Return a catalog without the images that are excluded.

    A name is that of an image relative to the source, or ends it: ``cat/1.jpg`` excludes
    ``train/cat/1.jpg``. A number is that of one of ImageNet's validation images.

    Raises:
        ConfigError, StorageUnavailable: the file can't be read.
        SourceError: a name may mean several images.
    """
    names = dict.fromkeys(name.removeprefix("./") for name in names_given("exclude", exclude))
    paths = catalog.images["path"].combine_chunks()
    left_out = np.zeros(len(paths), bool)
    numbers = {name for name in names if name.isascii() and name.isdigit()}
    unmatched = [*_by_name(paths, [name for name in names if name not in numbers], left_out)]
    unmatched += _by_number(paths, numbers, left_out)
    doubts = catalog.doubts
    if unmatched:
        said = some([*map(quoted, sorted(unmatched))])
        doubts += (f"exclude: {counted(len(unmatched), 'name')} of no image: {said}",)
    return replace(without_rows(catalog, left_out, "excluded image"), doubts=doubts)


def _by_name(paths: pa.Array, names: list[str], left_out: npt.NDArray[np.bool_]) -> set[str]:
    """Mark the images of these names; return the names that no image has."""
    left = {os.fsencode(name) for name in names}
    left -= _mark(paths, paths, left, left_out)
    by_depth: defaultdict[int, set[bytes]] = defaultdict(set)
    for name in left:
        by_depth[name.count(b"/")].add(name)
    for depth, wanted in sorted(by_depth.items()):
        pattern = rf"^.*?/(?P<end>[^/]+(?:/[^/]+){{{depth}}})$"
        ends = pc.struct_field(pc.extract_regex(paths, pattern), "end")
        left -= _mark(paths, ends, wanted, left_out)
    return set(map(os.fsdecode, left))


def _mark(
    paths: pa.Array, ends: pa.Array, wanted: set[bytes], left_out: npt.NDArray[np.bool_]
) -> set[bytes]:
    """Mark the images of which a part of the name is wanted; return the names found."""
    if not wanted:
        return set()
    found = pc.is_in(ends, value_set=pa.array(sorted(wanted), ends.type))
    here = found.to_numpy(zero_copy_only=False)
    names = Counter(ends.filter(found).to_pylist())
    if (twice := next((name for name, count in names.items() if count > 1), None)) is not None:
        both = [os.fsdecode(path) for path in paths.filter(pc.equal(ends, twice)).to_pylist()]
        raise SourceError(
            f"exclude: {quoted(os.fsdecode(twice))} may be {some([*map(quoted, both)])}; "
            "give its whole name"
        )
    left_out |= here
    return set(names)


def _by_number(paths: pa.Array, numbers: set[str], left_out: npt.NDArray[np.bool_]) -> set[str]:
    """Mark the images of these numbers; return the numbers that no image has."""
    if not numbers:
        return set()
    wanted = {int(number): number for number in numbers}
    found = pc.struct_field(pc.extract_regex(paths, _NUMBERED), "number")
    there = np.flatnonzero(found.is_valid().to_numpy(zero_copy_only=False))
    values = found.take(pa.array(there)).to_pylist()
    matched = set[int]()
    for row, value in zip(there.tolist(), map(int, values), strict=True):
        if value in wanted:
            left_out[row] = True
            matched.add(value)
    return {number for value, number in wanted.items() if value not in matched}
