"""A large image set of real photos, each linked many times."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path

import click
import simplejpeg

from bench.settings import DEFAULT_PHOTOS, SPLIT
from prep.sources.demo import make_images

_SUFFIXES = (".jpg", ".jpeg")
_MADE_UP = 504  # photos, four of which prep.sources.demo breaks on purpose
_MOST = 2_000  # different photos; the limit holds all of them in memory

#: Which photos to measure with, for the commands.
photos_option = click.option(
    "--photos",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=DEFAULT_PHOTOS if DEFAULT_PHOTOS.is_dir() else None,
    help="Folder of JPEG photos, in folders by class. [photos of PREP_TEST_DATA, or made-up ones]",
)


def collect_originals(photos: Path | None, data: Path) -> list[Path]:
    """Copy photos to ``data``, once, and read them, so that the system has them in memory.

    Copies, for hard links can't lead to another file system, and should not to files of others.

    Args:
        photos: a folder with ``…/<class>/<name>.jpg``; made-up photos, if None.
    """
    source = data / "source.txt"
    description = str(photos.resolve()) if photos else "made up"
    if not source.exists() or source.read_text() != description:
        shutil.rmtree(data, ignore_errors=True)
        _copy_originals(photos or _make_up(data / "made-up"), data / "originals")
        source.write_text(description)
    originals = sorted((data / "originals").glob("*/*"))
    for path in originals:
        path.read_bytes()
    return originals


def link_set(originals: Sequence[Path], data: Path, count: int, *, copied: bool = False) -> Path:
    """Make ``<set>/train/<class>/<name>.JPEG`` with ``count`` images, and return ``<set>``.

    One that is there with that many is used again.

    Args:
        copied: whether each is a file of its own, and not only a name.
    """
    root = data / (f"{count}-copied" if copied else str(count))
    make = shutil.copyfile if copied else _link
    if sum(1 for _ in root.glob("*/*/*")) != count:
        shutil.rmtree(root, ignore_errors=True)
        for number, original in enumerate(islice(cycle(originals), count)):
            class_folder = root / SPLIT / original.parent.name
            class_folder.mkdir(parents=True, exist_ok=True)
            make(original, class_folder / f"{original.parent.name}_{number}.JPEG")
    return root


def _copy_originals(photos: Path, folder: Path) -> None:
    for number, path in enumerate(islice(_usable(photos), _MOST)):
        class_folder = folder / path.parent.name
        class_folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, class_folder / f"{number:06d}.JPEG")
    if not folder.exists():
        raise SystemExit(f"bench: no JPEG photos that can be used in {photos}")


def _usable(photos: Path) -> Iterator[Path]:
    """Yield JPEGs that are whole: the article's script stops at the first that is not."""
    for path in sorted(photos.rglob("*")):
        if path.suffix.lower() in _SUFFIXES and path.is_file():
            data = path.read_bytes()
            try:
                simplejpeg.decode_jpeg(data, "RGB", strict=True)
            except ValueError:
                continue
            yield path


def _make_up(folder: Path) -> Path:
    make_images(folder, _MADE_UP)
    return folder


def _link(original: Path, link: Path) -> None:
    try:
        os.link(original, link)
    except OSError:  # The file system has no hard links, or no more of them for this file.
        shutil.copyfile(original, link)
