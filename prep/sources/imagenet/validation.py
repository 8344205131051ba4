"""The labels of ImageNet's validation images, by the number in a file name."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from prep.errors import SourceError
from prep.sources.imagenet.synsets import WNID, Synsets
from prep.text import MANY, counted, quoted, reason_of, some

_IMAGE_ID = "ILSVRC2012_val_"
_VALUES_OF_A_BOX = 5  # A wnid, and the box: x and y of two corners.
_NUMBER = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationLabels:
    """The labels of validation images in a file.

    Attributes:
        file: its name, for messages.
        wnids: the class of each image, by the number in its name, from 1.
    """

    file: str
    wnids: Mapping[int, str]


def parse_ground_truth(file: str, text: str, synsets: Synsets) -> ValidationLabels:
    """Read ``ILSVRC2012_validation_ground_truth.txt``: line n is the class of image n.

    Args:
        synsets: with the wnid of each ILSVRC2012_ID.

    Raises:
        SourceError: a line is no such number.
    """
    wnids: dict[int, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        wnid = synsets.ids.get(_whole(line.strip()) or 0)
        if wnid is None:
            raise SourceError(
                f"source: {quoted(file)}, line {number}: found {quoted(line, 60)}; expected the "
                f"number of a class in {quoted(synsets.file)}, from {min(synsets.ids)} to "
                f"{max(synsets.ids)}"
            )
        wnids[number] = wnid
    return ValidationLabels(file=file, wnids=wnids)


def parse_wnids(file: str, text: str) -> ValidationLabels:
    """Read a list of wnids, one a line: line n is the class of image n.

    Raises:
        SourceError: a line is no wnid.
    """
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if not WNID.fullmatch(line.strip()):
            raise SourceError(
                f"source: {quoted(file)}, line {number}: found {quoted(line, 60)}; expected a "
                "wnid, such as 'n01440764'"
            )
    return ValidationLabels(
        file=file, wnids={number: line.strip() for number, line in enumerate(lines, 1)}
    )


def parse_solution(file: str, text: str) -> ValidationLabels:
    """Read Kaggle's ``LOC_val_solution.csv``, in any order: a row has the boxes of one image.

    All boxes of an image are of one class.

    Raises:
        SourceError: a row is of another form, or names two classes, or an image is given twice.
    """
    wnids: dict[int, str] = {}
    for line, row in _rows(file, text):
        where = f"source: {quoted(file)}, line {line}"
        if not row or row == ["ImageId", "PredictionString"]:
            continue
        number = _whole(row[0].removeprefix(_IMAGE_ID))
        values = row[1].split() if len(row) > 1 else []
        found = sorted(set(values[::_VALUES_OF_A_BOX]))
        if number is None or not found or not all(map(WNID.fullmatch, found)):
            raise SourceError(
                f"{where}: found {quoted(','.join(row), 60)}; expected an image and its boxes, "
                "such as 'ILSVRC2012_val_00000001,n01440764 5 6 70 80'"
            )
        if len(found) > 1:
            raise SourceError(
                f"{where}: {row[0]} has boxes of {some(found)}; expected one class an image"
            )
        if wnids.setdefault(number, found[0]) != found[0]:
            raise SourceError(f"{where}: {row[0]} is given twice, with two classes")
    return ValidationLabels(file=file, wnids=wnids)


def _rows(file: str, text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a CSV file with their last lines."""
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise SourceError(
            f"source: {quoted(file)}, line {reader.line_num}: {reason_of(error)}; expected a CSV "
            "file"
        ) from None


def _whole(text: str) -> int | None:
    """Return a whole number; None if it is none, or none that an image could have."""
    return int(text) if _NUMBER.fullmatch(text) else None


def agreed_wnids(sources: Sequence[ValidationLabels], numbers: Iterable[int]) -> list[str]:
    """Return the classes of validation images, about which all files agree.

    Args:
        numbers: of the images.

    Raises:
        SourceError: a file lacks one of them, or two files tell different classes.
    """
    numbers = list(numbers)
    for labels in sources:
        _require_all(labels, numbers)
    first, *others = sources
    for labels in others:
        different = [n for n in sorted(numbers) if labels.wnids[n] != first.wnids[n]]
        if different:
            told = [f"{n} ({first.wnids[n]} and {labels.wnids[n]})" for n in different]
            raise SourceError(
                f"source: {quoted(first.file)} and {quoted(labels.file)} disagree about "
                f"{counted(len(different), 'validation image')}: {some(told, most=MANY)}; remove "
                "the file that is wrong"
            )
    return [first.wnids[number] for number in numbers]


def _require_all(labels: ValidationLabels, numbers: Sequence[int]) -> None:
    absent = [number for number in sorted(numbers) if number not in labels.wnids]
    if absent:
        raise SourceError(
            f"source: {quoted(labels.file)} has {counted(len(labels.wnids), 'label')}, and none "
            f"for {counted(len(absent), 'validation image')}, by number: "
            f"{some([*map(str, absent)], most=MANY)}; expected one for each image"
        )
