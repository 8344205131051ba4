"""Detection of splits and classes among folders; an error where that would be a guess."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from prep.errors import SourceError
from prep.settings import DEFAULT_SPLIT
from prep.sources.folders.names import (
    FolderLayout,
    is_container,
    is_list,
    named_like_splits,
    role_of,
)
from prep.sources.folders.tree import Folder, Tree
from prep.text import quoted, some

_ROOT = b""
# Among so many classes, one may well be called "train", as among vehicles.
_MANY = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The roles of a source's folders.

    Attributes:
        chosen: the splits that are wanted, in the order asked for, or by name.
        folders: the folder of each split, relative to the root.
        classes: names of the folders that hold images, of each split, whether chosen or not.
    """

    chosen: tuple[bytes, ...]
    folders: Mapping[bytes, bytes]
    classes: Mapping[bytes, Sequence[bytes]]

    @property
    def has_splits(self) -> bool:
        """True if splits have folders of their own."""
        return _ROOT not in self.folders.values()


def find_shape(tree: Tree, wanted: Sequence[str] | None, layout: FolderLayout) -> Shape:
    """Decide what the folders are: by what was asked for, or else by where images lie.

    Raises:
        SourceError: a split is absent; a link leads nowhere; or it would be a guess.
    """
    root = tree.folder(_ROOT)
    _require_links_lead_somewhere(tree, [root])
    if layout == "classes":
        shape = _of_classes(tree, wanted)
    elif wanted is not None and {os.fsencode(name) for name in wanted} <= set(root.folders):
        shape = _of_named_splits(tree, wanted)
    else:
        shape = _of_what_is_there(tree, wanted, layout)
    folders = [tree.folder(folder) for folder in shape.folders.values()]
    _require_links_lead_somewhere(tree, folders)
    return shape


def require_class_names(tree: Tree, shape: Shape) -> None:
    """Make sure that what was taken for classes is not named for something else.

    Raises:
        SourceError: it is.
    """
    lists = "" if shape.has_splits else _lists_beside(tree.folder(_ROOT))
    sort = "sort the images into a folder for each class, or " + (
        "name the splits to be taken with `splits`, or pass `layout='splits'` if these are classes"
        if shape.has_splits
        else "pass `layout='classes'` if these are"
    )
    for split in shape.chosen:
        folder = shape.folders[split]
        names = [os.fsdecode(name) for name in shape.classes[split]]
        where = f" in {quoted(os.fsdecode(folder))}" if folder else ""
        held = [name for name in names if is_container(name)]
        if held:
            _refuse(
                f"{_quoted(held)}{where}{lists} {_hold(held)} images, but no class would be "
                f"called that; {sort}"
            )
        # A folder within one of the same name is how archives are often unpacked.
        held = names if names == [os.fsdecode(folder)] else named_like_splits(names)
        if held and (len(held) == len(names) or not (folder or _is_a_vehicle(held, names))):
            _refuse(
                f"{_quoted(held)}{where}{lists} {_hold(held)} images, as a class does, but "
                f"{_is_are(held)} named like a split; {sort}"
            )
        if lists and len(names) == 1:
            _refuse(
                f"all images lie in {_quoted(names)}{lists}, which may list their classes and is "
                f"not read; {sort}"
            )


def _is_a_vehicle(held: Sequence[str], names: Sequence[str]) -> bool:
    return [name.lower() for name in held] == ["train"] and len(names) >= _MANY


def _of_classes(tree: Tree, wanted: Sequence[str] | None) -> Shape:
    if wanted is not None and list(wanted) != [DEFAULT_SPLIT]:
        raise SourceError(
            f"splits: got {', '.join(wanted)}, but layout classes has only the split "
            f"{quoted(DEFAULT_SPLIT)}; leave either out"
        )
    return _one_split(tree)


def _one_split(tree: Tree) -> Shape:
    split = os.fsencode(DEFAULT_SPLIT)
    return Shape(
        chosen=(split,), folders={split: _ROOT}, classes={split: _filled(tree, tree.folder(_ROOT))}
    )


def _of_named_splits(tree: Tree, wanted: Sequence[str]) -> Shape:
    chosen = tuple(map(os.fsencode, wanted))
    classes = {}
    for folder in tree.folders(tree.folder(_ROOT).below()):
        # All images of a split that is not wanted need not be listed.
        found = _filled(tree, folder, whole=folder.path in chosen)
        if found or folder.path in chosen:
            classes[folder.path] = found
    return Shape(chosen=chosen, folders={name: name for name in classes}, classes=classes)


