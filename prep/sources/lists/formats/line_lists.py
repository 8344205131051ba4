"""Lists as lines of text: a path and perhaps a label or numbers in each; those of CUB-200."""

from __future__ import annotations

import re
from collections.abc import Sequence

from prep.errors import SourceError
from prep.sources.layouts.base import Place
from prep.sources.lists.formats.encodings import text_of_list
from prep.sources.lists.list_table import ListTable, rows_of_text
from prep.sources.lists.roles import IMAGE_NAME, is_role
from prep.text import quoted, reason_of

# Lines of a path and a label: up to the last extension of an image, or else up to the last blank.
_PATH_AND_LABEL = re.compile(rf"\s*(\S.*{IMAGE_NAME})\s+(\S.*?)\s*", re.IGNORECASE)
_IMAGE = re.compile(rf"{IMAGE_NAME}\s*$", re.IGNORECASE)
# Lines of a path and two numbers or more, such as those of the Oxford pets: ``name 1 1 2``.
_PATH_AND_NUMBERS = re.compile(r"\s*(\S+)((?:\s+-?\d+(?:\.\d+)?){2,})\s*")
_FORMS = {1: "lines of paths", 2: "lines of paths and labels"}


def numbered_lines(text: str) -> list[tuple[int, str]]:
    """Return the lines of a text that are not blank, with their numbers from 1."""
    lines = re.split("\r\n|\r|\n", text) if "\r" in text else text.split("\n")
    return [(number, line) for number, line in enumerate(lines, 1) if line.strip()]


def are_lines(lines: Sequence[tuple[int, str]]) -> bool:
    """Return whether each line is a path and a label, or the path of an image."""
    return all(_PATH_AND_LABEL.fullmatch(line) or _IMAGE.search(line) for _, line in lines)


def _split_line(line: str) -> tuple[str, ...]:
    """Return the path and the label of a line; the path alone, if there is no label.

    >>> _split_line("a b.jpg 3"), _split_line("a b.jpg"), _split_line("n01/n01_1 7")
    (('a b.jpg', '3'), ('a b.jpg',), ('n01/n01_1', '7'))
    """
    match = _PATH_AND_LABEL.fullmatch(line)
    if match:
        return match[1], match[2]
    return (line.strip(),) if _IMAGE.search(line) else tuple(line.strip().rsplit(None, 1))


def _columns_of(line: str) -> list[str] | None:
    """Return the path of a line and the numbers that follow it; None if it has not several.

    >>> _columns_of("Abyssinian_100 1 1 1"), _columns_of("a.jpg 3")
    (['Abyssinian_100', '1', '1', '1'], None)
    """
    match = _PATH_AND_NUMBERS.fullmatch(line)
    return [match[1], *match[2].split()] if match else None


def without_comments(lines: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Return lines without those at their beginning that start with a ``#`` and name no image."""
    start = 0
    while start < len(lines) and _is_comment(lines[start][1]):
        start += 1
    return lines[start:] or lines


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#") and not (
        _PATH_AND_LABEL.fullmatch(line) or _IMAGE.search(line)
    )


