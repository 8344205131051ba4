"""ImageNet in all shapes in which people have it: which image is of which class and split."""

from __future__ import annotations

import csv
import gzip
import hashlib
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import prep
from prep import Config
from prep.errors import ConfigError, LabelError, SourceError
from prep.sources.base import Catalog
from prep.sources.imagenet.imagenet_layout import ImageNetLayout
from prep.sources.layouts.base import Place
from prep.sources.layouts.recognition import choose_layout
from prep.sources.manifest import entries_of
from prep.sources.registry import open_source
from tests.conftest import DATA
from tests.support.fuzz import mutated
from tests.support.imagenet import (
    CLASSES,
    TEST,
    TRAIN,
    VAL,
    VALIDATION,
    WNIDS,
    class_tars,
    contents,
    devkit_tar,
    downloads,
    ground_truth,
    kaggle,
    map_clsloc,
    meta_mat,
    synset_mapping,
    tar_of,
    train_folders,
    train_tar,
    val_folder,
    val_solution,
    val_tar,
    write,
)
from tests.support.storages import S3

GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
Images = dict[str, tuple[str, int]]
TRAIN_LABELS = {
    name: ("train", number) for number, names in enumerate(TRAIN.values()) for name in names
}
VAL_LABELS = {
    name: ("val", WNIDS.index(wnid)) for name, wnid in zip(VAL, VALIDATION.values(), strict=True)
}
TEST_LABELS = dict.fromkeys(TEST, ("test", -1))


def config_of(source: Path, **settings: Any) -> Config:
    return Config(source=source, output=source.parent / "shards", **settings)


def catalog_of(source: Path, **settings: Any) -> Catalog:
    """What the layout itself tells."""
    config, place = config_of(source, **settings), Place.at(str(source))
    layout = choose_layout(place, config)
    assert isinstance(layout, ImageNetLayout)
    return layout.catalog(place, config)


def images_of(catalog: Catalog) -> Images:
    """Split and label of each image, by the last part of its name; their contents are read."""
    source = open_source(catalog.source)
    splits, numbers = (catalog.images[name].to_pylist() for name in ("split", "class"))
    found = {}
    for entry, split, number in zip(
        entries_of(catalog.images, (*catalog.classes, "")), splits, numbers, strict=True
    ):
        name = re.sub(r"_n\d{8}\.", ".", entry.name.rpartition("/")[2])
        assert source.read(entry) == contents(name)
        found[name] = (catalog.splits[split], number)
    assert len(found) == len(splits)
    return found


