"""The features of records: their names and types, for all that write or read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

#: The type of a feature's values in a ``tf.train.Example``: bytes, or integers of 64 bits.
FeatureType = Literal["bytes", "int64"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFeatures:
    """The features that each record of an output has.

    Attributes:
        image: the name of the feature that holds the image, one value of bytes.
        label: the name of the feature that holds the label, int64.
        others: type of each other feature, by name; each has one value.
    """

    image: str
    label: str
    others: Mapping[str, FeatureType] = field(default_factory=dict)


#: The features of records as outputs have them by default.
DEFAULT_FEATURES = RecordFeatures(image="image_raw", label="label")