def _of_what_is_there(tree: Tree, wanted: Sequence[str] | None, layout: FolderLayout) -> Shape:
    found = tree.folders(tree.folder(_ROOT).below())
    classes = {folder.path: _filled(tree, folder) for folder in found}
    splits = {path: names for path, names in classes.items() if names}
    if not splits and layout == "auto":
        shape = _one_split(tree)
    else:
        if layout == "auto":
            _require_one_layout(found, classes)
        shape = Shape(chosen=tuple(splits), folders={n: n for n in splits}, classes=splits)
    if wanted is not None:
        return _with_chosen(shape, wanted, tree)
    if layout == "auto" and shape.has_splits:
        _require_split_names(tree, splits, found)
    return shape


def _with_chosen(shape: Shape, wanted: Sequence[str], tree: Tree) -> Shape:
    absent = [name for name in wanted if os.fsencode(name) not in shape.folders]
    if absent:
        there = _quoted(map(os.fsdecode, shape.folders)) or "none"
        raise SourceError(
            f"splits: no folder {_quoted(absent)} in {quoted(tree.source)}; splits found: {there}"
        )
    return Shape(
        chosen=tuple(map(os.fsencode, wanted)), folders=shape.folders, classes=shape.classes
    )


def _filled(tree: Tree, folder: Folder, *, whole: bool = True) -> list[bytes]:
    """Names of the folders in a folder that hold images.

    Args:
        whole: whether all of them will be wanted.
    """
    paths = folder.below()
    if whole:
        tree.folders(paths)
    else:
        tree.prepare(paths)
    held = (tree.holds_images(path) for path in paths)
    return [name for name, holds in zip(folder.folders, held, strict=True) if holds]


def _require_links_lead_somewhere(tree: Tree, folders: Iterable[Folder]) -> None:
    broken = [os.path.join(folder.path, name) for folder in folders for name in folder.broken]
    if broken:
        what = "is a broken link" if len(broken) == 1 else "are broken links"
        _refuse(
            f"{_quoted(map(os.fsdecode, broken))} in {quoted(tree.source)} {what}, where a class "
            "or a split may have been; mount what is missing, or remove what is not needed"
        )


def _require_one_layout(
    folders: Sequence[Folder], classes: Mapping[bytes, Sequence[bytes]]
) -> None:
    split = next(path for path, names in classes.items() if names)
    for folder in folders:
        # A few images that were left lying in a split do not make it a class.
        if len(folder.images) > len(classes[folder.path]):
            holds = "" if classes[folder.path] else f"{quoted(os.fsdecode(split))} holds "
            _refuse(
                f"{quoted(os.fsdecode(folder.path))} holds images, as a class does, and "
                f"{holds}folders of images, as a split does; expected "
                "either SOURCE/<split>/<class>/* or SOURCE/<class>/*. Name the splits with "
                "`splits`, pass `layout='classes'` or `layout='splits'`, or move what does not "
                "belong"
            )


def _require_split_names(
    tree: Tree, splits: Mapping[bytes, Sequence[bytes]], folders: Sequence[Folder]
) -> None:
    unusual = [os.fsdecode(name) for name in splits if role_of(os.fsdecode(name)) is None]
    if not unusual:
        return
    held = [os.fsdecode(name) for name in splits[os.fsencode(unusual[0])]]
    deeper = [os.fsdecode(f.path) for f in folders if f.folders and f.path not in splits]
    inside = os.path.join(tree.source, unusual[0])
    if deeper:
        otherwise = f"{_quoted(deeper)} {_hold(deeper)} folders, too, and images may lie deeper"
    elif len(splits) == 1 and all(map(role_of, held)):
        otherwise = f"if the splits lie in it, give {quoted(inside)} as the source"
    elif len(splits) == 1:
        what = "is the class" if len(held) == 1 else "are the classes"
        otherwise = f"if {_quoted(held)} {what}, give {quoted(inside)} as the source"
    else:
        otherwise = "if they hold the classes, put all classes into one folder"
    _refuse(
        f"{_quoted(unusual)} in {quoted(tree.source)} {_hold(unusual)} folders of images (such as "
        f"{quoted(held[0])}), as a split does, but {_is_are(unusual)} not named like one (train, "
        "val, test and the like). To take all splits, pass `layout='splits'`; to take some, name "
        f"them with `splits`; {otherwise}"
    )


def _lists_beside(root: Folder) -> str:
    lists = [os.fsdecode(name) for name in root.files if is_list(name)]
    return f", beside {_quoted(lists)}" if lists else ""


def _refuse(what: str) -> NoReturn:
    raise SourceError(f"source: {what}")


def _quoted(names: Iterable[str]) -> str:
    return some([quoted(name) for name in names])


def _hold(names: Sequence[str]) -> str:
    return "holds" if len(names) == 1 else "hold"


def _is_are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"
