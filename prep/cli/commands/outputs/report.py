"""``prep report``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from prep.cli.options import storage_option
from prep.cli.parameters import place
from prep.errors import PrepError
from prep.text import reason_and_file


@click.command()
@place(
    "output",
    "-o",
    "--output",
    help="Folder that prep run has written, or its URL.",
    expected="the folder, or the URL, that prep run has written",
)
@storage_option
def report(output: str, storage_options: Mapping[str, Any] | None) -> None:
    """Make OUTPUT/report.html again, and print its path.

    Every run makes this page. Use the command for an output that is unfinished, or older than the
    page.
    """
    from prep.display.page.page import report_page

    try:
        page = report_page(output, storage_options)
    except OSError as error:
        raise PrepError(f"can't write the page: {reason_and_file(error)}") from None
    click.echo(str(page))
