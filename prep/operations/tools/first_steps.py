"""Preparations for a first run: a configuration, a label map, or a demonstration."""

from __future__ import annotations

import json
import os
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from prep.config import Config
from prep.errors import SourceError
from prep.operations.run import run
from prep.output.report.report import RunReport
from prep.settings import KEYS, Key, OnStray
from prep.sources import demo
from prep.sources.base import Catalog
from prep.sources.folders.names import LABEL_MAP, FolderLayout
from prep.sources.folders.scan import scan_folders
from prep.sources.labels import LabelMap, class_title, with_label
from prep.storage.arguments import Stored, admit, typed
from prep.storage.locate import absolute, locate
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
        source: the folder of images that was found, as the configuration names it.
        images, classes: how many there are in it.
    """

    text: str
    source: str
    images: int
    classes: int


def make_starter(source: str | None, output: str | None) -> Starter:
    """Write a configuration for a source.

    Args:
        source: the folder or URL, or a folder with just one source in it; by default, this folder.
        output: where the shards are to go; by default ``shards``.

    Raises:
        SourceError: there are no images, or in several folders.
        StorageUnavailable: it is in a storage that does not answer.
    """
    folder = os.curdir if source is None else typed("source", source)
    catalog = _find_source(folder)
    found = folder if catalog.source == absolute(folder) else os.path.relpath(catalog.source)
    shards = "shards" if output is None else typed("output", output)
    return Starter(
        text=_as_yaml(catalog, found, shards),
        source=found,
        images=catalog.images.num_rows,
        classes=len(with_label(catalog.classes)),
    )


def number_classes(source: str, layout: FolderLayout, on_stray: OnStray) -> LabelMap:
    """Return a label map with the classes of a source, numbered by name.

    Raises:
        SourceError: the source is missing or has no images.
        StorageUnavailable: it is in a storage that does not answer.
    """
    catalog = scan_folders(admit("source", source, None), layout=layout, on_stray=on_stray)
    return LabelMap.build(catalog.classes)


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


def _find_source(folder: str) -> Catalog:
    """List the images of a folder, or of the only folder in it that can be a source."""
    try:
        return scan_folders(folder, on_stray="skip")
    except SourceError as error:
        found = [] if is_url(folder) else list(_sources_in(folder))
        if len(found) > 1:
            names = " and ".join(quoted(catalog.source) for catalog in found[:2])
            raise SourceError(
                f"source: several folders of images in {quoted(folder)}, such as "
                f"{names}; name one of them"
            ) from None
        if not found:
            raise error
        return found[0]


def _sources_in(folder: str) -> Iterator[Catalog]:
    """Yield the folders in a folder that can be a source, two at most."""
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    except OSError:
        return
    found = 0
    for name in [name for name in names if not name.startswith(".")][:_MOST_FOLDERS]:
        try:
            yield scan_folders(os.path.join(folder, name), on_stray="skip")
        except SourceError:
            continue
        found += 1
        if found == 2:
            return


def _as_yaml(catalog: Catalog, source: str, output: str) -> str:
    """Return a configuration with this source and output."""
    splits = _has_splits(catalog)
    given = {
        "source": _path(source),
        "output": _path(output),
        "layout": "splits" if splits else "classes",
        **({"splits": f"[{', '.join(map(_scalar, catalog.splits))}]"} if splits else {}),
    }
    entries = (_entry(name, key, given.get(name)) for name, key in KEYS.items())
    parts = [_head(catalog), *entries]
    return "\n\n".join(parts) + "\n"


def _head(catalog: Catalog) -> str:
    """Return what was found, as comments."""
    sizes = Counter(catalog.images["class"].to_pylist())
    total = counted(catalog.images.num_rows, "image")
    lines = [
        "Settings for prep run -c FILE. Flags win over them.",
        "A key behind a # is not set: it shows its default.",
        "",
        f"Found: {total} of {counted(len(with_label(catalog.classes)), 'class')}.",
        *(f"  {name}: {number:,}" for name, number in _by_split(catalog).items()),
        "Classes:",
    ]
    titles = [class_title(name, catalog.class_names) for name in catalog.classes]
    names = {titles[number]: count for number, count in sizes.most_common()}
    lines += [f"  {name}: {count:,}" for name, count in list(names.items())[:_CLASSES_SHOWN]]
    if len(names) > _CLASSES_SHOWN:
        lines.append(f"  and {len(names) - _CLASSES_SHOWN:,} smaller ones")
    if locate(os.path.join(catalog.source, LABEL_MAP)).is_file():
        lines.append(f"Their numbers are those of {LABEL_MAP} in the source.")
    lines += [f"Passed over: {i.count:,} × {i.reason}." for i in catalog.ignored]
    return "\n".join(f"# {one_line(line)}".rstrip() for line in lines)


def _by_split(catalog: Catalog) -> dict[str, int]:
    sizes = Counter(catalog.images["split"].to_pylist())
    return {split: sizes[number] for number, split in enumerate(catalog.splits)}


def _has_splits(catalog: Catalog) -> bool:
    """Return whether paths are split/class/file, and not class/file."""
    path: bytes = catalog.images["path"][0].as_py()
    return path.count(b"/") > 1


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


def _scalar(value: object) -> str:
    """Return a value as YAML."""
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
        return value if plain else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)
