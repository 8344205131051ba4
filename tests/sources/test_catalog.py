"""Images in folders on real disks."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

import prep
from prep.errors import SourceError
from prep.sources.base import Catalog
from prep.sources.registry import open_source
from tests.support.catalogs import scan_folders
from tests.support.pictures import write_tree

ONE = {"a.jpg": b"1"}


def paths(catalog: Catalog) -> list[str]:
    return [os.fsdecode(path) for path in catalog.images["path"].to_pylist()]


def ignored(catalog: Catalog) -> dict[str, tuple[int, str]]:
    return {i.reason: (i.count, i.example) for i in catalog.ignored}


def test_splits_and_classes_are_folders(tmp_path: Path) -> None:
    write_tree(
        tmp_path,
        {
            "val": {"dog": {"3.jpg": b"333"}},
            "train": {"dog": {"2.png": b"22"}, "cat": {"1.jpg": b"", "0.webp": b"1"}},
        },
    )
    catalog = scan_folders(str(tmp_path))
    assert (catalog.splits, catalog.classes) == (("train", "val"), ("cat", "dog"))
    assert catalog.images.to_pydict() == {
        "split": [0, 0, 0, 1],
        "class": [0, 0, 1, 1],
        "path": [b"train/cat/0.webp", b"train/cat/1.jpg", b"train/dog/2.png", b"val/dog/3.jpg"],
        "size": [1, 0, 2, 3],
        "mtime": [10**18] * 4,
    }
    assert catalog.ignored == ()


def test_without_splits_all_is_for_training(tmp_path: Path) -> None:
    write_tree(tmp_path, {".": {"dog": ONE, "cat": ONE}})
    catalog = scan_folders(str(tmp_path))
    assert (catalog.splits, catalog.classes) == (("train",), ("cat", "dog"))
    assert paths(catalog) == ["cat/a.jpg", "dog/a.jpg"]


def test_train_may_be_asked_for_where_there_are_no_splits(tmp_path: Path) -> None:
    write_tree(tmp_path, {".": {"dog": ONE}})
    assert scan_folders(str(tmp_path), ["train"]).splits == ("train",)


def test_chosen_splits_come_in_the_order_asked_for(tmp_path: Path) -> None:
    write_tree(tmp_path, {s: {"cat": ONE} for s in ("train", "val", "test")})
    catalog = scan_folders(str(tmp_path), ["val", "test"])
    assert catalog.splits == ("val", "test")
    assert paths(catalog) == ["val/cat/a.jpg", "test/cat/a.jpg"]


def test_classes_are_those_of_all_splits_whichever_are_chosen(tmp_path: Path) -> None:
    # Else the same class would have other numbers in shards made one split at a time.
    write_tree(tmp_path, {"train": {"cat": ONE, "dog": ONE}, "val": {"dog": ONE}})
    assert scan_folders(str(tmp_path), ["val"]).classes == ("cat", "dog")


def test_a_split_that_is_absent_is_named_with_those_that_are_not(tmp_path: Path) -> None:
    write_tree(tmp_path, {"train": {"cat": ONE}})
    with pytest.raises(SourceError, match=r"splits: no folder 'vale' .*found: 'train'"):
        scan_folders(str(tmp_path), ["train", "vale"])


@pytest.mark.parametrize("image_type", ["JPEG", "jpeg", ".Jpeg", "*.jpeg"])
def test_one_type_can_be_asked_for_in_any_case(tmp_path: Path, image_type: str) -> None:
    names = ("a.JPEG", "b.jpeg", "c.Jpeg", "d.jpg", "e.png", "jpeg")
    write_tree(tmp_path, {"train": {"cat": dict.fromkeys(names, b"")}})
    catalog = scan_folders(str(tmp_path), image_type=image_type)
    assert paths(catalog) == ["train/cat/a.JPEG", "train/cat/b.jpeg", "train/cat/c.Jpeg"]
    assert ignored(catalog) == {"other extension": (3, "train/cat/d.jpg")}


@pytest.mark.parametrize(
    "name",
    [
        "two words.jpg",  # a space
        "größe 大.jpg",  # letters beyond ASCII
        "two\nlines.jpg",  # a line break
        "-rf.jpg",  # what a command would take for an option
        "*.jpg",  # a pattern
        "a'b\"c\\.jpg",  # quotes
        os.fsdecode(b"caf\xe9.jpg"),  # bytes that are no UTF-8
        "a.b.c.jpg",  # several dots
    ],
)
def test_odd_names_are_kept_as_they_are(tmp_path: Path, name: str) -> None:
    folder = name.removesuffix(".jpg")
    write_tree(tmp_path, {folder: {folder: {name: b"1"}}})
    catalog = scan_folders(str(tmp_path), layout="splits")
    assert (catalog.splits, catalog.classes) == ((folder,), (folder,))
    assert catalog.images["path"].to_pylist() == [os.fsencode(f"{folder}/{folder}/{name}")]
    assert (tmp_path / paths(catalog)[0]).read_bytes() == b"1"


def test_what_is_no_image_of_the_set_is_counted(tmp_path: Path) -> None:
    files = {"a.jpg": b"", ".hidden.jpg": b"", "Thumbs.db": b"", "notes.txt": b"", "jpg": b""}
    write_tree(tmp_path, {"train": {"cat": files, "cat/more": ONE, "empty": {}, ".git": ONE}})
    (tmp_path / "train" / "stray.jpg").touch()
    (tmp_path / "README.md").touch()
    (tmp_path / "label_map.json").touch()  # It is part of the set, and read.
    write_tree(tmp_path, {"__MACOSX": {"train/cat": ONE}})
    catalog = scan_folders(str(tmp_path), on_stray="skip")
    assert paths(catalog) == ["train/cat/a.jpg", "train/cat/more/a.jpg"]
    assert ignored(catalog) == {
        "folder of a system": (1, "__MACOSX"),
        "folder without images": (1, "train/empty"),
        "hidden": (2, "train/.git"),
        "image outside a class folder": (1, "train/stray.jpg"),
        "other extension": (4, "README.md"),
    }


def test_what_lies_beside_the_splits_is_counted(tmp_path: Path) -> None:
    write_tree(tmp_path, {"train": {"cat": ONE}, "val": {"cat": ONE}, "drafts": {"old": {}}})
    (tmp_path / "stray.jpg").touch()
    catalog = scan_folders(str(tmp_path), on_stray="skip")
    assert catalog.splits == ("train", "val")
    assert ignored(catalog) == {
        "folder without images": (1, "drafts"),
        "image outside a class folder": (1, "stray.jpg"),
    }
    # Whoever names splits has left out what is beside them.
    assert ignored(scan_folders(str(tmp_path), splits=["val"])) == {}


def test_images_are_listed_by_name_whatever_they_are(tmp_path: Path) -> None:
    """Faults in their contents are reported when they are read."""
    write_tree(tmp_path, {"train": {"cat": ONE}})
    folder = tmp_path / "train" / "cat"
    (folder / "dangling.jpg").symlink_to("nowhere")
    (folder / "link.jpg").symlink_to("a.jpg")
    os.mkfifo(folder / "pipe.jpg")
    (folder / "folder.jpg").mkdir()
    catalog = scan_folders(str(tmp_path))
    names = [Path(path).name for path in paths(catalog)]
    assert names == ["a.jpg", "dangling.jpg", "link.jpg", "pipe.jpg"]
    assert catalog.images["size"].to_pylist() == [1, 0, 1, 0]
    assert ignored(catalog) == {"folder without images": (1, "train/cat/folder.jpg")}


def test_a_link_to_itself_is_like_one_to_nowhere(tmp_path: Path) -> None:
    write_tree(tmp_path, {"train": {"cat": ONE}})
    for folder in (tmp_path, tmp_path / "train", tmp_path / "train" / "cat"):
        (folder / "loop.jpg").symlink_to("loop.jpg")
    catalog = scan_folders(str(tmp_path), on_stray="skip")
    assert paths(catalog) == ["train/cat/a.jpg", "train/cat/loop.jpg"]


def test_linked_folders_are_followed(tmp_path: Path) -> None:
    write_tree(tmp_path, {"elsewhere": {"cat": ONE}})
    (tmp_path / "source" / "train").mkdir(parents=True)
    (tmp_path / "source" / "train" / "cat").symlink_to(tmp_path / "elsewhere" / "cat")
    assert paths(scan_folders(str(tmp_path / "source"))) == ["train/cat/a.jpg"]


def test_folders_of_both_layouts_are_an_error_that_names_them(tmp_path: Path) -> None:
    write_tree(tmp_path, {"train": {"cat": ONE}, ".": {"dog": ONE}})
    with pytest.raises(SourceError, match=r"'dog' holds images.*'train' holds folders of images"):
        scan_folders(str(tmp_path))


def test_naming_the_splits_settles_which_layout_it_is(tmp_path: Path) -> None:
    write_tree(tmp_path, {"train": {"cat": ONE}, ".": {"backup": ONE}})
    assert paths(scan_folders(str(tmp_path), ["train"])) == ["train/cat/a.jpg"]


@pytest.mark.parametrize(
    "tree",
    [
        {},  # nothing at all
        {"train": {}},  # an empty split
        {"train": {"cat": {}}},  # an empty class
        {"train": {"cat": {"a.txt": b""}}},  # no images
        {"train": {"cat": {".a.jpg": b""}}},  # hidden ones
        {"photos": {"cat/more": ONE}},  # folders too deep below what may be no split
    ],
)
def test_a_source_without_images_is_an_error(
    tmp_path: Path, tree: dict[str, dict[str, dict[str, bytes]]]
) -> None:
    for split in tree:
        (tmp_path / split).mkdir()
    write_tree(tmp_path, tree)
    with pytest.raises(SourceError, match=r"no images in .*; expected jpg"):
        scan_folders(str(tmp_path))


def test_an_empty_split_that_was_asked_for_is_an_error(tmp_path: Path) -> None:
    write_tree(tmp_path, {"train": {"cat": ONE}, "val": {"cat": {"a.txt": b""}}})
    assert scan_folders(str(tmp_path)).splits == ("train",)
    with pytest.raises(SourceError, match=r"no images in '.*/val'"):
        scan_folders(str(tmp_path), ["train", "val"])


def test_a_source_that_is_no_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name, told in (("file", "is a file; expected a folder"), ("absent", "does not exist; ")):
        config = prep.Config(source=tmp_path / name, output=tmp_path / "out", layout="folders")
        with pytest.raises(SourceError, match=f"{name}' {told}"):
            open_source(config.source).catalog(config)


def test_a_folder_that_can_not_be_listed_is_an_error(tmp_path: Path) -> None:
    # Its path is too long for the system, which holds for every user, the administrator too.
    source = tmp_path
    while len(str(source)) < 4096 - 130:
        source = source / ("d" * 100)
    source.mkdir(parents=True)
    here = os.open(source, os.O_RDONLY)
    try:
        os.mkdir("train", dir_fd=here)
        os.mkdir("train/" + "c" * 200, dir_fd=here)
    finally:
        os.close(here)
    with pytest.raises(SourceError, match="can't list a folder"):
        scan_folders(str(source))


def test_the_order_is_that_of_names_not_of_making(tmp_path: Path) -> None:
    names = [f"{n}.jpg" for n in range(30)]
    write_tree(tmp_path / "one", {"train": {"b": dict.fromkeys(names, b""), "a": ONE}})
    random.Random(0).shuffle(names)
    write_tree(tmp_path / "other", {"train": {"a": ONE, "b": dict.fromkeys(names, b"")}})
    one, other = (scan_folders(str(tmp_path / name)) for name in ("one", "other"))
    assert one.images == other.images
    assert paths(one) == sorted(paths(one))


def test_the_root_is_absolute_so_that_it_holds_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tree(tmp_path, {"train": {"cat": ONE}})
    monkeypatch.chdir(tmp_path.parent)
    assert scan_folders(tmp_path.name).source == str(tmp_path)


def test_images_below_a_class_folder_belong_to_it_in_the_order_of_their_names(
    tmp_path: Path,
) -> None:
    three = {f"{name}.jpg": b"" for name in "acz"}
    write_tree(tmp_path, {".": {"cat": three, "cat/more": ONE, "cat/more/x": ONE, "dog": three}})
    catalog = scan_folders(str(tmp_path))
    assert catalog.images.to_pydict()["class"] == [0] * 5 + [1] * 3
    assert paths(catalog)[:5] == [
        "cat/a.jpg",
        "cat/c.jpg",
        "cat/more/a.jpg",
        "cat/more/x/a.jpg",
        "cat/z.jpg",
    ]
