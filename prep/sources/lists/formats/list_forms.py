"""The format of a list, by the first bytes of its file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from prep.errors import SourceError
from prep.sources.layouts.base import Place
from prep.sources.lists.formats.column_files import ARROW, PARQUET, STREAM, read_columns, unreadable
from prep.sources.lists.formats.encodings import text_of_list
from prep.sources.lists.formats.json_lists import read_json_list
from prep.sources.lists.formats.text_lists import read_text_list
from prep.sources.lists.list_table import ListTable
from prep.sources.lists.roles import columns_of_labels

_UTF16 = (b"\xff\xfe", b"\xfe\xff")
# Bytes that no text has: control characters but for tabs, new lines, form feeds and escapes.
_BINARY = re.compile(rb"[\x01-\x08\x0e-\x1a\x1c-\x1f]")
# The first keys of COCO, of which one or the other has the images.
_ANNOTATIONS = re.compile(
    rb'\s*\{\s*"(?:info|licenses|images|categories|annotations)"\s*:(?s:.*)'
    rb'"(?:images|categories|annotations)"\s*:\s*\['
    rb'|\s*\{\s*"(?:images|categories|annotations)"\s*:\s*\['
)


def form_of(head: bytes) -> str | None:
    r"""Return what shows that a file is a list, by its first bytes; None if nothing does.

    >>> form_of(b"path,label"), form_of(b"PAR1"), form_of(b"\xff\xd8\xff\xe0\0\x10")
    ('it is text', 'it is a Parquet file', None)
    """
    if head.startswith(PARQUET):
        return "it is a Parquet file"
    if head.startswith((ARROW, STREAM)):
        return "it is an Arrow file"
    if head.startswith(_UTF16) or _is_utf16(head):
        return "it is text in UTF-16"
    return None if b"\0" in head or _BINARY.search(head) else "it is text"


def _is_utf16(head: bytes) -> bool:
    """Return whether bytes look like UTF-16 of mostly ASCII, without a byte order mark."""
    even, odd = head[:64:2], head[1:64:2]
    return len(head) > 8 and any(
        not zeros.strip(b"\0") and not _BINARY.search(other) and b"\0" not in other
        for zeros, other in ((even, odd), (odd, even))
    )


def read_list(place: Place, given: Mapping[str, Any]) -> ListTable:
    """Return the table of a list.

    Args:
        given: the columns that a configuration names, by their roles.

    Raises:
        SourceError: it can't be read, or is malformed.
        StorageUnavailable: it is in a storage that does not answer.
    """
    head = place.head
    if head.startswith((PARQUET, ARROW, STREAM)):
        return read_columns(place, columns_of_labels(given))
    try:
        data = place.location.read_patiently()
    except OSError as error:
        raise unreadable(place, error) from None
    text = text_of_list(place.name, data)
    if text.lstrip()[0] in "{[":
        return read_json_list(place.name, text, given)
    return read_text_list(place.name, text, given)


def has_annotations(head: bytes) -> bool:
    """Return whether a file begins as annotations in the format of COCO do, by its first bytes.

    >>> has_annotations(b'{"info": {}, "images": [{"id": 1}]}'), has_annotations(b'{"images": 3}')
    (True, False)
    """
    return _ANNOTATIONS.match(head) is not None


def first_rows(place: Place) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """Return the names of the columns of a list, and its first rows; nothing if it has none.

    Of text, no more is read than the head of its place.
    """
    try:
        if place.head.startswith((PARQUET, ARROW, STREAM)):
            table = read_columns(place)
        else:
            whole = place.head[: place.head.rfind(b"\n") + 1] or place.head
            text = text_of_list(place.name, whole)
            read = read_json_list if text.lstrip()[0] in "{[" else read_text_list
            table = read(place.name, text, {})
    except SourceError:
        return (), ()
    return (table.columns, table.sample) if table.headed else ((), ())
