"""The splits of a source, saved as a list of its images."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from prep.config.model import Config
from prep.errors import ConfigError, PrepError
from prep.operations.preparation import plan_images
from prep.planning.plan import RunPlan
from prep.sources.base import UNLABELLED
from prep.sources.manifest import entries_of
from prep.sources.naming import SourceName, is_within
from prep.storage.local import LocalPath
from prep.storage.urls import is_url
from prep.text import brief, quoted, sentence_of

_REASON = 120  # characters of an error that may name many images
_COLUMNS = ("image", "label", "split")


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitList:
    """A list that was written, and how to read it.

    Attributes:
        path: of the list.
        keys: what a configuration gives beside ``source``, the list.
        same_labels: whether its classes get the same numbers without a label map.
    """

    path: str
    keys: dict[str, Any]
    same_labels: bool


def split_source(config: Config) -> RunPlan:
    """Plan the splits of a source, whatever the output holds.

    Raises:
        SourceError, LabelError, ConfigError, StorageUnavailable: as ``prep.plan``.
    """
    return plan_images(config)


def write_list(plan: RunPlan, path: LocalPath) -> SplitList:
    """Write the images of a plan to a CSV file with a column of their splits, and read it back.

    Args:
        plan: from :func:`split_source`.
        path: of the list. If the images lie below its folder, they are named relative to it, and
            the list can be a source by itself. Otherwise ``images`` names their place.

    Raises:
        ConfigError: no list can name the images, or what it says is not the same plan; the file is
            then removed again.
        OSError: it can't be written.
    """
    place = _place_of(plan)
    folder = os.path.dirname(os.path.abspath(path))
    below = not is_url(place) and os.path.isdir(place) and is_within(place, folder)
    prefix = os.path.relpath(place, folder) + "/" if below and place != folder else ""
    keys: dict[str, Any] = {} if below else {"images": place}
    if plan.class_totals[UNLABELLED]:
        keys["unlabelled"] = "keep"
    if plan.config.unpack:
        keys["unpack"] = True
    path.publish("".join(_lines(plan, prefix)).encode(), within=path.parent)
    try:
        same_labels = _require_read_back(plan, path, keys)
    except PrepError:
        path.remove_file(within=path.parent)
        raise
    return SplitList(path=str(path), keys=keys, same_labels=same_labels)


def _place_of(plan: RunPlan) -> str:
    """Return what the names of images are relative to; raise ConfigError if that is not one."""
    found = SourceName.parse(plan.source)
    if found is None or not isinstance(found.given, str):
        raise ConfigError(
            f"write: the source is {'a list in Python' if found is None else 'several'}; expected "
            "one folder, archive or list, for a list names images of one place"
        )
    return found.base


def _lines(plan: RunPlan, prefix: str) -> Iterator[str]:
    """Yield the lines of a list, the first with the names of the columns."""
    line = io.StringIO()
    writer = csv.writer(line, lineterminator="\n")
    writer.writerow(_COLUMNS)
    start = 0
    for split, images in plan.splits.items():
        for entry in entries_of(plan.manifest.slice(start, images), plan.classes):
            writer.writerow([_text(prefix + entry.name), _text(entry.class_name), split])
            yield line.getvalue()
            line.seek(0)
            line.truncate()
        start += images


def _text(name: str) -> str:
    """Return a name; raise ConfigError if it is not UTF-8, as a list is."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ConfigError(
            f"write: the name {quoted(name)} is not valid UTF-8, as a list is; rename it, or leave "
            "it out with `exclude`"
        ) from None
    return name


def _require_read_back(plan: RunPlan, path: LocalPath, keys: dict[str, Any]) -> bool:
    """Raise ConfigError unless a list gives the same plan; return whether labels are the same."""
    config = plan.config
    options = dict(config.storage_options or {})
    options = {"images": options["source"]} if "source" in options and "images" in keys else {}
    given = {"label_map": config.label_map, "seed": config.seed, "storage_options": options or None}
    try:
        again = plan_images(Config(source=path, output=os.devnull, **given, **keys))
    except PrepError as error:
        raise ConfigError(
            f"write: the list can't be read back: {brief(sentence_of(error), _REASON)}; expected a "
            "source whose images a list can name: class folders, an archive or another list"
        ) from None
    columns = ["size", "mtime"]
    same = again.manifest.select(columns).equals(plan.manifest.select(columns))
    if dict(again.splits) != dict(plan.splits) or not same or _labelled(again) != _labelled(plan):
        raise ConfigError(
            "write: the list would not be read as the same images, classes and splits; rename "
            "images and classes whose names begin or end with blanks"
        )
    return all(again.labels.numbers[name] == plan.labels.numbers[name] for name in again.labelled)


def _labelled(plan: RunPlan) -> dict[str, dict[str, int]]:
    return {split: dict(counts) for split, counts in plan.counts.items()}
