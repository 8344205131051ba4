"""Preparations for a first run: a configuration, a label map, or a demonstration."""

from __future__ import annotations

import json
import os
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from prep.config.model import Config
from prep.errors import ConfigError, NoImages, SourceError
from prep.operations.run import run
from prep.output.report.report import RunReport
from prep.settings.choices import DEFAULT_SPLIT
from prep.settings.key import Key
from prep.settings.keys import KEYS
from prep.sources import demo
from prep.sources.base import Catalog
from prep.sources.folders.names import LABEL_MAP
from prep.sources.labels import LabelMap, class_title, single_classes, with_label
from prep.sources.registry import open_source
from prep.storage.arguments import Stored, typed
from prep.storage.locate import absolute
from prep.storage.urls import is_url
from prep.text import counted, one_line, quoted

_CLASSES_SHOWN = 20
_WIDTH = 96
_MOST_FOLDERS = 100  # that are looked into for a source
_PLAIN = re.compile(r"[A-Za-z_./][\w./-]*")
_WORDS = frozenset(["true", "false", "yes", "no", "on", "off", "null", "none", "y", "n"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Starter:
    """A configuration to begin with.

    Attributes:
        text: it in YAML: the keys that are set, and the defaults of all others as comments.
        source: what was found, as the configuration names it.
        images, classes: how many there are in it.
        read_as: what it was taken for, in words.
    """

    text: str
    source: str
    images: int
    classes: int
    read_as: str


def make_starter(
    source: str | None,
    output: str | None,
    *,
    unpack: bool = False,
    storage_options: Any = None,
) -> Starter:
    """Write a configuration for a source.

    Args:
        source: a folder, an archive or a list, or its URL, or a folder with just one folder in it
            that can be a source; by default, this folder.
        output: where the shards are to go; by default ``shards``.
        unpack: whether to unpack an archive that is compressed as a whole.
        storage_options: options of the storage of a URL, which are not written down.

    Raises:
        SourceError: there are no images, or in several folders.
        ConfigError: the output lies among the images.
        StorageUnavailable: it is in a storage that does not answer.
    """
    place = os.curdir if source is None else typed("source", source)
    shards = "shards" if output is None else typed("output", output)
    keys = {"unpack": unpack, "storage_options": storage_options}
    found, catalog = _find_source(place, shards, keys)
    if unpack:
        catalog = replace(catalog, as_keys={**catalog.as_keys, "unpack": True})
    return Starter(
        text=_as_yaml(catalog, found, shards),
        source=found,
        images=catalog.images.num_rows,
        classes=len(with_label(catalog.classes)),
        read_as=catalog.read_as,
    )


def number_classes(config: Config) -> LabelMap:
    """Return a label map with the classes of a source, numbered by name, or in its own order.

    Raises:
        SourceError: the source is missing or has no images.
        StorageUnavailable: it is in a storage that does not answer.
    """
    config.grant()
    catalog = open_source(config.source).catalog(config)
    if catalog.order is not None:
        return LabelMap.ordered(catalog.order, config.first_label)
    return LabelMap.build(single_classes(catalog.classes, config.target), config.first_label)


def run_demo(
    root: Path, images: int, workers: int | None, tell: Callable[[str], None]
) -> RunReport:
    """Make photos in ``root/images``, some of them broken, and prepare them.

    Args:
        tell: gets a line before the photos are made.

    Raises:
        OutputConflict: there is something else in that place.
    """
    demo.require_free(root)
    source = root / "images"
    tell(f"making {images} images in {source} …")
    demo.make_images(source, images)
    config = Config(source=Stored(source), output=Stored(root / "shards"), images_per_shard=50)
    return run(config, workers=workers, overwrite=True, progress=True)


def _find_source(place: str, output: str, keys: Mapping[str, Any]) -> tuple[str, Catalog]:
    """List the images of a source, or else of the only folder in it that can be one.

    Returns:
        The path or URL that a configuration names; its images.
    """
    try:
        return place, _catalog(place, output, keys)
    except SourceError as error:
        found = [] if is_url(place) else _sources_in(place, output)
        if len(found) > 1:
            names = " and ".join(quoted(absolute(folder)) for folder, _ in found)
            raise SourceError(
                f"source: several folders of images in {quoted(place)}, such as "
                f"{names}; name one of them"
            ) from None
        if not found:
            raise error
        return found[0]


def _catalog(place: str, output: str, keys: Mapping[str, Any]) -> Catalog:
    config = Config(source=Stored(place), output=Stored(output), on_stray="skip", **keys)
    config.grant()
    return open_source(config.source).catalog(config)


def _sources_in(place: str, output: str) -> list[tuple[str, Catalog]]:
    """Return the folders in a folder that can be a source, two at most.

    There are none if one of them has images, but can't be read: that one may be meant.
    """
    try:
        names = sorted(entry.name for entry in os.scandir(place) if entry.is_dir())
    except OSError:
        return []
    found: list[tuple[str, Catalog]] = []
    for name in [name for name in names if not name.startswith(".")][:_MOST_FOLDERS]:
        folder = os.path.normpath(os.path.join(place, name))
        try:
            found.append((folder, _catalog(folder, output, {})))
        except (NoImages, ConfigError):
            continue
        except SourceError:
            return []
        if len(found) == 2:
            break
    return found


def _as_yaml(catalog: Catalog, source: str, output: str) -> str:
    """Return a configuration with this source and output."""
    found = {**catalog.as_keys, "layout": _layout(catalog)}
    if found["layout"] == "splits" or catalog.splits != (DEFAULT_SPLIT,):
        found["splits"] = catalog.splits
    given = {
        "source": _path(source),
        "output": _path(output),
        **{name: _flow(value) for name, value in found.items()},
    }
    entries = (_entry(name, key, given.get(name)) for name, key in KEYS.items())
    parts = [_head(catalog, source), *entries]
    return "\n\n".join(parts) + "\n"


def _layout(catalog: Catalog) -> str:
    """Return the word for what was found; of class folders, whether splits are above them."""
    word = str(catalog.as_keys["layout"])
    if word != "folders":
        return word
    return "splits" if any(catalog.split_folders.values()) else "classes"


def _head(catalog: Catalog, source: str) -> str:
    """Return what was found, as comments."""
    sizes = Counter(catalog.images["class"].to_pylist())
    total = counted(catalog.images.num_rows, "image")
    lines = [
        "Settings for prep run -c FILE. Flags win over them.",
        "A key behind a # is not set: it shows its default.",
        "",
        f"Found: {total} of {counted(len(with_label(catalog.classes)), 'class')}.",
        *([f"Read as: {catalog.read_as}."] if catalog.read_as else []),
        *(f"  {name}: {number:,}" for name, number in _by_split(catalog).items()),
        "Classes:",
    ]
    titles = [class_title(name, catalog.class_names) for name in catalog.classes]
    names = {titles[number]: count for number, count in sizes.most_common()}
    lines += [f"  {name}: {count:,}" for name, count in list(names.items())[:_CLASSES_SHOWN]]
    if len(names) > _CLASSES_SHOWN:
        lines.append(f"  and {len(names) - _CLASSES_SHOWN:,} smaller ones")
    if open_source(source).label_map() is not None:
        lines.append(f"Their numbers are those of {LABEL_MAP} in the source.")
    lines += [f"Passed over: {i.count:,} × {i.reason}." for i in catalog.ignored]
    return "\n".join(f"# {one_line(line)}".rstrip() for line in lines)


def _by_split(catalog: Catalog) -> dict[str, int]:
    sizes = Counter(catalog.images["split"].to_pylist())
    return {split: sizes[number] for number, split in enumerate(catalog.splits)}


def _entry(name: str, key: Key, value: str | None) -> str:
    """Return a key with its purpose, and its value or its default."""
    told = f"{key.help} Expected: {key.allowed}."
    comment = textwrap.wrap(told, _WIDTH, initial_indent="# ", subsequent_indent="# ")
    if value is not None:
        return "\n".join([*comment, f"{name}: {value}"])
    return "\n".join([*comment, f"#{name}: {_scalar(key.default)}"])


def _path(path: str) -> str:
    """Return a path, escaped so that no part of it is expanded as a variable or a home."""
    if is_url(path):
        return _scalar(path)
    return _scalar(("./" if path.startswith("~") else "") + path.replace("$", "$$"))


def _flow(value: object) -> str:
    """Return a value, a list or a mapping in a line of YAML."""
    if isinstance(value, Mapping):
        pairs = (f"{_scalar(name)}: {_flow(of)}" for name, of in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_flow, value))}]"
    return _scalar(value)


def _scalar(value: object) -> str:
    """Return a value as YAML."""
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
        return value if plain else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)
