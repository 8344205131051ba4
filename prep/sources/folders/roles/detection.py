"""Detection of splits and classes among folders; an error where that would be a guess."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from prep.errors import SourceError
from prep.settings.choices import DEFAULT_SPLIT
from prep.sources.folders.names import is_container, named_like_splits
from prep.sources.folders.roles.refusals import (
    in_words,
    is_a_vehicle,
    is_are,
    refuse_source,
    require_no_masks,
    require_one_layout,
    require_split_names,
)
from prep.sources.folders.roles.shape import (
    Asked,
    Named,
    Shape,
    holding,
    is_split,
    named,
    one_split,
    unwrapped,
)
from prep.sources.folders.roles.tiny_imagenet import is_tiny_imagenet, shape_of_tiny_imagenet
from prep.sources.folders.tree import Folder, Tree
from prep.text import quoted


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
        title: unwrapped(tree, path) if tree.is_archive(path) else _unpacked(tree, title, path)
        for title, path in named(tree, root.below()).items()
    }


def _unpacked(tree: Tree, title: bytes, path: bytes) -> bytes:
    """Return the folder of a split, or that of the same name in it, which has its classes.

    So archives are often unpacked: ``seg_train/seg_train/sea``.
    """
    if not is_split(title) or tree.folder(path).images or tree.folder(path).folders != [title]:
        return path
    inner = tree.folder(os.path.join(path, title))
    return path if inner.images or not inner.folders else inner.path


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
        deep = whole or is_split(title)
        folder = tree.folder(path)
        found = holding(tree, folder, whole=whole) if deep else _filled(tree, folder, whole=False)
        if whole or (found and [*found] != [title]):  # That holds no classes: ``test/test``.
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
    require_no_masks(tree, held)
    splits = names if asked.layout == "splits" else named_like_splits(names)
    if is_a_vehicle(splits, names):
        splits = []
    if splits and (len(splits) < len(names) or root.images):
        others = [name for name in names if name not in splits]
        beside = f"beside {in_words(others)}" if others else "beside images"
        refuse_source(
            f"{in_words(splits)} {is_are(splits)} named like a split, {beside}; name the splits to "
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
        if filled[title] or asked.layout == "splits" or is_split(title)
        if (classes := holding(tree, folder))
    }
    if asked.layout == "splits":
        shape = _of_splits({name: tops[name] for name in splits}, splits, splits)
    elif not splits or _are_classes(found, splits):
        classes = {name: tops[name] for name in tops if found[name].images or name in splits}
        shape = one_split(root.path, classes)
    else:
        require_one_layout(tree, found, splits, flat)
        taken = {name: tops[name] for name in tops if name in splits or name in flat}
        shape = _of_splits(taken, taken, splits, flat)
    if asked.splits is not None:
        return _with_chosen(shape, asked.splits, tree)
    if asked.layout == "auto" and shape.has_splits:
        require_split_names(tree, splits, found)
    return shape


def _flat_splits(
    found: Mapping[bytes, Folder], filled: Mapping[bytes, Named], asked: Asked
) -> list[bytes]:
    return [
        title
        for title, folder in found.items()
        if folder.images and not filled[title] and (asked.layout == "splits" or is_split(title))
    ]


def _are_classes(found: Mapping[bytes, Folder], splits: Mapping[bytes, Named]) -> bool:
    """Return whether folders that hold folders of images are plainly classes.

    So they are if none is called as a split is, and each holds at least as many images itself as
    folders of them, or only folders that no class would be called, such as ``images``.
    """
    classes = [name for name, folder in found.items() if folder.images or name in splits]
    return len(classes) > 1 and all(
        not is_split(name)
        and (
            len(found[name].images) >= len(splits[name])
            or all(is_container(os.fsdecode(inner)) for inner in splits[name])
        )
        for name in splits
    )


def _with_chosen(shape: Shape, wanted: Sequence[str], tree: Tree) -> Shape:
    absent = [name for name in wanted if os.fsencode(name) not in shape.folders]
    if absent:
        there = in_words(map(os.fsdecode, shape.folders)) or "none"
        raise SourceError(
            f"splits: no folder {in_words(absent)} in {quoted(tree.source)}; splits found: {there}"
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
        refuse_source(
            f"{in_words(map(os.fsdecode, broken))} in {quoted(tree.source)} {what}, where a class "
            "or a split may have been; mount what is missing, or remove what is not needed"
        )
