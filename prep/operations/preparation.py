"""Plan a run from its configuration."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from prep.config.model import Config
from prep.errors import ConfigError, SourceError
from prep.execution.local.resources import cores
from prep.images.colour import CHANNELS
from prep.output.journal import Journal
from prep.output.report.duplicates import without_duplicates
from prep.parsing import parse_json, read_text
from prep.planning.fingerprint import label_changes
from prep.planning.plan import RunPlan
from prep.planning.planner import make_plan
from prep.planning.splitting.dividing import all_splits, divide_catalog
from prep.planning.splitting.groups import Groups, groups_of
from prep.planning.splitting.settled import SettledSplits
from prep.planning.splitting.subsets import take_subset
from prep.settings.choices import CONVOLVED, RESIZER, RGB, Mode
from prep.settings.output_names import require_split_name
from prep.shards.image_hashes import without_look_alikes
from prep.shards.opened import WEBP, versions_here
from prep.sources.base import Catalog, Source
from prep.sources.folders.names import alike
from prep.sources.labelling.class_lookup import resolve_label_map
from prep.sources.labelling.targets import in_order_of_labels
from prep.sources.labels import LabelMap, single_classes
from prep.sources.memory import ListedImages
from prep.sources.naming import SourceName, Sources
from prep.sources.registry import open_source, reopen_source
from prep.storage.locate import locate
from prep.text import quoted, reason_of, shown

#: Is told in a few words of what takes long.
Tell = Callable[[str], None]

_LOGGER = logging.getLogger("prep")
_EXPECTED_MEAN = 'expected JSON like {"R": 122.6, "G": 116.7, "B": 104.4}'


def plan_images(
    config: Config, settled: SettledSplits | None = None, tell: Tell = lambda _: None
) -> RunPlan:
    """Plan which images go to which shards, whatever the output holds.

    Args:
        config: what to plan.
        settled: images that an output holds: they keep their split, whatever ``split`` would say
            of them, and are neither dropped as duplicates nor left out of a subset.
        tell: is told of what takes long. An exception ends the work.

    Raises:
        SourceError: the source is missing or has no images.
        LabelError: the label map is malformed, or lacks a class.
        ConfigError: the mean file can't be used, or the output is the source or in a class of it.
        StorageUnavailable: any of it is in a storage that does not answer.
    """
    config.grant()
    mean = read_mean(config.mean_file, config.mode) if config.mean_file else None
    return _plan(config, open_source(config.source), mean, settled=settled, tell=tell)


def plan_as_stored(stored: RunPlan, output: str) -> RunPlan:
    """Plan an output anew, from its source as it is now, with the stored labels and mean.

    Raises:
        SourceError, LabelError, ConfigError, StorageUnavailable: as :func:`plan_images`.
    """
    config = stored.config.model_copy(update={"source": _given(stored), "output": output})
    if config.splits is not None:
        config = config.model_copy(update={"splits": tuple(stored.splits)})
    source = reopen_source(stored.source, Journal(output).layout.state)
    plan = _plan(config, source, stored.mean, stored.labels)
    plan = plan.with_partition(stored.fingerprint.partition, stored.sizes)
    return replace(plan, continues=stored.continues)


def _versions(config: Config) -> dict[str, str]:
    """Return the versions of the libraries that decide the bytes of this output."""
    used = {WEBP: config.encoding == "webp", RESIZER: config.interpolation in CONVOLVED}
    return {name: found for name, found in versions_here().items() if used.get(name, True)}


def _given(stored: RunPlan) -> str | Sources:
    """Return the source that a stored plan was made of, as a configuration names it."""
    found = SourceName.parse(stored.source)
    return stored.source if found is None else found.given


def as_begun(plan: RunPlan, stored: RunPlan | None) -> RunPlan:
    """Return a plan as its output was begun, which an earlier version may have done otherwise.

    Early versions wrote splits in the order in which they were given, and filled all shards of a
    split but the last. For an output whose plan gives the size of each shard, see
    :func:`prep.operations.growth.appending.as_it_grew`.

    Raises:
        SourceError, LabelError, ConfigError, StorageUnavailable: as :func:`plan_images`.
    """
    if stored is None or stored.sizes is not None:
        return plan
    order = tuple(stored.splits)
    if order != tuple(plan.splits) and set(order) == set(plan.splits):
        config = plan.config.model_copy(update={"splits": order})
        anew = _plan(config, open_source(config.source), plan.mean, plan.labels)
        plan = replace(anew, labels_from=plan.labels_from)
    return plan.with_partition(stored.fingerprint.partition)


def warn_of_labels(plan: RunPlan) -> None:
    """Log what may be a mistake in the label map of a plan; the rest was told as it was made."""
    for doubt in plan.labels.doubts(plan.class_totals):
        _LOGGER.warning("prep: %s", doubt)


def warn_of_labels_that_move(plan: RunPlan, journal: Journal) -> None:
    """Log which numbers will stand for other classes than before."""
    before = journal.stored_labels()
    if before is None:
        return
    changes = label_changes(before, plan.labels)
    if changes.moved or changes.gone or changes.widths:
        _LOGGER.warning(
            "prep: the labels in %s will change: %s; models trained on the old ones keep to those",
            journal.output,
            changes,
        )


def _plan(
    config: Config,
    source: Source,
    mean: RGB | None,
    labels: LabelMap | None = None,
    settled: SettledSplits | None = None,
    tell: Tell = lambda _: None,
) -> RunPlan:
    division = divide_catalog(source.catalog(all_splits(config)), config, settled)
    catalog = division.catalog
    _warn_of_names_alike(catalog)
    _require_split_names(catalog)
    if config.duplicates == "drop":
        catalog = without_duplicates(catalog, source, settled and settled.names)
    look_alikes = None
    if config.near_duplicates == "drop":
        names = settled and settled.names
        catalog, look_alikes = without_look_alikes(
            catalog, source, config, names, processes=cores(), tell=tell
        )
    if config.subset is not None:
        catalog = take_subset(
            catalog, config.subset, config.seed, _groups_of_scores(catalog, config), settled
        )
    for doubt in catalog.doubts:
        _LOGGER.warning("prep: %s", doubt)
    found, origin, given = (labels, "", True) if labels else find_labels(config, source, catalog)
    if config.target == "soft":
        catalog = in_order_of_labels(catalog, found)
    plan = make_plan(config, catalog, found, mean, _versions(config))
    plan.labels.require(plan.class_totals)
    return replace(
        plan,
        labels_from=origin,
        labels_given=given,
        read_as=catalog.read_as,
        look_alikes=look_alikes,
        shares=division.shares,
    )


def _groups_of_scores(catalog: Catalog, config: Config) -> Groups | None:
    """Return the groups that ``split`` names, whose images have one score."""
    return None if config.split is None or config.split.group is None else groups_of(catalog)


def _warn_of_names_alike(catalog: Catalog) -> None:
    for names in alike(catalog.classes):
        _LOGGER.warning(
            "prep: %s are separate classes, though their names differ only in case or in how "
            "accents are encoded; merge them if they are one class",
            " and ".join(map(quoted, names)),
        )


def _require_split_names(catalog: Catalog) -> None:
    """Raise SourceError where no output can have folders called as the splits of the source."""
    try:
        for split in catalog.splits:
            require_split_name(split)
    except ValueError as error:
        raise SourceError(
            f"source: {error}; rename that folder, or leave it out with `splits`"
        ) from None


def find_labels(config: Config, source: Source, catalog: Catalog) -> tuple[LabelMap, str, bool]:
    """Return the label map that was given, or that of the source, or else one made of the classes.

    One that was given may call classes by their names for people.

    Returns:
        The map; where it is from, in words; whether it was given.

    Raises:
        LabelError: it is malformed, or a name in it stands for several classes.
        ConfigError: there are an order or a first label of classes, and a label map.
    """
    classes = single_classes(catalog.classes, config.target)
    if config.target == "value":
        return LabelMap.build(classes), "a number for each image", False
    asked = None if config.labels is None else config.labels.order
    if asked is not None and config.label_map is not None:
        raise ConfigError(
            f"labels.order: got {quoted(asked)}, and label_map numbers the classes, too; give one "
            "of them"
        )
    given = _given_labels(config, source) if asked is None else None
    if given is not None:
        labels, origin = given
        _require_no_first_label(config, origin)
        return resolve_label_map(labels, classes, catalog.class_names), origin, True
    if catalog.order is not None:
        told = "the classes, numbered in their given order"
        return LabelMap.ordered(catalog.order, config.first_label), told, False
    labels = LabelMap.build(classes, config.first_label)
    return labels, "the classes, numbered by name", False


def _require_no_first_label(config: Config, origin: str) -> None:
    """Raise ConfigError where labels are to begin elsewhere than a label map has them."""
    if config.first_label:
        raise ConfigError(
            f"first_label: got {config.first_label}, and the label map {origin} numbers the "
            "classes, too; leave first_label out, or pass a label_map with the numbers wanted"
        )


def _given_labels(config: Config, source: Source) -> tuple[LabelMap, str] | None:
    """Return the label map of a configuration or of a source, and where it is from, if any."""
    if isinstance(config.label_map, str):
        return LabelMap.read(config.label_map), f"from {config.label_map}"
    if config.label_map is not None:
        return LabelMap.parse(config.label_map), "given with the configuration"
    if config.target == "soft" and isinstance(config.source, ListedImages):
        return None  # Its numbers are shares of classes, not the classes.
    return source.label_map()


def read_mean(path: str, mode: Mode = "rgb") -> RGB:
    """Read a mean from a file of ``{"R": …, "G": …, "B": …}``.

    Raises:
        ConfigError: it can't be read, a channel is missing or not from 0 to 255, or the channels
            differ although ``mode`` is gray.
        StorageUnavailable: it is in a storage that does not answer.
    """
    place = locate(path)
    try:
        value = parse_json(read_text(place.local) if place.local else place.read_patiently())
    except (OSError, ValueError) as error:
        if isinstance(error, OSError):
            place.require_answer(error)
        raise ConfigError(
            f"mean_file: {quoted(path)} can't be read: {reason_of(error)}; {_EXPECTED_MEAN}"
        ) from None
    if isinstance(value, dict) and value.get("scale", 255) != 255:
        raise ConfigError(
            f"mean_file: {quoted(path)} has scale {shown(value['scale'])}; expected means "
            "from 0 to 255, as `prep.mean_rgb` gives them without `scale`"
        )
    if isinstance(value, dict) and value.get("standard_error"):
        _LOGGER.warning(
            "prep: mean_file: %s was estimated and has a standard error; `prep.mean_rgb` gives the "
            "exact mean without `sample` and `approximate`",
            quoted(path),
        )
    r, g, b = (_channel(value, channel, path) for channel in CHANNELS)
    if mode == "gray" and not r == g == b:
        raise ConfigError(
            f"mean_file: {quoted(path)} has R {r:g}, G {g:g} and B {b:g}; mode gray subtracts one "
            "number, so give the mean of a run with mode gray, in which the three are equal"
        )
    return r, g, b


def _channel(mean: Any, name: str, path: str) -> float:
    value = mean.get(name) if isinstance(mean, dict) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigError(
            f"mean_file: {quoted(path)} has no number for {quoted(name)}; {_EXPECTED_MEAN}"
        )
    if not 0 <= value <= 255:
        raise ConfigError(
            f"mean_file: {quoted(path)} has {name} {shown(value)}; expected means from 0 to 255"
        )
    return float(value)
