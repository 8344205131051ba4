"""The features of records: their names and types, for all that write or read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from prep.settings.choices import RecordKind

#: The type of a feature's values in a ``tf.train.Example``: bytes, or integers of 64 bits.
FeatureType = Literal["bytes", "int64"]
_OF_NAMES = frozenset(("filename", "image/filename"))
_OF_SOURCE_SIZE = frozenset(("width", "height"))


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFeatures:
    """The features that each record of an output has.

    Attributes:
        image: the name of the feature that holds the image, one value of bytes.
        label: the name of the feature that holds the label.
        others: type of each other feature, by name; each has one value.
    """

    image: str
    label: str
    others: Mapping[str, FeatureType] = field(default_factory=dict)

    @property
    def hold_names(self) -> bool:
        """True if a record holds the name of its source image."""
        return not _OF_NAMES.isdisjoint(self.others)

    @property
    def hold_source_sizes(self) -> bool:
        """True if a record holds the width or height of its source image."""
        return not _OF_SOURCE_SIZE.isdisjoint(self.others)


#: The features of each kind of record. Those of TF-Slim are in `build_imagenet_data.py`_; its
#: ``image/height`` and ``image/width`` are those of the stored image.
#:
#: .. _build_imagenet_data.py: https://github.com/tensorflow/models/blob/master/research/slim/datasets/build_imagenet_data.py
RECORD_KINDS: Mapping[RecordKind, RecordFeatures] = {
    "prep": RecordFeatures(image="image_raw", label="label"),
    "tf-slim": RecordFeatures(
        image="image/encoded",
        label="image/class/label",
        others={
            "image/class/text": "bytes",
            "image/colorspace": "bytes",
            "image/filename": "bytes",
            "image/format": "bytes",
            "image/height": "int64",
            "image/width": "int64",
        },
    ),
}
#: The kind of records of outputs that were begun before there was a choice.
DEFAULT_RECORD: RecordKind = "prep"
#: Their features.
DEFAULT_FEATURES = RECORD_KINDS[DEFAULT_RECORD]
#: The types of features that can be added to records of any kind.
EXTRA_FEATURES: Mapping[str, FeatureType] = {
    "filename": "bytes",
    "class_name": "bytes",
    "width": "int64",
    "height": "int64",
}


def record_features(kind: RecordKind, extra: Sequence[str] = ()) -> RecordFeatures:
    """Return the features of records of a kind, with others added.

    >>> sorted(record_features("prep", ("width", "height")).others)
    ['height', 'width']
    """
    features = RECORD_KINDS[kind]
    return replace(features, others={**features.others, **{n: EXTRA_FEATURES[n] for n in extra}})
