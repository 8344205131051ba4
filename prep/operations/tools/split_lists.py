"""The splits of a source, saved as a list of its images."""

from __future__ import annotations

import csv
import io
import os
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from prep.config.model import AnyConfig, Config
from prep.errors import ConfigError, PrepError
from prep.operations.preparation import plan_images
from prep.planning.plan import RunPlan
from prep.sources.base import UNLABELLED, ImageEntry
from prep.sources.columns import TARGET
from prep.sources.labels import single_classes
from prep.sources.manifest import entries_of
from prep.sources.naming import SourceName, is_within
from prep.storage.arguments import typed
from prep.storage.local import LocalPath
from prep.storage.urls import is_url
from prep.text import brief, quoted, reason_of, sentence_of

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


def save_splits(config: AnyConfig, path: str | os.PathLike[str]) -> dict[str, Any]:
    """Write the split of each image of a source to a CSV file, which can be a source itself.

    ``prep.run({**prep.save_splits(config, "list.csv"), "output": "shards"})`` prepares them.

    Args:
        config: with ``split`` or ``subset`` to make them; a :class:`prep.Config`, a mapping of its
            keys, or the path of a JSON, YAML or TOML file with them. ``output`` may be left out.
        path: of the list. An older one is replaced, and folders that are missing are made.

    Returns:
        The keys and values of a configuration by which the list gives the same images, labels,
        splits and order: ``source``, and as needed ``images``, ``label_map``, ``seed``,
        ``unlabelled`` and ``unpack``.

    Raises:
        SourceError, LabelError, ConfigError, StorageUnavailable: as ``prep.plan``.
        ConfigError: the list can't be written, can't name the images, or would not be read as the
            same. What was at its path stays.
    """
    place = typed("path", path)
    if is_url(place):
        raise ConfigError(f"path: got {quoted(place)}; expected a path on this machine")
    if isinstance(config, str | os.PathLike):
        config = Config.from_file(config, output=os.devnull)
    elif isinstance(config, Mapping):
        config = Config.of({**config, "output": os.devnull})
    plan = split_source(Config.of(config))
    written = write_list(plan, LocalPath(place))
    labels = {} if written.same_labels else {"label_map": plan.labels.to_json()}
    return {"source": written.path, **written.keys, **labels}


def split_source(config: Config) -> RunPlan:
    """Plan the splits of a source, whatever the output holds.

    Raises:
        SourceError, LabelError, ConfigError, StorageUnavailable: as ``prep.plan``.
    """
    return plan_images(config)


def write_list(plan: RunPlan, path: LocalPath) -> SplitList:
    """Write the images of a plan to a CSV file with a column of their splits.

    Before it has its name, it is read back.

    Args:
        plan: from :func:`split_source`.
        path: of the list. If the images lie below its folder, they are named relative to it, and
            the list can be a source by itself. Otherwise ``images`` names their place.

    Raises:
        ConfigError: it can't be written, it is the source, no list can name the images, or what it
            says is not the same plan. What was at the path stays.
    """
    place = _place_of(plan)
    _require_not_source(plan, path)
    folder = os.path.dirname(os.path.abspath(path))
    below = not is_url(place) and os.path.isdir(place) and is_within(place, folder)
    prefix = os.path.relpath(place, folder) + "/" if below and place != folder else ""
    keys = _keys_of(plan, {} if below else {"images": place})
    draft = path.with_name(f".{uuid.uuid4().hex}-{path.name}")
    try:
        draft.publish("".join(_lines(plan, prefix)).encode(), within=path.parent)
        try:
            same_labels = _require_read_back(plan, draft, keys)
            os.replace(draft, path)
        finally:
            draft.remove_file(within=path.parent)
    except OSError as error:
        raise ConfigError(f"write: can't write {quoted(path)}: {reason_of(error)}") from None
    return SplitList(path=str(path), keys=keys, same_labels=same_labels)


def _require_not_source(plan: RunPlan, path: LocalPath) -> None:
    """Raise ConfigError where a list would replace the file that its images are from."""
    found = SourceName.parse(plan.source)
    for source in () if found is None else found.paths:
        if (
            not is_url(source)
            and os.path.isfile(source)
            and path.exists()
            and path.samefile(source)
        ):
            raise ConfigError(
                f"write: {quoted(path)} is the source, which the list would replace; choose "
                "another name"
            )


def _keys_of(plan: RunPlan, keys: Mapping[str, Any]) -> dict[str, Any]:
    """Return keys with those that a list is read by as its source was."""
    found = dict(keys)
    if plan.config.label_map is not None:
        found["label_map"] = plan.config.label_map
    if plan.config.target != "class":
        found["target"] = plan.config.target
    if plan.config.target == "soft":  # A list has no names for the numbers of a label.
        found["label_map"] = plan.labels.to_json()
    if plan.config.seed:
        found["seed"] = plan.config.seed
    if plan.class_totals[UNLABELLED]:
        found["unlabelled"] = "keep"
    if plan.config.unpack:
        found["unpack"] = True
    return found


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
            writer.writerow([_text(prefix + entry.name), _text(_label(entry)), split])
            yield line.getvalue()
            line.seek(0)
            line.truncate()
        start += images


def _label(entry: ImageEntry) -> str:
    """Return the label of an image as a list has it: its class, or numbers with blanks between."""
    numbers = np.frombuffer(entry.target, "<f4").tolist()
    return " ".join(map(repr, numbers)) if numbers else entry.class_name


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
    try:
        again = plan_images(
            Config(source=path, output=os.devnull, storage_options=options or None, **keys)
        )
    except PrepError as error:
        raise ConfigError(
            f"write: the list can't be read back: {brief(sentence_of(error), _REASON)}; expected a "
            "source whose images a list can name: class folders, an archive or another list"
        ) from None
    columns = ["size", "mtime", *({TARGET} & {*plan.manifest.column_names})]
    same = again.manifest.select(columns).equals(plan.manifest.select(columns))
    if dict(again.splits) != dict(plan.splits) or not same or _labelled(again) != _labelled(plan):
        raise ConfigError(
            "write: the list would not be read as the same images, classes and splits; rename "
            "images and classes whose names begin or end with blanks"
        )
    numbers = again.labels.numbers
    names = single_classes(again.labelled, plan.config.target)
    return all(numbers[name] == plan.labels.numbers[name] for name in names)


def _labelled(plan: RunPlan) -> dict[str, dict[str, int]]:
    return {split: dict(counts) for split, counts in plan.counts.items()}
