"""Survey of a source: the images of its classes, and what else lies in it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from prep.errors import SourceError
from prep.sources.folders.ignored import Passed
from prep.sources.folders.names import is_list, role_of
from prep.sources.folders.roles.shape import Shape
from prep.sources.folders.tree import Folder, Tree
from prep.text import quoted

_BESIDE_CLASSES = "image outside a class folder"
_BELOW_CLASSES = "image deeper than class folders"
_BESIDE_SPLITS = "image in a folder beside the splits"
_EMPTY = "folder without images"
_AGAIN = "link to a folder that is read already"
# A link to the root of a disk, say, would have all of it looked through.
_MOST_OTHERS = 100_000


@dataclass(slots=True)
class Survey:
    """The images below class folders, and what else lies in a source.

    Attributes:
        below: the folders below a class folder, or below an unlabelled split, by its path.
        passed: what is no image of the set.
        strays: images of which no class can be told.
        split_lists: files beside the folders of the splits that may list the images of a split.
    """

    below: dict[bytes, list[Folder]] = field(default_factory=dict)
    passed: Passed = field(default_factory=Passed)
    strays: Passed = field(default_factory=Passed)
    split_lists: list[bytes] = field(default_factory=list)


def survey(tree: Tree, shape: Shape, output: bytes | None, *, beside_splits: bool) -> Survey:
    """Look through a source for images of the set, and count all that is none.

    Args:
        output: is left out.
        beside_splits: whether what lies beside the splits counts; who names splits has left it out.
    """
    surveyor = _Surveyor(tree, output)
    if beside_splits:
        surveyor.visit_above([shape.folders[split] for split in shape.chosen])
    for split in shape.chosen:
        if split in shape.unlabelled:
            surveyor.visit_unlabelled(shape.folders[split])
        else:
            surveyor.visit_split(shape.folders[split], shape.classes[split].values())
    surveyor.visit_below()
    surveyor.visit_others()
    return surveyor.found


class _Surveyor:
    def __init__(self, tree: Tree, output: bytes | None) -> None:
        self.found = Survey()
        self._tree = tree
        self._output = output
        self._classes: list[bytes] = []
        # Folders that are no class folders, and what images in them are.
        self._others: list[tuple[bytes, str]] = []
        self._seen: set[bytes] = set()

    def visit_above(self, splits: Sequence[bytes]) -> None:
        """Count what lies beside the folders of the splits, and beside those above them."""
        above = [folder for split in splits for folder in _above(split)]
        for path in dict.fromkeys(above):
            folder = self._tree.folder(path)
            self._visit(folder, _BESIDE_CLASSES)
            self._note_lists(folder)
            known = {*splits, *above}
            self._others += [
                (below, _BESIDE_SPLITS) for below in folder.below() if below not in known
            ]

    def visit_split(self, split: bytes, classes: Iterable[bytes]) -> None:
        """Count what lies in a split, and in its classes beside their images."""
        folder = self._tree.folder(split)
        self._visit(folder, _BESIDE_CLASSES)
        known = {*classes}
        for path in folder.below():
            if path in known:
                self._add_class(path)
            else:
                self._others.append((path, _BELOW_CLASSES))

    def visit_unlabelled(self, split: bytes) -> None:
        """Count what lies in a split beside images, all of which are taken."""
        self._add_class(split)

    def _add_class(self, path: bytes) -> None:
        self._classes.append(path)
        self.found.passed.add(self._tree.folder(path).passed)

    def visit_below(self) -> None:
        """Find the images below class folders, to the bottom."""
        below = [(path, self._tree.folder(path).below()) for path in self._classes]
        if not self._others and not any(folders for _, folders in below):
            return
        self._tree.folders([folder for _, folders in below for folder in folders])
        above = dict.fromkeys(folder for path in self._classes for folder in _above(path))
        self._seen = {*self._output_paths(), *map(self._tree.real, [*above, *self._classes])}
        for path, folders in below:
            for folder in folders:
                found = self._walk(folder)
                self.found.below.setdefault(path, []).extend(f for f in found if f.images)

    def visit_others(self) -> None:
        """Look through all folders that are no class folders, to the bottom."""
        for path, reason in self._others:
            for folder in self._walk(path):
                self._note(folder, reason)
                if reason == _BESIDE_SPLITS:
                    self._note_lists(folder)

    def _output_paths(self) -> list[bytes]:
        return [] if self._output is None else [self._tree.real(self._output)]

    def _walk(self, path: bytes) -> list[Folder]:
        """Return a folder and all below it, and count what is no image in them."""
        real = self._tree.real(path)
        if real in self._output_paths():
            return []
        if real in self._seen:
            self.found.passed.note(_AGAIN, path)
            return []
        found = []
        for folder in self._tree.walk(path, self._seen):
            if len(self._seen) > 2 * len(self._classes) + _MOST_OTHERS:
                raise SourceError(
                    f"source: more than {_MOST_OTHERS:,} folders are not class folders, such as "
                    f"{quoted(os.fsdecode(folder.path))}; move them, or name the splits with "
                    "'splits' to leave out what lies beside these"
                )
            self.found.passed.add(folder.passed)
            found.append(folder)
        if not any(folder.images for folder in found) and not self._holds_output(path):
            self.found.passed.note(_EMPTY, path)
        return found

    def _visit(self, folder: Folder, reason: str) -> None:
        self.found.passed.add(folder.passed)
        self._note(folder, reason)

    def _note(self, folder: Folder, reason: str) -> None:
        if folder.images:
            self.found.strays.note(reason, folder.images[0], len(folder.images))

    def _note_lists(self, folder: Folder) -> None:
        self.found.split_lists += [
            os.path.join(folder.path, name)
            for name in folder.files
            if is_list(name) and role_of(os.fsdecode(name.partition(b".")[0]))
        ]

    def _holds_output(self, path: bytes) -> bool:
        return self._output is not None and self._output.startswith(os.path.join(path, b""))


def _above(path: bytes) -> list[bytes]:
    """Return the folders that a folder lies in, the nearest first; the root is the last."""
    found = []
    while path:
        path = os.path.dirname(path)
        found.append(path)
    return found
