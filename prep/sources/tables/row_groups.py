"""Read images by their rows: a group of rows is read whole, once, ahead of its turn."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from prep.sources.archives.members import contents_of, is_of
from prep.sources.base import ImageEntry
from prep.sources.tables.row_places import GroupPlace, row_of
from prep.storage.locate import locate, stamp_of
from prep.storage.location import FileChanged, Stamp
from prep.storage.retry import is_transient

if TYPE_CHECKING:
    import pyarrow as pa

_MOST_HELD = 2  # groups of a process that are read out of turn

#: The path or URL of a file, and its stamp.
FileState = tuple[str | bytes, Stamp]


class GroupValues(NamedTuple):
    """The images of a group.

    Attributes:
        chunks: their bytes, as pieces of a column.
        mark: a :func:`prep.sources.tables.row_places.group_mark`.
    """

    chunks: Sequence[pa.Array]
    mark: int


@dataclass(frozen=True, slots=True)
class RowGroup:
    """A group that was read.

    Attributes:
        values: its images.
        stamp: of its file, as it was then.
    """

    values: GroupValues
    stamp: Stamp

    def image(self, entry: ImageEntry) -> bytes:
        """Return the bytes of an image; of a row without an image, none.

        Raises:
            FileChanged: the group is not what was listed.
        """
        self.require(entry)
        row = row_of(entry.offset or 0)
        for chunk in self.values.chunks:
            if row < len(chunk):
                value: bytes | None = chunk[row].as_py()
                return value or b""
            row -= len(chunk)
        raise FileChanged(f"changed since it was listed: its row group has no row {row}")

    def require(self, entry: ImageEntry) -> None:
        """Raise FileChanged if an entry is of another state of the file."""
        mark = entry.stamp.mtime
        if not is_of(mark, self.stamp) or contents_of(mark) != self.values.mark:
            raise FileChanged("changed since it was listed: its table was written to or replaced")


def read_group(path: str | bytes, place: GroupPlace) -> RowGroup:
    """Read the images of a group.

    Args:
        path: of the file: an absolute path, or a URL.
        place: the group.

    Raises:
        FileChanged: there is no such group any more.
        OSError: it can't be read.
    """
    stamp = stamp_of(path)
    with locate(os.fsdecode(path)).open_regular() as file, _refusing():
        values = _values_in(file, (path, stamp), place)
    if stamp_of(path) != stamp:
        raise FileChanged("changed while it was read: its table was written to or replaced")
    return RowGroup(values, stamp)


def _values_in(file: BinaryIO, state: FileState, place: GroupPlace) -> GroupValues:
    from prep.sources.lists.formats.column_files import PARQUET

    head = file.read(len(PARQUET))
    file.seek(0)
    if head == PARQUET:
        from prep.sources.tables.formats.parquet_table import read_values

        return read_values(file, state, place)
    from prep.sources.tables.formats.arrow_table import read_batch

    return read_batch(file, place)


@dataclass(frozen=True, slots=True)
class _DamagedGroup:
    """A group that can't be read, however often one tries.

    Attributes:
        error: why.
        stamp: of its file, as it was then.
    """

    error: OSError
    stamp: Stamp

    def image(self, entry: ImageEntry) -> bytes:
        """Raise the error, for each image of the group alike."""
        raise self.error.with_traceback(None)  # Which would grow by each.


def _try_group(path: str | bytes, place: GroupPlace) -> RowGroup | _DamagedGroup:
    """Read a group, or find that it can't be read; raise OSError if it may be, a moment later."""
    stamp = stamp_of(path)
    try:
        return read_group(path, place)
    except OSError as error:
        if is_transient(error):
            raise
        return _DamagedGroup(error, stamp)