def _without_count(lines: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Return lines without a first one that holds their number, such as CelebA's lists have."""
    first = lines[0][1].strip()
    return lines[1:] if first.isdecimal() and len(lines) - int(first) in (1, 2) else lines


def _names_of_columns(lines: Sequence[str]) -> list[str]:
    """Return the names in a first line that stands above numbers alone; none if there is no such.

    The column of paths may have no name, as in CelebA's lists.

    >>> _names_of_columns(["Bald Smiling", "1.jpg -1 1", "2.jpg 1 1"])
    ['image', 'Bald', 'Smiling']
    """
    width = len((len(lines) > 1 and _columns_of(lines[1])) or ())
    names = lines[0].split()
    if len(names) not in (width, width - 1) or _columns_of(lines[0]):
        return []
    return names if len(names) == width else ["image", *names]


def _split_lines(lines: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the columns of lines: a path, and perhaps a label or several numbers.

    A path without the extension of an image ends at the first blank if that leaves labels of words,
    such as ``0034309 Boeing 737``, and else at the last.
    """
    columns = [*map(_columns_of, lines)]
    if None not in columns and len({len(each or ()) for each in columns}) == 1:
        return [tuple(each or ()) for each in columns]
    rows = [*map(_split_line, lines)]
    bare = [
        number
        for number, row in enumerate(rows)
        if len(row) == 2 and not _IMAGE.search(row[0]) and not _IMAGE.search(row[1])
    ]
    if all(rows[number][1].removeprefix("-").isdecimal() for number in bare):
        return rows
    for number in bare:
        rows[number] = tuple(lines[number].strip().split(None, 1))
    return rows


def table_of_paths(name: str, text: str) -> ListTable:
    """Return the table of lines of a path and perhaps a label, or several numbers."""
    lines = _without_count(without_comments(numbered_lines(text)))
    columns = _names_of_columns([line for _, line in lines])
    if columns:
        lines, headed = lines[1:], True
        rows = [tuple(_columns_of(line) or (line,)) for _, line in lines]
    else:
        rows = _split_lines([line for _, line in lines])
        headed = is_role(rows[0][0], "image")
        columns = [*rows[0]] if headed else [str(number + 1) for number in range(len(rows[0]))]
        lines, rows = lines[headed:], rows[headed:]
    width = len(columns)
    for (number, line), row in zip(lines, rows, strict=True):
        if len(row) != width:
            expected = {1: "a path alone", 2: "a path and a label"}
            raise SourceError(
                f"source: {quoted(name)}: line {number} is {quoted(line)}; expected "
                f"{expected.get(width, f'a path and {width - 1} numbers')}, as in its first line"
            )
    return rows_of_text(
        name,
        _FORMS.get(width, "lines of paths and numbers"),
        columns,
        rows,
        lambda wanted: [f"line {lines[row][0]}" for row in wanted],
        headed=headed,
        fixed={"image": columns[0]} if width > len(_FORMS) else {},
    )


def cub_table(place: Place) -> ListTable:
    """Return the table of CUB-200: its images, with their classes and splits.

    Args:
        place: its folder, with ``images.txt``, ``image_class_labels.txt`` and ``classes.txt``.

    Raises:
        SourceError: the files contradict each other.
    """
    images, labels, classes = (
        _numbered(place, name) for name in ("images.txt", "image_class_labels.txt", "classes.txt")
    )
    has_split = place.entries.get("train_test_split.txt") is False
    train = _numbered(place, "train_test_split.txt") if has_split else {}
    columns = ["image", "label", "split"][: 2 + has_split]
    rows, ids = [], [*images]
    for number, path in images.items():
        label = classes.get(labels.get(number, ""))
        part = {"1": "train", "0": "test"}.get(train.get(number, ""))
        if label is None or (has_split and part is None):
            raise SourceError(
                f"source: {quoted(place.name)}: image {number} of 'images.txt' has no "
                f"{'class' if label is None else 'split'}; expected a line in each file"
            )
        rows.append((f"images/{path}", label, *([part] if part else [])))
    return rows_of_text(
        place.name,
        "CUB-200",
        columns,
        rows,
        lambda wanted: [f"image {ids[row]}" for row in wanted],
        fixed={column: column for column in columns},
    )


def _numbered(place: Place, name: str) -> dict[str, str]:
    """Return the lines of a file, by the number that each begins with."""
    path = f"{place.name.rstrip('/')}/{name}"
    location = place.location / name
    try:
        text = text_of_list(path, location.read_patiently())
    except OSError as error:
        location.require_answer(error, "source: can't read a list")
        raise SourceError(f"source: {quoted(path)}: can't be read: {reason_of(error)}") from None
    found: dict[str, str] = {}
    for line, content in numbered_lines(text):
        number, _, value = content.strip().partition(" ")
        if not number.isdecimal() or not value or number in found:
            raise SourceError(
                f"source: {quoted(path)}: line {line} is {quoted(content)}; expected a number of "
                "its own and a value"
            )
        found[number] = value.strip()
    return found
