"""The catalog of TFRecord files: an image is a byte range, found while they are listed."""

from __future__ import annotations

import os
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
from google_crc32c import value as crc32c

from prep.errors import ConfigError, SourceError
from prep.sources.archives.archive_bytes import reading
from prep.sources.archives.members import marks_of
from prep.sources.archives.solid import stamp_of_archive, unpack_archive
from prep.sources.base import HOWS, Catalog, Wanted
from prep.sources.columns import place_columns
from prep.sources.layouts.base import Place
from prep.sources.layouts.number_names import NAME_FILES
from prep.sources.layouts.numbered_labels import Label
from prep.sources.layouts.sample_catalog import (
    SampleSet,
    ShardSamples,
    names_of_classes,
    require_known_columns,
)
from prep.sources.layouts.shard_files import shards_at
from prep.sources.naming import SourceName, UnpackedArchive
from prep.sources.records.example_features import Span, features_in
from prep.sources.records.feature_choice import (
    FeatureChoice,
    FirstRecord,
    choose_features,
    first_record,
    image_in,
    label_in_record,
    require_image_heads,
    text_in_record,
)
from prep.sources.records.record_frames import RecordBytes, packing_of
from prep.sources.records.tfrecord_layout import TFRecordLayout, is_record_name
from prep.storage.location import Location, Stamp
from prep.text import counted, quoted, reason_and_file

# What TensorFlow Datasets, TF-Slim and this package put beside records.
_BESIDE = (*NAME_FILES, "dataset_info.json", "features.json", "README.md")
_MARKED = 512  # bytes before an image that its mark is made of, as of a member of a tar file
_LOOKED_AT = 3  # images of a file


def catalog_of_records(place: Place, wanted: Wanted) -> Catalog:
    """List the images of a TFRecord file, or of all in a folder.

    Raises:
        ConfigError: a feature that is named does not exist.
        SourceError: a file is damaged or compressed, a record has no image, or a label is none.
        StorageUnavailable: a file is in a storage that does not answer.
    """
    given = require_known_columns(wanted, TFRecordLayout.title)
    if wanted.image_type is not None:
        raise ConfigError("image_type: images in records have no extension; leave it out")
    shards = shards_at(place, wanted, is_record_name, _BESIDE)
    files = [_opened(place, path, wanted) for path in shards.paths]
    by_name = wanted.labels is not None and wanted.labels.origin not in (None, "column")
    each = place.location.each if place.location.is_remote else map
    firsts = [first for first in each(lambda file: file.first(given), files) if first]
    if not firsts:
        raise SourceError(f"source: {quoted(place.name)} has no records; get it again")
    choice = choose_features(firsts, given, with_labels=not by_name)
    choice = replace(choice, target=wanted.target)
    found = [*each(lambda file: file.listed(choice), files)]
    names = names_of_classes(place)
    texts: dict[Label, str] = {}
    for records in found:
        texts = {**records.texts, **texts}
    unpacked = tuple(file.unpacked for file in files if file.unpacked)
    told = f", named by {names.file}" if names is not None and choice.label is not None else ""
    columns = {"image": choice.image, **({"label": choice.label} if choice.label else {})}
    return SampleSet(
        source=str(SourceName(given=place.name, unpacked=unpacked)),
        read_as=f"TFRecords ({counted(len(files), 'file')}), {choice.told}{told}",
        shards=[
            ShardSamples(
                split=split,
                images=records.table(file),
                labels=records.labels,
                groups=records.groups,
            )
            for split, file, records in zip(shards.splits, files, found, strict=True)
        ],
        names=names,
        class_names={} if names else texts,
        columns={role: os.fsdecode(key) for role, key in columns.items()},
        doubts=shards.doubts,
        ignored=shards.passed.ignored(),
    ).catalog(wanted)