class _refusing:  # noqa: N801 - a context manager
    """Turn what pyarrow raises over damaged bytes into an OSError."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        import pyarrow as pa

        if isinstance(error, pa.ArrowException) and not isinstance(error, OSError):
            raise OSError(f"damaged: {error}".split("\n", 1)[0]) from None


class _Held:
    """The groups that were read last, out of turn, by any thread."""

    def __init__(self) -> None:
        self._groups: OrderedDict[tuple[str | bytes, GroupPlace], RowGroup | _DamagedGroup]
        self._groups = OrderedDict()
        self._lock = threading.Lock()

    def read(self, path: str | bytes, entry: ImageEntry) -> bytes:
        """Return the bytes of an image, of a group that is held or read."""
        key = path, GroupPlace.of(entry.offset or 0)
        with self._lock:
            group = self._groups.get(key)
            if group is None or group.stamp != stamp_of(path):
                self._groups.pop(key, None)
                while len(self._groups) >= _MOST_HELD:
                    self._groups.popitem(last=False)
                group = self._groups[key] = _try_group(*key)
            self._groups.move_to_end(key)
        return group.image(entry)

    def clear(self) -> None:
        """Let go of all groups."""
        with self._lock:
            self._groups.clear()


_HELD = _Held()


def read_row(path: str | bytes, entry: ImageEntry) -> bytes:
    """Return the bytes of one image, out of turn: its group is read whole, and held for a while.

    Raises:
        FileChanged, OSError: as :func:`read_group`.
    """
    return _HELD.read(path, entry)


def stamp_of_row(path: str | bytes, entry: ImageEntry) -> Stamp:
    """Return the stamp that the image of a row has now; raise OSError if there is none."""
    changed = Stamp(entry.stamp.size, ~entry.stamp.mtime)
    return entry.stamp if is_of(entry.stamp.mtime, stamp_of(path)) else changed


class _Ahead:
    """A group that a thread reads ahead of its turn."""

    def __init__(self, path: str | bytes, place: GroupPlace) -> None:
        self._read = partial(_try_group, path, place)
        self._group: RowGroup | _DamagedGroup | None = None
        self._thread = threading.Thread(target=self._run, name="prep-row-group", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with contextlib.suppress(Exception):  # Whoever needs the group meets it again.
            self._group = self._read()

    def image(self, entry: ImageEntry) -> bytes:
        """Return the bytes of an image; where reading failed and may succeed, it is tried again."""
        self._thread.join()
        if self._group is None:
            self._group = self._read()
        return self._group.image(entry)


def read_rows_ahead(
    entries: Iterable[ImageEntry], path_of: Callable[[bytes], str | bytes]
) -> Iterator[tuple[ImageEntry, Callable[[], bytes]]]:
    """Yield each entry with a function that returns its bytes; for one thread.

    The next group is read while the images of one are used, so that two are held at most. Entries
    of a group have to follow each other.

    Args:
        entries: with ``how`` ``row``.
        path_of: returns where a file is from here; may raise OSError.
    """
    _HELD.clear()  # What was read out of turn is hardly read again.
    runs = ((key, list(run)) for key, run in groupby(entries, _group_of))
    run = next(runs, None)
    ahead = run and _begin(run[0], path_of)
    while run is not None:
        current, (_, rows) = ahead, run
        run = next(runs, None)
        first = True
        for entry in rows:
            if isinstance(current, OSError):
                yield entry, partial(_raise, current)
            elif current is not None:
                yield entry, partial(current.image, entry)
            if first and run is not None:  # Not before: the group of this run is read by now.
                ahead, first = _begin(run[0], path_of), False
        del current


def _group_of(entry: ImageEntry) -> tuple[bytes, GroupPlace]:
    return entry.file, GroupPlace.of(entry.offset or 0)


def _begin(
    key: tuple[bytes, GroupPlace], path_of: Callable[[bytes], str | bytes]
) -> _Ahead | OSError:
    try:
        return _Ahead(path_of(key[0]), key[1])
    except OSError as error:
        return error


def _raise(error: OSError) -> bytes:
    raise error.with_traceback(None)
