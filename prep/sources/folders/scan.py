"""List images in folders: ``SOURCE/<split>/<class>/*``, or ``SOURCE/<class>/*`` without splits."""

from __future__ import annotations

import os
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from prep.errors import ConfigError, NoImages, SourceError
from prep.settings.choices import DEFAULT_SPLIT
from prep.sources.base import Catalog
from prep.sources.columns import hows_of, table_of
from prep.sources.folders.ignored import OTHER, Passed
from prep.sources.folders.names import EXTENSIONS, plain_extension
from prep.sources.folders.roles.detection import find_shape
from prep.sources.folders.roles.refusals import from_names, require_class_names
from prep.sources.folders.roles.shape import Asked, Shape
from prep.sources.folders.survey import Survey, survey
from prep.sources.folders.tree import Folder, Tree
from prep.sources.folders.unread_forms import unread_in
from prep.storage.locate import absolute
from prep.text import counted, quoted

_JPEG = frozenset(["jpg", "jpeg", "jpe", "jfif"])
_NO_CLASS = -1
_WHOLE = -1  # The offset of an image that is a file.


@dataclass(slots=True)
class _Columns:
    packed: bool
    split: array[int] = field(default_factory=lambda: array("i"))
    class_: array[int] = field(default_factory=lambda: array("i"))
    path: list[bytes] = field(default_factory=list)
    size: array[int] = field(default_factory=lambda: array("q"))
    mtime: array[int] = field(default_factory=lambda: array("q"))
    file: list[bytes] = field(default_factory=list)
    offset: list[int] = field(default_factory=list)
    how: list[int] = field(default_factory=list)

    def add(self, folders: Sequence[Folder], split: int, class_: int) -> None:
        """Add the images of some folders, sorted by name."""
        start = len(self.path)
        for folder in folders:
            self.path += folder.images
            self.size += folder.sizes
            self.mtime += folder.mtimes
            if folder.archive is not None:
                self.file += [folder.archive] * len(folder.images)
                self.offset += folder.offsets
                self.how += folder.hows
            elif self.packed:
                self.file += folder.images
                self.offset += [_WHOLE] * len(folder.images)
                self.how += [0] * len(folder.images)
        added = len(self.path) - start
        self.split.extend([split] * added)
        self.class_.extend([class_] * added)
        if len(folders) > 1:
            order = sorted(range(added), key=self.path[start:].__getitem__)
            for column in self._of_images():
                _reorder(column, start, [start + row for row in order])

    def label(self, split: int, classes: Mapping[bytes, int]) -> None:
        """Set the classes of the images of the last split; leave out those that have none."""
        start = self.split.index(split)
        rows = [row for row in range(start, len(self.path)) if self.path[row] in classes]
        rows.sort(key=lambda row: (classes[self.path[row]], self.path[row]))
        for column in (self.split, self.class_, *self._of_images()):
            _reorder(column, start, rows)
        self.class_[start:] = array("i", [classes[path] for path in self.path[start:]])

    def _of_images(self) -> tuple[list[Any] | array[int], ...]:
        return self.path, self.size, self.mtime, self.file, self.offset, self.how

    def table(self) -> pa.Table:
        columns: dict[str, Any] = {
            "split": np.asarray(self.split),
            "class": np.asarray(self.class_),
            "path": self.path,
            "size": np.asarray(self.size),
            "mtime": np.asarray(self.mtime),
        }
        if self.packed:
            columns |= {"file": self.file, "offset": self.offset, "how": hows_of(self.how)}
        return table_of(columns)


def _reorder(column: list[Any] | array[int], start: int, rows: Sequence[int]) -> None:
    """Put these rows, in this order, in the place of all that follow a row."""
    if not column:
        return
    found = [column[row] for row in rows]
    if isinstance(column, array):
        column[start:] = array(column.typecode, found)
    else:
        column[start:] = found


