"""Lists as JSON: JSON Lines, an array of objects, or one that maps images to labels."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prep.errors import SourceError
from prep.sources.labels import BETWEEN
from prep.sources.lists.formats.annotations import table_of_annotations
from prep.sources.lists.list_table import SAMPLED, ListTable, rows_of_text
from prep.text import kind_of, quoted

if TYPE_CHECKING:
    import pyarrow as pa

# Numbers stay as they are written: 1.0 is not 1.
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)
_LINES_AT_ONCE = 8192
_CHARACTERS_AT_ONCE = 8 << 20  # Parsed, they take ten times as much.


def read_json_list(name: str, text: str, given: Mapping[str, Any]) -> ListTable:
    """Return the table of a list in JSON.

    Args:
        name: the path or URL of the list.
        text: all of it.
        given: the columns that a configuration names, by their roles.

    Raises:
        SourceError: it is malformed, or of another form.
    """
    if _begins_with_object(text):
        return _table_of_lines(name, text)
    try:
        value = _DECODER.decode(text.strip())
    except (ValueError, RecursionError) as error:
        raise _malformed(name, error) from None
    if isinstance(value, dict) and isinstance(value.get("images"), list):
        return table_of_annotations(name, value, given)
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return _table_of_objects(
            name,
            "JSON",
            value[:SAMPLED],
            lambda: [value],
            lambda rows: [f"object {row + 1}" for row in rows],
        )
    if isinstance(value, dict) and value and all(isinstance(v, str) for v in value.values()):
        rows = [*value.items()]
        return rows_of_text(
            name,
            "JSON",
            ("image", "label"),
            rows,
            lambda wanted: [f"entry {row + 1}" for row in wanted],
        )
    if isinstance(value, dict) and value and all(map(_are_names, value.values())):
        rows = [(image, label) for label, images in value.items() for image in images]
        return rows_of_text(
            name,
            "JSON of images by label",
            ("image", "label"),
            rows,
            lambda wanted: [f"image {row + 1}" for row in wanted],
        )
    raise SourceError(
        f"source: {quoted(name)}: got {kind_of(value)} in JSON; expected an object in each line, a "
        "list of objects, or images, annotations and categories as COCO and iNaturalist have them"
    )


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _begins_with_object(text: str) -> bool:
    """Return whether the first line is an object of its own, and no part of a larger one."""
    line, _, rest = text.lstrip().partition("\n")
    if not line.startswith("{"):
        return False
    if not rest.strip() and re.search(r'"images"\s*:\s*\[', line):
        return False  # All of COCO in a line.
    try:
        return isinstance(_DECODER.decode(line.strip()), dict) and (
            bool(rest.strip()) or not _is_mapping(line)
        )
    except (ValueError, RecursionError):
        # A first line that is damaged is told with its number, if others are as they should be.
        second = rest.lstrip().partition("\n")[0].strip()
        return second.startswith("{") and second.endswith("}")


def _is_mapping(line: str) -> bool:
    """Return whether an object maps images to labels, and is no row."""
    from prep.sources.lists.roles import is_role

    return not any(is_role(key, "image") for key in _DECODER.decode(line.strip()))


def _malformed(name: str, error: Exception) -> SourceError:
    line = f" in line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
    what = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply"
    return SourceError(f"source: {quoted(name)}: is no JSON: {what}{line}; write it again")


def _table_of_lines(name: str, text: str) -> ListTable:
    lines = _Lines(name, text)
    first = next(lines.pieces(), [])
    return _table_of_objects(
        name,
        "JSON Lines",
        first[:SAMPLED],
        lines.pieces,
        lambda rows: [f"line {number}" for number in lines.numbers_of(rows)],
    )


@dataclass(frozen=True)
class _Lines:
    """JSON Lines: an object in each line that is not blank.

    Thousands of lines are parsed at once, as one array, which takes half the time.
    """

    name: str
    text: str

    def pieces(self) -> Iterator[list[dict[str, Any]]]:
        """Yield the objects of some lines at a time.

        Raises:
            SourceError: a line holds something else.
        """
        held: list[tuple[int, str]] = []
        size = 0
        for each in self._lines():
            held.append(each)
            size += len(each[1])
            is_long = size > _CHARACTERS_AT_ONCE and len(held) >= SAMPLED
            if is_long or len(held) == _LINES_AT_ONCE:
                yield self._parsed(held)
                held, size = [], 0
        if held:
            yield self._parsed(held)

    def numbers_of(self, rows: Sequence[int]) -> Sequence[int]:
        """Return the numbers of the lines of rows, from 1."""
        wanted = set(rows)
        found = {row: number for row, (number, _) in enumerate(self._lines()) if row in wanted}
        return [found[row] for row in rows]

    def _lines(self) -> Iterator[tuple[int, str]]:
        for number, line in enumerate(io.StringIO(self.text, newline="\n"), 1):
            if line := line.strip():
                yield number, line

    def _parsed(self, lines: Sequence[tuple[int, str]]) -> list[dict[str, Any]]:
        if all(line[0] == "{" and line[-1] == "}" for _, line in lines):
            try:
                found: list[dict[str, Any]] = _DECODER.decode(
                    f"[{','.join(line for _, line in lines)}]"
                )
                if len(found) == len(lines):
                    return found
            except (ValueError, RecursionError):  # It is met again, and told with its line.
                pass
        return [self._object(number, line) for number, line in lines]

    def _object(self, number: int, line: str) -> dict[str, Any]:
        try:
            value = _DECODER.decode(line)
        except (ValueError, RecursionError) as error:
            what = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply"
            raise SourceError(
                f"source: {quoted(self.name)}: line {number} is no JSON: {what}; expected an "
                "object in each line"
            ) from None
        if isinstance(value, dict):
            return value
        raise SourceError(
            f"source: {quoted(self.name)}: line {number} is {kind_of(value)}; expected an object "
            "in each line"
        )


def _table_of_objects(
    name: str,
    form: str,
    first: Sequence[dict[str, Any]],
    pieces: Callable[[], Iterable[Sequence[dict[str, Any]]]],
    places: Callable[[Sequence[int]], Sequence[str]],
) -> ListTable:
    """Return the table of objects, a row each.

    Args:
        first: the first objects, whose keys are the columns.
        pieces: returns all objects, some at a time.
        places: returns where objects are, in words, by their numbers from 0.
    """
    columns = tuple(dict.fromkeys(key for item in first for key in item))
    return ListTable(
        name=name,
        form=form,
        columns=columns,
        sample=[tuple(_brief(item.get(key)) for key in columns) for item in first],
        load=_Objects(name, columns, pieces, places).load,
        places=places,
    )


@dataclass(frozen=True)
class _Objects:
    """Objects as columns of text; the fields are as for :func:`_table_of_objects`."""

    name: str
    columns: Sequence[str]
    pieces: Callable[[], Iterable[Sequence[dict[str, Any]]]]
    places: Callable[[Sequence[int]], Sequence[str]]

    def load(self, positions: Sequence[int]) -> Sequence[pa.Array]:
        """Return columns by their positions."""
        import pyarrow as pa

        chunks: list[list[pa.Array]] = [[] for _ in positions]
        begin = 0
        for objects in self.pieces():
            for at, chunk in zip(positions, chunks, strict=True):
                chunk.append(self._column(self.columns[at], objects, begin))
            begin += len(objects)
        return [pa.chunked_array(chunk, pa.string()).combine_chunks() for chunk in chunks]

    def _column(self, key: str, objects: Sequence[dict[str, Any]], begin: int) -> pa.Array:
        """Return the values of a key as text.

        Args:
            begin: the number of the first object, for errors.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        values = [item.get(key, "") for item in objects]
        try:
            return pc.fill_null(pa.array(values, pa.string()), "")
        except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError):
            pass  # Not all is text: values are looked at one by one.
        found = [_text(value) for value in values]
        if None not in found:
            return pa.array(found, pa.string())
        row = found.index(None)
        held = values[row]
        what = "text that is not valid Unicode" if isinstance(held, str) else kind_of(held)
        raise SourceError(
            f"source: {quoted(self.name)}: {self.places([begin + row])[0]} has {what} in "
            f"{quoted(key)}; expected one text or number"
        )


def _text(value: Any) -> str | None:
    """Return a value as text, what is absent as nothing; None if it is no text or number.

    Of a list, ``BETWEEN`` is between its values.
    """
    if isinstance(value, list):
        with contextlib.suppress(TypeError, UnicodeEncodeError):
            text = BETWEEN.join(value)  # Numbers are text here: most lists are of nothing else.
            text.encode()
            return text
        each = [None if isinstance(one, list) else _text(one) for one in value]
        known = [one for one in each if one is not None]
        return None if len(known) < len(each) else BETWEEN.join(known) if any(known) else ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return None
        return value
    return "" if value is None else None


def _brief(value: Any) -> str:
    return value if isinstance(value, str) else ""
