"""Archives as folders: the paths in them mean what folders mean."""

from __future__ import annotations

import io
import os
import random
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fsspec
import pytest

import prep
from prep.errors import SourceError
from prep.sources.base import Catalog
from prep.sources.file_source import FileSource
from prep.sources.manifest import entries_of

Tree = Mapping[str, bytes]
SPLITS = ("train", "val")
TRAIN_AND_VAL: Tree = {
    f"{split}/{name}/{number}.jpg": f"{split} {name} {number}".encode()
    for split in SPLITS
    for name in ("cat", "dog", "gold fish")
    for number in (1, 10, 2)
}


def tar(files: Tree) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


def zipped(files: Tree) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


def folder(root: Path, files: Tree) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def below(prefix: str, files: Tree) -> Tree:
    return {f"{prefix}{name}": data for name, data in files.items()}


def within(prefix: str, files: Tree) -> Tree:
    return {n.removeprefix(prefix): data for n, data in files.items() if n.startswith(prefix)}


def catalog_of(source: Path, **options: Any) -> Catalog:
    config = prep.Config(source=str(source), output="/nowhere/shards", **options)
    return FileSource(str(source)).catalog(config)


def contents(source: Path, catalog: Catalog) -> list[tuple[str, str, bytes]]:
    """Return the split, the class and the bytes of each image, in order."""
    opened = FileSource(str(source))
    splits = catalog.images["split"].to_pylist()
    entries = entries_of(catalog.images, catalog.classes)
    return [
        (catalog.splits[split], entry.class_name, opened.read(entry))
        for split, entry in zip(splits, entries, strict=True)
    ]


def names(catalog: Catalog) -> list[str]:
    return [os.fsdecode(path) for path in catalog.images["path"].to_pylist()]


