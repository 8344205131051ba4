"""The entries of an Example's feature map: made of a sample, its class and the settings."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache

from prep.settings.choices import IMAGE_FILES
from prep.settings.image_settings import ImageSettings
from prep.settings.record_features import RecordFeatures
from prep.shards.formats.base import Encoder, Pieces, Sample
from prep.shards.formats.example import bytes_entry, example_pieces, float_entry, int64_entry
from prep.sources.labels import LabelMap

_EntryMaker = Callable[[Sample], bytes]
# What TF-Slim's build_imagenet_data.py calls colours.
_COLORSPACES = {"rgb": b"RGB", "gray": b"Grayscale"}


def example_encoder(settings: ImageSettings, labels: LabelMap, features: RecordFeatures) -> Encoder:
    """Return the function that makes the Example of a sample, with its features in key order."""
    makers = _makers(settings, labels, features)
    names = sorted(makers)
    before = [makers[name] for name in names if name < features.image]
    after = [makers[name] for name in names if name > features.image]
    key = features.image.encode()

    def encode(sample: Sample) -> Pieces:
        ahead = b"".join([make(sample) for make in before]) if before else b""
        behind = b"".join([make(sample) for make in after])
        return example_pieces(sample.image, behind, ahead, key)

    return encode


def _makers(
    settings: ImageSettings, labels: LabelMap, features: RecordFeatures
) -> dict[str, _EntryMaker]:
    """Return the function that makes the entry of each feature but the image."""
    key = features.label.encode()
    of_class = _of_class(lambda name: int64_entry(key, labels.feature(name)))

    def of_label(sample: Sample) -> bytes:
        return float_entry(key, sample.target) if sample.target else of_class(sample)

    others = {name: _maker(name, settings) for name in features.others}
    return {features.label: of_label, **others}


def _maker(name: str, settings: ImageSettings) -> _EntryMaker:
    """Return the function that makes the entry of a feature of this name."""
    key = name.encode()
    match name:
        case "filename" | "image/filename":
            return lambda sample: bytes_entry(key, os.fsencode(sample.name))
        case "class_name" | "image/class/text":
            return _of_class(lambda class_name: bytes_entry(key, os.fsencode(class_name)))
        case "width":
            return lambda sample: int64_entry(key, (sample.width,))
        case "height":
            return lambda sample: int64_entry(key, (sample.height,))
        case "image/colorspace":
            return _constant(bytes_entry(key, _COLORSPACES[settings.mode]))
        case "image/format":
            kind = settings.encoding if settings.encoding in IMAGE_FILES else "raw"
            return _constant(bytes_entry(key, kind.encode()))
        case "image/height":
            return _of_stored_side(key, settings, settings.height, 0)
        case "image/width":
            return _of_stored_side(key, settings, settings.width, 1)
    raise ValueError(f"no feature of records is called {name!r}")


def _constant(entry: bytes) -> _EntryMaker:
    return lambda _: entry


def _of_class(make: Callable[[str], bytes]) -> _EntryMaker:
    """Return the function that makes an entry once for all samples of a class."""
    cached = cache(make)
    return lambda sample: cached(sample.class_name)


def _of_stored_side(key: bytes, settings: ImageSettings, asked: int, at: int) -> _EntryMaker:
    """Return the function that makes the entry of the height or width of the stored image.

    Args:
        asked: the side that was asked for, which results have unless they differ in size.
        at: position of the side in (height, width).
    """
    if settings.same_size:
        return _constant(int64_entry(key, (asked,)))
    # It loads codecs, which those who only read records can do without.
    from prep.images.encoding.readback import size_of_result

    return lambda sample: int64_entry(key, (size_of_result(sample.image, settings)[at],))
