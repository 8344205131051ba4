"""Which feature of a record is the image and which the label, and the label that it tells."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from prep.errors import ConfigError, SourceError
from prep.images.decoders.formats import format_of
from prep.settings.choices import Target
from prep.sources.layouts.numbered_labels import Label, label_of
from prep.sources.records.example_features import Span, Values, values_of
from prep.sources.records.record_frames import RecordBytes
from prep.text import opening, quoted, some, unknown

# Of TF-Slim, of TensorFlow Datasets, of ours, and of others.
_IMAGES = (b"image/encoded", b"image", b"image_raw", b"image_bytes", b"image/data", b"jpg", b"img")
_LABELS = (
    *(b"image/class/label", b"label", b"image/label", b"labels", b"class", b"cls", b"target"),
    *(b"class_id", b"label_id", b"image/class/synset", b"image/class/text", b"class_name"),
)
# Names of classes for people beside numbers.
_TEXTS = (b"image/class/text", b"class_name", b"image/class/synset", b"label_name")
_LARGEST_TEXT = 1 << 16  # bytes of a label
_HEAD = 64
_JPEG = b"\xff\xd8"


@dataclass(frozen=True, kw_only=True)
class FeatureChoice:
    """The features of records that are wanted.

    Attributes:
        image: the key of encoded images.
        label: that of labels; None if records have none.
        text: that of names of classes for people, if there are some.
        group: that of groups; None if none are wanted.
        target: what labels say.
    """

    image: bytes
    label: bytes | None
    text: bytes | None
    group: bytes | None
    target: Target = "class"

    @property
    def told(self) -> str:
        """The features in words."""
        labels = "no labels" if self.label is None else f"labels from {_shown(self.label)}"
        return f"images from {_shown(self.image)}, {labels}"


@dataclass(frozen=True, kw_only=True)
class FirstRecord:
    """What the first record of a file tells.

    Attributes:
        features: the keys of its features.
        image: the feature that is its image.
    """

    features: frozenset[bytes]
    image: bytes


def choose_features(
    firsts: Sequence[FirstRecord], given: Mapping[str, str], *, with_labels: bool
) -> FeatureChoice:
    """Choose among the features of the first records of all files; not all need to have labels.

    Args:
        firsts: in the order of the files; at least one.
        given: the keys that the configuration names, by role.
        with_labels: whether labels are wanted.

    Raises:
        ConfigError: there is no such feature in any of them.
    """
    image = firsts[0].image
    features = frozenset[bytes]().union(*(first.features for first in firsts))
    label = None
    if with_labels:
        known = next((key for key in _LABELS if key in features and key != image), None)
        label = _given("label", given, features) or known
    others = (key for key in _TEXTS if key in features and key not in (image, label))
    group = _given("group", given, features)
    return FeatureChoice(image=image, label=label, text=next(others, None), group=group)


def first_record(
    record: RecordBytes, features: Mapping[bytes, Span], given: Mapping[str, str]
) -> FirstRecord:
    """Return what the first record of a file tells.

    Args:
        record: the file.
        features: where their values lie.
        given: the keys that the configuration names, by role.

    Raises:
        ConfigError: there is no such image.
        SourceError: no feature is known to be the image, or several are.
    """
    image = _given("image", given, features) or _image_among(record, features)
    return FirstRecord(features=frozenset(features), image=image)


def _given(role: str, given: Mapping[str, str], features: Collection[bytes]) -> bytes | None:
    name = given.get(role)
    if name is None:
        return None
    if os.fsencode(name) not in features:
        known = sorted(map(os.fsdecode, features))
        raise ConfigError(f"columns.{role}: {quoted(name)}: {unknown('feature', name, known)}")
    return os.fsencode(name)


def _image_among(record: RecordBytes, features: Mapping[bytes, Span]) -> bytes:
    """Return the feature that is called as images are, or whose bytes begin as those of one do."""
    called = [key for key in _IMAGES if key in features]
    alike = [key for key, span in features.items() if _begins_as_an_image(record, span)]
    found = [key for key in called if key in alike] or alike or called
    if len(found) == 1:
        return found[0]
    if not found:
        raise SourceError(
            f"source: no feature of the records in {quoted(record.shown)} is an image; found "
            f"{some([_shown(key) for key in sorted(features)]) or 'none'}; name it with "
            "`columns.image`"
        )
    raise SourceError(
        f"source: several features of the records in {quoted(record.shown)} are images, "
        f"{some([_shown(key) for key in found])}; name the one that is meant with `columns.image`"
    )


def _begins_as_an_image(record: RecordBytes, span: Span) -> bool:
    try:
        pieces = values_of(record, span).pieces
    except ValueError:  # It is told if the feature is wanted.
        return False
    return len(pieces) == 1 and is_image_head(record.at(pieces[0][0], _HEAD))


def is_image_head(head: bytes) -> bool:
    """Return whether a file that begins so is an image."""
    return head.startswith(_JPEG) or format_of(head) is not None


def image_in(record: RecordBytes, features: Mapping[bytes, Span], key: bytes) -> Span:
    """Return where the image of a record lies; raise ValueError if it has none, or several."""
    if key not in features:
        found = some([_shown(name) for name in sorted(features)])
        raise ValueError(f"it has no feature {_shown(key)}; found {found or 'none'}")
    values = values_of(record, features[key])
    if len(values.pieces) == 1:
        return values.pieces[0]
    if values.numbers:
        raise ValueError(f"{_shown(key)} holds numbers; expected the bytes of an image file")
    raise ValueError(f"{_shown(key)} holds {len(values.pieces):,} values; expected one image")


def require_image_heads(record: RecordBytes, images: Sequence[Span], key: bytes) -> None:
    """Raise SourceError if none of some values begins as an image file does."""
    heads = [record.at(begin, min(end - begin, _HEAD)) for begin, end in images]
    if heads and not any(map(is_image_head, heads)):
        raise SourceError(
            f"source: {_shown(key)} of the records in {quoted(record.shown)} "
            f"{opening(heads[0])}, as no image file does; expected encoded images, such as JPEG: "
            "raw pixels are not read"
        )


def label_in_record(
    record: RecordBytes, features: Mapping[bytes, Span], key: bytes, target: Target = "class"
) -> Label:
    """Return the label of a record; None if it has none.

    Raises:
        ValueError: it is no label.
    """
    span = features.get(key)
    if span is None:
        return None
    values = values_of(record, span)
    if target != "class":
        return _label_of_target(record, key, values, target)
    if values.pieces:
        return label_of(text_in_record(record, span))
    return _label_of_numbers(key, values.numbers)


def _label_of_target(record: RecordBytes, key: bytes, values: Values, target: Target) -> Label:
    """Return several classes, a value, or a number for each class; None of no values."""
    if target == "multi" and values.pieces:
        texts = (label_of(_text_at(record, piece)) for piece in values.pieces)
        return tuple(text for text in texts if text is not None)
    numbers = values.numbers
    if values.pieces or (target == "value" and len(numbers) > 1):
        expected = "one number" if target == "value" else "numbers"
        found = f"{len(numbers):,} numbers" if numbers else "bytes"
        raise ValueError(f"{_shown(key)} holds {found}; expected {expected}, for target {target}")
    if target == "multi":
        whole = tuple(int(n) for n in numbers if isinstance(n, int) or n.is_integer())
        if len(whole) < len(numbers):
            raise ValueError(f"{_shown(key)} holds fractions; expected the numbers of classes")
        return whole
    return numbers or None


def text_in_record(record: RecordBytes, span: Span) -> str:
    """Return the text that is the value of a feature; raise ValueError if it is none.

    Args:
        span: where the values of the feature lie.
    """
    pieces = values_of(record, span).pieces
    if len(pieces) != 1:
        raise ValueError(f"it has {len(pieces):,} texts where one is expected")
    return _text_at(record, pieces[0])


def _text_at(record: RecordBytes, piece: Span) -> str:
    begin, end = piece
    if end - begin > _LARGEST_TEXT:
        raise ValueError(f"it has a label of {end - begin:,} bytes; at most {_LARGEST_TEXT:,}")
    try:
        return record.at(begin, end - begin).decode()
    except UnicodeDecodeError:
        raise ValueError("it has a label that is not valid UTF-8") from None


def _label_of_numbers(key: bytes, numbers: Sequence[int | float]) -> Label:
    """Return the number of a class: the only one, or the position of the one in a one-hot list."""
    if not numbers:
        return None
    whole = [int(n) for n in numbers if isinstance(n, int) or n.is_integer()]
    if len(whole) == len(numbers) == 1:
        return whole[0]
    if len(whole) == len(numbers) and sorted(whole) == [0] * (len(whole) - 1) + [1]:
        return whole.index(1)
    told = ", ".join(map(str, numbers[:5])) + (", …" if len(numbers) > 5 else "")
    raise ValueError(
        f"{_shown(key)} is {told}; expected one whole number, or a one-hot list; other "
        "labels need `target`: multi, value or soft"
    )


def _shown(key: bytes) -> str:
    return quoted(os.fsdecode(key))
