"""Images given as a list in Python: ``prep.Config(source=[(image, label), …], …)``.

Bytes and arrays are written once, when a run begins, to one file beside the manifest, for workers
may be other processes on other hosts. Files that the list names are read where they are.
"""

from __future__ import annotations

import abc
import errno
import functools
import os
import re
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from prep.errors import ConfigError, SourceError
from prep.settings.choices import DEFAULT_SPLIT, Target
from prep.settings.keys import KEYS
from prep.settings.output_names import require_split_name
from prep.sources.base import Catalog, ImageEntry, Kept, Source, Wanted
from prep.sources.labels import LabelMap
from prep.sources.lists.given_labels import (
    GivenLabel,
    given_label,
    labels_in_order,
    numbers_given,
    require_given_labels,
    text_of_label,
)
from prep.storage.arguments import typed
from prep.storage.locate import locate, read_file, read_range, stamp_of
from prep.storage.location import FileChanged, Location, Stamp
from prep.storage.urls import is_url
from prep.text import counted, kind_of, quoted, reason_of, shown, some

_NAME = re.compile(r"list of [\d,]+ images?")
_ANY_IMAGE = "the bytes of an image file, its path, or a uint8 array of (H, W, 3) or (H, W)"
_KEYS_OF_FILES = (
    *("image_type", "layout", "on_stray", "columns", "images", "extension", "on_missing"),
    *("unlabelled", "exclude", "labels", "label_offset", "unpack"),
)


class _Item(NamedTuple):
    """One image as it was given: the path of its file, or else bytes or an array."""

    image: Any
    path: str | None
    label: GivenLabel
    split: str


class _ImageList(Source):
    """A list of images: files are read where they are, and all others from the kept file."""

    def read(self, entry: ImageEntry) -> bytes:
        if entry.offset is None:
            return read_file(_file_of(entry), entry.stamp)
        data = self._piece(entry, entry.offset)
        if _checksum(data) != entry.stamp.mtime:
            raise FileChanged("changed since it was listed: other contents")
        return data

    def stamp(self, entry: ImageEntry) -> Stamp:
        if entry.offset is None:
            return stamp_of(_file_of(entry))
        self.read(entry)
        return entry.stamp

    def location(self, file: bytes) -> str | None:
        return os.fsdecode(file) if os.path.isabs(file) else None

    @property
    def reach(self) -> str:
        return "wherever its list of images says"

    @abc.abstractmethod
    def _piece(self, entry: ImageEntry, offset: int) -> bytes:
        """Return the bytes of an image that was given as bytes or as an array."""


class ListedImages(_ImageList):
    """A list of images and labels, as a configuration holds it.

    Args:
        items: ``(image, label)`` or ``(image, label, split)`` each. An image is the bytes of an
            image file, the path of one, or a uint8 array of (H, W, 3), RGB, or (H, W), grayscale.
            A label is the name of a class, or its number; with another ``target``, a sequence of
            these (multi), a number (value), or a sequence of numbers (soft). Arrays are copied
            when the list is first planned.

    Raises:
        ConfigError: an item is none of that; the message says which, counted from 0.
    """

    def __init__(self, items: Sequence[Any]) -> None:
        if not items:
            raise ConfigError("source: got an empty list; expected (image, label) pairs")
        first = items[0]
        self._items = [_item_of(number, item, first) for number, item in enumerate(items)]
        self.name = self.storage = f"list of {counted(len(items), 'image')}"

    def require_labels(self, target: Target) -> None:
        """Raise ConfigError unless all labels are such as a target has."""
        require_given_labels([item.label for item in self._items], target)

    def __str__(self) -> str:
        """Return its name, which reports show in its place."""
        return self.name

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def catalog(self, wanted: Wanted) -> Catalog:
        from prep.sources.columns import table_of

        _require_defaults(wanted)
        splits = self._splits(wanted.splits)
        classes = labels_in_order({item.label for item in self._items} - {()})
        number = {label: index for index, label in enumerate(classes)}
        number[()] = -1  # Of no class at all.
        found = [
            (splits.index(item.split), number[item.label], entry)
            for item, entry in zip(self._items, self._entries(), strict=True)
            if item.split in splits
        ]
        found.sort(key=lambda row: row[:2])
        rows = [entry for _, _, entry in found]
        catalog = Catalog(
            source=self.name,
            read_as="a list in Python",
            splits=splits,
            classes=tuple(map(text_of_label, classes)),
            images=table_of(
                {
                    "split": [split for split, _, _ in found],
                    "class": [class_ for _, class_, _ in found],
                    "path": [entry.raw_name for entry in rows],
                    "size": [entry.stamp.size for entry in rows],
                    "mtime": [entry.stamp.mtime for entry in rows],
                    "file": [entry.file for entry in rows],
                    "offset": [-1 if entry.offset is None else entry.offset for entry in rows],
                    "how": [entry.how.encode() for entry in rows],
                }
            ),
        )
        if wanted.target == "class":
            return catalog
        from prep.sources.labelling.labelling import with_target

        return with_target(catalog, wanted, keep=True)

    def label_map(self) -> tuple[LabelMap, str] | None:
        labels = numbers_given(item.label for item in self._items)
        numbers = {str(label): label for label in sorted(labels)}
        return (LabelMap(numbers=numbers), "the labels of the list") if numbers else None

    @functools.cached_property
    def kept(self) -> tuple[Kept, ...]:  # type: ignore[override]
        """The file of all images that were given as bytes or arrays, if there are any."""
        import xxhash

        pieces = [_bytes_of(item.image) for item in self._items if item.path is None]
        if not pieces:
            return ()
        digest = xxhash.xxh3_128()
        for piece in pieces:
            digest.update(len(piece).to_bytes(8, "little"))
            digest.update(piece)
        size = sum(map(len, pieces))
        return (Kept(name=f"images-{digest.hexdigest()}.bin", size=size, pieces=pieces),)

    @functools.cached_property
    def _by_offset(self) -> dict[int, bytes]:
        pieces = [piece for kept in self.kept for piece in kept.pieces]
        offsets = accumulate(map(len, pieces), initial=0)
        return dict(zip(offsets, pieces, strict=False))

    def _piece(self, entry: ImageEntry, offset: int) -> bytes:
        return self._by_offset[offset][: entry.stamp.size]

    def _splits(self, wanted: tuple[str, ...] | None) -> tuple[str, ...]:
        found = sorted({item.split for item in self._items})
        absent = [name for name in wanted or () if name not in found]
        if absent:
            raise SourceError(
                f"splits: no images of {some([*map(quoted, absent)])} in the list; splits found: "
                f"{some([*map(quoted, found)])}"
            )
        return wanted or tuple(found)

    def _entries(self) -> list[ImageEntry]:
        name_of_kept = self.kept[0].name if self.kept else ""
        pieces = (piece for kept in self.kept for piece in kept.pieces)
        entries, offset = [], 0
        for number, item in enumerate(self._items):
            if item.path is None:
                data = next(pieces)
                name, file, at = f"{number:06d}", name_of_kept, offset
                stamp = Stamp(len(data), _checksum(data))
                offset += len(data)
            else:
                name, file, at = f"{number:06d}-{os.path.basename(item.path)}", item.path, None
                stamp = _listed(number, item.path)
            entries.append(
                ImageEntry(
                    os.fsencode(name), text_of_label(item.label), stamp, os.fsencode(file), at
                )
            )
        return entries


