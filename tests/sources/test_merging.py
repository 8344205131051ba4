"""Several sources that are read as one: a list of them, or a mapping of split to source."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import prep
from prep.errors import SourceError
from prep.sources.base import Catalog, ImageEntry
from prep.sources.columns import table_of
from prep.sources.file_source import FileSource
from prep.sources.folders.ignored import Ignored
from prep.sources.layouts.merging import merge_catalogs
from prep.sources.manifest import entries_of
from prep.sources.naming import SourceName, Sources
from prep.sources.registry import open_source, reopen_source
from prep.storage.location import Stamp
from tests.support.pictures import write_tree


def merged(given: Any, catalogs: list[Catalog], **keys: Any) -> Catalog:
    config = prep.Config(source=given, output="/out", **keys)
    assert isinstance(config.source, Sources)
    return merge_catalogs(config.source, catalogs, config)


def part(source: str, images: dict[str, str], **more: Any) -> Catalog:
    """Return the catalog of whole files in a folder, of one split; by name, the class."""
    classes = sorted({*images.values()})
    return Catalog(
        source=source,
        splits=("train",),
        classes=tuple(classes),
        images=table_of(
            {
                "split": [0] * len(images),
                "class": [classes.index(label) for label in images.values()],
                "path": [os.fsencode(name) for name in images],
                "size": [9] * len(images),
                "mtime": [1] * len(images),
            }
        ),
        **more,
    )


def files_of(catalog: Catalog) -> dict[str, tuple[str, str]]:
    """Return by name the class and the file of each image."""
    entries = entries_of(catalog.images, catalog.classes)
    return {e.name: (e.class_name, os.fsdecode(e.file)) for e in entries}


def test_folders_for_splits_are_read_as_one_set_and_each_image_is_found(tmp_path: Path) -> None:
    cat = {"0.jpg": b"cat", "1.jpg": b"another"}
    write_tree(tmp_path, {"one": {"cat": cat, "dog": 1}, "other": {"cat": {"0.jpg": b"third"}}})
    parts = {"train": str(tmp_path / "one"), "val": str(tmp_path / "other")}
    config = prep.Config(source=parts, output="/out", size=32)
    source = open_source(config.source)
    found = source.catalog(config)
    assert (found.splits, found.classes) == (("train", "val"), ("cat", "dog"))
    assert found.read_as == "2 sources, each class folders"
    again = reopen_source(found.source)
    assert isinstance(again, FileSource)
    entries = [*entries_of(found.images, found.classes)]
    assert len(entries) == 4
    for entry in entries:
        below = Path(entry.name)  # Both have a cat, so that names begin with that of the source.
        assert again.read(entry) == (tmp_path / below).read_bytes()
        assert again.stamp(entry) == entry.stamp
        assert below.parts[1] == entry.class_name
    only = source.catalog(config.model_copy(update={"splits": ("val",)}))
    assert [e.name for e in entries_of(only.images, only.classes)] == [
        entry.name for entry in entries if entry.name.startswith("other/")
    ]
    assert only.classes == found.classes


@pytest.mark.parametrize(
    ("root", "file"),
    [
        ("/photos", "/photos-2/1.jpg"),
        ("/photos", "/photos/../etc/1.jpg"),
        ("/photos", "/photos/.."),
        ("/photos", "/photos/1\0.jpg"),
        ("webdavs://host/photos", "webdavs://host/photos/%2e%2e/private/1.jpg"),
        ("webdavs://host/photos", "webdavs://host/photos/..%2fprivate/1.jpg"),
        ("webdavs://host/photos", "webdavs://else/photos/1.jpg"),
        ("file:///photos", "file:///photos/%2e%2e/etc/1.jpg"),
    ],
)
def test_no_file_is_read_whose_path_leads_out_of_the_sources(root: str, file: str) -> None:
    source = reopen_source(str(SourceName(given=Sources(((None, "/a"), (None, root))))))
    for offset in (None, 512):
        forged = ImageEntry(b"1.jpg", "cat", Stamp(9, 1), os.fsencode(file), offset)
        for question in (source.read, source.stamp, source.fetch):
            with pytest.raises(OSError, match="not a file of this source"):
                question(forged)


def test_names_are_as_in_their_sources_unless_two_have_the_same() -> None:
    apart = merged(["/a", "/b"], [part("/a", {"cat/1": "cat"}), part("/b", {"cat/2": "cat"})])
    assert files_of(apart) == {"cat/1": ("cat", "/a/cat/1"), "cat/2": ("cat", "/b/cat/2")}
    same = [part("", {"cat/1": "cat"}), part("", {"cat/1": "cat"})]
    assert [*files_of(merged(["/x/a", "/y/a/"], same))] == ["x/a/cat/1", "y/a/cat/1"]
    assert [*files_of(merged(["s3://b/x.tar", "/y.tar"], same))] == ["x.tar/cat/1", "y.tar/cat/1"]


def test_what_parts_say_of_classes_and_of_the_rest_is_kept() -> None:
    ignored = (Ignored(reason="hidden", count=2, example=".b"),)
    one = part("/a", {"1": "b"}, order=("b", "a"), class_names={"b": "bee"}, ignored=ignored)
    ignored = (Ignored(reason="hidden", count=1, example=".a"),)
    images = {"2": "b", "3": "a"}
    other = part(
        "/b", images, order=("b", "a"), class_names={"b": "?", "a": "ant"}, ignored=ignored
    )
    found = merged(["/a", "/b"], [one, other])
    assert (found.order, found.class_names) == (("b", "a"), {"a": "ant", "b": "bee"})
    assert found.ignored == (Ignored(reason="hidden", count=3, example=".a"),)
    assert [label for label, _ in files_of(found).values()] == ["b", "b", "a"]
    other = part("/b", images, order=("a", "b"))
    with pytest.raises(SourceError, match="'/a' and '/b' number their classes differently"):
        merged(["/a", "/b"], [one, other])
    assert merged(["/a", "/b"], [one, other], labels={"order": "name"}).order is None


def test_where_a_list_has_its_images_is_part_of_the_name() -> None:
    listed = part(str(SourceName(given="/lists/a.csv", roots=("/photos",))), {"1": "cat"})
    found = merged(["/lists/a.csv", "/b"], [listed, part("/b", {"2": "cat"})])
    name = SourceName.parse(found.source)
    assert name is not None
    assert name.paths == ("/lists/a.csv", "/b", "/photos")


def test_a_split_of_a_source_that_has_several_is_that_one_of_its_own(tmp_path: Path) -> None:
    photos = write_tree(tmp_path / "photos", {"train": {"cat": 1}, "val": {"cat": 2}})
    more = write_tree(tmp_path / "more", {"train": {"cat": 3}, "val": {"dog": 4}, "test": {}})
    config = prep.Config(source={"train": str(photos), "val": str(more)}, output="/out")
    catalog = open_source(config.source).catalog(config)
    assert catalog.splits == ("train", "val")
    assert catalog.images["split"].to_pylist() == [0] + [1] * 4
    absent = prep.Config(source={"train": str(photos), "dev": str(more)}, output="/out")
    with pytest.raises(SourceError, match="has splits of its own: 'train', 'val'; leave out"):
        open_source(absent.source).catalog(absent)
