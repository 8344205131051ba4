"""What a source is: it lists entries, and reads an entry's bytes."""

from __future__ import annotations

import abc
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from prep.storage.location import Stamp

if TYPE_CHECKING:
    import pyarrow as pa

    from prep.sources.folders.ignored import Ignored
    from prep.sources.folders.names import FolderLayout, OnStray
    from prep.sources.labels import LabelMap


class ImageEntry(NamedTuple):
    """One image, and where its bytes are.

    Attributes:
        raw_name: what reports call it, as bytes, for a file name need not be text; unique in a
            source, and relative to it.
        class_name: the class that it belongs to.
        stamp: which contents it had when it was listed, and its size in bytes.
        file: the file that holds its bytes, as its source names it.
        offset: where in that file they begin; None if they are all of it.
    """

    raw_name: bytes
    class_name: str
    stamp: Stamp
    file: bytes
    offset: int | None = None

    @property
    def name(self) -> str:
        """The name as text, from which the bytes can be had back."""
        return os.fsdecode(self.raw_name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """All images of the chosen splits.

    Attributes:
        source: the name of the source, as plans hold it.
        splits: the splits that have images, in the order asked for, or by name.
        classes: the classes of all splits, chosen or not, by name.
        images: one row an image, sorted by split and class: ``split`` and ``class`` (int32,
            positions in the above), and the columns of a manifest.
        ignored: what else lies in the source.
    """

    source: str
    splits: tuple[str, ...]
    classes: tuple[str, ...]
    images: pa.Table
    ignored: tuple[Ignored, ...] = ()


class Wanted(Protocol):
    """The part of a configuration that a source looks at."""

    @property
    def output(self) -> str: ...
    @property
    def splits(self) -> tuple[str, ...] | None: ...
    @property
    def image_type(self) -> str | None: ...
    @property
    def layout(self) -> FolderLayout: ...
    @property
    def on_stray(self) -> OnStray: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A file of images that workers could not reach otherwise; it is kept beside the manifest.

    Attributes:
        name: of the file; it depends on the contents.
        pieces: the contents.
    """

    name: str
    pieces: Sequence[bytes]

    @property
    def size(self) -> int:
        return sum(map(len, self.pieces))


class Source(abc.ABC):
    """Where images are, and how their bytes are read.

    Nobody else joins the name of a source and that of an image, or opens an image file.

    Attributes:
        name: what plans and reports call it; workers open it again by this name.
        storage: the path or URL of the place that most reads go to.
        kept: what must lie beside the manifest before workers can read the images, if anything.
    """

    name: str
    storage: str
    kept: Kept | None = None

    @abc.abstractmethod
    def catalog(self, wanted: Wanted) -> Catalog:
        """List the images.

        Raises:
            ConfigError: what is wanted does not fit this kind of source.
            SourceError: the source is missing or ambiguous, has no images, or lacks a split.
            StorageUnavailable: it is in a storage that does not answer.
        """

    def label_map(self) -> tuple[LabelMap, str] | None:
        """Return the label map that comes with the source, and where it is from, in words."""
        return None

    @abc.abstractmethod
    def read(self, entry: ImageEntry) -> bytes:
        """Return the contents of an image file.

        Raises:
            FileChanged: they are not what was listed.
            OSError: they can't be read.
        """

    def read_in_pieces(self, entry: ImageEntry) -> Iterator[bytes]:
        """Yield the contents as they are now, whatever was listed; raise OSError as ``read``."""
        yield self.read(entry)

    @abc.abstractmethod
    def stamp(self, entry: ImageEntry) -> Stamp:
        """Return the stamp that an image has now; raise OSError if there is none."""

    def location(self, file: bytes) -> str | None:
        """Return the path or URL of an entry's file, as all hosts know it; None if it has none."""
        return None

    def is_visible(self) -> bool:
        """Return whether this host sees the source; a storage is not asked."""
        return True
