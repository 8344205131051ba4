"""Make the splits that a configuration asks for of a pool of images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from prep.config.model import Config
from prep.config.split_rules import PoolPart, SplitRules
from prep.errors import ConfigError, SourceError
from prep.planning.splitting.balance import SplitShare, shares_of
from prep.planning.splitting.candidates import Candidates
from prep.planning.splitting.groups import (
    doubt_about_groups,
    groups_of,
    scores_of_images,
    with_groups,
)
from prep.planning.splitting.settled import SettledSplits
from prep.settings.choices import DEFAULT_SPLIT
from prep.sources.base import Catalog
from prep.sources.columns import with_numbers
from prep.sources.labelling.rows import in_order
from prep.text import counted, quoted, some


@dataclass(frozen=True, slots=True, kw_only=True)
class Division:
    """The images of a source in their final splits.

    Attributes:
        catalog: with the splits that were made.
        shares: of the splits that were made and of their pool, in the catalog's order.
    """

    catalog: Catalog
    shares: tuple[SplitShare, ...] = ()


def all_splits(config: Config) -> Config:
    """Return the configuration by which a source lists what splits are made of."""
    if config.split is None or config.splits is None:
        return config
    return config.model_copy(update={"splits": None})  # Some of them are yet to be made.


def divide_catalog(
    catalog: Catalog, config: Config, settled: SettledSplits | None = None
) -> Division:
    """Return the images of a source in the splits that a configuration asks for.

    Args:
        catalog: all images of the source, listed by :func:`all_splits`.
        config: its ``split``, ``splits`` and ``seed``.
        settled: images that keep the split that they have in an output, as far as they are in the
            pool.

    Raises:
        ConfigError: there is no such pool, column or group, or a split to make is there already,
            has no images, or is to have more than there are.
        SourceError: a split that is wanted is neither there nor made.
    """
    catalog = with_groups(catalog, config.split)
    division = Division(catalog=catalog)
    if config.split is not None:
        division = divide_pool(catalog, config.split, config.seed, settled)
        chosen = choose_splits(division.catalog, config.splits)
        division = replace(division, catalog=chosen)
    if doubts := doubt_about_groups(division.catalog):
        doubts = (*division.catalog.doubts, *doubts)
        division = replace(division, catalog=replace(division.catalog, doubts=doubts))
    return division


def divide_pool(
    catalog: Catalog, rules: SplitRules, seed: int, settled: SettledSplits | None = None
) -> Division:
    """Make splits of the pool; all other splits stay as they are found."""
    pool = _pool_of(catalog, rules)
    rows = np.flatnonzero(catalog.images["split"].to_numpy() == catalog.splits.index(pool))
    images = catalog.images.take(pa.array(rows))
    found = groups_of(catalog) if rules.group is not None else None
    grouped = None if found is None else found.take(rows)
    parts = _merged(rules.parts(pool, len(rows)), pool, alone=settled is not None)
    names = [part.split for part in parts]
    candidates = Candidates(
        classes=images["class"].to_numpy().astype(np.int64),
        scores=scores_of_images(seed, images["path"], grouped),
        groups=grouped,
        settled=np.full(len(rows), -1, np.int64)
        if settled is None
        else settled.among(images["path"], names),
    )
    chosen = candidates.divide(rules.by, [part.share for part in parts])
    _require_images(rules, names, chosen, candidates)
    splits = tuple(sorted({*catalog.splits, *rules.made}, key=os.fsencode))
    number = np.array([splits.index(name) for name in catalog.splits], np.int32)
    numbers = number[catalog.images["split"].to_numpy()]
    numbers[rows] = np.array([splits.index(name) for name in names], np.int32)[chosen]
    divided = replace(
        catalog,
        splits=splits,
        images=with_numbers(catalog.images, "split", numbers),
        split_folders=_split_folders(catalog, pool, rules),
    )
    return Division(
        catalog=in_order(divided),
        shares=shares_of(parts, chosen, candidates.classes, catalog.classes),
    )


def choose_splits(catalog: Catalog, wanted: Sequence[str] | None) -> Catalog:
    """Return the catalog with the images of some splits, in this order; with all, if None.

    Raises:
        SourceError: there is no such split.
    """
    if wanted is None:
        return catalog
    absent = [name for name in wanted if name not in catalog.splits]
    if absent:
        raise SourceError(
            f"splits: no images of {some([*map(quoted, absent)])} in the source; splits found or "
            f"made: {some([*map(quoted, catalog.splits)])}"
        )
    at = [wanted.index(name) if name in wanted else -1 for name in catalog.splits]
    numbers = np.array(at, np.int32)[catalog.images["split"].to_numpy()]
    images = with_numbers(catalog.images, "split", numbers).filter(pa.array(numbers >= 0))
    return in_order(replace(catalog, splits=tuple(wanted), images=images))


def _pool_of(catalog: Catalog, rules: SplitRules) -> str:
    """Return the split that others are made of; raise ConfigError if none can be."""
    found = catalog.splits
    pool = rules.of
    if pool is None:
        pool = DEFAULT_SPLIT if DEFAULT_SPLIT in found or len(found) != 1 else found[0]
    if pool not in found:
        raise ConfigError(
            f"split.of: got {quoted(pool)}{'' if rules.of else ', the default'}, and the source "
            f"has no such split; splits found: {some([*map(quoted, found)])}"
        )
    # Folders whose names differ only in case are one on some disks.
    known = {name.casefold(): name for name in found}
    there = [name for name in rules.made if name.casefold() in known]
    if there and there[0] in rules.shares:
        raise ConfigError(
            f"split.{there[0]}: the source has a split {quoted(known[there[0].casefold()])} "
            "already; give the new one another name, or leave it out to keep the one of the source"
        )
    if there:
        raise ConfigError(
            f"split.folds: the source has a split {quoted(there[0])} already, as the fold that is "
            f"held out would be called; give the images of {quoted(pool)} alone as the source"
        )
    return pool


def _merged(parts: list[PoolPart], pool: str, *, alone: bool) -> list[PoolPart]:
    """Return parts with one for each split, if they are to stand ``alone``; the pool is last."""
    if not alone:
        return parts
    shares: dict[str, Fraction] = {}
    for part in parts:
        shares[part.split] = shares.get(part.split, Fraction()) + part.share
    return [PoolPart(name, shares[name]) for name in sorted(shares, key=lambda name: name == pool)]


def _require_images(
    rules: SplitRules, names: Sequence[str], chosen: npt.NDArray[np.int64], candidates: Candidates
) -> None:
    """Raise ConfigError for a split to make that has got no images."""
    used = {names[part] for part in np.unique(chosen).tolist()}
    empty = [name for name in names if name not in used]
    if not empty:
        return
    pool = counted(len(chosen), "image")
    if candidates.groups is not None:
        pool += f" in {counted(len(np.unique(candidates.groups.units())), 'group')}"
    key = f"split.{empty[0]}" if empty[0] in rules.shares else "split"
    asked = f"got {rules.shares[empty[0]]}, and " if empty[0] in rules.shares else ""
    raise ConfigError(
        f"{key}: {asked}split {quoted(empty[0])} would have none of the {pool}; ask for other "
        "shares, or use another seed"
    )


def _split_folders(catalog: Catalog, pool: str, rules: SplitRules) -> dict[str, bytes]:
    """Return the folder of each split; that of splits that are made is the one of their pool."""
    folder = catalog.split_folders.get(pool)
    made = {} if folder is None else dict.fromkeys(rules.made, folder)
    return {**catalog.split_folders, **made}
