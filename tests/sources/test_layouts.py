"""Layouts of sources as people have them: detection, and errors for the ambiguous ones."""

from __future__ import annotations

import errno
import json
import logging
import random
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

import prep
from prep.config.model import Config
from prep.errors import ConfigError, OutputConflict, SourceError
from prep.operations.preparation import read_mean
from prep.operations.publish import publish
from prep.operations.running.carrying_out import carry_out
from prep.output.conflicts import require_room
from prep.output.journal import Journal
from prep.planning.fingerprint import label_changes
from prep.shards.writer import RunRef, write_shard
from prep.sources.base import Catalog
from prep.sources.folders.names import training_splits
from prep.sources.labels import LabelMap
from prep.sources.registry import open_source
from tests.support.catalogs import scan_folders
from tests.support.clusters import contents
from tests.support.pictures import image_file, picture, write_tree


def make(root: Path, *paths: str) -> Path:
    """Make empty files, three of each path that ends in ``#.jpg`` and the like."""
    for path in paths:
        for number in range(3) if "#" in path else [0]:
            file = root / path.replace("#", str(number))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    return root


def scan(root: Path, *, splits: Sequence[str] | None = None, **options: str) -> Catalog:
    return scan_folders(str(root), splits, **options)  # type: ignore[arg-type]


def told(root: Path, **options: str) -> str:
    """Return the error for a source that is not taken."""
    with pytest.raises(SourceError) as error:
        scan(root, **options)
    text = str(error.value)
    assert "\n" not in text
    return text.replace(f"{root}", "SOURCE")


