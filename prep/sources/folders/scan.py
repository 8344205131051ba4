"""List images in folders: ``SOURCE/<split>/<class>/*``, or ``SOURCE/<class>/*`` without splits."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from prep.errors import ConfigError, SourceError
from prep.settings import OnStray
from prep.sources.base import Catalog
from prep.sources.folders.detection import Shape, find_shape, require_class_names
from prep.sources.folders.ignored import OTHER, Passed
from prep.sources.folders.names import EXTENSIONS, FolderLayout, plain_extension
from prep.sources.folders.survey import survey
from prep.sources.folders.tree import Folder, Tree, require_images_folder
from prep.sources.manifest import table_of
from prep.storage.locate import absolute
from prep.text import counted, quoted

_JPEG = frozenset(["jpg", "jpeg", "jpe", "jfif"])


@dataclass(slots=True)
class _Columns:
    split: list[int] = field(default_factory=list)
    class_: list[int] = field(default_factory=list)
    path: list[bytes] = field(default_factory=list)
    size: list[int] = field(default_factory=list)
    mtime: list[int] = field(default_factory=list)

    def add(self, folder: Folder, split: int, class_: int) -> None:
        self.split += [split] * len(folder.images)
        self.class_ += [class_] * len(folder.images)
        self.path += folder.images
        self.size += folder.sizes
        self.mtime += folder.mtimes

    def table(self) -> pa.Table:
        return table_of(
            {
                "split": self.split,
                "class": self.class_,
                "path": self.path,
                "size": self.size,
                "mtime": self.mtime,
            }
        )


def scan_folders(
    source: str,
    splits: Sequence[str] | None = None,
    image_type: str | None = None,
    *,
    layout: FolderLayout = "auto",
    on_stray: OnStray = "fail",
    output: bytes | None = None,
) -> Catalog:
    """List the images below ``source``.

    Args:
        source: the folder.
        splits: only these splits; all that are found, if None.
        image_type: only files with this extension, in any case.
        layout: what its folders are: ``classes``, ``splits`` of classes, or what they look like.
        on_stray: what to do about images that are in no class folder.
        output: what lies in the source, by its relative path, and is none of it.

    Raises:
        SourceError: the folder is missing, has no images, lacks a split, has images of which no
            class can be told, or can't be told to be of one layout or the other.
        StorageUnavailable: it is in a storage that does not answer.
    """
    extensions = EXTENSIONS
    if image_type is not None:
        image_type = _require_extension(image_type)
        extensions = frozenset([os.fsencode(image_type.lower())])
    require_images_folder(source)
    tree = Tree(source, extensions)
    shape = find_shape(tree, splits, layout)
    passed, strays = survey(tree, shape, output, beside_splits=splits is None)
    _require_images(tree, shape, passed, strays, image_type)
    if on_stray == "skip":
        passed.add(strays)
    elif strays.counts:
        raise SourceError(_describe_strays(shape, strays))
    if layout == "auto":
        require_class_names(tree, shape)
    classes = sorted(set().union(*shape.classes.values()))
    return Catalog(
        source=absolute(source),
        splits=tuple(map(os.fsdecode, shape.chosen)),
        classes=tuple(map(os.fsdecode, classes)),
        images=_columns(tree, shape, classes).table(),
        ignored=passed.ignored(),
    )


def _columns(tree: Tree, shape: Shape, classes: Sequence[bytes]) -> _Columns:
    number = {name: index for index, name in enumerate(classes)}
    columns = _Columns()
    for index, split in enumerate(shape.chosen):
        for name in shape.classes[split]:
            folder = tree.folder(os.path.join(shape.folders[split], name))
            columns.add(folder, index, number[name])
    return columns


def _describe_strays(shape: Shape, strays: Passed) -> str:
    names = ", ".join(quoted(os.fsdecode(name)) for name in shape.chosen)
    splits = f" (splits found: {names})" if shape.has_splits else ""
    return (
        f"source: some images are in no class folder: {strays}; expected "
        f"SOURCE/<split>/<class>/* or SOURCE/<class>/*{splits}. Move them, or pass "
        "`on_stray='skip'` to leave them out"
    )


def _require_extension(image_type: str) -> str:
    extension = plain_extension(image_type)
    if not extension or "*" in extension or "/" in extension:
        raise ConfigError(
            f"image_type: got {quoted(image_type)}; expected one extension, such as JPEG"
        )
    return extension


def _require_images(
    tree: Tree, shape: Shape, passed: Passed, strays: Passed, image_type: str | None
) -> None:
    """Raise SourceError where a split that is wanted has no images, or there is none."""
    empty = [shape.folders[split] for split in shape.chosen if not shape.classes[split]]
    if not shape.chosen:
        empty = [b""]
    if not empty:
        return
    kinds = f"*.{image_type}" if image_type else "jpg, png, webp and the like"
    found = [text for text in (_where_they_are(strays), passed.describe_extensions()) if text]
    remedy = _other_types(image_type, passed) if image_type else ""
    if not remedy:
        found += [f"{i.reason}: {quoted(i.example)}" for i in passed.ignored() if i.reason != OTHER]
    raise SourceError(
        f"source: no images in {quoted(_joined(tree.source, empty[0]))}; expected "
        f"{kinds} in <split>/<class>/ or <class>/ folders"
        + (f" (found: {'; '.join(found)})" if found else "")
        + remedy
    )


def _other_types(image_type: str, passed: Passed) -> str:
    """Tell which extensions could be asked for instead; nothing where there are no other images."""
    there = [
        name for name, _ in passed.extensions.most_common() if name.lower().encode() in EXTENSIONS
    ]
    if not there:
        return ""
    one = {image_type.lower(), there[0].lower()} <= _JPEG
    apart = f", for {image_type} and {there[0]} are two extensions of one format" if one else ""
    return f"; pass `image_type='{there[0]}'`, or leave it out to take all images{apart}"


def _joined(source: str, folder: bytes) -> str:
    return os.path.join(source, os.fsdecode(folder)) if folder else source


def _where_they_are(strays: Passed) -> str:
    """Tell where images lie that are in no class folder, and what to do where they lie deeper."""
    if not strays.counts:
        return ""
    example = min(strays.examples.values())
    deeper = example.count("/") - 2
    remedy = (
        f", {counted(deeper, 'folder')} deeper: move them up, or give the folder that holds the "
        "splits or the classes as the source"
        if deeper > 0
        else ", outside of a class folder"
    )
    return f"{counted(strays.counts.total(), 'image')} such as {quoted(example)}{remedy}"