SHAPES: dict[str, tuple[Mapping[str, bytes | str], Mapping[str, tuple[str, int]]]] = {
    "as downloaded": (downloads(), TRAIN_LABELS | VAL_LABELS | TEST_LABELS),
    "train alone": ({"ILSVRC2012_img_train.tar": train_tar()}, TRAIN_LABELS),
    "val alone": (
        {"ILSVRC2012_img_val.tar": val_tar(), "ILSVRC2012_devkit_t12.tar.gz": devkit_tar()},
        VAL_LABELS,
    ),
    "test alone, in a folder": ({f"test/{n}": contents(n) for n in TEST}, TEST_LABELS),
    "train unpacked": (
        {
            **train_folders(),
            "ILSVRC2012_img_val.tar": val_tar(),
            "ILSVRC2012_devkit_t12.tar.gz": devkit_tar(),
        },
        TRAIN_LABELS | VAL_LABELS,
    ),
    "class tars, and val unpacked beside an unpacked devkit": (
        {
            **{f"train/{name}": data for name, data in class_tars().items()},
            **val_folder("ILSVRC2012_img_val/"),
            "ILSVRC2012_devkit_t12/data/meta.mat": meta_mat(),
            f"ILSVRC2012_devkit_t12/data/{GROUND_TRUTH}": ground_truth(),
        },
        TRAIN_LABELS | VAL_LABELS,
    ),
    "all unpacked in one folder, with loose files of the devkit": (
        {
            **class_tars(),
            **val_folder(""),
            "map_clsloc.txt": map_clsloc(),
            "ILSVRC2015_clsloc_validation_ground_truth.txt": ground_truth(),
        },
        TRAIN_LABELS | VAL_LABELS,
    ),
    "renamed tars, and a list of wnids": (
        {
            "train.tar": train_tar(),
            "val.tar": val_tar(),
            "imagenet_2012_validation_synset_labels.txt": "\n".join(VALIDATION.values()),
        },
        TRAIN_LABELS | VAL_LABELS,
    ),
    "test unpacked twice as deep": (
        {
            "ILSVRC2012_img_train.tar": train_tar(),
            f"test/test/{TEST[0]}": contents(TEST[0]),
        },
        TRAIN_LABELS | {TEST[0]: ("test", -1)},
    ),
    "ImageNet-21k": (
        {
            "winter21_whole.tar": tar_of(
                {"winter21_whole/": b""}
                | {f"winter21_whole/{name}": data for name, data in class_tars().items()}
            )
        },
        TRAIN_LABELS,
    ),
    "renamed with the class at the end": (
        {
            **{
                f"val/{name.replace('.JPEG', f'_{wnid}.JPEG')}": contents(name)
                for name, wnid in zip(VAL, VALIDATION.values(), strict=True)
            },
            **{
                f"train/{name.replace('.JPEG', f'_{wnid}.JPEG')}": contents(name)
                for wnid, names in TRAIN.items()
                for name in names
            },
        },
        TRAIN_LABELS | VAL_LABELS,
    ),
    "Kaggle": (kaggle(), TRAIN_LABELS | VAL_LABELS | TEST_LABELS),
    "ILSVRC2015": (
        {name: data for name, data in kaggle().items() if not name.startswith("LOC_")},
        TRAIN_LABELS | VAL_LABELS | TEST_LABELS,
    ),
}


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_kaggles_tree_may_be_packed(kind: str, tmp_path: Path) -> None:
    root = write(tmp_path / "kaggle", kaggle() | {"ILSVRC/Annotations/CLS-LOC/1.xml": "<a/>"})
    catalog = catalog_of(Path(shutil.make_archive(str(tmp_path / "imagenet"), kind, root)))
    assert images_of(catalog) == TRAIN_LABELS | VAL_LABELS | TEST_LABELS
    assert catalog.read_as == "ImageNet (Kaggle's CLS-LOC tree), 5 classes by wnid"
    assert catalog.class_names == {wnid: words for wnid, (_, words) in CLASSES.items()}
    unpacked = catalog_of(root)
    assert sorted(catalog.images["path"].to_pylist()) == sorted(unpacked.images["path"].to_pylist())
    assert catalog.ignored == unpacked.ignored


@pytest.mark.parametrize("shape", SHAPES)
def test_each_shape_gives_the_same_labels(shape: str, tmp_path: Path) -> None:
    files, expected = SHAPES[shape]
    catalog = catalog_of(write(tmp_path / "imagenet", files))
    assert images_of(catalog) == expected
    assert catalog.classes == (() if shape.startswith("test alone") else tuple(WNIDS))
    if any(re.search("devkit|map_clsloc|synset_mapping", name) for name in files):
        assert catalog.class_names["n01440764"] in ("tench, Tinca tinca", "tench")
    assert not catalog.doubts


