"""Images in folders: ``SOURCE/<split>/<class>/*``, or ``SOURCE/<class>/*`` without splits.

Names are handled as bytes, for on Linux they need not be text.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from prep import storage
from prep.catalog.listing import Entry, listing_of
from prep.errors import SourceError
from prep.layout import DEFAULT_SPLIT
from prep.locations import absolute, locate

EXTENSIONS = frozenset(
    b"jpg jpeg jpe jfif png webp gif bmp dib tif tiff ppm pgm pbm pnm tga jp2 avif".split()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """Files or folders that are not part of the set: why, how many, and one of them."""

    reason: str
    count: int
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """All images of the chosen splits.

    Attributes:
        root: the source folder.
        splits: the splits that have images, in the order asked for, or by name.
        classes: the classes of all splits, whether chosen or not, by name.
        images: one row an image, sorted by split, class and name: ``split`` and ``class`` (int32,
            positions in the above), ``path`` (binary, relative to the root), ``size`` (int64,
            bytes) and ``mtime`` (int64, nanoseconds).
        ignored: what else lies there.
    """

    root: str
    splits: tuple[str, ...]
    classes: tuple[str, ...]
    images: pa.Table
    ignored: tuple[Ignored, ...]


@dataclass(slots=True)
class _Columns:
    split: list[int] = field(default_factory=list)
    class_: list[int] = field(default_factory=list)
    path: list[bytes] = field(default_factory=list)
    size: list[int] = field(default_factory=list)
    mtime: list[int] = field(default_factory=list)

    def table(self) -> pa.Table:
        return pa.table(
            {
                "split": pa.array(self.split, pa.int32()),
                "class": pa.array(self.class_, pa.int32()),
                "path": pa.array(self.path, pa.large_binary()),
                "size": pa.array(self.size, pa.int64()),
                "mtime": pa.array(self.mtime, pa.int64()),
            }
        )


class _Scan:
    """One pass over a source folder."""

    def __init__(self, root: str, image_type: str | None) -> None:
        self.root = os.fsencode(root)
        self._listing = listing_of(root)
        self.extensions = (
            frozenset([os.fsencode(image_type.lstrip(".").lower())]) if image_type else EXTENSIONS
        )
        self.ignored: Counter[str] = Counter()
        self.examples: dict[str, str] = {}

    def ignore(self, reason: str, path: bytes) -> None:
        self.ignored[reason] += 1
        self.examples.setdefault(reason, os.fsdecode(path))

    def entries(self, folder: bytes) -> list[Entry]:
        """What is in a folder below the root, by name; hidden entries are left out, and counted.

        So are those without a name.
        """
        visible = []
        for entry in self._list(folder):
            if entry.name.startswith(b"."):
                self.ignore("hidden", os.path.join(folder, entry.name))
            elif not entry.name:
                self.ignore("folder without a name", folder + b"//")
            else:
                visible.append(entry)
        return sorted(visible, key=lambda entry: entry.name)

    def _list(self, folder: bytes) -> Iterator[Entry]:
        try:
            yield from self._listing.entries(folder)
        except OSError as error:
            raise self._not_listed(error) from None

    def _not_listed(self, error: OSError) -> SourceError:
        what = "source: can't list a folder"
        storage.require_answer(locate(os.fsdecode(self.root)), error, what)
        return SourceError(f"{what}: {error}")

    def is_image(self, entry: Entry) -> bool:
        """By its name alone: what it really is shows when it is read."""
        _, dot, extension = entry.name.rpartition(b".")
        return bool(dot) and extension.lower() in self.extensions and not _is_folder(entry)

    def folders(self, folder: bytes) -> list[bytes]:
        names = (entry.name for entry in self._list(folder) if _is_folder(entry))
        return sorted(name for name in names if name and not name.startswith(b"."))

    def holds_images(self, folder: bytes) -> bool:
        return any(self.is_image(e) and not e.name.startswith(b".") for e in self._list(folder))

    def count_images(self, folder: bytes) -> int:
        return sum(self.is_image(e) and not e.name.startswith(b".") for e in self._list(folder))

    def classes(self, split: bytes) -> list[bytes]:
        """The folders of a split that hold images."""
        paths = {name: os.path.join(split, name) for name in self.folders(split)}
        self.prepare(list(paths.values()))
        return [name for name, path in paths.items() if self.holds_images(path)]

    def prepare(self, folders: Sequence[bytes]) -> None:
        """Says which folders will be looked at next."""
        try:
            self._listing.prepare(folders)
        except OSError as error:
            raise self._not_listed(error) from None


def require_folder(source: str) -> None:
    """Makes sure that there is such a folder.

    Raises:
        SourceError: there is none, or it can't be asked for.
        StorageUnavailable: it would be in a storage that does not answer.
    """
    place = locate(source)
    try:
        found = place.is_dir()
        absent = None if found else storage.absent_bucket(place)
    except OSError as error:
        storage.require_answer(place, error, "source: can't be opened")
        raise SourceError(f"source: can't be opened: {error}") from None
    if absent:
        raise SourceError(f"source: got {source!r}, but {absent} does not exist; expected a bucket")
    if not found:
        raise SourceError(f"source: got {source!r}, which is no folder; expected one with images")


def scan_folders(
    source: str, splits: Sequence[str] | None = None, image_type: str | None = None
) -> Catalog:
    """Lists the images below ``source``.

    Args:
        source: the folder.
        splits: only these splits; all that are found, if None.
        image_type: only files with this extension, in any case.

    Raises:
        SourceError: the folder is missing, has no images, lacks a split, or can't be told to be
            of one layout or the other.
        StorageUnavailable: it is in a storage that does not answer.
    """
    require_folder(source)
    scan = _Scan(source, image_type)
    split_folders = _split_folders(scan, splits)
    if splits is None:
        chosen = list(split_folders)
        if all(split_folders.values()):
            _note_strays(scan, b"", chosen, "folder without classes")
    else:
        absent = [name for name in splits if os.fsencode(name) not in split_folders]
        if absent:
            found = ", ".join(repr(os.fsdecode(name)) for name in split_folders) or "none"
            raise SourceError(f"splits: no folder {absent} in {source!r}; splits found: {found}")
        chosen = [os.fsencode(name) for name in splits]
    found_classes = {split: scan.classes(folder) for split, folder in split_folders.items()}
    classes = sorted(set().union(*found_classes.values()))
    number = {name: index for index, name in enumerate(classes)}
    columns = _Columns()
    for index, split in enumerate(chosen):
        before = len(columns.path)
        folder = split_folders[split]
        _note_strays(scan, folder, found_classes[split], "folder without images")
        for name in found_classes[split]:
            _add_class(scan, columns, os.path.join(folder, name), index, number[name])
        if len(columns.path) == before:
            raise SourceError(_no_images(scan, os.path.join(scan.root, folder), image_type))
    return Catalog(
        root=absolute(source),
        splits=tuple(map(os.fsdecode, chosen)),
        classes=tuple(map(os.fsdecode, classes)),
        images=columns.table(),
        ignored=tuple(
            Ignored(reason=reason, count=count, example=scan.examples[reason])
            for reason, count in sorted(scan.ignored.items())
        ),
    )


def _split_folders(scan: _Scan, wanted: Sequence[str] | None) -> dict[bytes, bytes]:
    """Split name → its folder relative to the root (empty where there are no splits)."""
    names = scan.folders(b"")
    scan.prepare(names)
    if wanted is not None and {os.fsencode(name) for name in wanted} <= set(names):
        return {name: name for name in names if scan.classes(name)} | {
            os.fsencode(name): os.fsencode(name) for name in wanted
        }
    splits = [name for name in names if scan.classes(name)]
    if not splits:
        return {os.fsencode(DEFAULT_SPLIT): b""}
    for name in names:
        # A few images that were left lying in a split do not make it a class.
        if scan.count_images(name) > len(scan.classes(name)):
            raise SourceError(
                f"source: {os.fsdecode(name)!r} holds images, as a class does, and "
                f"{os.fsdecode(splits[0])!r} holds folders of images, as a split does; expected "
                "either SOURCE/<split>/<class>/* or SOURCE/<class>/*. Name the splits with "
                "'splits', or move what does not belong"
            )
    return {name: name for name in splits}


def _note_strays(scan: _Scan, folder: bytes, folders: Sequence[bytes], other: str) -> None:
    """What lies beside the class folders of a split, or beside the splits.

    Args:
        other: what any other folder is.
    """
    known = set(folders)
    for entry in scan.entries(folder):
        if scan.is_image(entry):
            scan.ignore("image outside a class folder", os.path.join(folder, entry.name))
        elif _is_folder(entry) and entry.name not in known:
            scan.ignore(other, os.path.join(folder, entry.name))


def _add_class(
    scan: _Scan, columns: _Columns, folder: bytes, split_index: int, class_index: int
) -> None:
    images = []
    for entry in scan.entries(folder):
        if scan.is_image(entry):
            images.append(entry)
        else:
            reason = "folder in a class folder" if _is_folder(entry) else "other extension"
            scan.ignore(reason, os.path.join(folder, entry.name))
    prefix = os.path.join(folder, b"")
    sizes_and_times = list(map(_size_and_time, images))
    columns.split += [split_index] * len(images)
    columns.class_ += [class_index] * len(images)
    columns.path += [prefix + entry.name for entry in images]
    columns.size += [size for size, _ in sizes_and_times]
    columns.mtime += [mtime for _, mtime in sizes_and_times]


def _is_folder(entry: Entry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # A link to itself, say. It is refused when it is read.
        return False


def _size_and_time(entry: Entry) -> tuple[int, int]:
    """Size and time of change; zeros for a dangling link, which is refused when it is read."""
    try:
        status = entry.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def _no_images(scan: _Scan, folder: bytes, image_type: str | None) -> str:
    kinds = f"*.{image_type}" if image_type else "jpg, png, webp and the like"
    return (
        f"source: no images in {os.fsdecode(folder)!r}; expected {kinds} in "
        f"<split>/<class>/ or <class>/ folders{_other_extensions(scan.examples.items())}"
    )


def _other_extensions(examples: Iterable[tuple[str, str]]) -> str:
    found = "; ".join(f"{reason}: {example!r}" for reason, example in examples)
    return f" (ignored there: {found})" if found else ""
