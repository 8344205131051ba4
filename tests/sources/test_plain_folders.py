"""Folders of nothing but files, listed as columns, and many of them by several processes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from prep.sources.folders import plain_folders, tree
from prep.sources.folders.plain_folders import PlainFolder, read_plain_folder, read_plain_folders
from tests.support.catalogs import catalog_of

_EXTENSIONS = frozenset([b"jpg", b"png"])


def make_classes(root: Path, classes: int) -> None:
    """Make class folders with names that are no text, links, and what else lies among images."""
    for number in range(classes):
        folder = root / f"c{number:02d}"
        folder.mkdir(parents=True)
        for image in range(number % 5 + 1):
            path = folder / f"{9 - image}.JPG"
            path.write_bytes(b"x" * (10 * number + image))
            os.utime(path, ns=(0, 10**18 + image))
        (folder / os.fsdecode(b"caf\xe9\n.jpg")).write_bytes(b"y")
        (folder / ".hidden.jpg").touch()
        (folder / "notes.txt").touch()
    (root / "c03/linked.jpg").symlink_to("9.JPG")
    (root / "c04/broken.jpg").symlink_to("nothing")
    (root / "c05/broken.txt").symlink_to("nothing")
    (root / "c06/below").mkdir()
    (root / "c06/below/1.jpg").write_bytes(b"z")
    (root / "c07/folder.jpg").mkdir()


def test_plain_folders_are_columns_whoever_reads_them(tmp_path: Path) -> None:
    make_classes(tmp_path, 20)
    folders = [os.fsencode(path) for path in sorted(tmp_path.iterdir())] + [b"/nowhere"]
    (alone, *_, absent) = here = [read_plain_folder(path, _EXTENSIONS) for path in folders]
    assert absent is None
    assert alone is not None
    assert alone.images == [b"9.JPG", b"caf\xe9\n.jpg"]
    assert alone.others == [b".hidden.jpg", b"notes.txt"]
    assert list(alone.sizes) == [0, 1]
    assert alone.mtimes[0] == 10**18
    assert here[3] is not None, "a link to a file is as good as the file"
    assert b"linked.jpg" in here[3].images
    assert [row for row, found in enumerate(here) if found is None] == [4, 5, 6, 7, 20]
    for processes in (1, 3, 30):
        assert list(read_plain_folders(folders, _EXTENSIONS, processes)) == here


def test_a_catalog_is_the_same_by_entries_here_and_by_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_classes(tmp_path / "images", 20)
    here = catalog_of(tmp_path / "images")
    asked = list[int]()

    def counted(*given: object) -> object:
        asked.append(1)
        return read_plain_folders(*given)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(tree, "_PATIENCE", 0)
        patch.setattr("prep.sources.folders.listing.read_plain_folders", counted)
        by_processes = catalog_of(tmp_path / "images")
    assert asked
    with monkeypatch.context() as patch:
        patch.setattr("prep.sources.folders.listing.read_plain_folder", lambda *_: None)
        by_entries = catalog_of(tmp_path / "images")
    for other in (by_processes, by_entries):
        assert other == here
        assert other.images.equals(here.images)


def test_a_process_that_dies_or_never_starts_leaves_its_folders_to_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_classes(tmp_path, 8)
    folders = [os.fsencode(path) for path in sorted(tmp_path.iterdir())[:4]]

    def found() -> list[PlainFolder | None]:
        return list(read_plain_folders(folders, _EXTENSIONS, 2))

    monkeypatch.setattr("multiprocessing.spawn.get_executable", lambda: "/bin/false")
    assert found() == [None] * 4
    monkeypatch.setattr("multiprocessing.spawn.get_executable", lambda: "/nowhere/python")
    assert found() == [None] * 4
    cut = tmp_path / "cut.py"
    source = Path(plain_folders.__file__).read_text()
    cut.write_text(
        source.replace("pipe.write(found.mtimes.tobytes())", "pipe.flush(), os._exit(1)")
    )
    monkeypatch.undo()
    monkeypatch.setattr(plain_folders, "__file__", str(cut))
    assert found() == [None] * 4
