"""Survey of what lies in a source beside the images of its classes."""

from __future__ import annotations

import os

from prep.errors import SourceError
from prep.sources.folders.detection import Shape
from prep.sources.folders.ignored import Passed
from prep.sources.folders.tree import Folder, Tree
from prep.text import quoted

_BESIDE_CLASSES = "image outside a class folder"
_BELOW_CLASSES = "image in a folder below a class folder"
_BESIDE_SPLITS = "image in a folder beside the splits"
_EMPTY = "folder without images"
_AGAIN = "link to a folder that is read already"
# A link to the root of a disk, say, would have all of it looked through.
_MOST_OTHERS = 100_000


def survey(
    tree: Tree, shape: Shape, output: bytes | None, *, beside_splits: bool
) -> tuple[Passed, Passed]:
    """Count what is no image of the set, and apart from that images of which no class can be told.

    Args:
        output: is left out.
        beside_splits: whether what lies beside the splits counts; who names splits has left it out.
    """
    surveyor = _Surveyor(tree, output)
    if shape.has_splits and beside_splits:
        surveyor.visit_root(shape)
    for split in shape.chosen:
        surveyor.visit_split(tree.folder(shape.folders[split]), set(shape.classes[split]))
    surveyor.visit_others()
    return surveyor.passed, surveyor.strays


class _Surveyor:
    def __init__(self, tree: Tree, output: bytes | None) -> None:
        self.passed = Passed()
        self.strays = Passed()
        self._tree = tree
        self._output = output
        self._classes: list[bytes] = []
        # Folders that are no class folders, and what images in them are.
        self._others: list[tuple[bytes, str]] = []

    def visit_root(self, shape: Shape) -> None:
        """Count what lies beside the splits."""
        root = self._tree.folder(b"")
        self._visit(root, _BESIDE_CLASSES)
        self._others += [
            (path, _BESIDE_SPLITS) for path in root.below() if path not in shape.chosen
        ]

    def visit_split(self, split: Folder, classes: set[bytes]) -> None:
        """Count what lies in a split, and in its classes beside their images."""
        self._visit(split, _BESIDE_CLASSES)
        for name, path in zip(split.folders, split.below(), strict=True):
            if name in classes:
                folder = self._tree.folder(path)
                self._classes.append(path)
                self.passed.add(folder.passed)
                self._others += [(below, _BELOW_CLASSES) for below in folder.below()]
            else:
                self._others.append((path, _BELOW_CLASSES))

    def visit_others(self) -> None:
        """Look through all folders that are no class folders, to the bottom."""
        if not self._others:
            return
        output = [] if self._output is None else [self._tree.real(self._output)]
        seen = {*output, *map(self._tree.real, self._classes)}
        for path, reason in self._others:
            if self._tree.real(path) not in output:
                self._visit_other(path, seen, reason)

    def _visit_other(self, path: bytes, seen: set[bytes], reason: str) -> None:
        if self._tree.real(path) in seen:
            self.passed.note(_AGAIN, path)
            return
        found = False
        for folder in self._tree.walk(path, seen):
            if len(seen) > len(self._classes) + _MOST_OTHERS:
                raise SourceError(
                    f"source: more than {_MOST_OTHERS:,} folders are not class folders, such as "
                    f"{quoted(os.fsdecode(folder.path))}; move them, or name the splits with "
                    "'splits' to leave out what lies beside these"
                )
            self._visit(folder, reason)
            found = found or bool(folder.images)
        if not found and not self._holds_output(path):
            self.passed.note(_EMPTY, path)

    def _visit(self, folder: Folder, reason: str) -> None:
        self.passed.add(folder.passed)
        if folder.images:
            self.strays.note(reason, folder.images[0], len(folder.images))

    def _holds_output(self, path: bytes) -> bool:
        return self._output is not None and self._output.startswith(os.path.join(path, b""))
