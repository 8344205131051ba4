"""The files by which TensorFlow Datasets opens an output without code of its own.

TFDS reads ``dataset_info.json`` (splits, their shards and sizes), ``features.json`` (what a record
holds) and ``label.labels.txt`` (names of the classes), and then the shards as they are. All three
are made of the plan and the receipts, and hold no path, so an output may be moved.

Sources: `dataset_info.proto`_ and `feature.proto`_, as JSON, and `ClassLabel`_ for the names.

.. _dataset_info.proto: https://github.com/tensorflow/datasets/blob/master/tensorflow_datasets/core/proto/dataset_info.proto
.. _feature.proto: https://github.com/tensorflow/datasets/blob/master/tensorflow_datasets/core/proto/feature.proto
.. _ClassLabel: https://github.com/tensorflow/datasets/blob/master/tensorflow_datasets/core/features/class_label_feature.py
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol

from prep.planning.label_form import LabelForm
from prep.planning.plan import RunPlan
from prep.settings.choices import Compression, Format
from prep.settings.image_settings import ImageSettings
from prep.settings.record_features import FeatureType
from prep.sources.labels import LabelMap
from prep.text import quoted

#: What TFDS calls the data set; ``tfds.load`` goes by the names of folders instead.
DATASET_NAME = "prep"
VERSION = "1.0.0"
# Of a split: TFDS writes larger numbers with six digits each, and ours have them as they come.
_MOST_SHARDS = 99_999
# Of a label map. The names file has a line for each number up to the largest.
_MOST_NAMES = 1_000_000
_MODULES = "tensorflow_datasets.core.features."
Feature = dict[str, Any]
FileFormat = Literal["tfrecord", "array_record"]


class CountedShard(Protocol):
    """A file of records, as far as TFDS has to know it."""

    @property
    def split(self) -> str: ...

    @property
    def index(self) -> int: ...

    @property
    def images(self) -> int: ...

    @property
    def bytes(self) -> int: ...


def tfds_obstacle(
    format: Format, compression: Compression | None, shards: Mapping[str, int]
) -> str:
    """Say why TFDS can't open an output; return an empty text if it can.

    Args:
        format: of the shards.
        compression: of the shards.
        shards: their number, by split.

    >>> tfds_obstacle("tfrecord", None, {"train": 1}), tfds_obstacle("tfrecord", None, {"_": 1})
    ('', "no files for TFDS, which knows no split called '_', without a letter or digit")
    """
    if format != "tfrecord":
        return f"no files for TFDS, which does not read shards of format {format}"
    if compression is not None:
        return (
            f"no indexes and no files for TFDS: shards compressed with {compression} can only be "
            "read from their beginning"
        )
    for split, count in shards.items():
        if not any(map(str.isalnum, split)) or not _is_unicode(split):
            return (
                f"no files for TFDS, which knows no split called {quoted(split)}, without a "
                "letter or digit"
            )
        if count > _MOST_SHARDS:
            return (
                f"no files for TFDS, which finds at most {_MOST_SHARDS:,} shards of a split, and "
                f"{quoted(split)} has {count:,}; a larger `images_per_shard` makes fewer"
            )
    return ""


def tfds_files(
    plan: RunPlan, shards: Iterable[CountedShard], file_format: FileFormat = "tfrecord"
) -> dict[str, bytes]:
    """Return the contents of each file, by its name in the output, in the order of publication.

    The last is ``dataset_info.json``, without which TFDS finds no data set.

    Args:
        shards: the receipts of all shards, or as much of them as counts.
        file_format: of the shards; ``array_record`` if they are an export of the output.

    Returns:
        No files where TFDS can't open the output; see :func:`tfds_obstacle`.
    """
    written = file_format == "tfrecord"
    format = plan.config.format if written else "tfrecord"
    by_split: dict[str, list[CountedShard]] = {}
    for shard in shards:
        by_split.setdefault(shard.split, []).append(shard)
    counts = {split: len(by_split.get(split, ())) for split in plan.splits}
    if tfds_obstacle(format, plan.compression if written else None, counts):
        return {}
    of_classes = plan.label_form.target in ("class", "multi")
    names = label_names(plan.labels) if of_classes else None
    features = {
        plan.features.image: _image_feature(plan.settings),
        plan.features.label: _label_feature(plan.label_form, names),
        **{name: _OTHER_FEATURES[kind] for name, kind in plan.features.others.items()},
    }
    files = {"features.json": _json(_features_dict(features))}
    if names is not None:
        stem = plan.features.label.replace("/", ".")  # As TFDS has it in names of files.
        files[f"{stem}.labels.txt"] = "".join(f"{name}\n" for name in names).encode()
    files["dataset_info.json"] = _json(_dataset_info(plan, by_split, file_format))
    return files


def label_names(
    labels: LabelMap, written: Callable[[str], str] | None = None
) -> tuple[str, ...] | None:
    """Return the name of each number from 0: unique, and as TFDS reads them, a line each.

    A number without a class is called ``unused N``. Classes that share a number are named together.

    Args:
        labels: the label map.
        written: returns the name of a class as it is to be written; by default in one line, with
            line breaks and the like as escapes.

    Returns:
        None where labels are not numbers of classes: one-hot lists, negative or immense numbers.

    >>> label_names(LabelMap(numbers={"cat": 0, " cat": 2, "dog": 3, "wolf": 3}))
    ('cat', 'unused 1', 'cat (2)', 'dog, wolf')
    """
    found: defaultdict[int, list[str]] = defaultdict(list)
    for name, number in labels.numbers.items():
        found[number].append((written or _line)(name))
    if not found or labels.width is not None or min(found) < 0 or max(found) >= _MOST_NAMES:
        return None
    numbers: dict[str, int] = {}
    unused = (number for number in range(max(found)) if number not in found)
    for number in (*sorted(found), *unused):  # Classes first, so that they keep their names.
        name = ", ".join(found[number]) if number in found else f"unused {number}"
        while name in numbers:
            name = f"{name} ({number})"
        numbers[name] = number
    return tuple(sorted(numbers, key=numbers.__getitem__))


def _is_unicode(name: str) -> bool:
    """Return whether a name is text, and not the bytes of a file name that is none."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _line(name: str) -> str:
    """Return a class's name as one line, without white space at its ends, which TFDS strips."""
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in name)
    return shown.encode(errors="backslashreplace").decode().strip() or repr(name)


