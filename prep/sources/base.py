"""The interface of a source: it lists entries, and reads an entry's bytes."""

from __future__ import annotations

import abc
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, get_args

from prep.sources.naming import KEPT_NAME
from prep.sources.prefetch import ReadAhead
from prep.storage.location import Location, Stamp
from prep.text import quoted

if TYPE_CHECKING:
    import pyarrow as pa

    from prep.settings.choices import Layout, OnMissing, OnStray, Target, Unlabelled
    from prep.sources.folders.ignored import Ignored
    from prep.sources.labelling.label_rules import LabelRules
    from prep.sources.labels import LabelMap

#: How the bytes of an image lie in its file: as they are, as a raw deflate stream (RFC 1951), or in
#: a row of a table.
How = Literal["bytes", "deflate", "row"]
HOWS: tuple[How, ...] = get_args(How)
#: The class of images without a label.
UNLABELLED = ""


class UnpacksTooLarge(OSError):
    """An image file has more bytes, unpacked, than may be read."""

    def __init__(self, most: int) -> None:
        super().__init__(f"unpacks to more than the {most:,} bytes that are read")


class ImageEntry(NamedTuple):
    """One image, and where its bytes are.

    Attributes:
        raw_name: what reports call it, as bytes, for a file name need not be text; unique in a
            source, and relative to it.
        class_name: the class that it belongs to; ``UNLABELLED`` if it has no label.
        stamp: which contents it had when it was listed: its size in bytes, as they lie in the
            file, and the file's time, or any other signed 64 bits that change with the contents.
        file: the file that holds its bytes, as its source names it.
        offset: where in that file they begin, or the number of its row; None if they are all of it.
        how: how they lie there.
        target: the numbers of its label, as little-endian float32, where its class does not tell
            them: one number for target ``value``, one for each class for ``soft``; else empty.
    """

    raw_name: bytes
    class_name: str
    stamp: Stamp
    file: bytes
    offset: int | None = None
    how: How = "bytes"
    target: bytes = b""

    @property
    def name(self) -> str:
        """The name as text, from which the bytes can be had back."""
        return os.fsdecode(self.raw_name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """All images of the chosen splits.

    Attributes:
        source: the name of the source, as plans hold it.
        read_as: what the source was taken for, in words: "class folders in splits".
        splits: the splits that have images, in the order asked for, or by name.
        classes: the classes of all splits, chosen or not, by name.
        images: one row an image, sorted by split and class, from ``columns.table_of``: ``split``
            and ``class`` (positions in the above; a class of -1 is no label), ``path`` (the
            ``raw_name`` of an entry: no leading slash, no ``..``), ``size`` and ``mtime`` (its
            stamp). If its name does not tell where its bytes are, also ``file``, ``offset`` (-1 for
            None) and ``how``, which come back in the entry. If a list tells them, also ``group``.
            For the targets ``value`` and ``soft``, also ``target``, from ``labelling.targets``.
        ignored: what else lies in the source.
        order: the classes in the order of their numbers, if that is not by name.
        class_names: names for people, by class; not all need to have one.
        split_folders: the folder of each split, as the names in ``images`` have it (``set/train``);
            empty for the source itself. What a name tells of a label is below this folder. A split
            that no folder tells is not in it.
        as_keys: what was found, as keys of a configuration that say so: ``layout``, and of a list
            its ``columns``.
        label_column: the column that labels are from, if a list has one; the first of several.
        doubts: what may be a mistake in the source, a sentence each, for warnings.
        split_doubts: those that only count where the configuration gives no split for the source.
    """

    source: str
    read_as: str = ""
    splits: tuple[str, ...]
    classes: tuple[str, ...]
    images: pa.Table
    ignored: tuple[Ignored, ...] = ()
    order: tuple[str, ...] | None = None
    class_names: Mapping[str, str] = field(default_factory=dict)
    split_folders: Mapping[str, bytes] = field(default_factory=dict)
    as_keys: Mapping[str, Any] = field(default_factory=dict)
    label_column: str | None = None
    doubts: tuple[str, ...] = ()
    split_doubts: tuple[str, ...] = ()


class Wanted(Protocol):
    """The part of a configuration that a source looks at.

    One that can't do what a key says refuses any value but the default.
    """

    @property
    def output(self) -> str: ...
    @property
    def splits(self) -> tuple[str, ...] | None: ...
    @property
    def image_type(self) -> str | None: ...
    @property
    def layout(self) -> Layout: ...
    @property
    def on_stray(self) -> OnStray: ...
    @property
    def columns(self) -> Mapping[str, Any] | None: ...
    @property
    def images(self) -> str | None: ...
    @property
    def extension(self) -> str | None: ...
    @property
    def on_missing(self) -> OnMissing: ...
    @property
    def unlabelled(self) -> Unlabelled: ...
    @property
    def target(self) -> Target: ...
    @property
    def exclude(self) -> str | tuple[str, ...] | None: ...
    @property
    def labels(self) -> LabelRules | None: ...
    @property
    def label_offset(self) -> int: ...
    @property
    def group_column(self) -> str | None: ...
    @property
    def unpack(self) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A file of images that workers could not reach otherwise; it is kept beside the manifest.

    Attributes:
        name: of the file: ``images-<128 bits that change with the contents>.bin``.
        size: in bytes.
        pieces: the contents.
    """

    name: str
    size: int
    pieces: Iterable[bytes]

    @staticmethod
    def has_name(name: str) -> bool:
        """Return whether a file beside a manifest is named like one of kept images."""
        return KEPT_NAME.fullmatch(name) is not None


class Source(abc.ABC):
    """A place that images come from: it lists them, and reads their bytes.

    Nobody else joins the name of a source and that of an image, or opens an image file. Each
    process opens its own, by name, and its threads share it: ``read`` is called from several.

    Attributes:
        name: what plans and reports call it; workers open it again by this name, so a path in it
            is absolute.
        storage: the path or URL of the place that most reads go to.
        kept: the files that must lie beside the manifest before workers can read the images.
    """

    name: str
    storage: str
    kept: tuple[Kept, ...] = ()

    def require_there(self) -> None:  # noqa: B027 - not all can tell quickly
        """Raise as ``catalog`` if it is plainly missing; a run asks this before anything slow."""

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

    def fetch(self, entry: ImageEntry) -> bytes:
        """Return the bytes of an image file as they lie in its archive, for :meth:`unpack`.

        A reader that keeps many images ahead of their turn keeps these: their size is known.

        Raises:
            FileChanged, OSError: as ``read``.
        """
        return self.read(entry)

    def read_ahead(
        self, entries: Iterable[ImageEntry]
    ) -> Generator[tuple[ImageEntry, Callable[[], bytes]]]:
        """Yield each entry with a function that fetches it, once or again; for one thread.

        What it returns at first may have been read before its turn. Close the generator to give up
        what was not used. Images that can only be read together (``how`` ``row``) are read once if
        they follow each other in the order of ``file`` and ``offset``.
        """
        with ReadAhead(entries, self.fetch, lambda entry: entry.stamp.size, self.storage) as images:
            yield from images

    def unpack(self, entry: ImageEntry, data: bytes, most: int) -> bytes:
        """Return the contents of an image file that was fetched.

        Args:
            entry: the image.
            data: what :meth:`fetch` has returned.
            most: bytes that the contents may have; not much more memory is taken.

        Raises:
            UnpacksTooLarge: they have more.
            FileChanged: they are not what was listed.
        """
        return data

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

    @property
    def reach(self) -> str:
        """Return in words where it may read, for who is asked to trust somebody else's plan."""
        return f"in {quoted(self.name)}"


class SourceKind(Protocol):
    """A class of sources, as ``registry`` lists it: it opens the names that it claims."""

    def claims(self, name: str) -> bool:
        """Return whether a name, a URL or an absolute path or a plan's own, is of this kind."""

    def __call__(self, name: str, folder: Location | None, /) -> Source:
        """Open a source by its name.

        Args:
            name: one that is claimed.
            folder: the folder of the plan and its manifest; None before there is one.
        """
