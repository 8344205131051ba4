"""A configuration to begin with: what was found in a source, and every key with its default.

``prep init``.
"""

from __future__ import annotations

import json
import os
import re
import textwrap
from collections import Counter
from collections.abc import Iterator

import click

from prep.cli.files import writable, write
from prep.cli.parameters import Path, place
from prep.errors import ConfigError, SourceError
from prep.settings import KEYS, Key
from prep.sources.base import Catalog
from prep.sources.folders.names import LABEL_MAP
from prep.sources.folders.scan import scan_folders
from prep.storage.arguments import typed
from prep.storage.locate import absolute, locate
from prep.storage.urls import is_url
from prep.text import counted, one_line, quoted

_CLASSES_SHOWN = 20
_WIDTH = 96
_MOST_FOLDERS = 100  # that are looked into for a source
_PLAIN = re.compile(r"[A-Za-z_./][\w./-]*")
_WORDS = frozenset(["true", "false", "yes", "no", "on", "off", "null", "none", "y", "n"])


def find_source(folder: str) -> Catalog:
    """List the images of a folder, or of the only folder in it that can be a source.

    Raises:
        SourceError: neither can be told to be one.
        StorageUnavailable: it is in a storage that does not answer.
    """
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
    """The folders in a folder that can be a source, no more than two of them."""
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


def starter_config(catalog: Catalog, source: str, output: str) -> str:
    """Write a configuration for a source as YAML: its keys, or their defaults as comments.

    Args:
        source, output: as they are to stand in it.
    """
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
    """What was found, as comments."""
    sizes = Counter(catalog.images["class"].to_pylist())
    total = counted(catalog.images.num_rows, "image")
    lines = [
        "Settings of prep: `prep run -c FILE`. Flags win over them.",
        "A key behind a # is not set: it shows its default.",
        "",
        f"Found: {total} of {counted(len(catalog.classes), 'class')}.",
        *(f"  {name}: {number:,}" for name, number in _by_split(catalog).items()),
        "Classes:",
    ]
    names = {catalog.classes[number]: count for number, count in sizes.most_common()}
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
    """Whether paths are split/class/file, and not class/file."""
    path: bytes = catalog.images["path"][0].as_py()
    return path.count(b"/") > 1


def _entry(name: str, key: Key, value: str | None) -> str:
    """A key, what it is for, and its value or its default."""
    told = f"{key.help} Expected: {key.allowed}."
    comment = textwrap.wrap(told, _WIDTH, initial_indent="# ", subsequent_indent="# ")
    if value is not None:
        return "\n".join([*comment, f"{name}: {value}"])
    return "\n".join([*comment, f"#{name}: {_scalar(key.default)}"])


def _path(path: str) -> str:
    """A path so written that it is understood as it stands: without variables, or a home."""
    if is_url(path):
        return _scalar(path)
    return _scalar(("./" if path.startswith("~") else "") + path.replace("$", "$$"))


def _scalar(value: object) -> str:
    """A value as YAML."""
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
        return value if plain else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)


@click.command()
@place("source", help="Folder of images. [this folder]", expected="", needed=False)
@place(
    "output",
    "-o",
    "--output",
    help="Folder for the shards, as FILE will name it. [shards]",
    expected="",
    needed=False,
)
@click.option(
    "-c",
    "--config",
    "config_file",
    type=Path(),
    metavar="FILE",
    default="config.yaml",
    show_default=True,
    help="YAML file to write.",
)
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
def init(source: str | None, output: str | None, config_file: str, overwrite: bool) -> None:
    """Write a configuration for SOURCE, every setting explained.

    Without SOURCE, this folder is looked at, or the only folder of images in it.
    """
    file = writable(config_file)
    if file.suffix.lower() not in (".yaml", ".yml"):
        raise ConfigError(f"config: got {quoted(file)}; expected a name that ends in .yaml")
    if os.path.lexists(file) and not overwrite:
        raise ConfigError(
            f"config: {quoted(file)} exists; pass `overwrite=True` to replace it, or give another "
            "name with `config`"
        )
    folder = os.curdir if source is None else typed("source", source)
    catalog = find_source(folder)
    found = folder if catalog.source == absolute(folder) else os.path.relpath(catalog.source)
    shards = "shards" if output is None else typed("output", output)
    write(file, starter_config(catalog, found, shards).encode())
    images, classes = catalog.images.num_rows, len(catalog.classes)
    written = one_line(str(file))
    what = f"{counted(images, 'image')} of {counted(classes, 'class')} in {one_line(found)}"
    click.echo(f"{what}: wrote {written}\nnext: prep plan -c {written}")