# What it is, its files, and what is said of it.
REFUSED: dict[str, tuple[list[str], list[str]]] = {
    "Imagenette, from above": (
        ["imagenette2/train/n01/#.JPEG", "imagenette2/val/n01/#.JPEG"],
        ["6 images such as 'imagenette2/train/n01/0.JPEG', 1 folder deeper", "as the source"],
    ),
    "CUB": (
        ["images/001.Albatross/#.jpg", "images/002.Auk/#.jpg", "images.txt", "parts/parts.txt"],
        ["'images' in 'SOURCE' holds folders of images", "give 'SOURCE/images' as the source"],
    ),
    "Stanford Dogs": (
        ["Images/n1-Chihuahua/#.jpg", "Images/n2-Pug/#.jpg", "Annotation/n1-Chihuahua/n1_1"],
        ["'Images' in 'SOURCE' holds folders of images", "give 'SOURCE/Images' as the source"],
    ),
    "Food-101": (
        ["images/apple_pie/#.jpg", "images/waffles/#.jpg", "meta/train.txt"],
        ["is not named like one", "'apple_pie', 'waffles' are the classes, give 'SOURCE/images'"],
    ),
    "COCO": (
        ["train2017/#.jpg", "val2017/#.jpg", "annotations/instances_train2017.json"],
        ["'train2017', 'val2017' hold images, as a class does, but are named like a split"],
    ),
    "VOC": (
        ["JPEGImages/#.jpg", "SegmentationClass/#.png", "Annotations/1.xml"],
        ["'JPEGImages', 'SegmentationClass' hold images, but no class would be called that"],
    ),
    "images and masks": (["images/#.jpg", "masks/#.png"], ["'images', 'masks' hold images"]),
    "images and a list": (
        ["images/#.jpg", "labels.csv"],
        ["'images', beside 'labels.csv' holds images, but no class would be called that"],
    ),
    "photos and a list": (
        ["photos/#.jpg", "labels.csv"],
        ["all images lie in 'photos', beside 'labels.csv', which may list their classes"],
    ),
    "Dogs vs. Cats": (
        ["train/cat.#.jpg", "train/dog.#.jpg", "test1/#.jpg"],
        [
            "'test1', 'train' hold images, as a class does, but are named like a split",
            r"pass `labels.from` with a regular expression for them, such as "
            r"'(?P<label>[^/]+)\.\d+\.\w+$'",
        ],
    ),
    "Dogs vs. Cats, unpacked": (
        ["train/train/cat.#.jpg", "test1/test1/#.jpg"],
        ["'test1' in 'test1' holds images, as a class does, but is named like a split"],
    ),
    "YOLO": (
        ["images/train/#.jpg", "images/val/#.jpg", "labels/train/0.txt"],
        ["'images' in 'SOURCE' holds folders of images (such as 'train')"],
    ),
    "Dogs vs. Cats, beside classes": (
        ["train/cat/#.jpg", "test/test/#.jpg"],
        ["'test' in 'test' holds images", "name the splits to be taken with `splits`"],
    ),
    "a test set, unpacked": (
        ["signs_train/a/#.jpg", "signs_test/signs_test/#.jpg"],
        ["'signs_test' in 'signs_test' holds images, as a class does, but is named like a split"],
    ),
    "Stanford Cars": (
        ["cars_train/#.jpg", "cars_test/#.jpg", "devkit/cars_meta.mat"],
        ["'cars_test', 'cars_train' hold images, as a class does, but are named like a split"],
    ),
    "Flowers-102": (
        ["jpg/#.jpg", "imagelabels.mat"],
        ["'jpg', beside 'imagelabels.mat' holds images, but no class would be called that"],
    ),
    "HAM10000": (
        ["HAM10000_images_part_1/#.jpg", "HAM10000_images_part_2/#.jpg", "metadata.csv"],
        ["'HAM10000_images_part_1', 'HAM10000_images_part_2', beside 'metadata.csv' hold images"],
    ),
    "Intel, unpacked": (
        ["seg_train/seg_train/sea/#.jpg", "seg_pred/seg_pred/#.jpg"],
        ["'seg_pred' in 'SOURCE' holds folders of images", "is not named like one"],
    ),
    "splits, from above": (
        ["data/train/#.jpg", "data/test/#.jpg"],
        ["if the splits lie in it, give 'SOURCE/data' as the source"],
    ),
    "CycleGAN": (["trainA/#.jpg", "trainB/#.jpg", "testA/#.jpg"], ["are named like a split"]),
    "a test set beside classes": (
        ["cat/#.jpg", "dog/#.jpg", "test/#.jpg"],
        [
            "'test' holds images, as a class does, but is named like a split",
            "pass `layout='classes'`",
        ],
    ),
    "kinds of classes": (
        ["animals/cat/#.jpg", "animals/dog/#.jpg", "vehicles/bus/#.jpg"],
        [
            "'animals', 'vehicles' in 'SOURCE' hold folders of images (such as 'cat'), as a split",
            "pass `layout='splits'`",
            "with `splits`",
            "put all classes into one folder",
        ],
    ),
    "Oxford Pets": (
        ["images/#.jpg", "annotations/trimaps/#.png", "annotations/list.txt"],
        ["'annotations', 'images' hold images, but no class would be called that"],
    ),
    "flat": (["#.jpg"], ["no images in 'SOURCE'", "3 images such as '0.jpg', outside of a class"]),
    "beside the splits": (
        ["train/cat/#.jpg", "val/cat/#.jpg", "drafts/old/new/#.jpg", "0.jpg"],
        [
            "1 × image outside a class folder (such as '0.jpg')",
            "3 × image in a folder beside the splits (such as 'drafts/old/new/0.jpg')",
        ],
    ),
    "ISIC 2018": (
        ["ISIC2018_Input/#.jpg", "ISIC2018_GroundTruth/ISIC2018_Training_GroundTruth.csv"],
        [
            "all images lie in 'ISIC2018_Input', beside 'ISIC2018_GroundTruth/ISIC2018_Training_",
            "as the source, such as 'SOURCE/ISIC2018_GroundTruth/ISIC2018_Training_GroundTruth.csv'"
            ", with their folder as `images`",
        ],
    ),
    "COCO, with what is needed": (
        [
            "train2017/#.jpg",
            "val2017/#.jpg",
            "annotations/captions_train2017.json",
            "annotations/instances_train2017.json",
            "annotations/instances_val2017.json",
        ],
        [
            "({train: 'SOURCE/annotations/instances_train2017.json', "
            "validation: 'SOURCE/annotations/instances_val2017.json'})",
        ],
    ),
    "Food-101, with what tells the splits": (
        ["images/pie/#.jpg", "images/cake/#.jpg", "meta/train.json", "meta/test.json"],
        [
            "if a list tells labels or splits, give",
            "({train: 'SOURCE/meta/train.json', test: 'SOURCE/meta/test.json'})",
        ],
    ),
    "a list that is no text": (
        ["jpg/#.jpg", "imagelabels.mat"],
        ["save the table in 'imagelabels.mat' as CSV, and give that as the source"],
    ),
    "kinds of classes in a split": (
        ["train/animals/cat/#.jpg", "train/animals/dog/#.jpg", "train/vehicles/bus/#.jpg"],
        [
            "all images in 'train' lie deeper than 'animals', 'vehicles', in folders such as 'cat'",
            "pass `layout='splits'` to take the former, or `labels.from`",
        ],
    ),
    "kinds of classes, however deep": (
        ["animals/cats/tabby/#.jpg", "animals/dogs/pug/#.jpg", "things/crane/#.jpg"],
        ["'things' in 'SOURCE' holds folders of images", "`layout='classes'`", "`labels.from`"],
    ),
    "archives": (
        ["a.tar", "b.tar", "c.zip", "list.txt"],
        ["4 files have other extensions: tar, txt, zip (such as 'a.tar')", "give it as the source"],
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_where_a_class_would_be_a_guess_it_is_said_what_was_seen(name: str, tmp_path: Path) -> None:
    paths, expected = REFUSED[name]
    text = told(make(tmp_path, *paths))
    for part in expected:
        assert part in text


UNREAD = {
    "an Excel workbook": (
        "labels.xlsx",
        b"PK\3\4" + bytes(26) + b"[Content_Types].xml" + b"x" * 60,
    ),
    "a MATLAB file": ("labels.mat", b"MATLAB 5.0 MAT-file, Platform: GLNXA64" + b" " * 90),
    "an HDF5 file": ("images.h5", b"\x89HDF\r\n\x1a\n" + b"x" * 90),
    "one image": ("a.dat", b"\xff\xd8\xff\xe0\0\x10JFIF" + b"x" * 90),
}


@pytest.mark.parametrize("name", UNREAD)
def test_forms_that_are_not_read_are_told_with_what_to_do(name: str, tmp_path: Path) -> None:
    file, data = UNREAD[name]
    (tmp_path / file).write_bytes(data)
    for source in (tmp_path / file, tmp_path):
        config = Config(source=str(source), output="/o")
        with pytest.raises(SourceError) as error:
            open_source(config.source).catalog(config)
        assert f"{file}' " in str(error.value)
        assert "as the source" in str(error.value).rpartition(f"{file}' ")[2]


def test_classes_in_a_folder_within_one_of_the_same_name(tmp_path: Path) -> None:
    paths = ["seg_train/seg_train/sea/#.jpg", "seg_test/seg_test/sea/#.jpg"]
    make(tmp_path, *paths, "seg_pred/seg_pred/#.jpg")
    found = scan(tmp_path, splits=["seg_train", "seg_test"])
    assert found.classes == ("sea",)
    assert found.splits == ("seg_train", "seg_test")
    assert len(found.images) == 6


def test_a_set_of_one_class_is_doubted(tmp_path: Path) -> None:
    (doubt,) = scan(make(tmp_path, "UTKFace/1_0.jpg", "UTKFace/2_1.jpg")).doubts
    assert "all images lie in 'UTKFace', and are of one class; if names tell the classes" in doubt
    assert scan(make(tmp_path, "cat/1.jpg")).doubts == ()


SHARED = {
    "nested": "'things' in 'SOURCE' holds folders of images (such as 'crane')",
    "dogs_vs_cats": "'test', 'train', beside 'truth.csv' hold images, as a class does",
    "lists": "no class would be called that; give the list of the images as the source",
    "lists/images": "outside of a class folder",
}


@pytest.mark.parametrize("name", SHARED)
def test_real_sources_of_other_shapes_are_told_of(name: str, photos: Path) -> None:
    assert SHARED[name] in told(photos.parent / "sources" / name)


# What it is, its files, splits, and classes.
TAKEN: dict[str, tuple[list[str], list[str], list[str]]] = {
    "Imagenette": (
        ["train/n01/#.JPEG", "train/n02/#.JPEG", "val/n01/#.JPEG", "noisy_imagenette.csv"],
        ["train", "val"],
        ["n01", "n02"],
    ),
    "Intel": (
        ["seg_train/sea/#.jpg", "seg_test/sea/#.jpg"],
        ["seg_test", "seg_train"],
        ["sea"],
    ),
    "one deeper": (
        ["train/cat/images/#.jpg", "val/cat/images/#.jpg"],
        ["train", "val"],
        ["cat"],
    ),
    "one deeper, without splits": (
        ["n01/images/#.JPEG", "n02/images/#.JPEG", "n01/n01_boxes.txt"],
        ["train"],
        ["n01", "n02"],
    ),
    "below a class": (
        ["train/cat/#.jpg", "train/cat/more/#.jpg", "train/dog/more/more/#.jpg"],
        ["train"],
        ["cat", "dog"],
    ),
    "Caltech-256": (
        ["001.ak47/#.jpg", "056.dog/#.jpg", "056.dog/greg/#.jpg", "198.spider/RENAME2"],
        ["train"],
        ["001.ak47", "056.dog"],
    ),
    "by year": (
        ["train/cat/2020/#.jpg", "train/cat/2021/#.jpg", "train/dog/2020/#.jpg"],
        ["train"],
        ["cat", "dog"],
    ),
    "thumbnails": (["cat/#.jpg", "cat/thumbs/#.jpg", "dog/#.jpg"], ["train"], ["cat", "dog"]),
    "vehicles, split": (["train/bus/#.jpg", "train/train/#.jpg"], ["train"], ["bus", "train"]),
    "vehicles": (
        ["bus/#.jpg", "car/#.jpg", "ship/#.jpg", "train/#.jpg", "truck/#.jpg"],
        ["train"],
        ["bus", "car", "ship", "train", "truck"],
    ),
    "masks, worn": (["mask/#.jpg", "no_mask/#.jpg", "faces.csv"], ["train"], ["mask", "no_mask"]),
    "ImageNet's words": (["bullet_train/#.jpg", "test_tube/#.jpg"], ["train"], ["bullet_train"]),
    "valid or not": (["invalid/#.jpg", "valid/#.jpg"], ["train"], ["invalid", "valid"]),
    "names of splits": (
        ["Training/a/#.jpg", "VAL/a/#.jpg", "test_b/a/#.jpg"],
        ["Training", "VAL"],
        ["a"],
    ),
}


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_plain_is_taken_without_a_flag(name: str, tmp_path: Path) -> None:
    paths, splits, classes = TAKEN[name]
    catalog = scan(make(tmp_path, *paths))
    assert set(splits) <= set(catalog.splits)
    assert set(classes) <= set(catalog.classes)
    assert catalog.images.num_rows == 3 * sum("#" in path for path in paths)


def test_one_key_settles_what_would_be_a_guess(tmp_path: Path) -> None:
    vehicles = make(tmp_path / "a", "bus/#.jpg", "train/#.jpg")
    assert scan(vehicles, layout="classes").classes == ("bus", "train")
    kinds = make(tmp_path / "b", "animals/cat/#.jpg", "vehicles/bus/#.jpg")
    for catalog in (scan(kinds, layout="splits"), scan(kinds, splits=["animals", "vehicles"])):
        assert (catalog.splits, catalog.classes) == (("animals", "vehicles"), ("bus", "cat"))
    both = make(tmp_path / "c", "cat/#.jpg", "dog/black/#.jpg", "dog/white/#.jpg")
    assert "'cat' holds images, as a class does, and 'dog' holds folders" in told(both)
    catalog = scan(both, layout="classes")
    assert (catalog.classes, catalog.images.num_rows) == (("cat", "dog"), 9)
    catalog = scan(both, layout="splits", on_stray="skip")
    assert (catalog.splits, catalog.classes) == (("dog",), ("black", "white"))
    assert [(i.reason, i.count, i.example) for i in catalog.ignored] == [
        ("image in a folder beside the splits", 3, "cat/0.jpg")
    ]
    with pytest.raises(SourceError, match="layout classes has only the split 'train'"):
        scan(both, layout="classes", splits=["val"])
    assert "no images in 'SOURCE'" in told(vehicles, layout="splits")


@pytest.mark.parametrize("where", ["val", "train/dog"])
def test_a_link_that_leads_nowhere_is_an_error_where_it_may_be_a_split_or_a_class(
    tmp_path: Path, where: str
) -> None:
    """As where a disk is not mounted: without it, labels would move."""
    make(tmp_path, "train/cat/#.jpg", "val/cat/#.jpg", "train/dog/#.jpg")
    shutil.rmtree(tmp_path / where)
    (tmp_path / where).symlink_to("/nowhere/photos")
    for options in ({}, {"on_stray": "skip"}, {"layout": "splits"}):
        text = told(tmp_path, **options)
        assert f"{where!r} in 'SOURCE' is a broken link" in text
        assert "mount what is missing" in text


def test_a_link_that_leads_nowhere_is_told_of_where_it_is_no_folder(tmp_path: Path) -> None:
    make(tmp_path, "train/cat/#.jpg")
    for name in ("README.md", "train/cat/more"):
        (tmp_path / name).symlink_to("nowhere")
    (told_of,) = scan(tmp_path).ignored
    assert (told_of.reason, told_of.count) == ("broken link", 2)


def test_links_in_a_ring_end(tmp_path: Path) -> None:
    make(tmp_path, "train/cat/#.jpg", "train/cat/more/#.jpg")
    (tmp_path / "train/cat/more/ring").symlink_to("../../..")
    (tmp_path / "train/cat/ring").symlink_to(".")
    catalog = scan(tmp_path)
    assert catalog.images["path"].to_pylist() == [
        *(b"train/cat/%d.jpg" % number for number in range(3)),
        *(b"train/cat/more/%d.jpg" % number for number in range(3)),
    ]
    assert [(i.reason, i.example) for i in catalog.ignored] == [
        ("link to a folder that is read already", "train/cat/ring")
    ]


def test_a_class_that_is_empty_everywhere_is_told_of(tmp_path: Path) -> None:
    make(tmp_path, "train/cat/#.jpg", "val/cat/#.jpg", "val/dog/#.jpg")
    for name in ("train/dog", "train/ox", "val/ox"):
        (tmp_path / name).mkdir()
    catalog = scan(tmp_path)
    assert catalog.classes == ("cat", "dog")
    assert [(i.reason, i.count, i.example) for i in catalog.ignored] == [
        ("folder without images", 3, "train/dog")
    ]


def test_formats_that_are_not_read_are_refused_by_name(tmp_path: Path) -> None:
    """Not passed over: they are images, and somebody misses them."""
    good = image_file(picture(40, 40), "JPEG")
    files = {
        "a.jpg": good,
        "b.HEIC": b"\0\0\0\x18ftypheic" + bytes(12),
        "c.NEF": b"what",
        "d.txt": b"",
    }
    files["e.heic"] = good  # As telephones call some of them.
    write_tree(tmp_path / "in", {"train": {"cat": files}})
    config = prep.Config(source=str(tmp_path / "in"), output=str(tmp_path / "out"), size=32)
    made, journal = write_all(config)
    assert made.images == 4
    (receipt,) = journal.committed(made)
    assert receipt.written == {"cat": 2}
    assert {(f.path, f.reason, f.detail) for f in receipt.findings} == {
        ("train/cat/b.HEIC", "unsupported", "HEIC, which no decoder here reads"),
        ("train/cat/c.NEF", "unsupported", "NEF, which no decoder here reads"),
    }


def test_what_other_extensions_there_are_is_said(tmp_path: Path) -> None:
    make(tmp_path, "train/cat/#.JPEG")
    text = told(tmp_path, image_type="*.png")
    assert "expected *.png" in text
    assert "3 files have other extensions: JPEG (such as 'train/cat/0.JPEG')" in text
    assert text.endswith("; pass `image_type='JPEG'`, or leave it out to take all images")
    text = told(tmp_path, image_type=".jpg")
    assert text.endswith(", for jpg and JPEG are two extensions of one format")
    with pytest.raises(ConfigError, match=r"image_type: got '\*\.\*'; expected one extension"):
        scan(tmp_path, image_type="*.*")


@pytest.mark.parametrize("names", [("Dog", "dog"), ("caf\u00e9", "cafe\u0301")])
def test_classes_that_look_alike_are_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, names: tuple[str, str]
) -> None:
    make(tmp_path, f"train/{names[0]}/#.jpg", f"val/{names[1]}/#.jpg", "val/cat/#.jpg")
    config = prep.Config(source=str(tmp_path), output=str(tmp_path / "out"))
    with caplog.at_level(logging.WARNING, logger="prep"):
        assert len(prep.plan(config).classes) == 3
    (message,) = caplog.messages
    assert all(repr(name) in message for name in names)
    assert "'cat'" not in message


# Splits, and those that a mean is to be of.
MEANS = [
    (["train", "val"], ["train"]),
    (["Training", "Test"], ["Training"]),
    (["TRAIN"], ["TRAIN"]),
    (["train", "train_extra", "trainval"], ["train"]),  # The plainest is it.
    (["train_a", "train_b", "test"], ["train_a", "train_b"]),
    (["train2017", "val2017"], ["train2017"]),
    (["trn", "dev"], ["trn"]),
    (
        ["a", "b", "Validation", "eval"],
        ["a", "b"],
    ),  # Never of a test set, if anything else is there.
    (["test", "val"], ["test", "val"]),
    (["strain", "retrained"], ["strain", "retrained"]),  # Words, not letters.
]


@pytest.mark.parametrize(("splits", "chosen"), MEANS)
def test_a_mean_is_of_the_splits_that_are_named_for_training(
    splits: list[str], chosen: list[str]
) -> None:
    assert training_splits(splits) == tuple(chosen)


@pytest.mark.parametrize("lost", [None, "label_map.json"])
def test_labels_that_move_are_named_before_anything_is_replaced(
    lost: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = write_tree(tmp_path / "in", {"train": {"cat": 1, "dog": 1, "ox": 1}})
    config = prep.Config(source=str(source), output=str(tmp_path / "out"))
    journal = Journal(config.output)
    journal.begin(prep.plan(config))
    if lost:
        (tmp_path / "out" / lost).unlink()
    before = contents(tmp_path / "out", "*.json")
    (source / "train/ox").rename(source / "train/bee")
    expected = "2 moved ('cat' 0 → 1, 'dog' 1 → 2), 1 new ('bee' 0), 1 gone ('ox' 2)"
    with pytest.raises(OutputConflict) as conflict:
        require_room(journal, prep.plan(config))
    assert f"; label map: {expected})" in str(conflict.value)

    def start(*_: object) -> NoReturn:  # What would replace anything comes after this.
        raise KeyboardInterrupt

    with (
        caplog.at_level(logging.WARNING, logger="prep"),
        pytest.raises(prep.PrepError, match="stopped"),
    ):
        carry_out(config, start, aim="overwrite")
    assert [expected in message for message in caplog.messages] == [True]
    assert contents(tmp_path / "out", "*.json") == before


@pytest.mark.parametrize(
    ("then", "now", "text"),
    [
        ({"a": 0}, {"a": 0, "b": 1}, "1 new ('b' 1)"),
        ({"a": 0, "b": 1}, {"a": 0}, "1 gone ('b' 1)"),
        ({"a": 0}, {"a": [1]}, "numbers there, one-hot lists of 1 here"),
        (
            {f"c{n}": n for n in range(9)},
            {f"c{n}": n + 1 for n in range(9)},
            "9 moved ('c0' 0 → 1, 'c1' 1 → 2, 'c2' 2 → 3, 'c3' 3 → 4, 'c4' 4 → 5 and 4 more)",
        ),
    ],
)
def test_what_differs_between_label_maps_is_said_class_by_class(
    then: dict[str, Any], now: dict[str, Any], text: str
) -> None:
    assert str(label_changes(LabelMap.parse(then), LabelMap.parse(now))) == text


def write_all(config: prep.Config) -> tuple[prep.RunPlan, Journal]:
    """Write the shards of a run, without a cluster."""
    made, journal = prep.plan(config), Journal(config.output)
    journal.begin(made)
    run = RunRef(output=journal.output, digest=made.fingerprint.digest, run=uuid.uuid4().hex)
    for shard in made.shards:
        write_shard(shard, run)
    return made, journal


def test_a_test_set_is_no_part_of_the_mean_whatever_splits_are_called(tmp_path: Path) -> None:
    grey = {name: np.full((32, 32, 3), value, np.uint8) for name, value in (("a", 40), ("b", 200))}
    files = {name: {f"{name}.png": image_file(pixels, "PNG")} for name, pixels in grey.items()}
    source = write_tree(
        tmp_path / "in", {"Training": {"cat": files["a"]}, "Test": {"cat": files["b"]}}
    )
    made, journal = write_all(
        prep.Config(source=str(source), output=str(tmp_path / "out"), size=32)
    )
    report = publish(made, journal, journal.committed(made))
    stored = json.loads((tmp_path / "out/mean_rgb.json").read_text())
    assert [stored[name] for name in ("R", "G", "B", "of")] == [40.0, 40.0, 40.0, ["Training"]]
    assert read_mean(str(tmp_path / "out/mean_rgb.json")) == (40.0, 40.0, 40.0)
    assert dict(report.rows())["mean of"] == "split Training"


def test_what_is_passed_over_is_renewed_where_that_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the output that lies in its source is no part of that."""
    source = write_tree(tmp_path, {"train": {"cat": 2}})
    config = prep.Config(source=str(source), output=str(tmp_path / "shards/a"), size=32)
    made, journal = write_all(config)

    def passed_over() -> list[str]:
        made = prep.plan(config)
        return [p["example"] for p in publish(made, journal, journal.committed(made)).passed_over]

    def forbid(report: prep.RunReport) -> None:
        raise PermissionError(errno.EACCES, "not here")

    assert passed_over() == []
    (tmp_path / "train/cat/notes.txt").touch()
    assert passed_over() == ["train/cat/notes.txt"]
    monkeypatch.setattr(prep.RunReport, "publish", forbid)
    (tmp_path / "train/cat/a.txt").touch()
    assert passed_over() == ["train/cat/a.txt"]  # Told, though it can't be noted there.
    stored = prep.RunReport.read(journal.output)
    assert [p["example"] for p in stored.passed_over] == ["train/cat/notes.txt"]
    # A repair does not look into the source.
    again = publish(
        journal.whole_plan(journal.stored_plan()),
        journal,
        journal.committed(made),
        source_was_read=False,
    )
    assert again.passed_over == stored.passed_over


def test_a_link_to_all_of_a_disk_is_not_followed_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "source", "train/cat/#.jpg")
    make(tmp_path / "disk", *(f"{number}/notes.txt" for number in range(9)))
    (tmp_path / "source/train/cat/disk").symlink_to(tmp_path / "disk")
    (passed, _) = scan(tmp_path / "source").ignored
    assert passed.example == "train/cat/disk"
    monkeypatch.setattr("prep.sources.folders.survey._MOST_OTHERS", 5)
    assert "more than 5 folders are not class folders, such as 'train/cat/disk/" in told(
        tmp_path / "source"
    )


@pytest.mark.parametrize("layout", ["auto", "classes", "splits"])
def test_no_image_of_a_random_source_is_lost(tmp_path: Path, layout: str) -> None:
    """Each is in the list, or is counted as one of which no class can be told."""
    names = ("train", "val", "cat", "dog", "images", "a")
    taken = 0
    for seed in range(40):
        choose = random.Random(seed)
        folders = ["/".join(choose.choices(names, k=choose.randint(0, 4))) for _ in range(6)]
        root = make(tmp_path / f"{seed}", *(f"{folder or '.'}/#.jpg" for folder in folders))
        try:
            catalog = scan(root, layout=layout, on_stray="skip")
        except SourceError:
            continue
        strays = sum(i.count for i in catalog.ignored if i.reason.startswith("image "))
        assert catalog.images.num_rows + strays == sum(1 for _ in root.rglob("*.jpg"))
        taken += 1
    assert taken