@pytest.mark.parametrize("source", ["", "ILSVRC", "ILSVRC/Data", "ILSVRC/Data/CLS-LOC"])
def test_kaggles_tree_is_found_from_each_of_its_folders(source: str, tmp_path: Path) -> None:
    root = write(tmp_path / "kaggle", kaggle())
    catalog = catalog_of(root / source)
    assert images_of(catalog) == TRAIN_LABELS | VAL_LABELS | TEST_LABELS
    assert catalog.read_as == "ImageNet (Kaggle's CLS-LOC tree), 5 classes by wnid"
    assert catalog.class_names == {wnid: words for wnid, (_, words) in CLASSES.items()}


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("ILSVRC2012_img_train.tar", "n01440764.tar/n01440764_7.JPEG"),
        ("ILSVRC2012_img_val.tar", "ILSVRC2012_val_00000003.JPEG"),
        ("ILSVRC2012_img_test_v10102019.tar", "test/ILSVRC2012_test_00000001.JPEG"),
        ("n01440764.tar", "n01440764_7.JPEG"),
        ("val", "ILSVRC2012_val_00000003.JPEG"),
    ],
)
def test_one_tar_or_folder_has_the_labels_that_lie_beside_it(
    source: str, shown: str, tmp_path: Path
) -> None:
    files = downloads() | class_tars() | val_folder()
    catalog = catalog_of(write(tmp_path, files) / source, layout="imagenet")
    paths = [os.fsdecode(path) for path in catalog.images["path"].to_pylist()]
    assert shown in paths
    labels = TRAIN_LABELS | VAL_LABELS | TEST_LABELS
    assert images_of(catalog) == {name: labels[name] for name in map(os.path.basename, paths)}
    assert catalog.classes == tuple(WNIDS)


def test_names_begin_with_their_tar_and_what_was_not_read_is_counted(tmp_path: Path) -> None:
    blacklist = "ILSVRC2015_clsloc_validation_blacklist.txt"
    train = tar_of({**class_tars(), "n01440764/._n01440764_7.JPEG": b"", "readme.txt": b"read"})
    more = {
        blacklist: "3\n",
        "ILSVRC2012_img_train.tar": train,
        "ILSVRC2012_img_train_t3.tar": train,
        "ILSVRC2012_bbox_val_v3.tgz": b"",
        "notes/read.me": b"",
    }
    catalog = catalog_of(write(tmp_path, {**downloads(), **more}))
    assert catalog.read_as == "ImageNet (ILSVRC2012 tars), 5 classes by wnid"
    assert catalog.splits == ("test", "train", "val")
    paths = set(catalog.images["path"].to_pylist())
    assert b"ILSVRC2012_img_train.tar/n01440764.tar/n01440764_7.JPEG" in paths
    assert b"ILSVRC2012_img_test_v10102019.tar/test/ILSVRC2012_test_00000001.JPEG" in paths
    assert {(item.reason, item.count, item.example) for item in catalog.ignored} == {
        ("hidden", 1, "ILSVRC2012_img_train.tar/n01440764/._n01440764_7.JPEG"),
        ("list that is not read", 1, blacklist),
        ("folder that is not read", 1, "notes"),
        ("other extension", 3, "ILSVRC2012_bbox_val_v3.tgz"),
    }


def test_a_split_needs_nothing_of_the_others(tmp_path: Path) -> None:
    write(tmp_path, {"ILSVRC2012_img_train.tar": train_tar(), "ILSVRC2012_img_val.tar": val_tar()})
    catalog = catalog_of(tmp_path, splits=["train"])
    assert images_of(catalog) == TRAIN_LABELS
    with pytest.raises(SourceError, match=r"no 'test' of ImageNet.*found: 'train', 'val'"):
        catalog_of(tmp_path, splits=["train", "test"])
    with pytest.raises(SourceError, match=r"nothing tells the labels of 5 .*devkit_t12\.tar\.gz"):
        catalog_of(tmp_path)


def test_a_part_of_the_classes_keeps_the_numbers_of_all(tmp_path: Path) -> None:
    tars = {name: data for name, data in class_tars().items() if name == "n03126707.tar"}
    catalog = catalog_of(write(tmp_path, {**tars, "synset_words.txt": synset_mapping()}))
    assert images_of(catalog) == dict.fromkeys(TRAIN["n03126707"], ("train", 2))


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({}, id="folders alone"),
        pytest.param({"ILSVRC2012_devkit_t12.tar.gz": devkit_tar()}, id="a devkit beside"),
        pytest.param(downloads(), id="their tars beside"),
        pytest.param({f"train/{n}": data for n, data in class_tars().items()}, id="class tars"),
    ],
)
def test_sorted_folders_are_class_folders_as_ever(
    more: Mapping[str, bytes], tmp_path: Path
) -> None:
    val = {f"val/{wnid}/{VAL[n - 1]}": contents(VAL[n - 1]) for n, wnid in VALIDATION.items()}
    write(tmp_path, {**train_folders(), **val, **more})
    config, place = config_of(tmp_path), Place.at(str(tmp_path))
    assert not isinstance(choose_layout(place, config), ImageNetLayout)
    if not any(".tar" in name and "devkit" not in name for name in more):
        catalog = ImageNetLayout().catalog(place, config)
        assert images_of(catalog) == TRAIN_LABELS | VAL_LABELS
        assert "file" not in catalog.images.column_names