def extensions_of(image_type: str | None) -> frozenset[bytes]:
    """Return the extensions that files of images have, in lower case.

    Raises:
        ConfigError: what is asked for is none.
    """
    if image_type is None:
        return EXTENSIONS
    return frozenset([os.fsencode(_require_extension(image_type).lower())])


def scan_tree(
    tree: Tree,
    asked: Asked,
    *,
    top: bytes = b"",
    image_type: str | None = None,
    output: bytes | None = None,
    also: Survey | None = None,
) -> Catalog:
    """List the images in a tree of folders.

    Args:
        top: the folder that holds the splits or the classes.
        image_type: the extension that was asked for, as it was written.
        output: a folder in the tree that is none of it, by its path there.
        also: what was passed over, and what is stray, beside what is in folders.

    Raises:
        SourceError: there are no images, a split is absent, images are of no class that can be
            told, or the folders can't be told to be of one layout or the other.
        StorageUnavailable: they are in a storage that does not answer.
    """
    shape = find_shape(tree, asked, top)
    found = survey(tree, shape, output, beside_splits=asked.splits is None)
    if shape.listed and shape.listed.split in shape.chosen:
        found.passed.add(shape.listed.passed)
    if also is not None:
        found.passed.add(also.passed)
        found.strays.add(also.strays)
    _require_images(tree, shape, found, image_type and plain_extension(image_type))
    if asked.on_stray == "skip":
        found.passed.add(found.strays)
    elif found.strays.counts:
        raise SourceError(_describe_strays(tree, shape, found.strays))
    if asked.layout == "auto":
        require_class_names(tree, shape)
    listed = shape.listed.classes.values() if shape.listed else ()
    classes = sorted(set().union(*shape.classes.values(), listed))
    return Catalog(
        source=absolute(tree.source),
        read_as=_read_as(shape),
        splits=tuple(map(os.fsdecode, shape.chosen)),
        classes=tuple(map(os.fsdecode, classes)),
        images=_columns(tree, shape, found, classes).table(),
        ignored=found.passed.ignored(),
        doubts=(*_doubts(tree, shape, found), *_unread_archives(tree, found.passed)),
        class_names=shape.listed.class_names if shape.listed else {},
        split_folders={os.fsdecode(split): shape.folders[split] for split in shape.chosen},
    )


def _doubts(tree: Tree, shape: Shape, found: Survey) -> tuple[str, ...]:
    if shape.has_splits:
        return ()
    doubts = []
    classes = [os.fsdecode(name) for name in shape.classes[shape.chosen[0]]]
    if len(classes) == 1:
        doubts.append(
            f"source: all images lie in {quoted(classes[0])}, and are of one class; "
            + from_names(tree, shape.classes[shape.chosen[0]].values())
        )
    if found.split_lists:
        example = quoted(os.fsdecode(min(found.split_lists)))
        remedy = "unpack the archive, and give its folder" if tree.is_packed else "give it"
        doubts.append(
            f"source: all images are taken for split {quoted(DEFAULT_SPLIT)}; {example} may tell "
            f"the splits of images, and is not read: {remedy} as the source if it does"
        )
    return tuple(doubts)


def _unread_archives(tree: Tree, passed: Passed) -> tuple[str, ...]:
    archives = passed.archives()
    if not archives:
        return ()
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(archives.items()))
    remedy = "unpack it" if tree.is_packed else "pass `layout='archive'` to read both"
    return (
        f"source: {counted(archives.total(), 'archive')} ({kinds}) among the images will not be "
        f"read, and may hold more of them: {remedy}, or move it away",
    )


def _read_as(shape: Shape) -> str:
    if shape.listed:
        return shape.listed.read_as
    by_name = len(shape.unlabelled) == len(shape.chosen)
    what = "images in folders" if by_name else "class folders"
    return f"{what} in splits" if shape.has_splits else what


