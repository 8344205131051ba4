"""Lists as text with values that a character separates: CSV and its kin."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prep.errors import SourceError
from prep.sources.lists.formats.line_lists import (
    are_lines,
    numbered_lines,
    table_of_paths,
    without_comments,
)
from prep.sources.lists.list_table import SAMPLED, ListTable
from prep.sources.lists.roles import IMAGE_NAME, PIXELS, hold_pixels, is_on_the_web, is_role
from prep.text import counted, quoted

if TYPE_CHECKING:
    import pyarrow as pa

_FORMS = {",": "CSV", ";": "CSV with semicolons", "\t": "TSV", "|": "CSV with bars"}
# What is looked at to tell the format.
_HEAD = 1 << 18
_ROWS_AT_ONCE = 8192


def read_text_list(name: str, text: str, given: Mapping[str, Any]) -> ListTable:
    """Return the table of a list in text.

    Args:
        name: the path or URL of the list.
        text: all of it.
        given: the columns that a configuration names, by their roles.

    Raises:
        SourceError: it is malformed, or whether its first line names the columns can't be told.
    """
    head = text if len(text) <= _HEAD else text[: text.rfind("\n", 0, _HEAD) + 1 or _HEAD]
    tables = [d for delimiter in _FORMS if (d := _Delimited.of(head, delimiter)) is not None]
    best = max(tables, key=lambda table: table.score, default=None)
    lines = numbered_lines(head)
    if best is None or (best.score < _SURE and are_lines(lines)):
        _require_no_comment(name, lines)
        return table_of_paths(name, text)
    return _delimited_table(name, text, best, given)


def _require_no_comment(name: str, lines: list[tuple[int, str]]) -> None:
    """Raise SourceError for comments before rows whose values are separated."""
    rest = without_comments(lines)
    text = "\n".join(line for _, line in rest)
    if len(rest) < len(lines) and any(_Delimited.of(text, mark) for mark in _FORMS):
        raise SourceError(
            f"source: {quoted(name)}: line {lines[0][0]} is a comment, {quoted(lines[0][1])}; take "
            "out what is above the rows and the names of their columns"
        )


@dataclass(frozen=True)
class _Delimited:
    """The head of a list, split by one delimiter.

    Attributes:
        score: how much speaks for it: whether images are seen in a column, whether all rows are of
            one length, how many columns have names that are known.
    """

    delimiter: str
    rows: list[list[str]]
    score: tuple[bool, bool, int]

    @classmethod
    def of(cls, head: str, delimiter: str) -> _Delimited | None:
        """Return what a head looks like with a delimiter; None if that splits nothing."""
        reader = csv.reader(io.StringIO(head, newline=""), delimiter=delimiter)
        rows: list[list[str]] = []
        try:
            for row in reader:
                if not _is_blank(row):
                    rows.append(row)
                if len(rows) > SAMPLED:
                    break
        except csv.Error:  # It is met again, and told, if nothing else fits better.
            pass
        if not rows or len(rows[0]) < 2:
            return None
        alike = len({len(row) for row in rows}) == 1
        roles = sum(map(is_role, rows[0]))
        seen = any(is_role(cell, "image") for cell in rows[0]) or any(
            all(_IMAGE.search(row[at]) for row in rows[1:] or rows if at < len(row))
            for at in range(len(rows[0]))
        )
        return cls(delimiter, rows, (seen, alike, roles))


_IMAGE = re.compile(rf"{IMAGE_NAME}\s*$", re.IGNORECASE)
_SURE = (True, False, 0)


def _is_blank(row: Sequence[str]) -> bool:
    return len(row) < 2 and not "".join(row).strip()


def _delimited_table(
    name: str, text: str, found: _Delimited, given: Mapping[str, Any]
) -> ListTable:
    headed = _has_header(name, found.rows, given)
    width = len(found.rows[0])
    first = [cell.strip() for cell in found.rows[0]]
    columns = first if headed else [str(number + 1) for number in range(width)]
    parsed = _Parsed(name, text, found.delimiter, width, headed)
    return ListTable(
        name=name,
        form=_FORMS[found.delimiter],
        columns=tuple(columns),
        headed=headed,
        sample=[row for row in found.rows[headed:] if len(row) == width],
        load=parsed.load,
        places=parsed.places,
    )


@dataclass(frozen=True)
class _Parsed:
    """A list whose values are separated by one character.

    Without quotes, the rules of CSV leave nothing open, so that Arrow reads it, ten times as fast
    as the ``csv`` module, which reads all others and finds what is wrong.
    """

    name: str
    text: str
    delimiter: str
    width: int
    headed: bool

    def load(self, positions: Sequence[int]) -> Sequence[pa.Array]:
        """Return columns by their positions."""
        if '"' not in self.text and not self.text[0].isspace():  # Arrow counts blank lines, too.
            found = self._load_plain(positions)
            if found is not None:
                return found
        return self._load_quoted(positions)

    def places(self, rows: Sequence[int]) -> Sequence[str]:
        """Return the lines in which rows begin; a value in quotes may have several lines."""
        wanted = set(rows)
        lines = {}
        for number, (line, _) in enumerate(self._rows()):
            if number in wanted:
                lines[number] = line
                if len(lines) == len(wanted):
                    break
        return [f"line {lines[row]}" for row in rows]

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield each row and the line in which it begins.

        Raises:
            SourceError: a row has another number of values than the first, or quotes don't match.
        """
        text = io.StringIO(self.text, newline="")
        reader = csv.reader(text, delimiter=self.delimiter, strict=True)
        line, header = 1, self.headed
        try:
            for row in reader:
                if len(row) == self.width:
                    if not header:
                        yield line, row
                    header = False
                elif not _is_blank(row):
                    raise self._ragged(line, row)
                line = reader.line_num + 1
        except csv.Error as error:
            raise SourceError(
                f"source: {quoted(self.name)}: line {line} can't be read as {self._form}: {error}; "
                'close the quotes that are open, and write a quote within quotes as ""'
            ) from None

    @property
    def _form(self) -> str:
        return _FORMS[self.delimiter]

    def _ragged(self, line: int, row: Sequence[str]) -> SourceError:
        mark = {"\t": "a tab"}.get(self.delimiter, quoted(self.delimiter))
        return SourceError(
            f"source: {quoted(self.name)}: line {line} has {counted(len(row), 'value')}; expected "
            f"{self.width:,}, as in its first line; put a value that has {mark} in it in quotes"
        )

    def _load_quoted(self, positions: Sequence[int]) -> Sequence[pa.Array]:
        import pyarrow as pa

        rows = (row for _, row in self._rows())
        chunks: list[list[pa.Array]] = [[] for _ in positions]
        while some_rows := list(itertools.islice(rows, _ROWS_AT_ONCE)):
            for at, chunk in zip(positions, chunks, strict=True):
                chunk.append(pa.array([row[at] for row in some_rows], pa.string()))
        return [pa.chunked_array(chunk, pa.string()).combine_chunks() for chunk in chunks]

    def _load_plain(self, positions: Sequence[int]) -> Sequence[pa.Array] | None:
        """Return columns of a list without quotes; None if it is malformed."""
        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        names = [str(number) for number in range(self.width)]
        wanted = [names[at] for at in positions]
        try:
            table = arrow_csv.read_csv(
                pa.BufferReader(self.text.encode()),
                arrow_csv.ReadOptions(
                    column_names=names,
                    skip_rows_after_names=int(self.headed),
                    block_size=1 << 24,  # 16 MiB: no row is longer.
                    use_threads=False,
                ),
                arrow_csv.ParseOptions(
                    delimiter=self.delimiter, quote_char=False, double_quote=False
                ),
                arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()),
                    include_columns=list(dict.fromkeys(wanted)),
                    check_utf8=False,
                ),
            )
        except pa.ArrowInvalid:
            return None
        return [table[name].combine_chunks() for name in wanted]


