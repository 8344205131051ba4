"""The classes of ImageNet's images: by their folders or names, and of validation by number."""

from __future__ import annotations

import os
from collections.abc import Sequence

from prep.errors import SourceError
from prep.sources.imagenet.devkit import DevkitData
from prep.sources.imagenet.piece_images import (
    PieceImages,
    number_in_name,
    wnid_in_name,
    wnids_in,
)
from prep.sources.imagenet.pieces import Piece
from prep.sources.imagenet.validation import ValidationLabels, agreed_wnids
from prep.text import MANY, counted, quoted, some


def wnids_of(piece: Piece, images: PieceImages, known: DevkitData) -> list[str | None]:
    """Return the class of each image; None if it has none, as those of the test split.

    Raises:
        SourceError: files of labels are absent, contradict each other or the folders, or do not
            have as many labels as there are images.
    """
    if piece.split == "test":
        return [None] * len(images)
    pairs = zip(wnids_in(images.paths), images.paths, strict=True)
    wnids = [wnid or wnid_in_name(path) for wnid, path in pairs]
    if piece.split == "val":
        _label_by_number(piece, images, wnids, known.validation)
    _require_known(piece, wnids, known)
    return wnids


def count_doubts(piece: Piece, images: PieceImages, known: DevkitData) -> tuple[str, ...]:
    """Say, for a warning, if validation images in folders are fewer than their labels."""
    if piece.split != "val":
        return ()
    return tuple(
        f"{quoted(labels.file)} has {counted(len(labels.wnids), 'label')}, and {piece} "
        f"{counted(len(images), 'image')}"
        for labels in known.validation
        if len(labels.wnids) > len(images)
    )


def _label_by_number(
    piece: Piece,
    images: PieceImages,
    wnids: list[str | None],
    sources: Sequence[ValidationLabels],
) -> None:
    """Fill in the classes that no folder or name tells, and check those that one does."""
    numbers = [number_in_name(path) for path in images.paths]
    open_ = [n for n, wnid in zip(numbers, wnids, strict=True) if wnid is None and n is not None]
    if open_ and not sources:
        raise SourceError(
            f"source: nothing tells the labels of {counted(len(open_), 'validation image')} in "
            f"{piece}; put ILSVRC2012_devkit_t12.tar.gz or LOC_val_solution.csv beside it, or "
            "leave them out with `splits`"
        )
    if not sources:
        return
    if piece.kind == "tar":
        _require_as_many(piece, numbers, sources)
    rows = [row for row, number in enumerate(numbers) if number is not None]
    told = agreed_wnids(sources, [number for number in numbers if number is not None])
    different = []
    for row, wnid in zip(rows, told, strict=True):
        if wnids[row] not in (None, wnid):
            different.append(f"{quoted(os.fsdecode(images.paths[row]))} ({wnid})")
        wnids[row] = wnid
    if different:
        raise SourceError(
            f"source: {quoted(sources[0].file)} tells another class of "
            f"{counted(len(different), 'validation image')} than their folders or names do: "
            f"{some(different, most=MANY)}; remove the file if it is wrong, or move the images"
        )


def _require_as_many(
    piece: Piece, numbers: Sequence[int | None], sources: Sequence[ValidationLabels]
) -> None:
    """Raise SourceError if a tar has fewer validation images than there are labels."""
    there = {number for number in numbers if number is not None}
    for labels in sources:
        absent = sorted(labels.wnids.keys() - there)
        if absent:
            raise SourceError(
                f"source: {quoted(labels.file)} has {counted(len(labels.wnids), 'label')}, and "
                f"{piece} {counted(len(there), 'validation image')}, and lacks number "
                f"{some([*map(str, absent)], most=MANY)}; download both again"
            )


def _require_known(piece: Piece, wnids: Sequence[str | None], known: DevkitData) -> None:
    if known.synsets is None:
        return
    strange = sorted({w for w in wnids if w is not None} - known.synsets.words.keys())
    if strange:
        raise SourceError(
            f"source: {quoted(known.synsets.file)} lists {len(known.synsets.words):,} classes, and "
            f"{piece} has images of others: {some(strange, most=MANY)}; remove the file if it "
            "is of another set"
        )
