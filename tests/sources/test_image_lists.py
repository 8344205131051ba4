"""Lists of images, in all the forms that people have them in."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import random
import tarfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prep.config.model import Config
from prep.errors import ConfigError, SourceError
from prep.operations.preparation import plan_images
from prep.sources.base import Catalog
from prep.sources.layouts.base import Place
from prep.sources.lists.formats.list_forms import read_list
from prep.sources.lists.resolution import require_inside
from prep.sources.manifest import entries_of
from prep.sources.registry import open_source, planned_source
from tests.support.imagenet import write
from tests.support.storages import S3

#: Images that most lists here name, each with contents of its own.
IMAGES = ("a b.jpg", "x,y.jpg", "ü.jpg", "cat/1.jpg", 'q"q.png')


def images(root: Path, names: Sequence[str] = IMAGES) -> Path:
    return write(root, {name: name.encode() for name in names})


def catalog(source: Path | Mapping[str, Any], **keys: Any) -> Catalog:
    config = Config(source=str(source) if isinstance(source, Path) else source, output="/o", **keys)
    return open_source(config.source).catalog(config)


def labels(source: Path | Mapping[str, Any], **keys: Any) -> dict[str, str]:
    """Class of each image, by its name."""
    found = catalog(source, **keys)
    rows = found.images.select(["path", "class"]).to_pylist()
    return {os.fsdecode(row["path"]): found.classes[row["class"]] for row in rows}


def splits(source: Path | Mapping[str, Any], **keys: Any) -> dict[str, str]:
    """Split of each image, by its name."""
    found = catalog(source, **keys)
    rows = found.images.select(["path", "split"]).to_pylist()
    return {os.fsdecode(row["path"]): found.splits[row["split"]] for row in rows}


def refusal(source: Path | Mapping[str, Any], **keys: Any) -> str:
    with pytest.raises((SourceError, ConfigError)) as error:
        catalog(source, **keys)
    assert "\n" not in str(error.value)
    return str(error.value)


ROWS = [("a b.jpg", "003", "train"), ("x,y.jpg", "3", "train"), ("ü.jpg", "no", "val")]
EXPECTED = {name: label for name, label, _ in ROWS}


def comma(rows: Sequence[Sequence[str]] = ROWS, delimiter: str = ",", end: str = "\n") -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end)
    writer.writerows([("path", "label", "split"), *rows])
    return text.getvalue()


def json_lines() -> str:
    keys = ("path", "label", "split")
    return "".join(json.dumps(dict(zip(keys, row, strict=True))) + "\n" for row in ROWS)


def columns() -> pa.Table:
    path, label, split = zip(*ROWS, strict=True)
    return pa.table({"path": path, "label": pa.array(label).dictionary_encode(), "split": split})


def parquet() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(columns(), sink)
    return sink.getvalue().to_pybytes()


def arrow(new: Callable[[pa.BufferOutputStream, pa.Schema], pa.RecordBatchWriter]) -> bytes:
    sink = pa.BufferOutputStream()
    table = columns()
    with new(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


FORMS: dict[str, tuple[str, bytes]] = {
    "CSV": ("CSV", comma().encode()),
    "with a BOM, CRLF": ("CSV", comma(end="\r\n").encode("utf-8-sig")),
    "CR": ("CSV", comma(end="\r").encode()),
    "UTF-16": ("CSV", comma().encode("utf-16")),
    "semicolons": ("CSV with semicolons", comma(delimiter=";").encode()),
    "bars": ("CSV with bars", comma(delimiter="|").encode()),
    "TSV": ("TSV", comma(delimiter="\t").encode()),
    "no header": ("CSV", comma().partition("\n")[2].encode()),
    "blank lines": ("CSV", comma().replace("\n", "\n\n").encode()),
    "blank lines before": ("CSV with semicolons", b"\n \n" + comma(delimiter=";").encode()),
    "JSON Lines": ("JSON Lines", json_lines().encode()),
    "JSON": ("JSON", f"[{','.join(json_lines().splitlines())}]".encode()),
    "Parquet": ("Parquet", parquet()),
    "Arrow": ("Arrow", arrow(pa.ipc.new_file)),
    "Arrow's stream": ("Arrow", arrow(pa.ipc.new_stream)),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_list_is_read_in_any_form_whatever_its_file_is_called(name: str, tmp_path: Path) -> None:
    form, data = FORMS[name]
    place = write(images(tmp_path), {"list.dat": data}) / "list.dat"
    assert labels(place) == EXPECTED
    assert splits(place) == {name: split for name, _, split in ROWS}
    assert catalog(place).classes == ("003", "3", "no")
    assert catalog(place).read_as.startswith(f"a list ({form}): images from column ")
    assert labels(place, splits=["val"]) == {"ü.jpg": "no"}
    assert "splits found: 'train', 'val'" in refusal(place, splits=["test"])


def test_shards_of_a_list_are_those_of_its_folder(tmp_path: Path) -> None:
    """The images are read by the plan's name for the source, as workers do it."""
    place = write(images(tmp_path / "images"), {"../list.csv": comma()}).parent / "list.csv"
    plan = plan_images(
        Config(source=str(place), images=str(tmp_path / "images"), output=str(tmp_path / "out"))
    )
    source = planned_source(plan.config.source, plan.source, None)
    read = {e.name: source.read(e).decode() for e in entries_of(plan.manifest, plan.classes)}
    assert read == {name: name for name in EXPECTED}
    assert plan.manifest.column_names == ["path", "class", "size", "mtime"]