def _columns(tree: Tree, shape: Shape, found: Survey, classes: Sequence[bytes]) -> _Columns:
    number = {name: index for index, name in enumerate(classes)}
    columns = _Columns(tree.is_packed)
    for index, split in enumerate(shape.chosen):
        if split in shape.unlabelled:
            columns.add(_whole(tree, found, shape.folders[split]), index, _NO_CLASS)
            if shape.listed and split == shape.listed.split:
                columns.label(index, {p: number[n] for p, n in shape.listed.classes.items()})
        for name, path in shape.classes[split].items():
            columns.add(_whole(tree, found, path), index, number[name])
    return columns


def _whole(tree: Tree, found: Survey, path: bytes) -> list[Folder]:
    """Return a folder of images, and all that have images below it."""
    return [tree.folder(path), *found.below.get(path, ())]


def _describe_strays(tree: Tree, shape: Shape, strays: Passed) -> str:
    names = ", ".join(quoted(os.fsdecode(name)) for name in shape.chosen)
    splits = f" (splits found: {names})" if shape.has_splits else ""
    return (
        f"source: some images are in no class folder: {strays}; expected "
        f"SOURCE/<split>/<class>/* or SOURCE/<class>/*{splits}. Move them, or pass "
        f"`on_stray='skip'` to leave them out; {from_names(tree)}"
    )


def _require_extension(image_type: str) -> str:
    extension = plain_extension(image_type)
    if not extension or "*" in extension or "/" in extension:
        raise ConfigError(
            f"image_type: got {quoted(image_type)}; expected one extension, such as JPEG"
        )
    return extension


def _require_images(tree: Tree, shape: Shape, found: Survey, image_type: str | None) -> None:
    """Raise SourceError where a split that is wanted has no images, or there is none."""
    empty = [shape.folders[split] for split in shape.chosen if not _is_filled(tree, shape, split)]
    if not shape.chosen:
        empty = [b""]
    if not empty:
        return
    passed, strays = found.passed, found.strays
    kinds = f"*.{image_type}" if image_type else "jpg, png, webp and the like"
    where = _where_they_are(tree, strays)
    seen = [text for text in (where, passed.describe_extensions(packed=tree.is_packed)) if text]
    unread = unread_in(tree)
    remedy = _other_types(image_type, passed) if image_type else f"; {unread}" if unread else ""
    if not remedy:
        seen += [f"{i.reason}: {quoted(i.example)}" for i in passed.ignored() if i.reason != OTHER]
    raise NoImages(
        f"source: no images in {quoted(tree.shown(empty[0]))}; expected "
        f"{kinds} in <split>/<class>/ or <class>/ folders"
        + (f" (found: {'; '.join(seen)})" if seen else "")
        + remedy
    )


def _other_types(image_type: str, passed: Passed) -> str:
    """Return the extensions to ask for instead, in words; nothing if there are no images."""
    there = [
        name for name, _ in passed.extensions.most_common() if name.lower().encode() in EXTENSIONS
    ]
    if not there:
        return ""
    one = {image_type.lower(), there[0].lower()} <= _JPEG
    apart = f", for {image_type} and {there[0]} are two extensions of one format" if one else ""
    return f"; pass `image_type='{there[0]}'`, or leave it out to take all images{apart}"


def _is_filled(tree: Tree, shape: Shape, split: bytes) -> bool:
    if split in shape.unlabelled:
        return tree.holds_images_below(shape.folders[split])
    return bool(shape.classes[split])


def _where_they_are(tree: Tree, strays: Passed) -> str:
    """Describe where images in no class folder lie, and what to do if they lie deeper."""
    if not strays.counts:
        return ""
    example = min(strays.examples.values())
    deeper = example.count("/") - 2
    remedy = ", outside of a class folder"
    if deeper > 0:
        remedy = f", {counted(deeper, 'folder')} deeper"
        if not tree.is_packed:
            remedy += (
                ": move them up, or give the folder that holds the splits or the classes as the "
                "source"
            )
    told = f"{counted(strays.counts.total(), 'image')} such as {quoted(example)}{remedy}"
    return f"{told}; {from_names(tree, [os.path.dirname(os.fsencode(example))])}"