class KeptImages(_ImageList):
    """A list of images as workers and later runs find it: by its manifest.

    Args:
        name: what the plan calls it.
        folder: of the manifest.
    """

    def __init__(self, name: str, folder: Location | None) -> None:
        self.name = name
        self.storage = str(folder)
        self._folder = folder

    @staticmethod
    def claims(name: str) -> bool:
        """Return whether a plan's source is a list."""
        return _NAME.fullmatch(name) is not None

    def catalog(self, wanted: Wanted) -> Catalog:
        raise SourceError(
            f"source: the {self.name} was given in Python, and is not there any more; repeat the "
            "run with that list"
        )

    def _piece(self, entry: ImageEntry, offset: int) -> bytes:
        name = os.fsdecode(entry.file)
        if self._folder is None or not Kept.has_name(name):
            raise _strange()
        return read_range(str(self._folder / name), offset, entry.stamp.size)


def _file_of(entry: ImageEntry) -> str:
    """Return where this host sees the file of an image; raise OSError if no list can have it."""
    if not os.path.isabs(entry.file):
        raise _strange()
    return str(locate(os.fsdecode(entry.file)))


def _strange() -> OSError:
    return OSError(errno.EINVAL, "no file that a list of images has")


def _item_of(number: int, item: Any, first: Any) -> _Item:
    """Return a checked item; raise ConfigError if it is none, or has not the first's length."""
    where = f"source: item {number}"
    if not isinstance(item, tuple | list) or len(item) not in (2, 3):
        got = counted(len(item), "value") if isinstance(item, tuple | list) else kind_of(item)
        raise ConfigError(f"{where}: got {got}; expected (image, label) or (image, label, split)")
    if len(item) != len(first):
        raise ConfigError(
            f"{where}: got {len(item)} values, and item 0 has {len(first)}; expected a split for "
            "all items, or for none"
        )
    image, given, split = (*item, DEFAULT_SPLIT)[:3]
    try:
        require_split_name(split)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from None
    return _Item(*_image_of(where, image), given_label(where, given), split)


def _image_of(where: str, image: Any) -> tuple[Any, str | None]:
    """Return an image, and its path if it is a file."""
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image), None
    if isinstance(image, str | os.PathLike):
        path = typed(where, image)
        if is_url(path):
            raise ConfigError(
                f"{where}: got a URL; expected {_ANY_IMAGE}: download the file, or give a folder's "
                "URL as the source"
            )
        return None, os.path.abspath(path)
    if not hasattr(image, "dtype") or not hasattr(image, "shape"):
        raise ConfigError(f"{where}: got {kind_of(image)}; expected {_ANY_IMAGE}")
    shape = tuple(image.shape)
    fits = len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)
    if str(image.dtype) != "uint8" or not fits or 0 in shape:
        size = " × ".join(map(str, shape)) or "no dimensions"
        raise ConfigError(
            f"{where}: got an array of {image.dtype}, {size}; expected uint8, H × W × 3 (RGB) or "
            "H × W (grayscale)"
        )
    return image, None


def _require_defaults(wanted: Wanted) -> None:
    for key in _KEYS_OF_FILES:
        value = getattr(wanted, key)
        if value != KEYS[key].default:
            raise ConfigError(
                f"{key}: got {shown(value)}, which applies only to files, and the source is a "
                "list in Python; leave it out"
            )


def _bytes_of(image: Any) -> bytes:
    """Return an image file: an array becomes a PNG, which holds the same samples."""
    if isinstance(image, bytes):
        return image
    import numpy as np

    from prep.images.encoding.encode import encode_png

    return encode_png(np.asarray(image))


def _checksum(data: bytes) -> int:
    """Return 64 bits that take the place of a file's time in a stamp."""
    import xxhash

    return int.from_bytes(xxhash.xxh3_64_digest(data), "big", signed=True)


def _listed(number: int, path: str) -> Stamp:
    try:
        return stamp_of(path)
    except OSError as error:
        raise SourceError(
            f"source: item {number}: {quoted(path)} can't be read: {reason_of(error)}"
        ) from None
