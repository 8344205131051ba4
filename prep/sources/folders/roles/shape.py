"""The roles of folders: which are splits, and which are classes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from prep.errors import SourceError
from prep.settings.choices import DEFAULT_SPLIT, OnMissing, OnStray
from prep.sources.base import Wanted
from prep.sources.folders.ignored import Passed
from prep.sources.folders.names import FolderLayout, is_container, role_of
from prep.sources.folders.tree import Folder, Tree
from prep.text import quoted

#: A folder of each class, or of each split, by what this is called.
Named = Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The part of a configuration that concerns folders.

    Attributes:
        splits: the only splits to take, or None for all.
        layout: what the folders are, if that is known.
        by_name: True if labels are made of names, so there need be no class folders.
        keep_unlabelled: True if images in a split, but in no class folder, are wanted.
        on_missing, on_stray: what to do about images that a list in the source names, but that are
            absent, and about images of which no class can be told.
    """

    splits: Sequence[str] | None = None
    layout: FolderLayout = "auto"
    by_name: bool = False
    keep_unlabelled: bool = False
    on_missing: OnMissing = "fail"
    on_stray: OnStray = "fail"


def asked_of(wanted: Wanted) -> Asked:
    """Return what a configuration says of folders of images."""
    origin = wanted.labels.origin if wanted.labels else None
    return Asked(
        splits=wanted.splits,
        layout=wanted.layout if wanted.layout in ("classes", "splits") else "auto",
        by_name=origin not in (None, "folder", "column"),
        keep_unlabelled=wanted.unlabelled == "keep",
        on_missing=wanted.on_missing,
        on_stray=wanted.on_stray,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """Classes that a list in a source tells.

    Attributes:
        read_as: what the source was taken for, in words.
        split: the split that the list is of: no image in it is without a class.
        classes: the class of each image, by its path.
        passed: images that are left out: listed, but absent, or not listed.
        class_names: names for people, by class.
    """

    read_as: str
    split: bytes
    classes: Named = field(default_factory=dict)
    passed: Passed = field(default_factory=Passed)
    class_names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The roles of a source's folders.

    Attributes:
        chosen: the splits that are wanted, in the order asked for, or by name.
        folders: the folder of each split, relative to the root.
        classes: the folders that hold images, of each split, whether chosen or not. Images in
            folders below them belong to them.
        has_splits: whether splits have folders of their own.
        unlabelled: splits whose folders tell no classes: all images below them are taken.
        listed: what a list in the source tells of the classes of images in those splits.
    """

    chosen: tuple[bytes, ...]
    folders: Named
    classes: Mapping[bytes, Named]
    has_splits: bool = True
    unlabelled: frozenset[bytes] = frozenset()
    listed: Listed | None = None


def is_split(title: bytes) -> bool:
    """Return whether a folder is called as splits are."""
    return role_of(os.fsdecode(title)) is not None


def one_split(top: bytes, classes: Named, *, unlabelled: bool = False) -> Shape:
    """Return the shape of a folder of classes, without splits.

    Args:
        unlabelled: whether its images have no class, as far as folders tell.
    """
    split = os.fsencode(DEFAULT_SPLIT)
    return Shape(
        chosen=(split,),
        folders={split: top},
        classes={split: classes},
        has_splits=False,
        unlabelled=frozenset([split] if unlabelled else []),
    )


def named(tree: Tree, paths: Iterable[bytes]) -> dict[bytes, bytes]:
    """Return folders by what a split or a class in them is called, sorted by that.

    Raises:
        SourceError: two are called the same, as a folder and an archive may be.
    """
    found: dict[bytes, bytes] = {}
    for path in paths:
        title = tree.title(path)
        other = found.setdefault(title, path)
        if other != path:
            raise SourceError(
                f"source: {quoted(os.fsdecode(other))} and {quoted(os.fsdecode(path))} are both "
                f"called {quoted(os.fsdecode(title))}; move one, or rename it"
            )
    return dict(sorted(found.items()))


def holding(tree: Tree, folder: Folder, *, whole: bool = True) -> dict[bytes, bytes]:
    """Return the folders in a folder that hold images, however deep, by what they are called.

    Args:
        whole: whether all of their images will be wanted.
    """
    paths = folder.below()
    if whole:
        found = tree.folders(paths)
        tree.prepare([path for inner in found if not inner.images for path in inner.below()])
    else:
        tree.prepare(paths)
    return named(tree, filter(tree.holds_images_below, paths))


def unwrapped(
    tree: Tree, path: bytes, wanted: Sequence[str] | None = None, layout: FolderLayout = "auto"
) -> bytes:
    """Return the folder of an archive, or below it, where its splits, classes or images lie.

    An archive often holds one folder with all the rest in it, such as ``imagenette2``, or one
    called as the archive itself.

    Args:
        path: the archive.
        wanted: the splits asked for, which lie there if they lie anywhere.
    """
    splits = {*map(os.fsencode, wanted or ())}
    while True:
        folder = tree.folder(path)
        inside = {} if folder.images else holding(tree, folder)
        if len(inside) != 1 or (splits and splits <= set(inside)):
            return path
        ((title, only),) = inside.items()
        if title != tree.title(path) and not _is_wrapper(tree, tree.folder(only), layout):
            return path
        path = only


def _is_wrapper(tree: Tree, folder: Folder, layout: FolderLayout) -> bool:
    """Return whether the only folder of images at its place is no split and no class."""
    title = os.fsdecode(tree.title(folder.path))
    if folder.images or role_of(title):
        return False
    below = holding(tree, folder)
    if layout == "splits" and not any(holding(tree, f) for f in tree.folders([*below.values()])):
        return False
    # A class may have all its images in a folder that is called ``images``.
    return is_container(title) or not all(
        is_container(os.fsdecode(name)) and tree.folder(path).images for name, path in below.items()
    )
