"""Images deeper than class folders, and sets of images with folders of a known kind."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import prep
from prep.errors import SourceError
from prep.sources.base import Catalog
from prep.sources.file_source import FileSource

# The annotations are not in the order of names, and the words are of many more classes.
TINY: Mapping[str, str] = {
    **{f"train/{w}/images/{w}_{n}.JPEG": "" for w in ("n02", "n01", "n03") for n in (0, 1, 10)},
    **{f"train/{w}/{w}_boxes.txt": "" for w in ("n01", "n02", "n03")},
    **{f"val/images/val_{n}.JPEG": "" for n in range(3)},
    "val/val_annotations.txt": "val_1.JPEG\tn03\t0\t0\t9\t9\r\nval_0.JPEG\tn01\t0\t0\t9\t9\r\n"
    "val_2.JPEG\tn01\t0\t0\t9\t9\r\n",
    **{f"test/images/test_{n}.JPEG": "" for n in range(2)},
    "wnids.txt": "n02\nn01\nn03\n",
    "words.txt": "n00\tentity\nn01\ttench, Tinca tinca\nn02\tgoldfish\nn03\tcrane\n",
}
VAL = {
    "val/images/val_0.JPEG": "n01",
    "val/images/val_1.JPEG": "n03",
    "val/images/val_2.JPEG": "n01",
}


def make(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text.encode())
    return root


def catalog_of(source: Path, **options: Any) -> Catalog:
    config = prep.Config(source=str(source), output="/nowhere/shards", **options)
    return FileSource(str(source)).catalog(config)


def labels(catalog: Catalog, split: str) -> dict[str, str]:
    """Return the class of each image of a split, by its name."""
    number = catalog.splits.index(split)
    rows = catalog.images.to_pylist()
    return {
        row["path"].decode(): catalog.classes[row["class"]]
        for row in rows
        if row["split"] == number
    }


@pytest.mark.parametrize("packed", [False, True])
def test_tiny_imagenet_is_read_as_it_comes(tmp_path: Path, packed: bool) -> None:
    source, top = make(tmp_path / "tiny-imagenet-200", TINY), ""
    if packed:
        with zipfile.ZipFile(tmp_path / "tiny.zip", "w") as archive:
            for name, text in TINY.items():
                archive.writestr(f"tiny-imagenet-200/{name}", text)
        source, top = tmp_path / "tiny.zip", "tiny-imagenet-200/"
    catalog = catalog_of(source)
    assert catalog.read_as.endswith("Tiny ImageNet")
    assert (catalog.splits, catalog.classes) == (("train", "val"), ("n01", "n02", "n03"))
    assert labels(catalog, "val") == {f"{top}{name}": wnid for name, wnid in VAL.items()}
    train = {
        name: name.split("/")[1] for name in TINY if name.startswith("train/") and "JPEG" in name
    }
    assert labels(catalog, "train") == {f"{top}{name}": wnid for name, wnid in train.items()}
    assert catalog.class_names == {
        "n01": "tench, Tinca tinca",
        "n02": "goldfish",
        "n03": "crane",
    }
    assert {i.reason: i.count for i in catalog.ignored} == {
        "image without a label": 2,
        "other extension": 3,  # The boxes.
    }
    kept = catalog_of(source, unlabelled="keep")
    assert labels(kept, "test") == {f"{top}test/images/test_{n}.JPEG": "" for n in range(2)}
    assert kept.images.num_rows == 14
    # Labels do not move with the splits that are chosen.
    val = catalog_of(source, splits=["val"])
    assert (val.splits, val.classes) == (("val",), ("n01", "n02", "n03"))
    assert labels(val, "val") == labels(catalog, "val")


# What is changed, what is asked for, and what is said.
WRONG: dict[str, tuple[dict[str, str | None], str]] = {
    "a missing image": (
        {"val/images/val_2.JPEG": None},
        "names images that are missing: 'val_2.JPEG' (line 3); get them again, or pass `on_missing",
    ),
    "an image without a line": (
        {"val/images/val_3.JPEG": ""},
        "does not tell the class of 'val/images/val_3.JPEG'; add it, or pass `on_stray='skip'`",
    ),
    "two classes": (
        {"val/val_annotations.txt": "val_0.JPEG\tn01\nval_0.JPEG\tn02\n"},
        "line 2: 'val_0.JPEG' is of class 'n02', and of 'n01' before",
    ),
    "no class": (
        {"val/val_annotations.txt": "val_0.JPEG\tn01\n\nval_1.JPEG\n"},
        "line 3: expected the name of an image, a tab and its class; found 'val_1.JPEG'",
    ),
    "an unknown class": (
        {"val/val_annotations.txt": "val_0.JPEG\tn09\nval_1.JPEG\tn01\nval_2.JPEG\tn01\n"},
        "has 'n09', of which 'train' has no folder",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_list_of_tiny_imagenet_that_does_not_fit_is_an_error(name: str, tmp_path: Path) -> None:
    changes, expected = WRONG[name]
    files = {k: v for k, v in {**TINY, **changes}.items() if v is not None}
    with pytest.raises(SourceError) as error:
        catalog_of(make(tmp_path, files))
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_what_a_list_and_its_folder_do_not_share_may_be_left_out(tmp_path: Path) -> None:
    files = {**TINY, "val/images/other.JPEG": ""}
    del files["val/images/val_0.JPEG"]
    catalog = catalog_of(make(tmp_path, files), on_missing="skip", on_stray="skip")
    assert labels(catalog, "val") == {name: wnid for name, wnid in VAL.items() if "_0" not in name}
    told = {i.reason: (i.count, i.example) for i in catalog.ignored}
    assert told["listed image that is missing"] == (1, "val/images/val_0.JPEG")
    assert told["image that its list does not name"] == (1, "val/images/other.JPEG")


def test_tiny_imagenet_with_its_validation_images_in_class_folders_is_read_too(
    tmp_path: Path,
) -> None:
    """As most recipes for it rearrange them."""
    files = {name: text for name, text in TINY.items() if not name.startswith(("val/", "test/"))}
    files |= {f"val/{wnid}/images/{name.rpartition('/')[2]}": "" for name, wnid in VAL.items()}
    catalog = catalog_of(make(tmp_path, files))
    assert (catalog.splits, catalog.classes) == (("train", "val"), ("n01", "n02", "n03"))
    assert [*labels(catalog, "val").values()] == ["n01", "n01", "n03"]


FLAT_TEST = {"train/cat/0.jpg": "", "train/dog/0.jpg": "", "test/0.jpg": "", "test/1.jpg": ""}


def test_a_test_split_without_labels_is_kept_where_that_is_asked_for(tmp_path: Path) -> None:
    source = make(tmp_path, FLAT_TEST)
    with pytest.raises(SourceError, match="pass `unlabelled='keep'` if images in 'test' have no"):
        catalog_of(source)
    for options in ({}, {"splits": ["test", "train"]}):
        catalog = catalog_of(source, unlabelled="keep", **options)
        assert labels(catalog, "test") == {"test/0.jpg": "", "test/1.jpg": ""}
        assert labels(catalog, "train") == {"train/cat/0.jpg": "cat", "train/dog/0.jpg": "dog"}
    assert catalog_of(source, splits=["train"]).splits == ("train",)


NESTED = {f"{folder}/{n}.jpg": "" for folder in ("a/x/u", "a/x/v", "a/y", "b/u") for n in (0, 1)}


@pytest.mark.parametrize(
    ("options", "classes"),
    [
        ({"layout": "classes"}, ["a", "b"]),
        ({"labels": {"from": "path"}}, ["a/x/u", "a/x/v", "a/y", "b/u"]),
        ({"labels": {"from": "folder"}, "layout": "classes"}, ["a", "b"]),
        ({"labels": {"from": r"/(?P<label>\d)"}}, ["0", "1"]),
        ({"labels": {"from": "path"}, "splits": ["a"]}, ["x/u", "x/v", "y"]),
        ({"labels": {"from": "path"}, "layout": "splits"}, ["u", "x/u", "x/v", "y"]),
    ],
)
def test_labels_are_taken_from_folders_at_any_depth(
    tmp_path: Path, options: dict[str, Any], classes: list[str]
) -> None:
    catalog = catalog_of(make(tmp_path, NESTED), **options)
    assert [*catalog.classes] == classes


def test_leaves_of_one_name_are_an_error(tmp_path: Path) -> None:
    source = make(tmp_path, NESTED)
    with pytest.raises(SourceError, match=r"several places: 'u' \('a/x/u', 'b/u'\)"):
        catalog_of(source, labels={"from": "leaf"})
    with pytest.raises(SourceError, match=r"pass `layout='classes'`.*pass `labels.from`"):
        catalog_of(source)


def test_a_split_beside_other_folders_is_a_guess_where_names_tell_the_labels(
    tmp_path: Path,
) -> None:
    source = make(tmp_path, {"train/cat.0.jpg": "", "dogs/dog.0.jpg": ""})
    rule = {"from": r"(?P<label>[a-z]+)\.\d"}
    with pytest.raises(SourceError, match="'train' is named like a split, beside 'dogs'; name"):
        catalog_of(source, labels=rule)
    assert catalog_of(source, labels=rule, splits=["train"]).classes == ("cat",)
    assert catalog_of(source, labels=rule, layout="classes").classes == ("cat", "dog")


def test_masks_are_no_photos_where_names_tell_the_labels(tmp_path: Path) -> None:
    make(tmp_path, {"images/cat_1.jpg": "", "images/dog_2.jpg": "", "annotations/t/cat_1.png": ""})
    labels_from = {"from": r"(?P<label>[^/]+)_\d+\.\w+$"}
    with pytest.raises(SourceError, match=f"as masks of these .* give '{tmp_path}/images' as the"):
        catalog_of(tmp_path, labels=labels_from)
    assert catalog_of(tmp_path / "images", labels=labels_from).classes == ("cat", "dog")


def test_an_output_below_a_class_folder_is_refused(tmp_path: Path) -> None:
    source = make(tmp_path, {"train/cat/a/0.jpg": "", "train/cat/0.jpg": "", "train/dog/0.jpg": ""})
    with pytest.raises(prep.PrepError, match="lies in 'train/cat', a class folder of the source"):
        FileSource(str(source)).catalog(
            prep.Config(source=str(source), output=str(source / "train/cat/a/shards"))
        )
    # It may lie beside classes, and what is in it is no part of the source.
    make(source / "shards", {"train/cat/0.jpg": ""})
    config = prep.Config(source=str(source), output=str(source / "shards"))
    assert FileSource(str(source)).catalog(config).images.num_rows == 3
