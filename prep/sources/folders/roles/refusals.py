"""Errors where roles of folders would be a guess; each names what settles it."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn

from prep.errors import SourceError
from prep.sources.folders.names import (
    holds_annotations,
    is_container,
    is_list,
    is_sample,
    is_table,
    label_pattern,
    named_like_splits,
    role_of,
)
from prep.sources.folders.roles.shape import Named, Shape, holding, is_split
from prep.sources.folders.tree import Folder, Tree
from prep.text import quoted, some

# Among so many classes, one may well be called "train", as among vehicles.
_MANY = 5
_NAMES = 1000  # of images that are looked at for labels in them
# In the names of lists that hardly tell the classes of images.
_OF_OTHER_THINGS = re.compile(r"map\b|caption|keypoint|segment|box|part|attr|meta", re.IGNORECASE)


def require_class_names(tree: Tree, shape: Shape) -> None:
    """Make sure that what was taken for classes is not named for something else.

    Raises:
        SourceError: it is.
    """
    root = tree.folder(b"" if shape.has_splits else shape.folders[shape.chosen[0]])
    lists = "" if shape.has_splits else _lists_in(root)
    every = [*_list_names(root), *_lists_below(tree, root)]
    sort = f"{_given(tree, every)}sort the images into a folder for each class, or " + (
        "name the splits to be taken with `splits`, or pass `layout='splits'` if these are classes"
        if shape.has_splits
        else "pass `layout='classes'` if these are"
    )
    for split in shape.chosen:
        folder = shape.folders[split]
        classes = shape.classes[split]
        names = [os.fsdecode(name) for name in classes]
        where = f" in {quoted(os.fsdecode(folder))}" if folder else ""
        held = [name for name in names if is_container(name)]
        if held:
            refuse_source(
                f"{in_words(held)}{where}{lists} {_hold(held)} images, but no class would be "
                f"called that; {sort}; {from_names(tree, classes.values())}"
            )
        # A folder within one of the same name is how archives are often unpacked.
        held = names if names == [os.fsdecode(split)] else named_like_splits(names)
        plain = shape.has_splits or is_a_vehicle(held, names)
        if held and (len(held) == len(names) or not plain):
            refuse_source(
                f"{in_words(held)}{where}{lists} {_hold(held)} images, as a class does, but "
                f"{is_are(held)} named like a split; {sort}; {from_names(tree, classes.values())}"
            )
        if every and len(names) == 1 and not shape.has_splits:
            refuse_source(
                f"all images lie in {in_words(names)}, beside {in_words(every)}, which may list "
                "their classes; "
                f"{sort}; {from_names(tree, classes.values())}"
            )
        if shape.has_splits:
            _require_depth(tree, folder, classes)


def _require_depth(tree: Tree, split: bytes, classes: Named) -> None:
    """Raise SourceError if folders below what was taken for classes seem to be the classes.

    So it is where no image lies in a folder in the split itself, but in several folders below one,
    whose names are not found below the others, too.
    """
    folders = tree.folders([*classes.values()])
    if any(folder.images for folder in folders):
        return
    inner = [
        [name for name in holding(tree, folder) if not is_container(os.fsdecode(name))]
        for folder in folders
    ]
    every = [name for names in inner for name in names]
    if max(map(len, inner), default=0) > 1 and len(set(every)) == len(every):
        refuse_source(
            f"all images in {quoted(os.fsdecode(split))} lie deeper than "
            f"{in_words(map(os.fsdecode, classes))}, in folders such as "
            f"{in_words(map(os.fsdecode, every))}, so either may be the classes; pass "
            "`layout='splits'` to take the former, or `labels.from` to take the folder that each "
            "image is in (leaf), or all folders above it (path)"
        )


def from_names(tree: Tree, folders: Iterable[bytes] = ()) -> str:
    """Return the remedy for labels that are in names, with a regular expression if one is plain.

    Args:
        folders: hold images that may tell.
    """
    names = (os.fsdecode(path) for folder in folders for path in tree.folder(folder).images)
    pattern = label_pattern(map(os.path.basename, itertools.islice(names, _NAMES)))
    words = f"such as {quoted(pattern)}" if pattern else "or leaf or path for folders"
    return (
        f"if names tell the classes, pass `labels.from` with a regular expression for them, {words}"
    )


def is_a_vehicle(held: Sequence[str], names: Sequence[str]) -> bool:
    """Return whether the one name like that of a split is that of a class, among many."""
    return [name.lower() for name in held] == ["train"] and len(names) >= _MANY


def require_one_layout(
    tree: Tree,
    folders: Mapping[bytes, Folder],
    classes: Mapping[bytes, Named],
    flat: Sequence[bytes],
) -> None:
    """Raise SourceError if some folders hold images, as classes do, and some folders of them.

    Args:
        classes: folders of images, by the folder that they lie in.
        flat: splits whose images have no class.
    """
    split = next(iter(classes))
    for title, folder in folders.items():
        # A few images that were left lying in a split do not make it a class.
        if title not in flat and len(folder.images) > len(classes.get(title, ())):
            holds = "" if classes.get(title) else f"{quoted(os.fsdecode(split))} holds "
            no_labels = (
                f", or pass `unlabelled='keep'` if images in {quoted(os.fsdecode(title))} have no "
                "label"
                if is_split(title)
                else ""
            )
            refuse_source(
                f"{quoted(os.fsdecode(title))} holds images, as a class does, and "
                f"{holds}folders of images, as a split does; expected "
                "either SOURCE/<split>/<class>/* or SOURCE/<class>/*. Name the splits with "
                "`splits`, pass `layout='classes'` or `layout='splits'`, or move what does not "
                f"belong{no_labels}; {from_names(tree)}"
            )


def require_split_names(
    tree: Tree, splits: Mapping[bytes, Named], folders: Mapping[bytes, Folder]
) -> None:
    """Raise SourceError if folders that hold folders of images are not called as splits are.

    Args:
        splits: their folders of images.
        folders: these and the others beside them.
    """
    unusual = [os.fsdecode(name) for name in splits if not is_split(name)]
    if not unusual:
        return
    held = [os.fsdecode(name) for name in splits[os.fsencode(unusual[0])]]
    deeper = [
        os.fsdecode(name)
        for name, folder in folders.items()
        if name not in splits and not folder.images and tree.holds_images_below(folder.path)
    ]
    inside = tree.shown(folders[os.fsencode(unusual[0])].path)
    root = tree.folder(os.path.dirname(folders[os.fsencode(unusual[0])].path))
    lists = "" if tree.is_packed else _given(tree, [*_list_names(root), *_lists_below(tree, root)])
    if deeper:
        otherwise = f"{in_words(deeper)} {_hold(deeper)} images, too, but deeper; "
    elif len(splits) > 1:
        otherwise = "if they hold the classes, put all classes into one folder; "
    elif tree.is_packed:
        otherwise = ""
    elif all(map(role_of, held)):
        otherwise = f"if the splits lie in it, give {quoted(inside)} as the source; "
    else:
        what = "is the class" if len(held) == 1 else "are the classes"
        otherwise = f"if {in_words(held)} {what}, give {quoted(inside)} as the source; "
    refuse_source(
        f"{in_words(unusual)} in {quoted(tree.source)} {_hold(unusual)} folders of images (such as "
        f"{quoted(held[0])}), as a split does, but {is_are(unusual)} not named like one (train, "
        "val, test and the like). To take all splits, pass `layout='splits'`; to take some, name "
        "them with `splits`; if they are the classes, with all images below them, pass "
        f"`layout='classes'`; {otherwise}{_for_labels(lists)}{from_names(tree)}"
    )


def require_no_masks(tree: Tree, folders: Named) -> None:
    """Raise SourceError if images in some folders seem to describe those in another.

    Args:
        folders: all that hold images, by what they are called.
    """
    names = [os.fsdecode(name) for name in folders]
    masks = [name for name in names if holds_annotations(name)]
    others = [name for name in names if name not in masks]
    if masks and others and all(map(is_container, others)):
        place = tree.shown(folders[os.fsencode(others[0])])
        give = f"give {quoted(place)} as the source" if not tree.is_packed else "leave these out"
        refuse_source(
            f"{in_words(masks)} {_hold(masks)} images beside {in_words(others)}, as masks of these "
            f"do, and would be taken for photos with labels of their own; {give}"
        )


def _list_names(root: Folder) -> list[str]:
    """Return the names of files in a folder that may list images."""
    names = [os.fsdecode(name) for name in root.files if is_list(name)]
    return [name for name in names if not is_sample(name)]


def _lists_in(root: Folder) -> str:
    lists = [os.fsdecode(name) for name in root.files if is_list(name)]
    return f", beside {in_words(lists)}" if lists else ""


def _lists_below(tree: Tree, root: Folder) -> list[str]:
    """Return the files that may list images in the folders of a folder that have no images."""
    folders = [folder for folder in tree.folders(root.below()) if not folder.images]
    return [
        os.fsdecode(os.path.join(folder.path, os.fsencode(name)))
        for folder in folders
        if not tree.holds_images_below(folder.path)
        for name in _list_names(folder)
    ]


def _given(tree: Tree, lists: Sequence[str]) -> str:
    """Return the remedy for images whose labels may be in a list, which may be none."""
    unread = [name for name in lists if name.endswith((".mat", ".xlsx"))]
    read = sorted({*lists} - {*unread}, key=_worth)
    if not lists:
        return ""
    if not read:
        return f"save the table in {quoted(unread[0])} as CSV, and give that as the source, or "
    if tree.is_packed:
        return (
            f"unpack the list of the images, such as {quoted(read[0])}, and give it as the source, "
            "with the archive as `images`, or "
        )
    # Whole paths, for they are to be given.
    shown = [quoted(path, most=len(path)) for path in map(tree.shown, map(os.fsencode, read))]
    splits = dict(zip(map(_role_of_list, read[::-1]), shown[::-1], strict=True))
    roles = [role for role in ("train", "validation", "test") if role in splits]
    each = ", ".join(f"{role}: {splits[role]}" for role in roles)
    by_split = f", or one for each split ({{{each}}})" if len(roles) > 1 else ""
    return (
        f"give the list of the images as the source, such as {shown[0]}{by_split}, with their "
        "folder as `images`, or "
    )


def _for_labels(remedy: str) -> str:
    return f"if a list tells labels or splits, {remedy.removesuffix(', or ')}; " if remedy else ""


def _role_of_list(path: str) -> str | None:
    return role_of(os.path.basename(path).partition(".")[0])


def _worth(path: str) -> tuple[bool, bool, bool, str]:
    """Return a key that sorts lists by how likely they are of images and their labels."""
    name = os.path.basename(path)
    other = _OF_OTHER_THINGS.search(name) is not None
    return other, not is_table(os.fsencode(name)), _role_of_list(path) != "train", path


def refuse_source(what: str) -> NoReturn:
    """Raise SourceError."""
    raise SourceError(f"source: {what}")


def in_words(names: Iterable[str]) -> str:
    """Return the first few names, quoted."""
    return some([quoted(name) for name in names])


def _hold(names: Sequence[str]) -> str:
    return "holds" if len(names) == 1 else "hold"


def is_are(names: Sequence[str]) -> str:
    """Return the verb for names."""
    return "is" if len(names) == 1 else "are"