@pytest.mark.parametrize(
    "name",
    ["list.csv", "list.tsv", "list.jsonl", "list.parquet", "list.arrow", "list_bom_crlf.csv"],
)
def test_lists_tell_the_truth(name: str) -> None:
    if "PREP_TEST_DATA" not in os.environ:
        pytest.skip("PREP_TEST_DATA names no folder of data")
    folder = Path(os.environ["PREP_TEST_DATA"]) / "sources" / "lists"
    with (folder / "truth.csv").open(encoding="utf-8", newline="") as file:
        truth = {
            row["path"]: (row["label"], row["split"], row["sha256_16"])
            for row in csv.DictReader(file)
        }
    config = Config(source=str(folder / name), output="/o")
    source = open_source(config.source)
    found = source.catalog(config)
    entries = list(entries_of(found.images, found.classes))
    where = [found.splits[n] for n in found.images["split"].to_pylist()]
    assert truth == {
        entry.name: (entry.class_name, split, hashlib.sha256(source.read(entry)).hexdigest()[:16])
        for entry, split in zip(entries, where, strict=True)
    }


# Each list, the images beside it, and what is to come of it.
SHAPES: dict[str, tuple[dict[str, str], list[str], dict[str, str]]] = {
    "HAM10000: stems, images in two folders": (
        {"HAM10000_metadata.csv": "lesion_id,image_id,dx,age\nL1,ISIC_1,bkl,80.0\nL2,ISIC_2,nv,\n"},
        ["HAM10000_images_part_1/ISIC_1.jpg", "HAM10000_images_part_2/ISIC_2.jpg"],
        {
            "HAM10000_images_part_1/ISIC_1.jpg": "bkl",
            "HAM10000_images_part_2/ISIC_2.jpg": "nv",
        },
    ),
    "ISIC: a column for each class": (
        {"ISIC_2019_GroundTruth.csv": "image,MEL,NV,BCC\nI1,0.0,1.0,0.0\nI2,1.0,0.0,0.0\n"},
        ["ISIC_2019_Input/I1.jpg", "ISIC_2019_Input/I2.jpg"],
        {"ISIC_2019_Input/I1.jpg": "NV", "ISIC_2019_Input/I2.jpg": "MEL"},
    ),
    "Kaggle: train, test and the form of an answer": (
        {
            "train.csv": "id_code,diagnosis\n0a,2\n0b,0\n",
            "test.csv": "id_code\n0c\n",
            "sample_submission.csv": "id_code,diagnosis\n0c,0\n",
        },
        ["train_images/0a.png", "train_images/0b.png", "test_images/0c.png"],
        {"train_images/0a.png": "2", "train_images/0b.png": "0"},
    ),
    "Kaggle: records beside the images": (
        {"train.csv": "image_id,label\n1.jpg,0\n2.jpg,3\n", "train_tfrecords/ld.tfrec": "x"},
        ["train_images/1.jpg", "train_images/2.jpg", "test_images/3.jpg"],
        {"train_images/1.jpg": "0", "train_images/2.jpg": "3"},
    ),
    "Roboflow, a column for each class": (
        {
            "train/_classes.csv": "filename, paper, rock\n1.jpg, 0, 1\n2.jpg, 1, 0\n",
            "valid/_classes.csv": "filename, paper, rock\n3.jpg, 1, 0\n",
            "README.roboflow.txt": "x",
        },
        ["train/1.jpg", "train/2.jpg", "valid/3.jpg"],
        {"train/1.jpg": "rock", "train/2.jpg": "paper", "valid/3.jpg": "paper"},
    ),
    "Roboflow, COCO": (
        {
            f"{split}/_annotations.coco.json": json.dumps(
                {
                    "info": {"year": "2024"},
                    "licenses": [],
                    "categories": [{"id": 0, "name": "x"}, {"id": 1, "name": "rock"}],
                    "images": [{"id": 0, "file_name": "1.jpg"}],
                    "annotations": [{"id": 0, "image_id": 0, "category_id": 1}],
                }
            )
            for split in ("train", "valid")
        },
        ["train/1.jpg", "valid/1.jpg"],
        {"train/1.jpg": "rock", "valid/1.jpg": "rock"},
    ),
    "Hugging Face, one folder": (
        {
            "metadata.jsonl": '{"file_name": "1.png", "label": 7}\n'
            '{"file_name": "s/2.png", "label": true}'
        },
        ["1.png", "s/2.png"],
        {"1.png": "7", "s/2.png": "true"},
    ),
    "Hugging Face, a folder for each split": (
        {
            "train/metadata.csv": "file_name,label\n1.png,a\n",
            "test/metadata.csv": "file_name,label\n1.png,b\n",
        },
        ["train/1.png", "test/1.png"],
        {"train/1.png": "a", "test/1.png": "b"},
    ),
    "CUB-200": (
        {
            "images.txt": "1 001.Auk/a_1.jpg\n2 002.Owl/b 2.jpg\n",
            "image_class_labels.txt": "1 1\n2 2\n",
            "classes.txt": "1 001.Auk\n2 002.Owl\n",
            "train_test_split.txt": "1 0\n2 1\n",
        },
        ["images/001.Auk/a_1.jpg", "images/002.Owl/b 2.jpg"],
        {"images/001.Auk/a_1.jpg": "001.Auk", "images/002.Owl/b 2.jpg": "002.Owl"},
    ),
    "GTSRB: semicolons": (
        {"GT.csv": "Filename;Width;Height;Roi.X1;ClassId\n1.ppm;29;30;5;0\n2.ppm;30;30;5;12\n"},
        ["1.ppm", "2.ppm"],
        {"1.ppm": "0", "2.ppm": "12"},
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_known_sets_are_read_as_a_folder_and_by_their_list(name: str, tmp_path: Path) -> None:
    lists, names, expected = SHAPES[name]
    write(images(tmp_path, names), lists)
    assert labels(tmp_path) == expected
    first = next(iter(lists))
    if "/" not in first:
        assert labels(tmp_path / first) == expected


def test_splits_of_folders_with_lists(tmp_path: Path) -> None:
    for name, expected in (
        ("CUB-200", {"images/001.Auk/a_1.jpg": "test", "images/002.Owl/b 2.jpg": "train"}),
        ("Hugging Face, a folder for each split", {"train/1.png": "train", "test/1.png": "test"}),
    ):
        lists, names, _ = SHAPES[name]
        write(images(tmp_path / name, names), lists)
        assert splits(tmp_path / name) == expected
    text = (tmp_path / name / "test/metadata.csv").read_text() + "2.png,\n"
    write(tmp_path / name, {"test/metadata.csv": text})
    assert "empty label: line 3 of 'test/metadata.csv'" in refusal(tmp_path / name)


@pytest.mark.parametrize(
    "names", [["cat/1.jpg", "dog/2.jpg"], ["train/cat/1.jpg", "val/cat/2.jpg"]]
)
def test_class_folders_beside_a_list_stay_class_folders(names: list[str], tmp_path: Path) -> None:
    write(images(tmp_path, names), {"train.csv": f"path,label\n{names[0]},x\n"})
    assert catalog(tmp_path).read_as.startswith("class folders")
    assert labels(tmp_path / "train.csv") == {names[0]: "x"}


def test_class_folders_with_metadata_stay_class_folders_unless_a_list_is_asked_for(
    tmp_path: Path,
) -> None:
    text = "file_name,what\ncat/1.jpg,x\n"
    write(images(tmp_path, ["cat/1.jpg", "dog/2.jpg"]), {"metadata.csv": text})
    assert labels(tmp_path) == {"cat/1.jpg": "cat", "dog/2.jpg": "dog"}
    assert labels(tmp_path, layout="list", columns={"label": "what"}) == {"cat/1.jpg": "x"}


def test_an_output_among_the_images_is_refused(tmp_path: Path) -> None:
    place = write(images(tmp_path), {"l.csv": "path,label\na b.jpg,x\n"}) / "l.csv"
    config = Config(source=str(place), output=str(tmp_path))
    with pytest.raises(ConfigError, match="is also the folder of the images"):
        open_source(config.source).catalog(config)


def test_two_lists_in_a_folder_are_not_chosen_from(tmp_path: Path) -> None:
    write(images(tmp_path, ["img/1.jpg"]), {"a.csv": "path,label\n", "b.csv": "path,label\n"})
    assert "give the list itself" in refusal(tmp_path, layout="list")


def test_lines_of_paths_and_labels(tmp_path: Path) -> None:
    images(tmp_path)
    caffe = write(tmp_path, {"c.txt": "a b.jpg Persian cat\nx,y.jpg 3\n"}) / "c.txt"
    assert labels(caffe) == {"a b.jpg": "Persian cat", "x,y.jpg": "3"}
    stems = write(
        images(tmp_path / "food", ["i/pie/1.jpg", "i/cake/2.jpg"]), {"t.txt": "pie/1\ncake/2\n"}
    )
    assert labels(stems / "t.txt", images=str(stems / "i")) == {
        "cake/2.jpg": "cake",
        "pie/1.jpg": "pie",
    }
    voc = write(
        images(tmp_path / "voc", ["J/08_1.jpg", "J/08_2.jpg"]),
        {"a_train.txt": "08_1 -1\n08_2  1\n"},
    )
    assert labels(voc / "a_train.txt") == {"J/08_1.jpg": "-1", "J/08_2.jpg": "1"}
    planes = write(
        images(tmp_path / "planes", ["0034309.jpg", "0034958.jpg"]),
        {"variants.txt": "0034309 Boeing 717\n0034958 A300B4\n"},
    )
    assert labels(planes / "variants.txt") == {
        "0034309.jpg": "Boeing 717",
        "0034958.jpg": "A300B4",
    }
    odd = write(tmp_path, {"o.txt": "a b.jpg 1\nx,y.jpg\n"}) / "o.txt"
    assert "line 2 is 'x,y.jpg'; expected a path and a label" in refusal(odd)


def test_lines_of_a_name_and_numbers_after_comments(tmp_path: Path) -> None:
    text = "#Image CLASS-ID SPECIES BREED ID\n#ID: 1:37\nAuk_1 1 1 2\nowl_10 2 2 1\n"
    pets = write(images(tmp_path, ["i/Auk_1.jpg", "i/owl_10.jpg"]), {"list.txt": text}) / "list.txt"
    place = str(tmp_path / "i")
    assert "columns found: '1', '2', '3', '4'; name it with `columns.label`" in refusal(pets)
    found = {"Auk_1.jpg": "1", "owl_10.jpg": "2"}
    assert labels(pets, images=place, columns={"label": "2"}) == found
    text = text.replace("owl_10 2", "owl_11 2")
    write(tmp_path, {"list.txt": text})
    assert "'owl_11' (line 4)" in refusal(pets, images=place, columns={"label": "2"})


def test_lines_below_a_count_and_names_of_columns(tmp_path: Path) -> None:
    text = "2\nBald Smiling\n1.jpg -1  1\n2.jpg  1  1\n"
    faces = write(images(tmp_path, ["1.jpg", "2.jpg"]), {"attributes.txt": text})
    celeba = faces / "attributes.txt"
    assert labels(celeba, columns={"label": "Bald"}) == {"1.jpg": "-1", "2.jpg": "1"}
    assert "'Bald and Smiling' (line 4)" in refusal(celeba)
    write(tmp_path, {"attributes.txt": text.replace("2\nBald", "Bald")})
    assert labels(celeba, columns={"label": "Smiling"}) == {"1.jpg": "1", "2.jpg": "1"}
    write(tmp_path, {"attributes.txt": text.replace("2.jpg  1  1", "2.jpg  1")})
    told = refusal(celeba, columns={"label": "Smiling"})
    assert "line 4 is '2.jpg  1'; expected a path and 2 numbers" in told


def test_names_of_images_by_label_in_json(tmp_path: Path) -> None:
    text = json.dumps({"pie": ["pie/1", "pie/2"], "cake": ["cake/1"]})
    food = write(
        images(tmp_path, ["i/pie/1.jpg", "i/pie/2.jpg", "i/cake/1.jpg"]), {"train.json": text}
    )
    assert labels(food / "train.json", images=str(food / "i")) == {
        "pie/1.jpg": "pie",
        "pie/2.jpg": "pie",
        "cake/1.jpg": "cake",
    }


def coco(pairs: Sequence[tuple[int, int]], names: Sequence[str] = ("tabby", "dog")) -> str:
    files = enumerate(("a b.jpg", "cat/1.jpg"), 1)
    return json.dumps(
        {
            "images": [{"id": number, "file_name": name} for number, name in files],
            "annotations": [{"image_id": i, "category_id": c} for i, c in pairs],
            "categories": [{"id": number, "name": name} for number, name in enumerate(names, 5)],
        }
    )


def test_coco_with_one_category_for_each_image(tmp_path: Path) -> None:
    images(tmp_path)
    place = write(tmp_path, {"i.json": coco([(1, 5), (1, 5), (2, 6)])}) / "i.json"
    assert labels(place) == {"a b.jpg": "tabby", "cat/1.jpg": "dog"}
    assert labels(place, columns={"label": "id"}) == {"a b.jpg": "5", "cat/1.jpg": "6"}
    assert catalog(place, columns={"label": "id"}).class_names == {"5": "tabby", "6": "dog"}
    several = write(tmp_path, {"s.json": coco([(1, 5), (1, 6), (2, 6)])}) / "s.json"
    assert "1 image with several labels" in refusal(several)
    assert "'dog and tabby' (image 1)" in refusal(several)
    alike = write(tmp_path, {"n.json": coco([(1, 5), (2, 6)], ("crane", "crane"))}) / "n.json"
    assert "categories 5 and 6 are both called 'crane'" in refusal(alike)
    lost = write(tmp_path, {"l.json": coco([(1, 5), (2, 6), (9, 6)])}) / "l.json"
    assert "annotations of 1 image that 'images' lacks: 9" in refusal(lost)
    bare = write(tmp_path, {"b.json": coco([])}) / "b.json"
    assert set(labels(bare, unlabelled="keep").values()) == {""}


MALFORMED: dict[str, tuple[str | bytes, str]] = {
    "ragged, after a quoted new line": (
        'path,label\na b.jpg,"x\ny"\ncat/1.jpg,x,z\n',
        "line 4 has 3 values; expected 2",
    ),
    "open quote": ('path,label\na b.jpg,x\n"cat/1.jpg,x\n', "line 3 can't be read as CSV"),
    "empty label": ("path,label\na b.jpg,x\n\ncat/1.jpg,\n", "1 image with an empty label: line 4"),
    "empty name": ("path,label\na b.jpg,x\n,y\n", "1 row without the name of an image: line 3"),
    "empty split": ("path,label,split\na b.jpg,x,train\ncat/1.jpg,y,\n", "empty split: line 3"),
    "two labels": (
        "path,label\n./a b.jpg,x\na b.jpg,y\n",
        "1 image with two labels: 'a b.jpg' ('x' in line 2 and 'y' in line 3)",
    ),
    "two splits": (
        "path,label,split\na b.jpg,x,train\na b.jpg,x,val\n",
        "1 image with two splits: 'a b.jpg' ('train' in line 2 and 'val' in line 3)",
    ),
    "missing": (
        'path,label\na b.jpg,"x\nx"\ngone.jpg,y\n',
        "'gone.jpg' (line 4); put them there, or pass `on_missing='skip'`",
    ),
    "other case": ("path,label\nA B.JPG,x\n", "there is 'a b.jpg', in another case"),
    "Latin-1": ("path,label\na b.jpg,ü\n".encode("latin-1"), "line 2 is not valid UTF-8"),
    "UTF-16 without a mark": ("path,label\na b.jpg,x\n".encode("utf-16-le"), "a NUL byte"),
    "NUL": (b"path,label\n" + b"a b.jpg,x\n" * 600 + b"a\0b,x\n", "line 602 has a NUL byte"),
    "empty": ("", "is empty"),
    "header alone": ("path,label\n", "has no rows"),
    "two columns of images": (
        "path,filename,label\na,b,c\n",
        "'path' and 'filename' may both hold",
    ),
    "two columns of one name": ("path,label,label\na b.jpg,b,c\n", "'label' and 'label' may both"),
    "no labels": (
        "path,width\na b.jpg,3\n",
        "no column is known to hold the labels; columns found",
    ),
    "no images": ("label,width\na,3\n", "no column is known to hold the images; columns found"),
    "header or not": ("a b,x\ncat/1,y\n", "can't tell whether the first line names the columns"),
    "a comment": (
        "# by me\npath,label\na b.jpg,x\n",
        "line 1 is a comment, '# by me'; take out what is above",
    ),
    "boxes": ("0 0.5 0.5 0.1 0.1\n", "columns found: '1', '2', '3', '4', '5'"),
    "pixels": (
        "label," + ",".join(f"pixel{n}" for n in range(64)) + "\n" + ",".join(["7"] * 65) + "\n",
        "seems to hold pixels (columns: 'label', 'pixel0'",
    ),
    "pixels without a header": (",".join(["7"] * 65) + "\n", "seems to hold pixels; write them"),
    "pixels in one text": (
        "emotion,pixels,Usage\n0," + "70 80 " * 32 + ",Training\n",
        "seems to hold pixels",
    ),
    "addresses": (
        "URL,TEXT\nhttps://h/a.jpg,cat\nhttps://h/b?x=1,dog\n",
        "column 'URL' names images on the web, which are not downloaded",
    ),
    "addresses as paths": (
        "path,label\nhttps://h/a.jpg,cat\n",
        "what lies on the web is not downloaded: get the images first",
    ),
    "several labels": (
        "image,A,B\na b.jpg,1,1\ncat/1.jpg,0,1\n",
        "1 image with several labels, where one is expected: 'A and B' (line 2)",
    ),
    "broken JSON Lines": (
        '{"path":"a b.jpg","label":"x"}\n{"path":"a b.jpg",\n{"path":"ü.jpg","label":"x"}\n',
        "line 2 is no JSON",
    ),
    "list in JSON Lines": (
        '\n{"path":"a b.jpg","label":["x","y"]}\n',
        "1 image with several labels, where one is expected: 'x and y' (line 2)",
    ),
    "broken JSON": ('{"images": [{"id": 1}\n', "is no JSON"),
    "broken Parquet": (b"PAR1abcdef", "can't be read"),
    "Arrow with a name that is no text": (
        arrow(pa.ipc.new_file).replace(b"label", b"labe\xff"),
        "can't be read",
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_wrong_with_a_list_is_told_with_its_line(name: str, tmp_path: Path) -> None:
    text, expected = MALFORMED[name]
    assert expected in refusal(write(images(tmp_path), {"list.csv": text}) / "list.csv")


@pytest.mark.parametrize(
    "name",
    [
        *("../../etc/passwd", "/etc/passwd", "http://host/a.jpg", "s3://bucket/a.jpg", "C:\\a.jpg"),
        *("..\\..\\a.jpg", "cat/../../a.jpg", "\\\\server\\a.jpg", "file:///etc/passwd", ".."),
    ],
)
def test_a_path_that_leads_elsewhere_is_an_error(name: str, tmp_path: Path) -> None:
    place = write(images(tmp_path), {"list.csv": f"path,label\na b.jpg,x\n{name},y\n"}) / "list.csv"
    assert f"got 1 path outside '{tmp_path}': " in refusal(place)
    assert "(line 3)" in refusal(place)


def test_an_absolute_path_is_in_images_if_these_are_named(tmp_path: Path) -> None:
    place = (
        write(images(tmp_path), {"list.csv": f"path,label\n{tmp_path}/a b.jpg,x\n"}) / "list.csv"
    )
    assert "got 1 path outside" in refusal(place)
    assert labels(place, images=str(tmp_path)) == {"a b.jpg": "x"}
    assert "got 1 path outside" in refusal(place, images=str(tmp_path / "cat"))


@pytest.mark.parametrize(
    ("name", "file", "told"),
    [
        ("./a b.jpg", "a b.jpg", ""),
        ("cat//1.jpg", "cat/1.jpg", ""),
        ("cat\\1.jpg", "cat/1.jpg", "backslashes as slashes"),
        (" a b.jpg ", "a b.jpg", "names without the blanks around them"),
        ("u\u0308.jpg", "ü.jpg", "accents in one character"),
        ("a b", "a b.jpg", "names lack the extension (jpg)"),
        ("1.jpg", "cat/1.jpg", "found by name in 'cat'"),
        ("1", "cat/1.jpg", "found by name in 'cat'"),
    ],
)
def test_names_are_found_that_are_written_otherwise(
    name: str, file: str, told: str, tmp_path: Path
) -> None:
    place = write(images(tmp_path), {"list.csv": f"path,label\n{name},x\n"}) / "list.csv"
    assert labels(place) == {file: "x"}
    assert catalog(place).read_as.partition("; ")[2] == told


def test_a_name_that_fits_two_files_is_an_error(tmp_path: Path) -> None:
    images(tmp_path, ["a.jpg", "a.png", "b/c.jpg", "d/c.jpg"])
    stem = write(tmp_path, {"s.csv": "path,label\na,x\n"}) / "s.csv"
    assert "'a.jpg' and 'a.png' fit the first" in refusal(stem)
    assert labels(stem, extension="png") == {"a.png": "x"}
    assert labels(stem, extension=".jpg") == {"a.jpg": "x"}
    below = write(tmp_path, {"b.csv": "path,label\nc.jpg,x\n"}) / "b.csv"
    assert "'b/c.jpg' and 'd/c.jpg' fit the first" in refusal(below)
    assert labels(below, images=str(tmp_path / "d")) == {"c.jpg": "x"}


def test_rows_that_say_the_same_count_once(tmp_path: Path) -> None:
    text = "path,label\na b.jpg,x\n./a b.jpg,x\na b.jpg,x\n"
    found = catalog(write(images(tmp_path), {"list.csv": text}) / "list.csv")
    assert found.images["path"].to_pylist() == [b"a b.jpg"]
    assert [(i.reason, i.count) for i in found.ignored] == [("listed again", 2)]


def test_missing_images_may_be_skipped_but_not_all(tmp_path: Path) -> None:
    text = "path,label\na b.jpg,x\n" + "".join(f"gone{n}.jpg,y\n" for n in range(30))
    place = write(images(tmp_path), {"list.csv": text}) / "list.csv"
    assert "30 of 31 listed images" in refusal(place)
    assert "'gone19.jpg' (line 22) and 10 more" in refusal(place)
    found = catalog(place, on_missing="skip")
    assert [(i.reason, i.count, i.example) for i in found.ignored] == [
        ("listed image that is missing", 30, "gone0.jpg")
    ]
    none = write(tmp_path, {"n.csv": "path,label\ngone.jpg,x\n"}) / "n.csv"
    assert "give the folder of the images with `images`" in refusal(none, on_missing="skip")
    write(tmp_path, {"folder.jpg/x": b"", "d.csv": "path,label\nfolder.jpg,x\na b.jpg,y\n"})
    assert "'folder.jpg' (line 2)" in refusal(tmp_path / "d.csv")


def test_what_is_excluded_need_not_be_right(tmp_path: Path) -> None:
    text = "path,label\na b.jpg,x\nx,y.jpg,z\n".replace("x,y.jpg", '"x,y.jpg"')
    text += "a b.jpg,other\nü.jpg,\ngone.jpg,x\n"
    place = write(images(tmp_path), {"list.csv": text}) / "list.csv"
    assert "two labels" in refusal(place, exclude=["ü.jpg", "gone.jpg"])
    assert "empty label" in refusal(place, exclude=["a b.jpg", "gone.jpg"])
    assert "gone.jpg" in refusal(place, exclude=["a b.jpg", "ü.jpg"])
    assert labels(place, exclude=["a b.jpg", "ü.jpg", "gone.jpg"]) == {"x,y.jpg": "z"}


def test_an_empty_label_is_a_mistake_unless_a_split_has_none(tmp_path: Path) -> None:
    text = "path,label,split\na b.jpg,x,train\nü.jpg,,test\n"
    place = write(images(tmp_path), {"list.csv": text}) / "list.csv"
    assert labels(place) == {"a b.jpg": "x"}
    assert labels(place, unlabelled="keep") == {"a b.jpg": "x", "ü.jpg": ""}
    some = write(tmp_path, {"s.csv": "path,label\na b.jpg,x\nü.jpg,\n"}) / "s.csv"
    assert labels(some, unlabelled="keep") == {"a b.jpg": "x", "ü.jpg": ""}


def test_columns_may_be_named(tmp_path: Path) -> None:
    text = 'where,"two\nlines",what,set\na b.jpg,p,7,train\n"x,y.jpg",p,8,val\n'
    place = write(images(tmp_path), {"list.csv": text}) / "list.csv"
    named = {"image": "where", "label": "what", "split": "set"}
    assert labels(place, columns=named) == {"a b.jpg": "7", "x,y.jpg": "8"}
    assert labels(place, columns={"label": "what"}) == {"a b.jpg": "7", "x,y.jpg": "8"}
    assert labels(place, columns={"image": 1, "label": 3}) == {"a b.jpg": "7", "x,y.jpg": "8"}
    told = refusal(place, columns={"label": "whta"})
    assert "columns.label: got 'whta', which is no column; did you mean 'what'? columns" in told
    assert r"'where', 'two\nlines', 'what', 'set'" in told
    bare = write(tmp_path, {"b.csv": "a b,x\ncat/1,y\n"}) / "b.csv"
    assert labels(bare, columns={"image": "1", "label": "2"}) == {"a b.jpg": "x", "cat/1.jpg": "y"}


def test_settings_that_keep_images_from_being_found_are_told(tmp_path: Path) -> None:
    write(images(tmp_path / "photos"), {"../list.csv": "path,label\nphotos/cat/1.jpg,x\n"})
    place = tmp_path / "list.csv"
    assert labels(place) == {"photos/cat/1.jpg": "x"}
    told = refusal(place, images=str(tmp_path / "photos"))
    assert "the names begin with 'photos/' themselves, so the folder above fits" in told
    told = refusal(place, extension="png")
    assert "there is 'photos/cat/1.jpg', to which no `extension` needs to be added" in told


def test_columns_of_ones_and_zeros(tmp_path: Path) -> None:
    text = "image,A,B,age\na b,1,0,50\ncat/1,0,1,60\n"
    place = write(images(tmp_path), {"list.csv": text}) / "list.csv"
    assert "no column is known to hold the labels" in refusal(place)
    keys: dict[str, Any] = {"columns": {"label": ["B", "A"]}}
    assert labels(place, **keys) == {"a b.jpg": "A", "cat/1.jpg": "B"}
    assert "other than 0 and 1" in refusal(place, columns={"label": ["A", "age"]})
    flags = write(tmp_path, {"f.csv": "image,A,B\na b,1,0\ncat/1,0,1\n"}) / "f.csv"
    assert labels(flags, labels={"from": "column"}) == {"a b.jpg": "A", "cat/1.jpg": "B"}
    assert catalog(flags).label_column == "A, B"
    assert "'50' (line 2)" in refusal(place, columns={"label": ["A", "age"]})


def test_labels_may_come_from_names_though_there_is_a_column(tmp_path: Path) -> None:
    place = write(images(tmp_path), {"l.csv": "path,label\ncat/1.jpg,\n"}) / "l.csv"
    assert labels(place, labels={"from": "leaf"}) == {"cat/1.jpg": "cat"}


def test_doubts_are_told(tmp_path: Path) -> None:
    names = [f"{number}.jpg" for number in range(24)]
    images(tmp_path, names)
    head = "path,label,split,patient\n"
    numbers = head + "".join(f"{n}.jpg,{n % 12},train,{n}\n" for n in range(24))
    several = head + "".join(f"{n}.jpg,{'a|b' if n % 2 else 'b'},train,{n}\n" for n in range(24))
    own = head + "".join(f"{n}.jpg,{n}.5,train,{n}\n" for n in range(24))
    absent = head + "".join(f"{n}.jpg,{'b' if n else 'NaN'},train,{n}\n" for n in range(24))
    for text, expected in (
        (numbers, "classes are numbered by name as text (the label of '10' is 2)"),
        (several, "1 label may be several in one, such as 'a|b'"),
        (own, "each image has a label of its own"),
        (absent, "1 label may mean that there is none, such as 'NaN'"),
    ):
        found = catalog(write(tmp_path, {"l.csv": text}) / "l.csv").doubts
        assert len(found) == 1
        assert expected in found[0]


def test_splits_that_are_told_otherwise_are_doubted(tmp_path: Path) -> None:
    images(tmp_path, ["1.jpg", "2.jpg"])
    text = "path,label,is_valid\n1.jpg,a,True\n2.jpg,b,False\n"
    place = write(tmp_path, {"l.csv": text, "labels_test.csv": text.replace("is_valid", "x")})
    (doubt,) = catalog(place / "l.csv").doubts
    assert "column 'is_valid' may tell the splits, and is not read" in doubt
    assert catalog(place / "l.csv", columns={"split": "is_valid"}).doubts == ()
    (doubt,) = catalog(place / "labels_test.csv").doubts
    assert doubt.endswith("give the list by its split, as {test: labels_test.csv}")
    assert catalog({"test": str(place / "labels_test.csv")}).doubts == ()


def test_images_of_a_list_may_be_in_an_archive(tmp_path: Path) -> None:
    images(tmp_path / "i")
    with tarfile.open(tmp_path / "i.tar", "w") as tar:
        tar.add(tmp_path / "i", ".")
    with zipfile.ZipFile(tmp_path / "i.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in IMAGES:
            archive.write(tmp_path / "i" / name, name)
    place = write(tmp_path, {"list.csv": comma()}) / "list.csv"
    for name in ("i.tar", "i.zip"):
        plan = plan_images(
            Config(source=str(place), images=str(tmp_path / name), output=str(tmp_path / "out"))
        )
        source = planned_source(plan.config.source, plan.source, None)
        entries = list(entries_of(plan.manifest, plan.classes))
        assert {e.name: e.class_name for e in entries} == EXPECTED
        assert {e.name: source.read(e).decode() for e in entries} == {n: n for n in EXPECTED}
    gone = write(tmp_path, {"g.csv": "path,label\na b.jpg,x\ngone.jpg,x\n"}) / "g.csv"
    assert "'gone.jpg' (line 3)" in refusal(gone, images=str(tmp_path / "i.tar"))
    assert "no tar or zip file" in refusal(place, images=str(place))


def test_several_lists_with_their_splits(tmp_path: Path) -> None:
    write(images(tmp_path / "a"), {"t.csv": "path,label\na b.jpg,x\n"})
    write(images(tmp_path / "b"), {"v.csv": "path,label\na b.jpg,y\n"})
    sources = {"train": str(tmp_path / "a/t.csv"), "val": str(tmp_path / "b/v.csv")}
    plan = plan_images(Config(source=sources, output=str(tmp_path / "out")))
    source = planned_source(plan.config.source, plan.source, None)
    assert [source.read(e) for e in entries_of(plan.manifest, plan.classes)] == [b"a b.jpg"] * 2
    assert plan.classes == ("x", "y")


def test_a_list_in_a_storage_has_its_images_there(s3: S3) -> None:
    """Each folder that is named is listed once, and no image is asked for by itself."""
    rows = [(f"{folder}/{n}.jpg", folder, "train") for folder in ("cat", "dog") for n in range(30)]
    for name, _, _ in rows:
        s3.write(f"set/{name}", name.encode())
    s3.write("set/lists/all.csv", comma(rows).encode())
    s3.write("set/lists/stems.csv", b"image,label\n7,x\n")
    s3.write("set/lists/escape.csv", b"image,label\n%2e%2e/cat/7.jpg,x\n")
    keys = {"storage_options": s3.options, "images": f"{s3.url}/set"}
    config = Config(source=f"{s3.url}/set/lists/all.csv", output="/o", **keys)
    config.grant()
    before = len(s3.requests())
    source = open_source(config.source)
    found = source.catalog(config)
    asked = s3.requests()[before:]
    assert len(asked) < 20
    assert not any(".jpg" in path for _, path, _ in asked)
    entries = list(entries_of(found.images, found.classes))
    assert sorted((e.name, e.class_name) for e in entries) == [row[:2] for row in sorted(rows)]
    again = planned_source(config.source, found.source, None)
    assert again.read(entries[7]).decode() == entries[7].name
    stems = config.model_copy(update={"source": f"{s3.url}/set/lists/stems.csv"})
    with pytest.raises(SourceError, match=r"'cat/7.jpg' and 'dog/7.jpg' fit the first"):
        open_source(stems.source).catalog(stems)
    escape = config.model_copy(update={"source": f"{s3.url}/set/lists/escape.csv"})
    with pytest.raises(SourceError, match="got 1 path outside"):
        open_source(escape.source).catalog(escape)
    cats = stems.model_copy(update={"images": f"{s3.url}/set/cat"})
    (image,) = open_source(cats.source).catalog(cats).images.to_pylist()
    assert (image["path"], image["size"]) == (b"7.jpg", 9)


def test_plain_text_is_parsed_as_the_csv_module_does(tmp_path: Path) -> None:
    """Arrow reads lists without quotes: the same rows, or an error for both."""
    rng = np.random.default_rng(0)
    alphabet = ["a", "b.jpg", ",", ",", "\n", "\n", "\r\n", "\r", " ", "'", "\t", "ü", ";"]
    for _ in range(120):
        body = "".join(rng.choice(alphabet, rng.integers(1, 30)))
        text = f"{rng.choice(['', '', chr(10)])}path,label\n{body}"
        place = write(tmp_path, {"l.csv": text}) / "l.csv"
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        rows = [row for row in reader if len(row) > 1 or "".join(row).strip()][1:]
        try:
            table = read_list(Place.at(str(place)), {})
            found = [*zip(*(column.to_pylist() for column in table.load([0, 1])), strict=True)]
        except SourceError:
            assert any(len(row) != 2 for row in rows), text
            continue
        assert found == [tuple(row) for row in rows], text


def mutated(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(changed))
        match rng.randrange(4):
            case 0:
                changed[at] = rng.randrange(256)
            case 1:
                del changed[at : at + rng.randint(1, 20)]
            case 2:
                changed[at:at] = rng.choice(
                    [b'"', b",", b"\n", b"\0", b"../", b"\xff", b"\\", b"[{"]
                )
            case _:
                changed = changed[: at + 1]
        if not changed:
            return b"x"
    return bytes(changed)


def outcome(place: Path) -> tuple[Exception | None, Catalog | None]:
    try:
        return None, catalog(place, on_missing="skip")
    except (SourceError, ConfigError) as error:
        return error, None


@pytest.mark.parametrize("mutations", [200, pytest.param(20_000, marks=pytest.mark.slow)])
def test_mutated_lists_end_in_their_rows_or_in_one_line(mutations: int, tmp_path: Path) -> None:
    """No crash, nothing read outside, and no row lost unless the text lacks it."""
    images(tmp_path)
    rng = random.Random(14)
    forms = [data for _, data in FORMS.values()] + [coco([(1, 5), (2, 6)]).encode()]
    read = 0
    for number in range(mutations):
        data = mutated(forms[number % len(forms)], rng)
        place = write(tmp_path, {"l.csv": data}) / "l.csv"
        error, found = outcome(place)
        if found is None:
            assert "\n" not in str(error), data
            continue
        read += 1
        names = {os.fsdecode(name) for name in found.images["path"].to_pylist()}
        assert names <= set(IMAGES), data
    assert read > mutations // 20


def test_a_table_knows_the_lines_of_its_rows(tmp_path: Path) -> None:
    text = 'path,label\n"a\r\nb",x\r\n\r\n"c\n\nd",y\n"e",z\n'
    place = write(tmp_path, {"l.csv": text}) / "l.csv"
    table = read_list(Place.at(str(place)), {})
    assert list(table.places([0, 1, 2])) == ["line 2", "line 5", "line 8"]
    names = pa.array(["a/./b.jpg", ".//c.jpg", "d/.hidden"])
    inside = require_inside(table, names, "/r", absolute=False)
    assert inside.to_pylist() == [b"a/b.jpg", b"c.jpg", b"d/.hidden"]