def _is_image(value: str) -> bool:
    return _IMAGE.search(value) is not None or is_on_the_web(value)


def _has_header(name: str, rows: Sequence[Sequence[str]], given: Mapping[str, Any]) -> bool:
    """Return whether the first row names the columns.

    Raises:
        SourceError: it can't be told.
    """
    first = [cell.strip() for cell in rows[0]]
    if any(_IMAGE.search(cell) for cell in first):
        return False
    named = [n for value in given.values() for n in ([value] if isinstance(value, str) else value)]
    if any(is_role(cell) for cell in first) or (named and set(named) <= set(first)):
        return True
    if named and all(n.isdecimal() and 0 < int(n) <= len(first) for n in named):
        return False
    images = [
        at
        for at in range(len(first))
        if all(at < len(row) and _is_image(row[at]) for row in rows[1:])
        and not is_on_the_web(first[at])
    ]
    if len(rows) > 1 and images:
        return True
    if hold_pixels(rows):
        raise SourceError(f"source: {quoted(name)}: seems to hold pixels; {PIXELS}")
    raise SourceError(
        f"source: {quoted(name)}: can't tell whether the first line names the columns or is a row "
        f"({', '.join(map(quoted, first[:5]))}); name them with `columns.image` and "
        f"`columns.label`, such as {quoted(first[0] or '1')} and {quoted(first[1] or '2')}, or by "
        "their numbers from 1 if it is a row"
    )
