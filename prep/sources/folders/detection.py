"""Detection of splits and classes among folders; an error where that would be a guess."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NoReturn

from prep.errors import SourceError
from prep.settings import DEFAULT_SPLIT
from prep.sources.folders.names import (
    is_container,
    is_list,
    label_pattern,
    named_like_splits,
    role_of,
)
from prep.sources.folders.shape import Asked, Named, Shape, holding, named, one_split, unwrapped
from prep.sources.folders.tiny_imagenet import is_tiny_imagenet, shape_of_tiny_imagenet
from prep.sources.folders.tree import Folder, Tree
from prep.text import quoted, some

# Among so many classes, one may well be called "train", as among vehicles.
_MANY = 5
_NAMES = 1000  # of images that are looked at for labels in them


def find_shape(tree: Tree, asked: Asked, top: bytes = b"") -> Shape:
    """Decide what the folders are: by what was asked for, or else by where images lie.

    Args:
        top: the folder that holds the splits or the classes.

    Raises:
        SourceError: a split is absent; a link leads nowhere; or it would be a guess.
    """
    root = tree.folder(top)
    _require_links_lead_somewhere(tree, [root])
    tops = _tops(tree, root)
    wanted = asked.splits
    if asked.layout == "classes":
        shape = _of_classes(tree, root, asked)
    elif not asked.by_name and is_tiny_imagenet(tree, tops):
        shape = shape_of_tiny_imagenet(tree, root, tops, asked)
        shape = shape if wanted is None else _with_chosen(shape, wanted, tree)
    elif wanted is not None and {os.fsencode(name) for name in wanted} <= set(tops):
        shape = _of_named_splits(tree, tops, wanted, asked)
    elif asked.by_name:
        shape = _of_names(tree, root, tops, asked)
    else:
        shape = _of_what_is_there(tree, root, tops, asked)
    folders = [tree.folder(folder) for folder in shape.folders.values()]
    _require_links_lead_somewhere(tree, folders)
    return shape


def _tops(tree: Tree, root: Folder) -> Named:
    """Return the folders that may be splits; of an archive, the folder in it that has the rest."""
    tree.prepare(root.below())
    return {
        title: unwrapped(tree, path) if tree.is_archive(path) else path
        for title, path in named(tree, root.below()).items()
    }


def require_class_names(tree: Tree, shape: Shape) -> None:
    """Make sure that what was taken for classes is not named for something else.

    Raises:
        SourceError: it is.
    """
    lists = "" if shape.has_splits else _lists_beside(tree.folder(*shape.folders.values()))
    sort = "sort the images into a folder for each class, or " + (
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
            _refuse(
                f"{_quoted(held)}{where}{lists} {_hold(held)} images, but no class would be "
                f"called that; {sort}; {from_names(tree, classes.values())}"
            )
        # A folder within one of the same name is how archives are often unpacked.
        held = names if names == [os.fsdecode(split)] else named_like_splits(names)
        plain = shape.has_splits or _is_a_vehicle(held, names)
        if held and (len(held) == len(names) or not plain):
            _refuse(
                f"{_quoted(held)}{where}{lists} {_hold(held)} images, as a class does, but "
                f"{_is_are(held)} named like a split; {sort}; {from_names(tree, classes.values())}"
            )
        if lists and len(names) == 1:
            _refuse(
                f"all images lie in {_quoted(names)}{lists}, which may list their classes and is "
                f"not read; {sort}; {from_names(tree, classes.values())}"
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
        _refuse(
            f"all images in {quoted(os.fsdecode(split))} lie deeper than "
            f"{_quoted(map(os.fsdecode, classes))}, in folders such as "
            f"{_quoted(map(os.fsdecode, every))}, so either may be the classes; pass "
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


def _is_a_vehicle(held: Sequence[str], names: Sequence[str]) -> bool:
    return [name.lower() for name in held] == ["train"] and len(names) >= _MANY


def _of_classes(tree: Tree, root: Folder, asked: Asked) -> Shape:
    if asked.splits is not None and list(asked.splits) != [DEFAULT_SPLIT]:
        raise SourceError(
            f"splits: got {', '.join(asked.splits)}, but layout classes has only the split "
            f"{quoted(DEFAULT_SPLIT)}; leave either out"
        )
    if asked.by_name:
        return one_split(root.path, {}, unlabelled=True)
    return one_split(root.path, holding(tree, root))


def _of_named_splits(tree: Tree, tops: Named, wanted: Sequence[str], asked: Asked) -> Shape:
    chosen = tuple(map(os.fsencode, wanted))
    if asked.by_name:
        return _of_splits({name: tops[name] for name in chosen}, chosen, unlabelled=chosen)
    classes = dict[bytes, Named]()
    for title, path in tops.items():
        # All images of a split that is not wanted need not be listed.
        whole = title in chosen
        deep = whole or role_of(os.fsdecode(title)) is not None
        folder = tree.folder(path)
        found = holding(tree, folder, whole=whole) if deep else _filled(tree, folder, whole=False)
        if found or whole:
            classes[title] = found
    flat = [name for name in chosen if asked.keep_unlabelled and not classes[name]]
    folders = {title: tops[title] for title in classes}
    return _of_splits(folders, chosen, classes, [n for n in flat if tree.folder(tops[n]).images])


def _of_splits(
    folders: Named,
    chosen: Iterable[bytes],
    classes: Mapping[bytes, Named] | None = None,
    unlabelled: Iterable[bytes] = (),
) -> Shape:
    return Shape(
        chosen=tuple(chosen),
        folders=folders,
        classes={name: (classes or {}).get(name, {}) for name in folders},
        unlabelled=frozenset(unlabelled),
    )


def _of_names(tree: Tree, root: Folder, tops: Named, asked: Asked) -> Shape:
    """Return the splits of a source whose labels are in its names."""
    held = {title: path for title, path in tops.items() if tree.holds_images_below(path)}
    names = [os.fsdecode(title) for title in held]
    splits = names if asked.layout == "splits" else named_like_splits(names)
    if _is_a_vehicle(splits, names):
        splits = []
    if splits and (len(splits) < len(names) or root.images):
        others = [name for name in names if name not in splits]
        beside = f"beside {_quoted(others)}" if others else "beside images"
        _refuse(
            f"{_quoted(splits)} {_is_are(splits)} named like a split, {beside}; name the splits to "
            "be taken with `splits`, or pass `layout='classes'` if there are none"
        )
    shape = (
        _of_splits(held, held, unlabelled=held)
        if splits
        else one_split(root.path, {}, unlabelled=True)
    )
    return shape if asked.splits is None else _with_chosen(shape, asked.splits, tree)


def _of_what_is_there(tree: Tree, root: Folder, tops: Named, asked: Asked) -> Shape:
    found = dict(zip(tops, tree.folders([*tops.values()]), strict=True))
    filled = {title: _filled(tree, folder) for title, folder in found.items()}
    flat = _flat_splits(found, filled, asked) if asked.keep_unlabelled else []
    splits = {
        title: classes
        for title, folder in found.items()
        if filled[title] or asked.layout == "splits" or _is_split(title)
        if (classes := holding(tree, folder))
    }
    if asked.layout == "splits":
        shape = _of_splits({name: tops[name] for name in splits}, splits, splits)
    elif not splits or _are_classes(found, splits):
        classes = {name: tops[name] for name in tops if found[name].images or name in splits}
        shape = one_split(root.path, classes)
    else:
        _require_one_layout(tree, found, splits, flat)
        taken = {name: tops[name] for name in tops if name in splits or name in flat}
        shape = _of_splits(taken, taken, splits, flat)
    if asked.splits is not None:
        return _with_chosen(shape, asked.splits, tree)
    if asked.layout == "auto" and shape.has_splits:
        _require_split_names(tree, splits, found)
    return shape


def _is_split(title: bytes) -> bool:
    return role_of(os.fsdecode(title)) is not None


def _flat_splits(
    found: Mapping[bytes, Folder], filled: Mapping[bytes, Named], asked: Asked
) -> list[bytes]:
    return [
        title
        for title, folder in found.items()
        if folder.images and not filled[title] and (asked.layout == "splits" or _is_split(title))
    ]


def _are_classes(found: Mapping[bytes, Folder], splits: Mapping[bytes, Named]) -> bool:
    """Return whether folders that hold folders of images are plainly classes.

    So they are if none is called as a split is, and each holds at least as many images itself as
    folders of them, or only folders that no class would be called, such as ``images``.
    """
    classes = [name for name, folder in found.items() if folder.images or name in splits]
    return len(classes) > 1 and all(
        not _is_split(name)
        and (
            len(found[name].images) >= len(splits[name])
            or all(is_container(os.fsdecode(inner)) for inner in splits[name])
        )
        for name in splits
    )


def _with_chosen(shape: Shape, wanted: Sequence[str], tree: Tree) -> Shape:
    absent = [name for name in wanted if os.fsencode(name) not in shape.folders]
    if absent:
        there = _quoted(map(os.fsdecode, shape.folders)) or "none"
        raise SourceError(
            f"splits: no folder {_quoted(absent)} in {quoted(tree.source)}; splits found: {there}"
        )
    return replace(shape, chosen=tuple(map(os.fsencode, wanted)))


def _filled(tree: Tree, folder: Folder, *, whole: bool = True) -> Named:
    """Return the folders in a folder that hold images, not only deeper, by what they are called.

    Args:
        whole: whether all of them will be wanted.
    """
    paths = folder.below()
    if whole:
        tree.folders(paths)
    else:
        tree.prepare(paths)
    return named(tree, filter(tree.holds_images, paths))


def _require_links_lead_somewhere(tree: Tree, folders: Iterable[Folder]) -> None:
    broken = [os.path.join(folder.path, name) for folder in folders for name in folder.broken]
    if broken:
        what = "is a broken link" if len(broken) == 1 else "are broken links"
        _refuse(
            f"{_quoted(map(os.fsdecode, broken))} in {quoted(tree.source)} {what}, where a class "
            "or a split may have been; mount what is missing, or remove what is not needed"
        )


def _require_one_layout(
    tree: Tree,
    folders: Mapping[bytes, Folder],
    classes: Mapping[bytes, Named],
    flat: Sequence[bytes],
) -> None:
    split = next(iter(classes))
    for title, folder in folders.items():
        # A few images that were left lying in a split do not make it a class.
        if title not in flat and len(folder.images) > len(classes.get(title, ())):
            holds = "" if classes.get(title) else f"{quoted(os.fsdecode(split))} holds "
            no_labels = (
                f", or pass `unlabelled='keep'` if images in {quoted(os.fsdecode(title))} have no "
                "label"
                if _is_split(title)
                else ""
            )
            _refuse(
                f"{quoted(os.fsdecode(title))} holds images, as a class does, and "
                f"{holds}folders of images, as a split does; expected "
                "either SOURCE/<split>/<class>/* or SOURCE/<class>/*. Name the splits with "
                "`splits`, pass `layout='classes'` or `layout='splits'`, or move what does not "
                f"belong{no_labels}; {from_names(tree)}"
            )


def _require_split_names(
    tree: Tree, splits: Mapping[bytes, Named], folders: Mapping[bytes, Folder]
) -> None:
    unusual = [os.fsdecode(name) for name in splits if not _is_split(name)]
    if not unusual:
        return
    held = [os.fsdecode(name) for name in splits[os.fsencode(unusual[0])]]
    deeper = [os.fsdecode(n) for n, f in folders.items() if f.folders and n not in splits]
    inside = tree.shown(folders[os.fsencode(unusual[0])].path)
    if deeper:
        otherwise = f"{_quoted(deeper)} {_hold(deeper)} folders, too, and images may lie deeper; "
    elif len(splits) > 1:
        otherwise = "if they hold the classes, put all classes into one folder; "
    elif tree.is_packed:
        otherwise = ""
    elif all(map(role_of, held)):
        otherwise = f"if the splits lie in it, give {quoted(inside)} as the source; "
    else:
        what = "is the class" if len(held) == 1 else "are the classes"
        otherwise = f"if {_quoted(held)} {what}, give {quoted(inside)} as the source; "
    _refuse(
        f"{_quoted(unusual)} in {quoted(tree.source)} {_hold(unusual)} folders of images (such as "
        f"{quoted(held[0])}), as a split does, but {_is_are(unusual)} not named like one (train, "
        "val, test and the like). To take all splits, pass `layout='splits'`; to take some, name "
        "them with `splits`; if they are the classes, with all images below them, pass "
        f"`layout='classes'`; {otherwise}{from_names(tree)}"
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