def _image_feature(settings: ImageSettings) -> Feature:
    """Return the feature of an image: decoded by TFDS, but for WebP, which it can't decode."""
    sides = (settings.height, settings.width) if settings.same_size else (-1, -1)
    shape = _shape(*sides, settings.channels)
    match settings.encoding:
        case "jpeg" | "png":
            content = {"dtype": "uint8", "encodingFormat": settings.encoding, "shape": shape}
            return _feature("image_feature.Image", image=content)
        case "raw":
            return _tensor("uint8", shape, encoding="bytes")
        case "float32":
            return _tensor("float32", shape, encoding="bytes")
        case "webp":
            return _tensor("object", _shape())


def _label_feature(form: LabelForm, names: tuple[str, ...] | None) -> Feature:
    """Return the feature of a label: of a class, or of several, if their numbers have names."""
    if names is not None:
        content = {"numClasses": str(len(names))}
        one = _feature("class_label_feature.ClassLabel", classLabel=content)
        return one if form.target == "class" else _sequence(one)
    if form.length is None:
        return _sequence(_tensor(form.dtype.name, _shape()))
    return _tensor(form.dtype.name, _shape(*form.shape))


def _dataset_info(
    plan: RunPlan, by_split: Mapping[str, Sequence[CountedShard]], file_format: FileFormat
) -> dict[str, Any]:
    """Return the splits, each with the number of records in its shards, in order."""
    splits = [
        {
            "name": split,
            "shardLengths": [str(r.images) for r in sorted(by_split[split], key=lambda r: r.index)],
            "numBytes": str(sum(r.bytes for r in by_split[split])),
            "filepathTemplate": "{SPLIT}/{SPLIT}-{SHARD_X_OF_Y}.{FILEFORMAT}",
        }
        for split in plan.splits
        if split in by_split
    ]
    keys = [{"featureKey": key} for key in (plan.features.image, plan.features.label)]
    return {
        "name": DATASET_NAME,
        "version": VERSION,
        "fileFormat": file_format,
        "moduleName": "prep",
        "description": "Labelled images, prepared by prep.",
        "splits": splits,
        "supervisedKeys": {"tuple": {"items": keys}},
    }


def _features_dict(features: Mapping[str, Feature]) -> Feature:
    return _feature("features_dict.FeaturesDict", featuresDict={"features": dict(features)})


def _feature(name: str, **content: Any) -> Feature:
    """Return a feature of TFDS, given its class and what protobuf calls its content."""
    return {"pythonClassName": _MODULES + name, **content}


def _sequence(feature: Feature) -> Feature:
    """Return a feature of any number of values, each as ``feature`` says."""
    return _feature("sequence_feature.Sequence", sequence={"feature": feature, "length": "-1"})


def _tensor(dtype: str, shape: Feature, encoding: str = "none") -> Feature:
    content = {"dtype": dtype, "shape": shape, "encoding": encoding}
    return _feature("tensor_feature.Tensor", tensor=content)


def _shape(*sides: int) -> Feature:
    """Return a shape, in which -1 is any number; numbers of 64 bits are text in protobuf's JSON."""
    return {"dimensions": [str(side) for side in sides]}


#: Of the features beside image and label, by their type; those of bytes hold text.
_OTHER_FEATURES: Mapping[FeatureType, Feature] = {
    "bytes": _feature("text_feature.Text", text={}),
    "int64": _tensor("int64", _shape()),
}


def _json(value: Feature) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()