DEVKIT = {
    "LOC_synset_mapping.txt": synset_mapping(),
    "devkit/data/map_clsloc.txt": map_clsloc(),
    "devkit/data/ILSVRC2015_clsloc_validation_ground_truth.txt": ground_truth(),
}
SWAPPED = VALIDATION | {2: "n03126707", 3: "n01440764"}
ERRORS: dict[str, tuple[Mapping[str, bytes | str], str]] = {
    "two files of labels disagree": (
        {"val.tar": val_tar(), **DEVKIT, "LOC_val_solution.csv": val_solution(SWAPPED)},
        r"LOC_val_solution\.csv' and '.*ground_truth\.txt' disagree about 2 validation images: "
        r"2 \(n03126707 and n01440764\), 3 \(n01440764 and n03126707\)",
    ),
    "an image has no label": (
        {**val_folder(), **DEVKIT, "val/ILSVRC2012_val_00000006.JPEG": b""},
        r"ground_truth\.txt' has 5 labels, and none for 1 validation image, by number: 6",
    ),
    "a tar lacks an image": (
        {"val.tar": tar_of(VAL[:-1]), **DEVKIT},
        r"has 5 labels, and 'val\.tar' 4 validation images, and lacks number 5;",
    ),
    "a line of the ground truth is no class": (
        {"val.tar": val_tar(), **DEVKIT}
        | {f"devkit/data/ILSVRC2015_clsloc_validation_{'ground_truth'}.txt": "1\n6\n3\n2\n4\n"},
        r"line 2: found '6'; expected the number of a class in '.*map_clsloc\.txt', from 1 to 5",
    ),
    "a blank line would shift the labels": (
        {"val.tar": val_tar(), **DEVKIT}
        | {"devkit/data/ILSVRC2015_clsloc_validation_ground_truth.txt": "1\n\n3\n2\n4\n"},
        "line 2: found ''; expected the number of a class",
    ),
    "boxes of two classes": (
        {**val_folder(), "LOC_val_solution.csv": "a,b\n"}
        | {"LOC_val_solution.csv": "ILSVRC2012_val_00000001,n01440764 1 2 3 4 n02012849 1 2 3 4"},
        "line 1: ILSVRC2012_val_00000001 has boxes of n01440764, n02012849",
    ),
    "a row without a box": (
        {**val_folder(), "LOC_val_solution.csv": "ILSVRC2012_val_00000001,\n"},
        "line 1: found 'ILSVRC2012_val_00000001,'; expected an image and its boxes",
    ),
    "a map of another form": (
        {"train.tar": train_tar(), "map_clsloc.txt": "n01440764 1\n"},
        r"map_clsloc\.txt', line 1: found 'n01440764 1'; expected a wnid, a number and a name",
    ),
    "an empty list of classes": (
        {"train.tar": train_tar(), "synset_words.txt": ""},
        r"synset_words\.txt' is empty",
    ),
    "lists of other classes": (
        {"train.tar": train_tar(), **DEVKIT, "synset_words.txt": "n01440764 tench\n"},
        "only one of them has n02012849, n03126707, n03710637, n03710721; remove",
    ),
    "images of a class that is in no list": (
        {"train.tar": train_tar(), "synset_words.txt": "n01440764 tench\n"},
        r"lists 1 classes, and 'train\.tar' has images of others: n02012849, ",
    ),
    "a split twice": (
        {"ILSVRC2012_img_train.tar": train_tar(), "train/n01440764.tar": tar_of(["a.JPEG"])},
        r"train are there more than once: in 'ILSVRC2012_img_train\.tar' and in 'train'",
    ),
    "a devkit that is cut off": (
        {"train.tar": train_tar(), "ILSVRC2012_devkit_t12.tar.gz": devkit_tar()[:-40]},
        r"devkit_t12\.tar\.gz' can't be read: .*; download it again",
    ),
    "a meta.mat that is none": (
        {"train.tar": train_tar(), "ILSVRC2012_devkit_t12/data/meta.mat": b"MATLAB 5.0"},
        r"meta\.mat' can't be read: .*; expected the meta\.mat of an ImageNet devkit",
    ),
    "a tar that is empty": (
        {"ILSVRC2012_img_val.tar": b"", "ILSVRC2012_img_train.tar": train_tar()},
        r"'ILSVRC2012_img_val\.tar' is empty; expected a tar file of ImageNet: download it again",
    ),
    "a tar that is none, alone": (
        {"ILSVRC2012_img_val.tar": b"<!doctype html><html>"},
        r"img_val\.tar' begins with the text '<!doctype html>'; expected a tar file of ImageNet",
    ),
    "a compressed tar": (
        {"winter21_whole.tar.gz": gzip.compress(train_tar())},
        r"winter21_whole\.tar\.gz' begins with the bytes 1f 8b .*: unpack it with gunzip",
    ),
    "a tar of test images that holds others": (
        {"test.tar": tar_of([TEST[0], VAL[0], "n01440764/n01440764_7.JPEG"])},
        r"2 × image of no class \(such as 'test\.tar/ILSVRC2012_val_00000001\.JPEG'\)",
    ),
    "an image of no class": (
        {"train.tar": tar_of({"n01440764.tar": tar_of(["n01440764_7.JPEG"]), "x.JPEG": b"x"})},
        r"of no class of ImageNet: 1 × image of no class \(such as 'train\.tar/x\.JPEG'\)",
    ),
}