def written(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def of_splits(pack: Any, files: Tree) -> Tree:
    return {f"{s}.tar": pack(within(f"{s}/", files)) for s in SPLITS}


def of_classes(files: Tree) -> Tree:
    classes = sorted({name.rpartition("/")[0] for name in files})
    return {f"{name}.tar": tar(within(f"{name}/", files)) for name in classes}


FORMS: dict[str, Any] = {
    "tar": lambda at: written(at / "set.tar", tar(TRAIN_AND_VAL)),
    "zip": lambda at: written(at / "set.zip", zipped(TRAIN_AND_VAL)),
    "in a folder": lambda at: written(at / "set", tar(below("set/", TRAIN_AND_VAL))),
    "in two folders": lambda at: written(at / "set.zip", zipped(below("a/images/", TRAIN_AND_VAL))),
    "splits": lambda at: folder(at, of_splits(tar, TRAIN_AND_VAL)),
    "zipped splits": lambda at: folder(at, of_splits(zipped, TRAIN_AND_VAL)),
    "splits, each in a folder": lambda at: folder(
        at,
        {f"{s}.tar": tar(below("a/", within(f"{s}/", TRAIN_AND_VAL))) for s in SPLITS},
    ),
    "splits, each in a folder of its name": lambda at: folder(
        at,
        {f"{s}.tar": tar(below(f"{s}/", within(f"{s}/", TRAIN_AND_VAL))) for s in SPLITS},
    ),
    "classes": lambda at: folder(at, of_classes(TRAIN_AND_VAL)),
    "tars in a tar": lambda at: written(at / "set.tar", tar(of_classes(TRAIN_AND_VAL))),
    "tars in tars": lambda at: folder(
        at, {f"{s}.tar": tar(of_classes(within(f"{s}/", TRAIN_AND_VAL))) for s in SPLITS}
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_archives_hold_what_folders_hold(form: str, tmp_path: Path) -> None:
    whole = folder(tmp_path / "folders", TRAIN_AND_VAL)
    expected = catalog_of(whole)
    source = FORMS[form](tmp_path / "packed")
    catalog = catalog_of(source)
    assert (catalog.splits, catalog.classes) == (expected.splits, expected.classes)
    assert contents(source, catalog) == contents(whole, expected)
    assert catalog.ignored == ()


def test_names_keep_the_archives_that_images_are_in(tmp_path: Path) -> None:
    inner = tar({"x.jpg": b"x"})
    root = folder(tmp_path, {"train.tar": tar({"n01.tar": inner, "n02.tar": inner})})
    catalog = catalog_of(root)
    assert names(catalog) == ["train.tar/n01.tar/x.jpg", "train.tar/n02.tar/x.jpg"]
    assert (catalog.splits, catalog.classes) == (("train",), ("n01", "n02"))
    assert catalog.images["file"].to_pylist() == [b"train.tar"] * 2
    assert catalog.read_as == "1 archive of class folders in splits"
    one = catalog_of(root / "train.tar")
    assert names(one) == ["n01.tar/x.jpg", "n02.tar/x.jpg"]
    assert one.images["file"].to_pylist() == [os.fsencode(root / "train.tar")] * 2
    assert one.read_as == "tar file of class folders"


# The files of a tar; what is asked for; splits, classes, and where the first split lies.
SHAPES: dict[str, tuple[list[str], dict[str, Any], list[str], list[str], bytes]] = {
    "one class": (["tench/0.jpg"], {}, ["train"], ["tench"], b""),
    "one class in a folder": (["set/tench/0.jpg"], {}, ["train"], ["tench"], b"set"),
    "classes with images": (
        ["n1/images/0.jpg", "n2/images/0.jpg"],
        {},
        ["train"],
        ["n1", "n2"],
        b"",
    ),
    "one split": (["set/val/cat/0.jpg"], {}, ["val"], ["cat"], b"set/val"),
    "CUB": (
        [
            "CUB/images/001.Auk/0.jpg",
            "CUB/images/002.Jay/0.jpg",
            "CUB/images.txt",
            "attributes.txt",
        ],
        {},
        ["train"],
        ["001.Auk", "002.Jay"],
        b"CUB/images",
    ),
    "Imagenette": (
        ["imagenette2/train/n01/n01_1.JPEG", "imagenette2/val/n01/ILSVRC2012_val_00000001.JPEG"],
        {},
        ["train", "val"],
        ["n01"],
        b"imagenette2/train",
    ),
    "a wrapper as a split": (["set/a/0.jpg"], {"layout": "splits"}, ["set"], ["a"], b"set"),
    "splits in a wrapper": (
        ["set/x/a/0.jpg", "set/y/a/0.jpg"],
        {"layout": "splits"},
        ["x", "y"],
        ["a"],
        b"set/x",
    ),
    "a wrapper that is named": (["set/a/0.jpg"], {"splits": ["set"]}, ["set"], ["a"], b"set"),
    "kinds as classes": (
        ["set/animals/cat/0.jpg", "set/things/1.jpg"],
        {"layout": "classes"},
        ["train"],
        ["animals", "things"],
        b"set",
    ),
    "labels in names": (
        ["set/train/cat.0.jpg", "set/train/dog.0.jpg", "set/test/cat.1.jpg"],
        {"labels": {"from": r"(?P<label>\w+)\.\d+\.jpg$"}},
        ["test", "train"],
        ["cat", "dog"],
        b"set/test",
    ),
    "leaves": (
        ["set/a/cat/0.jpg", "set/a/dog/0.jpg", "set/b.tar/0.jpg"],
        {"labels": {"from": "path"}},
        ["train"],
        ["a/cat", "a/dog", "b"],
        b"set",
    ),
}


@pytest.mark.parametrize("pack", [tar, zipped])
@pytest.mark.parametrize("name", SHAPES)
def test_paths_in_an_archive_mean_what_folders_mean(name: str, pack: Any, tmp_path: Path) -> None:
    paths, options, splits, classes, top = SHAPES[name]
    source = written(tmp_path / "photos", pack(dict.fromkeys(paths, b"1")))
    catalog = catalog_of(source, **options)
    assert [*catalog.splits] == splits
    assert [*catalog.classes] == classes
    assert catalog.split_folders[splits[0]] == top
    assert catalog.images.num_rows + sum(i.count for i in catalog.ignored) == len(paths)


def test_lists_of_splits_beside_classes_are_doubted(tmp_path: Path) -> None:
    """As in Food-101 and CUB-200-2011."""
    for name in ("meta/test.txt", "train_test_split.txt"):
        files = {f"food/images/{label}/0.jpg": b"1" for label in ("pie", "waffles")}
        source = written(tmp_path / "food.tar", tar({**files, f"food/{name}": b""}))
        catalog = catalog_of(source)
        assert (catalog.splits, catalog.classes) == (("train",), ("pie", "waffles"))
        (doubt,) = catalog.doubts
        assert f"'food/{name}' may tell the splits of images, and is not read" in doubt
        assert catalog_of(source, splits=["train"]).doubts == ()


def test_what_is_no_image_in_an_archive_is_counted_with_its_path(tmp_path: Path) -> None:
    files = {
        "README": b"",
        "__MACOSX/set/cat/._0.jpg": b"",
        "set/labels.csv": b"",
        "set/label_map.json": b"{}",
        "set/empty/notes.txt": b"",
        "set/cat/0.jpg": b"1",
        "set/cat/.hidden.jpg": b"",
        "set/cat/more/1.jpg": b"2",
        "set/dog/0.jpg": b"3",
    }
    root = folder(tmp_path, {"photos.tar": tar(files), "notes.txt": b""})
    (root / "train.zip").write_bytes(zipped({"dog/2.jpg": b"4", "dog/2.txt": b""}))
    catalog = catalog_of(root / "photos.tar")
    assert names(catalog) == ["set/cat/0.jpg", "set/cat/more/1.jpg", "set/dog/0.jpg"]
    assert {i.reason: (i.count, i.example) for i in catalog.ignored} == {
        "folder of a system": (1, "__MACOSX"),
        "folder without images": (1, "set/empty"),
        "hidden": (1, "set/cat/.hidden.jpg"),
        "other extension": (4, "README"),
    }
    both = catalog_of(root, layout="splits")
    assert both.splits == ("photos", "train")
    assert {i.reason: (i.count, i.example) for i in both.ignored} == {
        "folder of a system": (1, "photos.tar/__MACOSX"),
        "folder without images": (1, "photos.tar/set/empty"),
        "hidden": (1, "photos.tar/set/cat/.hidden.jpg"),
        "other extension": (6, "notes.txt"),
    }


def test_archives_in_a_storage_are_read_there(tmp_path: Path) -> None:
    bucket = fsspec.filesystem("memory")
    files = {f"{name}.tar": tar(of_classes(within(f"{name}/", TRAIN_AND_VAL))) for name in SPLITS}
    for name, data in files.items():
        bucket.pipe(f"/packed/{name}", data)
    try:
        whole = folder(tmp_path, TRAIN_AND_VAL)
        expected = contents(whole, catalog_of(whole))
        source = FileSource("memory://packed")
        catalog = source.catalog(prep.Config(source=str(whole), output="/nowhere/shards"))
        entries = [*entries_of(catalog.images, catalog.classes)]
        assert entries[0].name == "train.tar/cat.tar/1.jpg"
        assert [(e.class_name, source.read(e)) for e in entries] == [e[1:] for e in expected]
    finally:
        bucket.rm("/packed", recursive=True)


def test_names_that_lead_out_of_an_archive_are_strays(tmp_path: Path) -> None:
    files = {"cat/0.jpg": b"1", "../escape.jpg": b"2", "cat/../../../etc/x.jpg": b"3"}
    source = written(tmp_path / "a.tar", tar(files))
    with pytest.raises(SourceError, match=r"2 × name that leads out .* '\.\./escape\.jpg'.*skip"):
        catalog_of(source)
    catalog = catalog_of(source, on_stray="skip")
    assert names(catalog) == ["cat/0.jpg"]
    assert [(i.reason, i.count) for i in catalog.ignored] == [
        ("name that leads out of the archive", 2)
    ]


def test_a_name_that_no_worker_would_read_back_is_refused(tmp_path: Path) -> None:
    long, deep = "cat/" + "l" * 4089 + ".jpg", "d/" * 30_000 + "0.jpg"
    for name in (long, deep):  # Of the latter, the folders alone take a gigabyte.
        files = {"cat/1.jpg": b"2", name: b"1", "dog/1.jpg": b"3"}
        told = f"{len(name):,} bytes; expected at most 4,096; give it another in the archive"
        for archive, data in (("a.tar", tar(files)), ("a.zip", zipped(files))):
            with pytest.raises(SourceError, match=told):
                catalog_of(written(tmp_path / archive, data))
    within = "l" * 4083 + ".jpg"
    files = {"inner.tar": tar({"cat/0.jpg": b"", f"cat/{within}": b"", "dog/1.jpg": b""})}
    source = written(tmp_path / "a.tar", tar(files))
    with pytest.raises(SourceError, match=r"'inner\.tar/cat/l+…l+\.jpg' has more than .*exclude"):
        catalog_of(source)
    assert names(catalog_of(source, exclude=[within])) == [
        "inner.tar/cat/0.jpg",
        "inner.tar/dog/1.jpg",
    ]
    unnamed = zipped({"cat/x-y.jpg": b"1", "dog/1.jpg": b"3"}).replace(b"x-y.jpg", b"x\0y.jpg")
    with pytest.raises(SourceError, match=r"does not stay within .*'cat/x\\x00y\.jpg'; rename"):
        catalog_of(written(tmp_path / "b.zip", unnamed))


# The files of a source, and what is said of it.
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "one class twice": (
        {"cat.tar": {"0.jpg": b""}, "cat.zip": {"0.jpg": b""}},
        "'cat.tar' and 'cat.zip' are both called 'cat'",
    ),
    "no archive": ({"cat.tar": b"<html>" * 99}, "cat.tar' is no archive, as it begins"),
    "flat splits": (
        {"train.zip": {"cat.0.jpg": b"", "cat.1.jpg": b"", "dog.0.jpg": b"", "dog.1.jpg": b""}},
        r"pass `labels.from` with a regular expression for them, such as "
        r"'(?P<label>[^/]+)\.\d+\.\w+$'",
    ),
    "images alone": ({"a.tar": {"0.jpg": b"", "1.jpg": b""}}, "images such as '0.jpg', outside of"),
    "one class, and a folder": ({"a.tar": {"n1/images/0.jpg": b""}}, "pass `layout='classes'`; if"),
    "no images": ({"a.tar": {"cat/0.txt": b""}}, "no images in"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_be_a_guess_is_refused(name: str, tmp_path: Path) -> None:
    files, expected = REFUSED[name]
    for file, held in files.items():
        data = held if isinstance(held, bytes) else (zipped if "zip" in file else tar)(held)
        written(tmp_path / file, data)
    source = tmp_path / "a.tar" if "a.tar" in files else tmp_path
    with pytest.raises(SourceError) as error:
        catalog_of(source)
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_archives_beside_images_are_passed_over(tmp_path: Path) -> None:
    root = folder(tmp_path, {"cat/0.jpg": b"", "dog/0.jpg": b"", "old.tar": tar({"a/0.jpg": b""})})
    catalog = catalog_of(root)
    assert names(catalog) == ["cat/0.jpg", "dog/0.jpg"]
    assert "file" not in catalog.images.column_names
    assert [(i.reason, i.example) for i in catalog.ignored] == [("other extension", "old.tar")]
    [doubt] = catalog.doubts
    assert "1 archive (1 tar) among the images will not be read" in doubt
    assert "pass `layout='archive'` to read both" in doubt
    # Both are taken where that is asked for.
    both = catalog_of(root, layout="archive", labels={"from": "leaf"})
    assert both.classes == ("a", "cat", "dog")
    assert [data for _, _, data in contents(root, both)] == [b"", b"", b""]
    assert both.doubts == ()


def test_a_zip_in_a_tar_is_doubted_to_hold_images(tmp_path: Path) -> None:
    files = {"cat/0.jpg": b"", "dog/0.jpg": b"", "dog/more.ZIP": zipped({"1.jpg": b""})}
    [doubt] = catalog_of(written(tmp_path / "a.tar", tar(files))).doubts
    assert "1 archive (1 zip) among the images will not be read" in doubt
    assert doubt.endswith(": unpack it, or move it away")


def test_only_an_archive_of_imagenet_is_taken_for_it(tmp_path: Path) -> None:
    """Subsets of it have images of the same names in class folders of their own."""
    for name in ("n01440764_10.JPEG", "ILSVRC2012_val_00000001.JPEG"):
        source = written(tmp_path / f"{name}.tar", tar({f"set/val/tench/{name}": b"1"}))
        catalog = catalog_of(source)
        assert (catalog.splits, catalog.classes) == (("val",), ("tench",))


def test_shards_in_a_folder_of_archives_are_none_of_these(tmp_path: Path) -> None:
    root = folder(tmp_path, {"cat.tar": tar({"0.jpg": b""}), "dog.tar": tar({"0.jpg": b""})})
    written(root / "shards/train/train-00000-of-00001.tar", tar({"0.jpg": b"", "0.cls": b"0"}))
    for layout in ("auto", "archive"):
        config = prep.Config(source=str(root), output=str(root / "shards"), layout=layout)
        catalog = FileSource(str(root)).catalog(config)
        assert names(catalog) == ["cat.tar/0.jpg", "dog.tar/0.jpg"]
        assert catalog.ignored == ()


@pytest.mark.parametrize("layout", ["auto", "classes", "splits"])
def test_no_image_of_a_random_archive_is_lost(tmp_path: Path, layout: str) -> None:
    """Each is in the list, or is counted as one of which no class can be told."""
    words = ("train", "val", "cat", "dog", "images", "a", "b.tar")
    taken = 0
    for seed in range(60):
        choose = random.Random(seed)
        folders = {"/".join(choose.choices(words, k=choose.randint(0, 4))) for _ in range(6)}
        files = {f"{name}/{n}.jpg".lstrip("/"): b"%d" % n for name in folders for n in range(3)}
        source = written(tmp_path / f"{seed}.tar", tar(files))
        try:
            catalog = catalog_of(source, layout=layout, on_stray="skip")
        except SourceError:
            continue
        strays = sum(i.count for i in catalog.ignored if i.reason.startswith("image "))
        assert catalog.images.num_rows + strays == len(files)
        assert [data for *_, data in contents(source, catalog)] == [
            files[name] for name in names(catalog)
        ]
        taken += 1
    assert taken
