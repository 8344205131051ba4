"""Tables beside the report: which images were not simply written, and which are the same.

As CSV, which any program opens; as Parquet where there are more rows than a spreadsheet takes.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from prep import storage
from prep.contents import Duplicate
from prep.layout import OutputLayout
from prep.receipts import SplitTotals

_FINDINGS = ("path", "class", "split", "outcome", "reason", "detail")
_DUPLICATES = ("group", "path", "class", "split")
_MOST_IN_CSV = 1_000_000  # rows


def publish_findings(layout: OutputLayout, totals: SplitTotals) -> None:
    """Writes ``refused.csv``: each image that was refused, repaired, or kept damaged."""
    publish_table(layout.refused, _FINDINGS, _finding_rows(totals), within=layout.root)


def findings_are_published(layout: OutputLayout, totals: SplitTotals) -> bool:
    """Whether ``refused.csv`` says just that; as Parquet, whether it is there."""
    rows = _finding_rows(totals)
    if len(rows) > _MOST_IN_CSV:
        return layout.refused.with_suffix(".parquet").is_file()
    try:
        return storage.read_patiently(layout.refused) == _csv(_FINDINGS, rows)
    except OSError as error:
        storage.require_answer(layout.refused, error)
        return False


def _finding_rows(totals: SplitTotals) -> list[tuple[str, ...]]:
    return sorted(
        (f.path, f.class_name, split, f.outcome, f.reason, f.detail)
        for split, t in totals.items()
        for f in t.findings
    )


def publish_duplicates(layout: OutputLayout, duplicates: Sequence[Duplicate]) -> None:
    """Writes ``duplicates.csv``: images with the same bytes, group by group."""
    rows = [(str(d.group), d.path, d.class_name, d.split) for d in duplicates]
    publish_table(layout.duplicates, _DUPLICATES, rows, within=layout.root)


def publish_table(
    path: Path,
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    within: Path,
    most_in_csv: int = _MOST_IN_CSV,
) -> None:
    """Writes rows of text under ``path``, or beside it as Parquet; the other is removed.

    Names of files that are not text keep their bytes in CSV, and in Parquet are made readable.
    """
    parquet = path.with_suffix(".parquet")
    if len(rows) <= most_in_csv:
        data = _csv(names, rows)
        if not path.is_file() or path.read_bytes() != data:
            storage.publish(path, data, within=within)
        _remove(parquet, within)
        return
    columns = {
        name: pa.array([os.fsencode(row[i]).decode(errors="replace") for row in rows])
        for i, name in enumerate(names)
    }
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    storage.publish(parquet, bytes(sink.getvalue()), within=within)
    _remove(path, within)


def _csv(names: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([names, *rows])
    return text.getvalue().encode(errors="surrogateescape")


def _remove(path: Path, within: Path) -> None:
    if path.exists():  # Only then: a finished output may lie where nothing can be written.
        storage.remove(path, within=within)
