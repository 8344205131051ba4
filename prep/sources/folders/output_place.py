"""Where an output may lie beside, or in, a folder of images."""

from __future__ import annotations

import os

from prep.errors import ConfigError
from prep.sources.base import Catalog
from prep.storage.locate import absolute
from prep.storage.urls import is_url
from prep.text import quoted


def output_inside(source: str, output: str) -> bytes | None:
    """Return the path of the output relative to the source; None if it does not lie in there.

    Raises:
        ConfigError: they are the same folder.
    """
    root, path = (os.path.join(_real(place), "") for place in (source, output))
    if root == path:
        raise ConfigError(f"output: {quoted(output)} is also the source; choose another folder")
    return os.fsencode(path.removeprefix(root)).rstrip(b"/") if path.startswith(root) else None


def require_apart(inside: bytes | None, output: str, catalog: Catalog) -> None:
    """Raise ConfigError if shards would lie among images, or beside them in another split.

    Args:
        inside: what :func:`output_inside` returns.
    """
    if inside is None:
        _require_no_split(catalog.source, output, catalog)
    else:
        _require_outside_classes(inside, output, catalog)


def _real(path: str) -> str:
    name = absolute(path)
    return name if is_url(name) else os.path.realpath(name)


def _require_outside_classes(inside: bytes, output: str, catalog: Catalog) -> None:
    """Raise ConfigError if shards would lie among the images of a class."""
    import pyarrow.compute as pc

    for split in catalog.splits:
        above = os.path.join(catalog.split_folders.get(split, b""), b"")
        name = inside.removeprefix(above).split(b"/")[0]
        folder = above + name
        if inside.startswith(above) and name and catalog.classes:
            within = pc.starts_with(catalog.images["path"], os.path.join(folder, b""))
            if pc.any(within).as_py():
                raise ConfigError(
                    f"output: {quoted(output)} lies in {quoted(os.fsdecode(folder))}, a class "
                    "folder of the source; choose a folder outside it"
                )


def _require_no_split(source: str, output: str, catalog: Catalog) -> None:
    """Raise ConfigError if the output is a folder of images beside the source.

    So it is when a shell has made the two splits in ``photos`` of ``photos/*``.
    """
    root, place = _real(source), _real(output)
    if is_url(place) or os.path.dirname(root) != os.path.dirname(place):
        return
    classes = (name for name in catalog.classes if os.path.isdir(os.path.join(place, name)))
    name = next(classes, None)
    if name is not None and not os.path.exists(os.path.join(place, ".prep")):
        raise ConfigError(
            f"output: {quoted(output)}, beside the source, has a folder {quoted(name)}, too, so it "
            "seems to hold images of another split; give the folder that both are in as the "
            "source, or choose another output"
        )