@pytest.mark.parametrize("wrong", ERRORS)
def test_what_is_wrong_is_an_error_that_names_it(wrong: str, tmp_path: Path) -> None:
    files, message = ERRORS[wrong]
    with pytest.raises(SourceError, match=message) as raised:
        catalog_of(write(tmp_path, files))
    assert "\n" not in str(raised.value)


def test_strays_are_left_out_and_counted_if_asked(tmp_path: Path) -> None:
    train = tar_of({**class_tars(), "x.JPEG": contents("x.JPEG"), "../y.JPEG": b"y"})
    catalog = catalog_of(write(tmp_path, {"train.tar": train}), on_stray="skip")
    assert images_of(catalog) == TRAIN_LABELS
    assert {(item.reason, item.example) for item in catalog.ignored} == {
        ("image of no class", "train.tar/x.JPEG"),
        ("name that leads out of an archive", "train.tar/../y.JPEG"),
    }


def test_fewer_images_in_a_folder_than_labels_are_a_doubt(tmp_path: Path) -> None:
    files = {name: data for name, data in val_folder().items() if not name.endswith("3.JPEG")}
    catalog = catalog_of(write(tmp_path, {**files, **DEVKIT}))
    assert images_of(catalog) == {n: v for n, v in VAL_LABELS.items() if not n.endswith("3.JPEG")}
    (doubt,) = catalog.doubts
    assert doubt.endswith("ground_truth.txt' has 5 labels, and 'val' 4 images")


def test_sorted_validation_images_are_checked_against_the_ground_truth(tmp_path: Path) -> None:
    val = {f"val/{wnid}/{VAL[n - 1]}": contents(VAL[n - 1]) for n, wnid in SWAPPED.items()}
    write(tmp_path, {**train_folders(), **val, **DEVKIT})
    with pytest.raises(SourceError, match="another class of 2 validation images than their folder"):
        ImageNetLayout().catalog(Place.at(str(tmp_path)), config_of(tmp_path))


def test_meta_mat_needs_scipy_and_text_files_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write(tmp_path / "2012", downloads())
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(SourceError, match=r"SciPy.*pip install 'dask-prep\[imagenet\]'"):
        catalog_of(root)
    write(root, {"LOC_synset_mapping.txt": synset_mapping()})
    write(root, {"LOC_val_solution.csv": val_solution()})
    assert images_of(catalog_of(root)) == TRAIN_LABELS | VAL_LABELS | TEST_LABELS


