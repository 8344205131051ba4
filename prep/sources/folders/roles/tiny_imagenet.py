"""Tiny ImageNet, whose validation labels are in a file beside the images.

Its folders are ``train/<wnid>/images``, ``val/images`` with ``val/val_annotations.txt``, and
``test/images`` without labels; ``words.txt`` has names of the classes.
http://cs231n.stanford.edu/tiny-imagenet-200.zip
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from prep.errors import SourceError
from prep.sources.folders.ignored import MISSING, Passed
from prep.sources.folders.roles.shape import Asked, Listed, Named, Shape, holding
from prep.sources.folders.tree import Folder, Tree
from prep.text import MANY, quoted, some

_TRAIN, _VAL, _TEST = b"train", b"val", b"test"
_ANNOTATIONS = b"val_annotations.txt"  # Tab-separated: file, wnid, and the corners of a box.
_WNIDS, _WORDS = b"wnids.txt", b"words.txt"


def is_tiny_imagenet(tree: Tree, tops: Named) -> bool:
    """Return whether there are validation images beside a list of their labels."""
    if _VAL not in tops:
        return False
    val = tree.folder(tops[_VAL])
    return _ANNOTATIONS in val.files and b"images" in val.folders


def shape_of_tiny_imagenet(tree: Tree, root: Folder, tops: Named, asked: Asked) -> Shape:
    """Return the roles of the folders, and the classes of the validation images.

    Raises:
        SourceError: labels and images of the validation split do not fit each other.
    """
    splits = {name: tops[name] for name in (_TEST, _TRAIN, _VAL) if name in tops}
    held = {name: path for name, path in splits.items() if tree.holds_images_below(path)}
    train = holding(tree, tree.folder(held[_TRAIN])) if _TRAIN in held else {}
    images = _images(tree, os.path.join(tops[_VAL], b"images"))
    passed = Passed()
    labels = _labels(tree, os.path.join(tops[_VAL], _ANNOTATIONS), images, asked, passed)
    _require_label_of_each(images, labels, asked, passed)
    _require_known({*labels.values()}, {*train, *_wnids(tree, root)})
    return Shape(
        chosen=tuple(held),
        folders=held,
        classes={name: train if name == _TRAIN else {} for name in held},
        unlabelled=frozenset({_TEST, _VAL} & {*held}),
        listed=Listed(
            read_as="Tiny ImageNet",
            split=_VAL,
            classes=labels,
            passed=passed,
            class_names=_words(tree, root, {*train, *labels.values()}),
        ),
    )


def _images(tree: Tree, folder: bytes) -> set[bytes]:
    return {path for found in tree.walk(folder, set()) for path in found.images}


def _labels(
    tree: Tree, file: bytes, images: set[bytes], asked: Asked, passed: Passed
) -> dict[bytes, bytes]:
    """Return the class of each validation image, by its path."""
    labels = dict[bytes, bytes]()
    missing = []
    folder = os.path.join(os.path.dirname(file), b"images")
    for number, line in _lines(tree, file):
        name, _, rest = line.partition(b"\t")
        wnid = rest.partition(b"\t")[0].strip()
        path = os.path.join(folder, name)
        place = f"{tree.shown(file)}, line {number}"
        if not name or not wnid:
            raise SourceError(
                f"source: {place}: expected the name of an image, a tab and its class; found "
                f"{quoted(line.decode(errors='replace')[:80])}"
            )
        if labels.get(path, wnid) != wnid:
            raise SourceError(
                f"source: {place}: {quoted(os.fsdecode(name))} is of class "
                f"{quoted(os.fsdecode(wnid))}, and of {quoted(os.fsdecode(labels[path]))} before; "
                "expected one class; correct the file"
            )
        if path in images:
            labels[path] = wnid
        elif tree.is_image(name):
            missing.append(f"{quoted(os.fsdecode(name))} (line {number})")
            passed.note(MISSING, path)
    if missing and asked.on_missing == "fail":
        raise SourceError(
            f"source: {tree.shown(file)} names images that are missing: "
            f"{some(missing, most=MANY)}; get them again, or pass `on_missing='skip'`"
        )
    return labels


def _require_label_of_each(images: set[bytes], labels: Named, asked: Asked, passed: Passed) -> None:
    others = sorted(images - labels.keys())
    if others and asked.on_stray == "fail":
        named = some([quoted(os.fsdecode(path)) for path in others], most=MANY)
        raise SourceError(
            f"source: {os.fsdecode(_ANNOTATIONS)} does not tell the class of {named}; add "
            "it, or pass `on_stray='skip'` to leave them out"
        )
    for path in others:
        passed.note("image that its list does not name", path)


def _require_known(wnids: set[bytes], known: set[bytes]) -> None:
    unknown = sorted(wnids - known) if known else []
    if unknown:
        raise SourceError(
            f"source: {os.fsdecode(_ANNOTATIONS)} has "
            f"{some([quoted(os.fsdecode(wnid)) for wnid in unknown])}, of which 'train' has no "
            "folder; get the whole set, or name the splits to be taken with `splits`"
        )


def _wnids(tree: Tree, root: Folder) -> set[bytes]:
    file = os.path.join(root.path, _WNIDS)
    return {line.strip() for _, line in _lines(tree, file)} if _WNIDS in root.files else set()


def _words(tree: Tree, root: Folder, classes: set[bytes]) -> dict[str, str]:
    """Return the names of classes, from lines of a wnid, a tab and a name."""
    if _WORDS not in root.files:
        return {}
    pairs = (line.split(b"\t") for _, line in _lines(tree, os.path.join(root.path, _WORDS)))
    return {
        pair[0].decode(): pair[1].decode(errors="replace").strip()
        for pair in pairs
        if len(pair) == 2 and pair[0] in classes
    }


def _lines(tree: Tree, file: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a text file that are not blank, with their numbers."""
    lines = tree.read(file).removeprefix(b"\xef\xbb\xbf").splitlines()
    return ((number, line) for number, line in enumerate(lines, 1) if line.strip())
