"""The colour statistics of an output, for readers that normalise or change the lighting."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from prep.errors import SourceError
from prep.images.colour import ColourStatistics, Matrix
from prep.output.layout import OutputLayout
from prep.output.report.report import RunReport
from prep.parsing import LARGEST, parse_json
from prep.storage.arguments import admit
from prep.storage.locate import locate
from prep.text import quoted, reason_of


def colour_statistics(
    output: str | os.PathLike[str], storage_options: Mapping[str, Any] | None = None
) -> ColourStatistics:
    """Return mean, std and covariance of the training images of an output, 0 to 255.

    They are of the results before encoding, of all training splits together (see ``of`` in
    ``mean_rgb.json``). Those of gray images have three equal channels.

    Args:
        output: an output folder, or its URL.
        storage_options: options of the storage, for URLs; see :class:`prep.Config`.

    Raises:
        SourceError: there is no finished run there, or its files are damaged.
        StorageUnavailable: the storage does not answer.
    """
    root = admit("output", output, storage_options)
    path = OutputLayout(locate(root)).mean
    try:
        found = ColourStatistics.from_json(
            parse_json(path.patiently(lambda: path.read_at_most(LARGEST)))
        )
        if found.std is None:  # Earlier versions noted it in the report alone.
            found = RunReport.read(root).moments or found
    except FileNotFoundError as error:
        raise SourceError(
            f"output: no {os.path.basename(error.filename or path.name)} in {quoted(root)}; "
            "expected that of a finished run, so run the same command again"
        ) from None
    except (OSError, ValueError) as error:
        if isinstance(error, OSError):
            path.require_answer(error)
        raise SourceError(
            f"output: the mean in {quoted(root)} can't be read: {reason_of(error)}; make it again "
            "with `prep.verify(…, repair=True)`"
        ) from None
    return found


def lighting_basis(
    output: str | os.PathLike[str], storage_options: Mapping[str, Any] | None = None
) -> Matrix:
    """Return the matrix that turns three normal numbers into a change of lighting, 0 to 255.

    See :attr:`prep.images.colour.ColourStatistics.lighting_basis`.

    Raises:
        SourceError: as for :func:`colour_statistics`; or the output has no covariance.
        StorageUnavailable: the storage does not answer.
    """
    basis = colour_statistics(output, storage_options).lighting_basis
    if basis is None:
        raise SourceError(
            f"output: no covariance of colours in {quoted(os.fspath(output))}, which an earlier "
            "version of prep has written; prepare it again with `overwrite=True` to use lighting"
        )
    return basis