def test_shards_do_not_go_among_the_images(tmp_path: Path) -> None:
    write(tmp_path, kaggle())
    place = Place.at(str(tmp_path))
    for output, message in (
        (tmp_path, "also the source"),
        ("ILSVRC/Data/CLS-LOC/val/x", "lies in"),
    ):
        with pytest.raises(ConfigError, match=message):
            ImageNetLayout().catalog(place, Config(source=tmp_path, output=tmp_path / output))
    train = tmp_path / "ILSVRC/Data/CLS-LOC/train"
    among = Config(source=train, output=train / "n01440764/x")
    with pytest.raises(ConfigError, match=r"lies in .*train', which holds images"):
        ImageNetLayout().catalog(Place.at(str(train)), among)
    inside = ImageNetLayout().catalog(place, Config(source=tmp_path, output=tmp_path / "shards"))
    assert images_of(inside) == TRAIN_LABELS | VAL_LABELS | TEST_LABELS


def test_nothing_of_imagenet(tmp_path: Path) -> None:
    write(tmp_path, {"cats/1.jpg": b"", "val/n01440764x/1.jpg": b""})
    assert ImageNetLayout().recognizes(Place.at(str(tmp_path))) is None
    with pytest.raises(SourceError, match="nothing of ImageNet; expected tars such as"):
        catalog_of(tmp_path, layout="imagenet")


@pytest.mark.parametrize(
    ("folder", "source"),
    [
        ("ilsvrc2012", ""),
        ("kaggle", ""),
        ("kaggle", "ILSVRC"),
        ("kaggle", "ILSVRC/Data/CLS-LOC"),
    ],
)
def test_real_images_have_their_true_labels(folder: str, source: str, tmp_path: Path) -> None:
    root = DATA / "sources" / folder
    if not root.is_dir():
        pytest.skip(f"no real data: {root} is absent (PREP_TEST_DATA names another folder)")
    catalog = catalog_of(root / source)
    opened = open_source(catalog.source)
    found = {
        os.path.join(source, entry.name): (
            "" if number < 0 else entry.class_name,
            number,
            catalog.splits[split],
            hashlib.sha256(opened.read(entry)).hexdigest()[:16],
            "" if number < 0 else catalog.class_names[entry.class_name],
        )
        for entry, split, number in zip(
            entries_of(catalog.images, (*catalog.classes, "")),
            catalog.images["split"].to_pylist(),
            catalog.images["class"].to_pylist(),
            strict=True,
        )
    }
    with open(root / "truth.csv", newline="") as file:
        assert found == {
            row["path"]: (
                row["label"],
                int(row["index"]),
                row["split"],
                row["sha256_16"],
                row["words"],
            )
            for row in csv.DictReader(file)
        }


def plan_of(source: Path, **settings: Any) -> prep.RunPlan:
    return prep.plan(config_of(source, **settings))


def test_the_numbers_of_classes_left_are_by_wnid_and_the_blacklist_is_of_validation_images(
    tmp_path: Path,
) -> None:
    root = write(tmp_path / "imagenet", {**downloads(), "blacklist.txt": "3\n5\n"})
    plan = plan_of(root, exclude=root / "blacklist.txt", labels={"include": ["tench", "n03710721"]})
    assert plan.labels.numbers == {"n01440764": 0, "n03710721": 1}
    assert plan.class_names == {
        "n01440764": "tench, Tinca tinca",
        "n03710721": "maillot, tank suit",
    }
    # Of tench, images 2 and 5 are for validation; of the maillot, 1 is.
    assert plan.splits == {"train": 4, "val": 2}


def test_a_label_map_of_names_for_people_and_the_rename_that_settles_two_cranes(
    tmp_path: Path,
) -> None:
    root = write(tmp_path / "imagenet", downloads())
    label_map = {"tench": 0, "crane": 1}
    include = {"include": ["tench", "n02012849", "n03126707"]}
    with pytest.raises(
        LabelError, match="'crane' is the name of several classes, 'n02012849', 'n0"
    ):
        plan_of(root, label_map=label_map, labels=include)
    plan = plan_of(
        root,
        label_map=label_map,
        labels={"include": ["tench", "crane"], "rename": {"n03126707": "crane"}},
    )
    assert plan.labels.numbers == {"n01440764": 0, "crane": 1}
    assert plan.class_totals == {"n01440764": 4, "crane": 3}