@dataclass
class _Records:
    """The images of a file of records, in its order.

    Attributes:
        checksums: CRC-32C of the bytes before each.
        texts: names for people, by label.
    """

    offsets: array[int] = field(default_factory=lambda: array("q"))
    sizes: array[int] = field(default_factory=lambda: array("q"))
    checksums: array[int] = field(default_factory=lambda: array("q"))
    labels: list[Label] = field(default_factory=list)
    groups: list[Label] = field(default_factory=list)
    texts: dict[Label, str] = field(default_factory=dict)

    def add(
        self, record: RecordBytes, features: Mapping[bytes, Span], choice: FeatureChoice
    ) -> Span:
        """Add a record; return where its image lies.

        Raises:
            ValueError: it has no image, or another label than one.
        """
        begin, end = image_in(record, features, choice.image)
        before = min(_MARKED, begin)
        self.offsets.append(begin)
        self.sizes.append(end - begin)
        self.checksums.append(crc32c(record.at(begin - before, before)))
        label = None
        if choice.label is not None:
            label = label_in_record(record, features, choice.label, choice.target)
        self.labels.append(label)
        if choice.group is not None:
            self.groups.append(label_in_record(record, features, choice.group))
        text = features.get(choice.text) if choice.text is not None else None
        if isinstance(label, int) and label not in self.texts and text is not None:
            self.texts[label] = text_in_record(record, text)
        return begin, end

    def table(self, file: _File) -> pa.Table:
        """Return the rows of a catalog."""
        prefix = file.at or os.fsencode(os.path.basename(os.fsdecode(file.name)))
        count = len(self.offsets)
        offsets, sizes, checksums = (
            np.frombuffer(column, np.int64) if count else np.zeros(0, np.int64)
            for column in (self.offsets, self.sizes, self.checksums)
        )
        hows = np.full(count, HOWS.index("bytes"), np.uint8)
        names = [b"%b#%d" % (prefix, number) for number in range(count)]
        return pa.table(
            {
                "path": pa.array(names, pa.large_binary()),
                "size": sizes,
                "mtime": marks_of(checksums, file.stamp),
                **place_columns(pa.array([file.name], pa.binary()), offsets, hows),
            }
        )


@dataclass(frozen=True, kw_only=True)
class _File:
    """A file of records.

    Attributes:
        name: what the source calls it.
        at: its path in the source; empty if it is the source.
        location: where it is read.
        stamp: of the file as it lies in the source.
        unpacked: the file that it was unpacked to, if it is compressed.
    """

    name: bytes
    at: bytes
    location: Location
    stamp: Stamp
    unpacked: UnpackedArchive | None

    def listed(self, choice: FeatureChoice) -> _Records:
        """Return its images and their labels."""
        try:
            size = self.location.file_size()
            with reading(self.location, size) as read:
                return _listed(RecordBytes(read, size, str(self.location)), choice)
        except OSError as error:
            raise self._unreadable(error) from None

    def first(self, given: Mapping[str, str]) -> FirstRecord | None:
        """Return what its first record tells; None without a record."""
        try:
            size = self.location.file_size()
            with reading(self.location, size) as read:
                record = RecordBytes(read, size, str(self.location))
                for begin, end in record.frames():
                    return first_record(record, _features(record, 0, begin, end), given)
        except OSError as error:
            raise self._unreadable(error) from None
        return None

    def _unreadable(self, error: OSError) -> SourceError:
        self.location.require_answer(error, "source: can't read records")
        return SourceError(f"source: can't read records: {reason_and_file(error)}")


def _opened(place: Place, path: bytes, wanted: Wanted) -> _File:
    """Return a file of records in a place; unpack it if it is compressed, and may be."""
    name = os.path.join(place.name, os.fsdecode(path)) if path else place.name
    there = Place.at(name) if path else place
    packing = packing_of(there.head)
    location = there.location
    if packing is None and location.file_size():
        raise SourceError(
            f"source: {quoted(name)} does not begin with a record of an example; expected a "
            "TFRecord file; move it away, or get it again"
        )
    stamp = stamp_of_archive(location)
    unpacked = None
    if packing:
        unpacked, location = unpack_archive(
            location, packing, name=name, allowed=wanted.unpack, output=wanted.output
        )
    whole = not path or unpacked is not None
    return _File(
        name=os.fsencode(name) if whole else path,
        at=path,
        location=location,
        stamp=stamp,
        unpacked=unpacked,
    )


def _listed(record: RecordBytes, choice: FeatureChoice) -> _Records:
    found = _Records()
    first: list[Span] = []
    for number, (begin, end) in enumerate(record.frames()):
        features = _features(record, number, begin, end)
        try:
            image = found.add(record, features, choice)
        except ValueError as error:
            raise _malformed(record, number, error) from None
        if number < _LOOKED_AT:
            first.append(image)
    require_image_heads(record, first, choice.image)
    return found


def _features(record: RecordBytes, number: int, begin: int, end: int) -> dict[bytes, Span]:
    try:
        return features_in(record, begin, end)
    except ValueError as error:
        raise _malformed(record, number, error) from None


def _malformed(record: RecordBytes, number: int, error: ValueError) -> SourceError:
    return SourceError(
        f"source: record {number:,} of {quoted(record.shown)} can't be read: {error}; get the file "
        "again, or name its features with `columns.image` and `columns.label`"
    )
