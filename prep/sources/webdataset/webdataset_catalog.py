"""The catalog of tar files of WebDataset."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from prep.errors import SourceError
from prep.settings.choices import Target
from prep.sources.archives.archive_bytes import Read, reading
from prep.sources.archives.archive_folders import packed_at
from prep.sources.archives.packed_folders import Packed
from prep.sources.base import Catalog, Wanted
from prep.sources.columns import place_columns
from prep.sources.folders.ignored import Passed
from prep.sources.layouts.base import Place
from prep.sources.layouts.number_names import NAME_FILES
from prep.sources.layouts.numbered_labels import Label
from prep.sources.layouts.sample_catalog import (
    SampleSet,
    ShardSamples,
    names_of_classes,
    require_known_columns,
)
from prep.sources.layouts.shard_files import ShardFiles, shards_at
from prep.sources.naming import SourceName
from prep.sources.webdataset.sample_members import (
    Parts,
    SampleMembers,
    image_parts,
    key_and_part,
    members_of_samples,
    parts_in,
)
from prep.sources.webdataset.sample_values import (
    LABEL_KEYS,
    LARGEST,
    ValuePlace,
    json_in,
    label_in,
    name_in,
    value_place,
)
from prep.sources.webdataset.webdataset_layout import WebDatasetLayout, is_tar_name, is_tar_shard
from prep.storage.locate import locate
from prep.text import counted, quoted, reason_and_file

# What WebDataset and its tools put beside shards.
_BESIDE = (*NAME_FILES, "_info.json", "dataset_info.json", "features.json", "README.md")
# Samples of which it is remarkable that most have a text of their own.
_MANY = 20


def catalog_of_tars(place: Place, wanted: Wanted) -> Catalog:
    """List the images of a tar file of WebDataset, or of all in a folder.

    Raises:
        ConfigError: a part of samples that is named does not exist.
        SourceError: there are no images, a label can't be read, or an archive is damaged.
        StorageUnavailable: an archive is in a storage that does not answer.
    """
    asked = wanted.layout == "webdataset"
    shards = shards_at(place, wanted, is_tar_shard if asked else is_tar_name, _BESIDE)
    each = place.location.each if place.location.is_remote else map
    tars = [*each(lambda path: packed_at(place, path, wanted, may_be_empty=True), shards.paths)]
    parts = sum((parts_in(tar.members.names) for tar in tars), Parts())
    given = require_known_columns(wanted, WebDatasetLayout.title)
    images = image_parts(parts, given.get("image"), wanted.image_type)
    label = _label_place(tars, parts, given.get("label"), wanted)
    group = value_place("group", given["group"], parts) if "group" in given else None
    found = _Tars(place, shards, tars, images, label, group, wanted.target)
    return found.samples(wanted).catalog(wanted)


@dataclass(frozen=True)
class _Tars:
    """Tar files, and what of their samples is wanted.

    Attributes:
        images: the parts that are images.
        label: where labels are; None if samples have none.
        group: where groups are; None if none are wanted.
        target: what labels say.
    """

    place: Place
    shards: ShardFiles
    tars: Sequence[Packed]
    images: frozenset[bytes]
    label: ValuePlace | None
    group: ValuePlace | None
    target: Target

    def samples(self, wanted: Wanted) -> SampleSet:
        """Return the samples of all of them."""
        names = names_of_classes(self.place)
        each = self.place.location.each if self.place.location.is_remote else map
        found = [*each(self._read, range(len(self.tars)))]
        passed = self.shards.passed
        for _, passed_in in found:
            passed.add(passed_in)
        unpacked = tuple(tar.unpacked for tar in self.tars if tar.unpacked)
        told = "no labels" if self.label is None else f"labels from .{self.label}"
        if self.label is not None and names is not None:
            told += f", named by {names.file}"
        self._require_labels([shard for shard, _ in found], wanted)
        return SampleSet(
            source=str(SourceName(given=self.place.name, unpacked=unpacked)),
            read_as=f"WebDataset ({counted(len(self.tars), 'tar file')}), {told}",
            shards=[shard for shard, _ in found],
            names=names,
            class_names={} if names else self._class_names([shard for shard, _ in found]),
            columns={} if self.label is None else {"label": str(self.label)},
            doubts=self.shards.doubts,
            ignored=passed.ignored(),
        )

    def _read(self, number: int) -> tuple[ShardSamples, Passed]:
        """Return the samples of a tar file, and what is no part of them."""
        tar = self.tars[number]
        passed = tar.passed()
        passed.add(tar.outside())
        members = tar.members
        values = [place for place in (self.label, self.group) if place is not None]
        wanted = [place.part for place in values]
        found = Passed()
        samples = members_of_samples(members.names, self.images, wanted, found, tar.path)
        passed.add(found.below(tar.at))
        each = [
            [*_values(tar, place, rows, self.target if place is self.label else "class")]
            for place, rows in zip(values, samples.others, strict=True)
        ]
        labels = [None] * len(samples.images) if self.label is None else each[0]
        return ShardSamples(
            split=self.shards.splits[number],
            images=_table(tar, samples),
            labels=labels,
            groups=() if self.group is None else each[-1],
        ), passed

    def _class_names(self, shards: Sequence[ShardSamples]) -> dict[Label, str]:
        """Return the names for people that the first sample of each numbered class has."""
        found: dict[Label, str] = {}
        for tar, shard in zip(self.tars, shards, strict=True):
            known: dict[bytes, int] | None = None
            for row, label in enumerate(shard.labels):
                if label in found or not isinstance(label, int):
                    continue
                known = _json_of_samples(tar) if known is None else known
                key = key_and_part(shard.images["path"][row].as_py())[0]
                at = known.get(key[len(os.path.join(tar.at, b"")) :] if tar.at else key, -1)
                data, name = next(_contents(tar, [at]))
                found[label] = (data and name_in(data, name)) or ""
        return {label: text for label, text in found.items() if text}

    def _require_labels(self, shards: Sequence[ShardSamples], wanted: Wanted) -> None:
        """Raise SourceError where what was taken for labels are captions."""
        texts = [label for shard in shards for label in shard.labels if isinstance(label, str)]
        by_choice = bool(wanted.columns and "label" in wanted.columns)
        if by_choice or self.label is None or self.label.part != b"txt":
            return
        if len(texts) >= _MANY and len(set(texts)) > len(texts) // 2:
            raise SourceError(
                f"source: the .txt of {counted(len(texts), 'sample')} in "
                f"{quoted(self.place.name)} hold {len(set(texts)):,} different texts, as captions "
                "do; name the part with the label with `columns.label`, or pass "
                "`labels.from` if names tell the classes"
            )


def _table(tar: Packed, samples: SampleMembers) -> pa.Table:
    """Return the rows of the images of a tar file."""
    members, rows = tar.members, np.array(samples.images, np.int64)
    prefix = os.path.join(tar.at, b"") if tar.at else b""
    files = pa.array([tar.file], pa.binary())
    return pa.table(
        {
            "path": pa.array([prefix + members.names[row] for row in rows], pa.large_binary()),
            "size": members.sizes[rows],
            "mtime": members.marks[rows],
            **place_columns(files, members.offsets[rows], members.hows[rows]),
        }
    )


def _values(tar: Packed, place: ValuePlace, rows: Sequence[int], target: Target) -> Iterator[Label]:
    """Yield a value of each sample.

    Args:
        rows: the member that has it; -1 without one.
        target: what it says, if it is a label.
    """
    for data, name in _contents(tar, rows):
        yield None if data is None else label_in(place, data, name, target)


def _contents(tar: Packed, rows: Sequence[int]) -> Iterator[tuple[bytes | None, str]]:
    """Yield the contents and the names of some small members, in the order given."""
    location = locate(tar.path)
    try:
        with reading(location, location.file_size()) as read:
            for row in rows:
                yield (None, "") if row < 0 else _content(tar, read, row)
    except OSError as error:
        location.require_answer(error, "source: can't read an archive")
        raise SourceError(f"source: can't read an archive: {reason_and_file(error)}") from None


def _content(tar: Packed, read: Read, row: int) -> tuple[bytes, str]:
    members = tar.members
    size = int(members.sizes[row])
    name = os.fsdecode(os.path.join(tar.at, members.names[row]))
    if size > LARGEST:
        raise SourceError(
            f"source: {quoted(name)} has {size:,} bytes; expected a label of at most {LARGEST:,}"
        )
    data = read(size, int(members.offsets[row]))
    if len(data) < size:
        raise SourceError(f"source: {quoted(name)} is truncated; get its archive again")
    return data, name


def _label_place(
    tars: Sequence[Packed], parts: Parts, given: str | None, wanted: Wanted
) -> ValuePlace | None:
    """Return where labels are: what the configuration names, or else the usual place."""
    if wanted.labels is not None and wanted.labels.origin not in (None, "column"):
        return None
    if given is not None:
        return value_place("label", given, parts)
    key = None
    if b"json" in parts and (b"cls" not in parts or wanted.target != "class"):
        key = _label_key(tars)
    if b"cls" in parts and key is None:
        return ValuePlace(part=b"cls")
    if key is not None:
        return ValuePlace(part=b"json", path=(key,))
    return ValuePlace(part=b"txt") if b"txt" in parts else None


def _json_of_samples(tar: Packed) -> dict[bytes, int]:
    """Return the member with the ``.json`` of each sample, by key."""
    pairs = ((key_and_part(name), row) for row, name in enumerate(tar.members.names))
    return {key: row for (key, part), row in pairs if part == b"json"}


def _label_key(tars: Sequence[Packed]) -> str | None:
    """Return the usual key of a label that the first ``.json`` of a tar file has.

    Those of a test split may have none.
    """
    for tar in tars:
        names = enumerate(tar.members.names)
        row = next((row for row, name in names if key_and_part(name)[1] == b"json"), -1)
        data, shown = next(_contents(tar, [row]))
        found = {} if data is None else json_in(data, shown)
        key = next((key for key in LABEL_KEYS if key in found), None)
        if key is not None:
            return key
    return None
