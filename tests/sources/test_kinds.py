"""A new kind of source: one class and one line of the registry do all that folders do."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

import prep
from prep.errors import SourceError
from prep.execution.writing import write_serially
from prep.output.journal import Journal
from prep.shards.writer import RunRef
from prep.sources import registry
from prep.sources.base import Catalog, ImageEntry, Source, Wanted
from prep.sources.columns import table_of
from prep.storage.location import FileChanged, Location, Stamp
from tests.support.clusters import contents
from tests.support.pictures import write_tree


class ZipSource(Source):
    """Class folders in a zip file on this machine."""

    def __init__(self, name: str, _folder: Location | None) -> None:
        self.name = self.storage = name

    @staticmethod
    def claims(name: str) -> bool:
        return name.endswith(".zip")

    def catalog(self, wanted: Wanted) -> Catalog:
        with zipfile.ZipFile(self.name) as archive:
            files = sorted(archive.infolist(), key=lambda info: info.filename)
        parts = [info.filename.split("/") for info in files]
        splits, classes = (sorted({part[place] for part in parts}) for place in (0, 1))
        return Catalog(
            source=self.name,
            splits=tuple(splits),
            classes=tuple(classes),
            images=table_of(
                {
                    "split": [splits.index(part[0]) for part in parts],
                    "class": [classes.index(part[1]) for part in parts],
                    "path": [os.fsencode(info.filename) for info in files],
                    "size": [info.file_size for info in files],
                    "mtime": [info.CRC for info in files],
                }
            ),
        )

    def read(self, entry: ImageEntry) -> bytes:
        if self.stamp(entry) != entry.stamp:
            raise FileChanged("changed since it was listed: other contents")
        with zipfile.ZipFile(self.name) as archive:
            return archive.read(entry.name)

    def stamp(self, entry: ImageEntry) -> Stamp:
        with zipfile.ZipFile(self.name) as archive:
            info = archive.getinfo(entry.name)
        return Stamp(info.file_size, info.CRC)

    def require_there(self) -> None:
        if not zipfile.is_zipfile(self.name):
            raise SourceError(f"source: {self.name!r} is no zip file")


def test_a_source_is_one_class_and_a_line_of_the_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_KINDS", (ZipSource, *registry._KINDS))
    folders = write_tree(tmp_path / "photos", {"train": {"cat": 3, "dog": 2}, "val": {"cat": 2}})
    zipped = tmp_path / "photos.zip"
    with zipfile.ZipFile(zipped, "w") as archive:
        for path in folders.glob("*/*/*"):
            archive.write(path, path.relative_to(folders))
    settings: dict[str, Any] = {"size": 32, "images_per_shard": 2}
    for source, name in ((folders, "of-folders"), (zipped, "of-zip")):
        config = prep.Config(source=source, output=tmp_path / name, **settings)
        config.require_source()
        made = prep.plan(config)
        journal = Journal(str(tmp_path / name))
        journal.begin(made)
        write_serially(
            made.shards,
            RunRef(output=journal.output, digest=made.fingerprint.digest, run="1"),
        )
    assert contents(tmp_path / "of-zip", "*/*.tfrecord") == contents(
        tmp_path / "of-folders", "*/*.tfrecord"
    )
    stored = journal.stored_plan()
    assert stored is not None
    assert isinstance(journal.source(stored), ZipSource)
    assert prep.plan(config).state.committed == len(made.shards)  # type: ignore[union-attr]
    absent = prep.Config(source=tmp_path / "absent.zip", output=tmp_path / "out")
    with pytest.raises(SourceError, match="is no zip file"):
        prep.start(absent)
