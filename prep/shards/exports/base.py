"""The interface of an export format, and the registry of formats."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, cast

from prep.parsing import Fields
from prep.planning.plan import RunPlan
from prep.planning.shards import ShardSpec
from prep.shards.formats.base import Record, Sample

ExportName = Literal["webdataset", "parquet", "mds", "array_record"]

#: The registry: the module of each format here, and the name of its class.
EXPORTS: Mapping[ExportName, tuple[str, str]] = {
    "webdataset": ("record_exports", "WebDatasetExport"),
    "parquet": ("parquet_export", "ParquetExport"),
    "mds": ("mds_export", "MdsExport"),
    "array_record": ("record_exports", "ArrayRecordExport"),
}


class ExportedImage(NamedTuple):
    """A record of an output, on its way into an export.

    Attributes:
        sample: its image, class, name and key.
        label: the numbers of its label.
        record: its bytes in the output.
    """

    sample: Sample
    label: tuple[float, ...]
    record: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedFile:
    """A file of an export, whole and verified.

    Attributes:
        split, index: the shard of the output that it holds the records of.
        file: its path, relative to the folder of the export.
        images: number of records.
        bytes: its size.
        kept: whether an earlier attempt has written it.
    """

    split: str
    index: int
    file: str
    images: int
    bytes: int
    kept: bool = False

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON values; :meth:`from_json` reads them."""
        names = ("split", "index", "file", "images", "bytes")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_json(cls, value: object) -> ExportedFile:
        """Read what :meth:`to_json` gave, as a file that was there before.

        Raises:
            ValueError: it is not that.
        """
        fields = Fields(value, "an exported file")
        found = cls(
            split=fields.text("split"),
            index=fields.whole("index"),
            file=fields.text("file"),
            images=fields.whole("images"),
            bytes=fields.whole("bytes"),
            kept=True,
        )
        fields.end()
        return found


class ExportFormat(ABC):
    """A format that the shards of an output are exported to.

    Attributes:
        suffix: what the names of its files end in.
        plan: of the output.
    """

    suffix: ClassVar[str]

    def __init__(self, plan: RunPlan) -> None:
        self.plan = plan

    def require_possible(self) -> None:
        """Raise ConfigError unless the output can be exported, here and now."""
        return

    def file_of(self, shard: ShardSpec) -> str:
        """Return the path of a shard's file, relative to the folder of the export."""
        name = f"{shard.split}-{shard.index:05d}-of-{shard.count:05d}{self.suffix}"
        return f"{shard.split}/{name}"

    @abstractmethod
    def write(self, path: Path, images: Iterable[ExportedImage], count: int) -> None:
        """Write a file.

        Args:
            path: of the file, which does not exist yet.
            images: its images, of which few are to be in memory at a time.
            count: how many they are.

        Raises:
            RecordError: there is something that such a file can't hold.
        """

    @abstractmethod
    def read(self, path: Path) -> Iterator[Record]:
        """Yield the images and labels of a file that :meth:`write` has written.

        Raises:
            RecordError: it is damaged.
        """

    def beside(self, files: Sequence[ExportedFile]) -> Iterator[tuple[str, bytes]]:
        """Yield names and contents of the files that describe the others.

        Args:
            files: all of the export, in the order of the shards.
        """
        yield from ()


def export_class(name: ExportName) -> type[ExportFormat]:
    """Return the class of a format of the registry."""
    module, found = EXPORTS[name]
    return cast(
        type[ExportFormat],
        getattr(importlib.import_module(f"prep.shards.exports.{module}"), found),
    )


def as_unicode(name: str) -> str:
    r"""Return a name as Unicode; bytes of file names that are none become escapes.

    >>> as_unicode("a\udce9.jpg")
    'a\\udce9.jpg'
    """
    return name.encode(errors="backslashreplace").decode()