def test_splits_may_be_named_one_by_one_or_all_read_with_test_unlabelled(tmp_path: Path) -> None:
    root = write(tmp_path / "imagenet", downloads())
    parts = {
        "train": root / "ILSVRC2012_img_train.tar",
        "validation": root / "ILSVRC2012_img_val.tar",
    }
    config = Config(source=parts, output=tmp_path / "shards")
    plan = prep.plan(config)
    assert plan.splits == {
        "train": 10,
        "validation": 5,
    }
    assert [*plan.labels.numbers] == WNIDS
    assert [*plan_of(root).splits] == ["train", "val"]
    assert [*plan_of(root, unlabelled="keep").splits] == ["test", "train", "val"]


@pytest.mark.parametrize("files", [downloads(), kaggle()], ids=["as downloaded", "Kaggle"])
def test_a_storage_is_read_alike_and_each_folder_listed_at_most_twice(
    files: Mapping[str, bytes | str], s3: S3, tmp_path: Path
) -> None:
    url = s3.upload(write(tmp_path / "imagenet", files), "imagenet")
    config = Config(source=url, output=tmp_path / "shards", storage_options=s3.options)
    config.grant()
    place = Place.at(config.source)
    layout = choose_layout(place, config)
    assert isinstance(layout, ImageNetLayout)
    catalog = layout.catalog(place, config)
    listed = Counter(path for _, path, _ in s3.requests() if path.count("imagenet%2F"))
    assert max(listed.values()) <= 2
    assert images_of(catalog) == TRAIN_LABELS | VAL_LABELS | TEST_LABELS


def images_or_error(source: Path) -> Images | str:
    try:
        return images_of(catalog_of(source))
    except SourceError as error:
        return str(error)


LABEL_FILES = {
    **DEVKIT,
    "LOC_val_solution.csv": val_solution(),
    "imagenet_2012_validation_synset_labels.txt": "\n".join(VALIDATION.values()),
}


@pytest.mark.parametrize("file", LABEL_FILES)
def test_no_damage_of_one_file_of_labels_changes_a_label(file: str, tmp_path: Path) -> None:
    write(tmp_path, {**val_folder(), **LABEL_FILES})
    texts = [data.encode() for data in LABEL_FILES.values()]
    texts.insert(0, LABEL_FILES[file].encode())
    outcomes = []
    for number in range(60):
        write(tmp_path, {file: mutated(texts, number)})
        outcomes.append(images_or_error(tmp_path))
    errors = [outcome for outcome in outcomes if isinstance(outcome, str)]
    assert errors
    assert not any("\n" in error for error in errors)
    assert all(outcome == VAL_LABELS for outcome in outcomes if outcome not in errors)


def test_no_damage_of_a_devkit_is_more_than_an_error(tmp_path: Path) -> None:
    write(tmp_path, downloads())
    kits = [devkit_tar(), gzip.decompress(devkit_tar()), meta_mat()]
    every = {*TRAIN_LABELS, *VAL_LABELS, *TEST_LABELS}
    for number in range(60):
        write(tmp_path, {"ILSVRC2012_devkit_t12.tar.gz": mutated(kits, number)})
        outcome = images_or_error(tmp_path)
        assert isinstance(outcome, str) or outcome.keys() == every


@pytest.mark.parametrize(
    "key", [{"columns": {"image": "path"}}, {"images": "photos"}, {"extension": "JPEG"}]
)
def test_keys_of_lists_are_refused(key: dict[str, Any], tmp_path: Path) -> None:
    root = write(tmp_path / "imagenet", train_folders())
    (name,) = key
    with pytest.raises(ConfigError, match=f"{name}: is for lists .* read as class folders"):
        plan_of(root, **key)
