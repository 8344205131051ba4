r"""Tables beside the report: which images were not simply written, and which are the same.

``refused.csv`` has ``path``, ``class``, ``split``, ``outcome``, ``reason`` and ``detail`` of each
image. ``duplicates.csv`` has ``group`` (a number that images with the same bytes have in common),
``path``, ``class`` and ``split`` of each image, and, for its group, whether it is a ``leak`` (its
images lie in more than one split) and a ``conflict`` (in more than one class): ``yes`` or nothing.
``near_duplicates.csv``, which is there if it was asked for, has the same of images that look alike,
and for each image the ``distance`` to the nearest other one, whether one of these two had to be
``mirrored``, and whether the image was ``dropped``.

``outdated.csv`` has ``path``, ``class``, ``split``, ``shard`` and ``difference`` of each image
whose record stays although its source says something else: ``gone``, ``changed``, ``relabelled`` or
``moved`` (to another split). It is there only if there are some.

As CSV, which any program opens; as Parquet where there are more rows than a spreadsheet takes.

Names come from files of others, and spreadsheets run cells that begin with ``=`` and the like. So
in CSV, such a character, control characters, backslashes, and bytes that are no UTF-8 are written
as ``\xNN``, byte by byte; see :func:`decode_cell`. In Parquet, names are their bytes.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from prep.output.layout import OutputLayout
from prep.output.receipt import SplitTotals
from prep.output.report.duplicates import Copies
from prep.output.report.near_copies import NearRow
from prep.planning.continued import OutdatedImage
from prep.storage.location import Location

_FINDINGS = ("path", "class", "split", "outcome", "reason", "detail")
_DUPLICATES = ("group", "path", "class", "split", "leak", "conflict")
_NEAR_DUPLICATES = (
    *("group", "path", "class", "split", "distance"),
    *("mirrored", "leak", "conflict", "dropped"),
)
_OUTDATED = ("path", "class", "split", "shard", "difference")
_NAMES = frozenset(("path", "class", "split"))
# Control and format characters, line breaks of all kinds, what is no text, and the backslash.
_UNSAFE = re.compile(
    r"[\\\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    r"\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
# Characters that begin a formula, full-width too, where a cell begins: also a cell that only a
# program sees that splits lines at other characters.
_FORMULA = re.compile(r"""((?:^|[;,|])[\s"']*)([=+\-@\uff1d\uff0b\uff0d\uff20])""")
_MOST_IN_CSV = 1_000_000  # rows


def publish_findings(layout: OutputLayout, totals: SplitTotals) -> None:
    """Write ``refused.csv``: each image that was refused, repaired, or kept damaged."""
    publish_table(layout.refused, _FINDINGS, _finding_rows(totals), within=layout.root)


def findings_are_published(layout: OutputLayout, totals: SplitTotals) -> bool:
    """Return whether ``refused.csv`` says just that, or a long one is there as Parquet."""
    rows = _finding_rows(totals)
    if len(rows) > _MOST_IN_CSV:
        return layout.refused.with_suffix(".parquet").is_file()
    return _holds(layout.refused, _csv(_FINDINGS, rows))


def _finding_rows(totals: SplitTotals) -> list[tuple[str, ...]]:
    return sorted(
        (f.path, f.class_name, split, f.outcome, f.reason, f.detail)
        for split, t in totals.items()
        for f in t.findings
    )


def publish_duplicates(layout: OutputLayout, found: Sequence[Copies]) -> None:
    """Write ``duplicates.csv``: images with the same bytes, group by group."""
    rows = [
        (str(group), image.path, image.class_name, image.split, leak, conflict)
        for group, copies in enumerate(found, 1)
        for leak, conflict in [("yes" if copies.leak else "", "yes" if copies.conflict else "")]
        for image in copies.images
    ]
    publish_table(layout.duplicates, _DUPLICATES, rows, within=layout.root)


def publish_near_duplicates(layout: OutputLayout, found: Sequence[NearRow]) -> None:
    """Write ``near_duplicates.csv``: images that look alike, group by group."""
    rows = [
        (
            *(str(row.group), row.path, row.class_name, row.split, str(row.distance)),
            *(
                "yes" if flag else ""
                for flag in (row.mirrored, row.leak, row.conflict, row.dropped)
            ),
        )
        for row in found
    ]
    publish_table(layout.near_duplicates, _NEAR_DUPLICATES, rows, within=layout.root)


def publish_outdated(layout: OutputLayout, images: Sequence[OutdatedImage]) -> None:
    """Write ``outdated.csv``: each image whose record is outdated; remove it if there is none."""
    if images:
        publish_table(layout.outdated, _OUTDATED, sorted(images), within=layout.root)
        return
    for suffix in (".csv", ".parquet"):
        _remove(layout.outdated.with_suffix(suffix), layout.root)


def publish_table(
    path: Location,
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    within: Location,
    most_in_csv: int = _MOST_IN_CSV,
) -> None:
    """Write rows of text to ``path``, or beside it as Parquet, and remove the other.

    Either keeps the exact bytes of names.
    """
    parquet = path.with_suffix(".parquet")
    if len(rows) <= most_in_csv:
        data = _csv(names, rows)
        if not _holds(path, data):
            path.publish(data, within=within)
        _remove(parquet, within)
        return
    columns = {
        name: pa.array([_bytes(row[i]) for row in rows], pa.binary())
        if name in _NAMES
        else pa.array([_bytes(row[i]).decode(errors="replace") for row in rows])
        for i, name in enumerate(names)
    }
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    parquet.publish(bytes(sink.getvalue()), within=within)
    _remove(path, within)


def _csv(names: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerow(names)
    csv.writer(text, lineterminator="\n").writerows(map(encode_cell, row) for row in rows)
    return text.getvalue().encode()


def encode_cell(text: str) -> str:
    r"""Escape text for a cell of a CSV file that is harmless to terminals and spreadsheets.

    >>> print(encode_cell("=cmd|' /C calc'!A1"), encode_cell("a\nb"), encode_cell("x-ray.jpg"))
    \x3dcmd|' /C calc'!A1 a\x0ab x-ray.jpg
    """
    plain = _UNSAFE.sub(lambda match: _escaped(match[0]), text)
    return _FORMULA.sub(lambda match: match[1] + _escaped(match[2]), plain)


def decode_cell(cell: str) -> str:
    r"""Undo :func:`encode_cell`; ``os.fsencode`` gives the bytes of a file's name.

    >>> decode_cell(encode_cell("=1\t\\x41")) == "=1\t\\x41"
    True
    """
    return os.fsdecode(cell.encode().decode("unicode_escape").encode("latin-1"))


def _escaped(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in _bytes(character))


def _bytes(text: str) -> bytes:
    """Return the bytes of a name, or the nearest to it if no file can have it."""
    try:
        return os.fsencode(text)
    except UnicodeEncodeError:
        return text.encode(errors="surrogatepass")


def _holds(path: Location, data: bytes) -> bool:
    """Return whether a file holds just this data; a larger one is not read."""
    try:
        return path.read_at_most(len(data)) == data
    except OSError as error:
        path.require_answer(error)
    except ValueError:
        pass
    return False


def _remove(path: Location, within: Location) -> None:
    if path.exists():  # Only then: a finished output may lie where nothing can be written.
        path.remove_file(within=within)
