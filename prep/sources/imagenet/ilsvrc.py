"""The catalog of ImageNet: its tars, Kaggle's tree, and folders that are partly unpacked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import compress

import numpy as np
import pyarrow as pa

from prep.errors import ConfigError, SourceError
from prep.sources.base import Catalog, Wanted
from prep.sources.folders.ignored import OTHER, Passed
from prep.sources.folders.names import is_list
from prep.sources.folders.output_place import output_inside
from prep.sources.folders.scan import extensions_of
from prep.sources.imagenet.devkit import DevkitData, read_devkits
from prep.sources.imagenet.piece_images import PieceImages, is_test_image, list_piece
from prep.sources.imagenet.piece_labels import count_doubts, wnids_of
from prep.sources.imagenet.pieces import (
    WHOLE,
    FoundPieces,
    Piece,
    label_folders,
    names_a_piece,
)
from prep.sources.labels import NO_LABEL
from prep.sources.layouts.base import Place
from prep.sources.naming import is_within
from prep.storage.locate import absolute
from prep.text import quoted

_NO_CLASS = "image of no class"
_OUTSIDE = "name that leads out of an archive"


def catalog_of_pieces(place: Place, found: FoundPieces, wanted: Wanted) -> Catalog:
    """List the images of the pieces of ImageNet in a place.

    Raises:
        SourceError, ConfigError, StorageUnavailable: as ``Source.catalog``.
    """
    pieces = [*found.of_splits(wanted.splits).values()]
    if not pieces:
        raise SourceError(
            f"source: {quoted(place.name)} has nothing of ImageNet; expected tars such as "
            "ILSVRC2012_img_train.tar, Kaggle's folder ILSVRC, or folders train, val and test "
            "that these were unpacked to"
        )
    _require_apart(place, pieces, wanted.output)
    known = _devkit_data(place, found, pieces)
    extensions = extensions_of(wanted.image_type)
    images = [list_piece(piece, found.fs, extensions) for piece in pieces]
    wnids = [wnids_of(p, i, known) for p, i in zip(pieces, images, strict=True)]
    passed = _passed_over(found, known, wanted.output)
    strays = Passed() if found.fs is None else found.fs.outside()
    for piece, listed, labels in zip(pieces, images, wnids, strict=True):
        passed.add(listed.passed)
        _move_strays(piece, listed, labels, strays)
    if strays.counts and wanted.on_stray == "fail":
        raise SourceError(
            f"source: some images are of no class of ImageNet: {strays}; expected names such "
            "as n01440764/n01440764_10026.JPEG and ILSVRC2012_val_00000001.JPEG. Remove them, "
            "or pass `on_stray='skip'` to leave them out"
        )
    passed.add(strays)
    words = {} if known.synsets is None else known.synsets.words
    classes = sorted({*words, *(w for each in wnids for w in each if w is not None)})
    return Catalog(
        source=place.name,
        read_as=f"ImageNet ({_described(pieces)}), {len(classes)} classes by wnid",
        splits=tuple(piece.split for piece in pieces),
        classes=tuple(classes),
        images=_table(images, wnids, classes),
        ignored=passed.ignored(),
        class_names=words,
        split_folders={piece.split: os.fsencode(piece.path) for piece in pieces},
        doubts=tuple(
            doubt
            for piece, listed in zip(pieces, images, strict=True)
            for doubt in count_doubts(piece, listed, known)
        ),
    )


def _devkit_data(place: Place, found: FoundPieces, pieces: Sequence[Piece]) -> DevkitData:
    """Read the files that tell classes; those with validation labels if such images are wanted."""
    return read_devkits(
        label_folders(place, found),
        validation=any(piece.split == "val" for piece in pieces),
        needed=any(piece.split == "val" and piece.kind != "class folders" for piece in pieces),
    )


def _require_apart(place: Place, pieces: Sequence[Piece], output: str) -> None:
    """Raise ConfigError if shards would lie among images, or replace them."""
    within = output_inside(place.name, output)
    if within is None:
        return
    inside = os.fsdecode(within)
    for piece in pieces:
        among = names_a_piece(inside.partition("/")[0]) if not piece.path else False
        if among or (piece.path and is_within(inside, piece.path)):
            raise ConfigError(
                f"output: {quoted(output)} lies in {piece}, which holds images; choose a folder "
                "outside it"
            )


def _move_strays(
    piece: Piece, listed: PieceImages, wnids: list[str | None], strays: Passed
) -> None:
    """Take out and count the images that are not named like those of their split."""
    for name in listed.outside:
        strays.note(_OUTSIDE, name)
    if piece.split == "test":
        kept = [is_test_image(path) for path in listed.paths]
    else:
        kept = [wnid is not None for wnid in wnids]
    if all(kept):
        return
    for path, keep in zip(listed.paths, kept, strict=True):
        if not keep:
            strays.note(_NO_CLASS, path)
    listed.keep(kept)
    wnids[:] = compress(wnids, kept)


def _table(
    images: Sequence[PieceImages],
    wnids: Sequence[Sequence[str | None]],
    classes: Sequence[str],
) -> pa.Table:
    numbers: dict[str | None, int] = {wnid: number for number, wnid in enumerate(classes)}
    numbers[None] = NO_LABEL
    places = any(listed.has_places for listed in images)
    tables = []
    for split, (listed, labels) in enumerate(zip(images, wnids, strict=True)):
        rows = listed.with_places() if places else listed.rows
        label = np.array([numbers[wnid] for wnid in labels], np.int32)
        rows = rows.add_column(0, "class", pa.array(label))
        tables.append(rows.add_column(0, "split", pa.array(np.full_like(label, split))))
    return pa.concat_tables(tables).unify_dictionaries()


def _described(pieces: Sequence[Piece]) -> str:
    if any("CLS-LOC" in piece.at.split("/") for piece in pieces):
        return "Kaggle's CLS-LOC tree"
    return " and ".join(sorted({_title(piece) for piece in pieces}))


def _title(piece: Piece) -> str:
    if piece.kind == "tar":
        return "ImageNet-21k tar" if WHOLE.fullmatch(piece.location.name) else "ILSVRC2012 tars"
    return "class tars" if piece.kind == "class tars" else "folders"


def _passed_over(found: FoundPieces, known: DevkitData, output: str) -> Passed:
    """Count what lies beside the pieces and was not read."""
    passed = Passed()
    used = [*(piece.at for piece in found.pieces), *known.files]
    fs = found.fs
    if fs is None:
        return passed
    passed.add(fs.passed())
    used += [*map(fs.at, found.folders), absolute(output)]
    for path in found.folders:
        for name, is_folder in fs.entries(path).items():
            below = os.path.join(path, name)
            if not names_a_piece(name) and not any(is_within(u, fs.at(below)) for u in used):
                passed.note(_reason(name, is_folder), os.fsencode(below))
    return passed


def _reason(name: str, is_folder: bool) -> str:
    if name.startswith("."):
        return "hidden"
    if is_folder:
        return "folder that is not read"
    return "list that is not read" if is_list(os.fsencode(name)) else OTHER
