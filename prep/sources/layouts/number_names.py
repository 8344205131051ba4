"""The files beside shards that name the numbers of classes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from prep.errors import LabelError, SourceError
from prep.parsing import LARGEST, text_of
from prep.sources.folders.names import LABEL_MAP
from prep.sources.labels import LabelMap
from prep.storage.location import Location
from prep.text import quoted, reason_of

#: Files beside shards that name the classes, the first that is there: a label map of an output,
#: and lists with a class in each line, as TensorFlow Datasets, WebDataset and TF-Slim have them.
NAME_FILES = (
    LABEL_MAP,
    "label.labels.txt",
    "classnames.txt",
    "class_names.txt",
    "classes.txt",
    "labels.txt",
)
_NUMBERED = re.compile(r"(\d+):(.+)")  # A line of TF-Slim: ``0:daisy``.


@dataclass(frozen=True, kw_only=True)
class NumberNames:
    """The names of classes by number, as a file tells them.

    Attributes:
        names: by number.
        file: the name of the file.
    """

    names: Mapping[int, str]
    file: str


def names_beside(folder: Location) -> NumberNames | None:
    """Return the names of classes from the first known file in a folder; None without one.

    Raises:
        SourceError: the file can't be read, or is malformed.
        StorageUnavailable: it is in a storage that does not answer.
    """
    name = next((name for name in NAME_FILES if (folder / name).is_file()), None)
    if name is None:
        return None
    place = folder / name
    try:
        if name == LABEL_MAP:
            return NumberNames(names=_by_number(LabelMap.read(str(place))), file=name)
        text = text_of(place.read_at_most(LARGEST))
    except LabelError as error:
        raise SourceError(f"source: {error}") from None
    except (OSError, ValueError) as error:
        if isinstance(error, OSError):
            place.require_answer(error, "source: can't read the names of classes")
        raise SourceError(
            f"source: {quoted(str(place))} can't be read: {reason_of(error)}"
        ) from None
    return NumberNames(names=_in_lines(text, str(place)), file=name)


def _by_number(labels: LabelMap) -> dict[int, str]:
    """Return the first class of each number."""
    return {number: name for name, number in [*labels.numbers.items()][::-1]}


def _in_lines(text: str, path: str) -> dict[int, str]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    pairs = [_NUMBERED.fullmatch(line) for line in lines]
    if all(pairs):
        found = {int(pair[1]): pair[2].strip() for pair in pairs if pair}
    else:
        found = dict(enumerate(lines))
    if len(set(found.values())) < len(lines):
        raise SourceError(
            f"source: {quoted(path)} has a class twice, or two of one number; expected a class in "
            "each line, each once"
        )
    return found
