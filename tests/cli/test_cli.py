"""The ``prep`` command as a process: exit codes, output, and files it writes or leaves alone."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner, Result
from distributed import Client
from PIL import Image

import prep
from prep.cli.main import main
from tests.support.clusters import contents, run_prep, without_progress
from tests.support.pictures import jpeg, picture, write_tree

# As the article prints it; the two dots are folders.
ARTICLE = """{
  "label_map": "…/label_map_100.json",
  "split_number": 6000,
  "image_folder": "…/CLS-LOC_100/",
  "record_path": "…/tf_records_159/",
  "image_type": "JPEG",
  "crop_size": 256,
  "image_quality": 90,
  "tf_record_compression": "GZIP",
  "batch": [
    "val",
    "test",
    "train"
  ]
}
"""
PLACES = ["--source", "photos", "--output", "out"]
CLASSES = {"Persian_cat": 0, "barracouta": 1, "pug": 2, "whiskey_jug": 3}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "photos", {"train": {"cat": 6, "dog": 4}, "val": {"cat": 2}})


@pytest.fixture
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def finished(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a command that is expected to succeed."""
    process = run_prep(*arguments, cwd=cwd)
    assert process.returncode == 0, process.stderr
    assert "Traceback" not in process.stderr
    return process


def here(*arguments: str, code: int = 0) -> Result:
    """Run a command that needs no cluster in this process, which has loaded the libraries."""
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == code, result.output
    return result


def read_json(path: Path) -> Any:
    return json.loads(path.read_bytes())


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """Return the contents of a folder, with times of modification."""
    return {
        str(path.relative_to(folder)): (path.lstat().st_ino, path.lstat().st_mtime_ns)
        for path in folder.glob("**/*")
    }


def article_dataset(path: str) -> tf.data.Dataset:
    """Reads shards with the article's own code."""

    def parse_image(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features = {
            "label": tf.io.FixedLenFeature([], tf.int64),
            "image_raw": tf.io.FixedLenFeature([], tf.string),
        }
        parsed_record = tf.io.parse_single_example(record, features)
        image = tf.io.decode_jpeg(parsed_record["image_raw"], channels=3)
        label = tf.cast(parsed_record["label"], tf.int32)
        return image, label

    record_files = tf.data.Dataset.list_files(path)
    dataset = tf.data.TFRecordDataset(filenames=record_files, compression_type="GZIP")
    return dataset.map(parse_image, num_parallel_calls=tf.data.experimental.AUTOTUNE)


# Running


def test_the_config_of_the_article_runs_as_it_is(tmp_path: Path) -> None:
    one = {"n1.JPEG": jpeg(picture(300, 400))}
    tree = {split: dict.fromkeys(CLASSES, one) for split in ("train", "val", "test", "unused")}
    write_tree(tmp_path / "CLS-LOC_100", tree)
    (tmp_path / "CLS-LOC_100/val/pug/not-asked-for.png").write_bytes(b"")
    (tmp_path / "label_map_100.json").write_text(json.dumps(CLASSES))
    (tmp_path / "pre_process_config.json").write_text(ARTICLE.replace("…", str(tmp_path)))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    finished("run", "-c", tmp_path / "pre_process_config.json", cwd=elsewhere)
    output = tmp_path / "tf_records_159"
    assert sorted(contents(output, "*/*.tfrecord")) == [
        f"{split}/{split}-00000-of-00001.tfrecord" for split in ("test", "train", "val")
    ]
    for split in ("train", "val", "test"):
        images, labels = zip(
            *article_dataset(f"{output}/{split}/*.tfrecord").as_numpy_iterator(), strict=True
        )
        assert [image.shape for image in images] == [(256, 256, 3)] * 4
        assert sorted(labels) == [0, 1, 2, 3]
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("config.json", '{"source": "photos", "output": "out", "size": 24, "splits": ["val"]}'),
        ("config.yaml", "source: photos\noutput: out\nsize: 24\nsplits: [val]\n"),
        # The article's names, one split as a word, and the other ending of YAML files.
        ("config.yml", "image_folder: photos\nrecord_path: out\ncrop_size: 24\nbatch: val\n"),
        # An ending in capitals.
        ("config.TOML", 'source = "photos"\noutput = "out"\nsize = 24\nsplits = ["val"]\n'),
    ],
    ids=["json", "yaml", "yml", "toml"],
)
def test_a_config_may_be_json_yaml_or_toml(
    name: str, text: str, source: Path, at_home: Path
) -> None:
    (at_home / name).write_text(text)
    shown = here("plan", "-c", name).stdout
    assert "val" in shown
    assert "train" not in shown


def test_flags_win_over_the_file_under_either_name(source: Path, at_home: Path) -> None:
    in_file = {"source": "photos", "output": "there", "size": 300, "batch": "val"}
    (at_home / "config.json").write_text(json.dumps({**in_file, "encoding": "raw"}))
    flags = ["--record-path", "here", "--crop-size", "200", "--splits", "train"]
    shown = here("plan", "-c", "config.json", *flags).stdout
    # 10 images of 200 × 200 × 3 bytes are 1.2 MB.
    assert re.search(r"output +│ here +│", shown)
    assert re.search(r"size +│ about 1.2 MB", shown)
    assert "train" in shown
    assert "val" not in shown


def test_every_key_is_a_flag(source: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text('{"cat": 5, "dog": 6}')
    (tmp_path / "mean.json").write_text('{"R": 1, "G": 1, "B": 1}')
    excluded = sorted(source.glob("train/cat/*"))[0]
    (tmp_path / "excluded.txt").write_text(str(excluded.relative_to(source)))
    given: dict[str, Any] = {
        "source": "photos",
        "output": "out",
        "label_map": "labels.json",
        "splits": "val,train",
        "layout": "splits",
        "on_stray": "skip",
        "on_missing": "skip",
        "unlabelled": "keep",
        "exclude": str(tmp_path / "excluded.txt"),
        "labels": '{"include": ["cat", "dog"]}',
        "first_label": 0,
        "target": "class",
        "split": "test=1,by=exact",
        "subset": "fraction=0.8,min_per_class=1",
        "image_type": "jpg",
        "size": "224x336",
        "fit": "pad",
        "enlarge": "never",
        "geometry": "exact",
        "mode": "gray",
        "quality": 80,
        "images_per_shard": 1,
        "format": "tfrecord",
        "record": "prep",
        "features": "filename,height",
        "compression": "ZLIB",
        "seed": 7,
        "interpolation": "linear",
        "encoding": "float32",
        "mean_file": "mean.json",
        "on_bad_image": "fail",
        "max_refused": 0.5,
        "damaged": "keep",
        "max_pixels": 1_000_000,
        "depth": 12,
        "max_aspect": 10.0,
        "min_size": 2,
        "background": "#102030",
        "icc": "convert",
        "image_timeout": 30.0,
        "duplicates": "drop",
        "near_duplicates": "report",
        "leaks": "fail",
        "check": "digest",
    }
    of_lists = {"columns", "images", "extension"}  # A recipe of the documents has them.
    given_apart = {"label_offset", "unpack", "keep_fitting", "storage_options", "shard_count"}
    others = of_lists | given_apart  # The last are never told.
    assert given.keys() == prep.Config.model_fields.keys() - others
    flags = [f"--{key.replace('_', '-')}={value}" for key, value in given.items()]
    finished("run", *flags, "--unpack", "--no-keep-fitting", "--workers", "1", cwd=tmp_path)
    used = read_json(tmp_path / "out/report.json")["config"]
    unused = {*of_lists, "label_offset", "shard_count"}
    used = {key: value for key, value in used.items() if key not in unused}
    as_mappings = {
        "labels": json.loads(given["labels"]),
        "split": {"test": 1},
        "features": ["filename", "height"],
        "subset": {"fraction": 0.8, "min_per_class": 1},
    }
    apart = {"unpack": True, "keep_fitting": False, **as_mappings}
    assert used == {**given, "splits": ["train", "val"], **apart}
    receipts = [read_json(path) for path in tmp_path.glob("out/.prep/receipts/*/*.json")]
    # Of 12, one is excluded, one is in the test split, and two are not in the subset.
    assert len(receipts) == 8
    assert len({receipt["worker"] for receipt in receipts}) == 1


def test_a_run_ends_with_a_summary_and_does_nothing_when_run_again(
    source: Path, tmp_path: Path
) -> None:
    (source / "train/cat/bad [1]\n.jpg").write_bytes(b"<html>")
    (source / "train/cat/phone.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(12))
    write_tree(source, {"train": {"dog": {"notes.txt": b"", ".hidden": b""}}, ".": {"train": 2}})
    refused = run_prep("run", *PLACES, cwd=tmp_path)
    assert refused.returncode == 2
    assert "2 × image outside a class folder (such as 'train/0000.jpg')" in refused.stderr
    options = ("--size", "16", "--on-stray", "skip")
    first = finished("run", *PLACES, *options, cwd=tmp_path)
    before = state(tmp_path)
    again = finished("run", *PLACES, *options, cwd=tmp_path)
    assert state(tmp_path) == before
    passed_over = {
        "hidden": (1, "train/dog/.hidden"),
        "image outside a class folder": (2, "train/0000.jpg"),
        "other extension": (1, "train/dog/notes.txt"),
    }
    report = read_json(tmp_path / "out/report.json")
    told = {p["reason"]: (p["count"], p["example"]) for p in report["passed_over"]}
    assert told == passed_over
    page = (tmp_path / "out/report.html").read_text()
    mean = read_json(tmp_path / "out/mean_rgb.json")
    for shown in (first.stdout, again.stdout):
        assert "12 written, 2 refused, of 14 planned" in shown
        assert "train/cat/phone.HEIC: unsupported" in shown
        unfolded = re.sub(r"[\s│]+", "", shown)
        for reason, (count, example) in passed_over.items():
            assert f"{count} × {reason}, such as {example!r}".replace(" ", "") in unfolded
            assert f"{count} × {reason}, such as &#39;{example}&#39;" in page
        assert r"train/cat/bad [1]\n.jpg: not an image" in shown
        assert f"R {mean['R']:.3f}  G {mean['G']:.3f}  B {mean['B']:.3f}" in shown
        assert re.search(r"mean of +│ +split train ", shown)
    assert mean["of"] == report["mean_of"] == ["train"]
    assert "from before" not in first.stdout
    assert again.stdout.startswith("already complete, nothing to do; done with refusals: 2 of 14")


@pytest.mark.slow
def test_overwrite_replaces_what_is_there(source: Path, at_home: Path, client: Client) -> None:
    prep.run(prep.Config(source="photos", output="out", size=16), client)
    before = state(at_home)
    refused = run_prep("run", *PLACES, "--size", "24")
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert line.startswith("prep: output: ")
    assert "size: 16 there, 24 here" in line
    assert "--overwrite" in line
    assert state(at_home) == before
    finished("run", *PLACES, "--size", "24", "--overwrite")
    assert read_json(at_home / "out/report.json")["config"]["size"] == 24


def test_a_run_may_be_told_to_stop_at_a_bad_image(source: Path, tmp_path: Path) -> None:
    (source / "val/cat/broken.jpg").write_bytes(jpeg(picture(40, 40))[:400])
    process = run_prep("run", *PLACES, "--on-bad-image", "fail", cwd=tmp_path)
    assert process.returncode == 1
    *progress, line = process.stderr.splitlines()
    assert line.startswith("prep: 'val/cat/broken.jpg' was refused (truncated")
    assert [other for other in progress if not re.match(r"[\d:]{8} preparing: ", other)] == []


# What can't be done as asked


# What is there to be tripped over: files by name, and their contents.
FILES = {
    "text.txt": "text",
    "no-images/cat/text.txt": "text",
    "empty/train/cat/.hidden.jpg": "text",
    "mixed/train/cat/1.jpg": "",
    "mixed/dog/2.jpg": "",
    "unknown.json": '{"source": "photos", "output": "out", "sise": 224}',
    "number.yaml": "source: photos\noutput: out\nquality: high\n",
    "twice.toml": 'source = "photos"\nimage_folder = "photos"\noutput = "out"\n',
    "list.json": '["source", "photos"]',
    "half.json": '{"source": "photos",',
    "bytes.yaml": "source: \x00\n",
    "config.ini": "source = photos\n",
    "cats-only.json": '{"cat": 0}',
    "words.json": '{"cat": "zero", "dog": 1}',
    "two-hot.json": '{"cat": [1, 1], "dog": [0, 1]}',
    "no-map.json": "[]",
    "no-blue.json": '{"R": 1, "G": 2}',
    "unit.json": '{"R": 0.1, "G": 0.2, "B": 0.3, "scale": 1}',
    "bright.json": '{"R": 1, "G": 2, "B": 256}',
    "other/train/train-00000-of-00001.tfrecord": "by another program",
    "two-greens.json": '{"R": 1, "G": 2, "B": 3, "G": 4}',
    "bad-cluster.yaml": "version: 1\nmodule: os\nclass: system\n",
    "twice-cluster.yaml": "version: 1\nmodule: dask.distributed\nversion: 1\n",
}
SOURCE, OUTPUT = ["--source", "photos"], ["--output", "out"]
UNUSABLE = [
    # No source at all.
    (OUTPUT, ["source", "missing"]),
    # A source that is not there.
    (["--source", "nowhere", *OUTPUT], ["source", "/nowhere'", "folder"]),
    # A file for a source.
    (["--source", "text.txt", *OUTPUT], ["source", "/text.txt'", "folder"]),
    # A folder without images.
    (["--source", "no-images", *OUTPUT], ["source", "no-images", "<class>"]),
    # A folder with nothing but hidden images.
    (["--source", "empty", *OUTPUT], ["source", "empty"]),
    # A folder of both layouts at once.
    (["--source", "mixed", *OUTPUT], ["source", "'train'", "'dog'", "SOURCE/<split>/<class>"]),
    # No output.
    (SOURCE, ["output", "missing"]),
    # A file where the output is to be.
    ([*SOURCE, "--output", "text.txt"], ["output", "text.txt"]),
    # A file where a folder above the output is to be.
    ([*SOURCE, "--output", "text.txt/out"], ["output", "text.txt"]),
    # Shards by another program where the output is to be.
    ([*SOURCE, "--output", "other"], ["output", "other/train/train-00000", "--overwrite"]),
    # A key that is none, in a file.
    (["-c", "unknown.json"], ["sise", "unknown", "did you mean 'size'?"]),
    # A flag that is none.
    ([*PLACES, "--sise", "224"], ["--sise"]),
    # A value of another kind, in a file.
    (["-c", "number.yaml"], ["quality", "'high'", "1 to 100"]),
    # A value of another kind, as a flag.
    ([*PLACES, "--size", "big"], ["size", "'big'", "1 to 4096"]),
    # Values just below and just above what is allowed.
    ([*PLACES, "--size", "0"], ["size", "0", "1 to 4096"]),
    ([*PLACES, "--size", "4097"], ["size", "4097", "1 to 4096"]),
    ([*PLACES, "--quality", "101"], ["quality", "101", "1 to 100"]),
    ([*PLACES, "--images-per-shard", "0"], ["images_per_shard", "0", "at least 1"]),
    ([*PLACES, "--seed", "-1"], ["seed", "-1", "4294967295"]),
    ([*PLACES, "--workers", "0"], ["workers", "0", ">=1"]),
    # A choice that is none.
    ([*PLACES, "--compression", "BZIP2"], ["compression", "'BZIP2'", "GZIP"]),
    ([*PLACES, "--interpolation", "nearest"], ["interpolation", "'nearest'", "lanczos"]),
    ([*PLACES, "--encoding", "gif"], ["encoding", "'gif'", "webp, raw or float32"]),
    ([*PLACES, "--on-bad-image", "shrug"], ["on_bad_image", "'shrug'", "refuse or fail"]),
    # A split that is not there.
    ([*PLACES, "--splits", "train,dev"], ["splits", "'dev'", "'train'", "'val'"]),
    # The same key under both of its names.
    (["-c", "twice.toml"], ["source", "twice", "'image_folder'"]),
    # Config files that can't be read: absent, not parsable, not a mapping, of an unknown kind.
    (["-c", "absent.json"], ["config file", "absent.json", "No such file"]),
    (["-c", "half.json"], ["config file", "half.json", "line 1"]),
    (["-c", "bytes.yaml"], ["config file", "bytes.yaml"]),
    (["-c", "list.json"], ["config file", "list.json", "keys and values"]),
    (["-c", "config.ini"], ["config file", "config.ini", ".json", ".yaml", ".toml"]),
    (["-c", "."], ["config file"]),
    # A class that is absent from the label map.
    ([*PLACES, "--label-map", "cats-only.json"], ["label map", "'dog'"]),
    # Label maps that can't be used: absent, not numbers, not one-hot, not a mapping.
    ([*PLACES, "--label-map", "absent.json"], ["label map", "absent.json", "No such file"]),
    ([*PLACES, "--label-map", "words.json"], ["label map", "'cat'", '"zero"', "number"]),
    ([*PLACES, "--label-map", "two-hot.json"], ["label map", "'cat'", "[1, 1]"]),
    ([*PLACES, "--label-map", "no-map.json"], ["label map", "mapping"]),
    # float32 without a mean, with half a mean, with one out of range, with one of another scale,
    # with a colour twice, and a mean for nothing.
    ([*PLACES, "--encoding", "float32"], ["mean_file", "missing", "float32"]),
    (
        [*PLACES, "--encoding", "float32", "--mean-file", "no-blue.json"],
        ["mean_file", "no-blue.json", '"B"'],
    ),
    (
        [*PLACES, "--encoding", "float32", "--mean-file", "bright.json"],
        ["mean_file", "256", "0 to 255"],
    ),
    (
        [*PLACES, "--encoding", "float32", "--mean-file", "unit.json"],
        ["mean_file", "unit.json", "scale 1", "0 to 255", "prep mean", "without --scale"],
    ),
    (
        [*PLACES, "--encoding", "float32", "--mean-file", "two-greens.json"],
        ["mean_file", "two-greens.json", "twice", "'G'"],
    ),
    ([*PLACES, "--mean-file", "bright.json"], ["mean_file", "'bright.json'", "float32"]),
    # A cluster that is none.
    ([*PLACES, "--cluster", "absent.yaml"], ["cluster", "absent.yaml", "No such file"]),
    ([*PLACES, "--cluster", "bad-cluster.yaml"], ["cluster", "module", "'os'"]),
    ([*PLACES, "--cluster", "twice-cluster.yaml"], ["cluster", "twice", "'version'"]),
]


IN_WORDS = [" ".join(arguments).removeprefix(" ".join(PLACES)) for arguments, _ in UNUSABLE]


def make_files(folder: Path) -> None:
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.mark.parametrize(("arguments", "named"), UNUSABLE, ids=IN_WORDS)
def test_what_cannot_be_done_is_said_in_one_line_and_nothing_is_written(
    arguments: list[str], named: list[str], source: Path, at_home: Path
) -> None:
    make_files(at_home)
    before = state(at_home)
    result = here("run", *arguments, code=2)
    (line,) = result.stderr.splitlines()
    assert line.startswith("prep: ")
    assert [words for words in named if words not in line] == []
    assert result.stdout == ""
    assert state(at_home) == before


@pytest.mark.parametrize(
    "arguments",
    [
        # One of each kind of the above, as a command of its own.
        ["--source", "nowhere", "--output", "out"],
        ["--source", "no-images", "--output", "out"],
        ["-c", "unknown.json"],
        [*PLACES, "--size", "0"],
        [*PLACES, "--label-map", "cats-only.json"],
    ],
)
def test_the_command_exits_with_one_line_and_code_2(
    arguments: list[str], source: Path, tmp_path: Path
) -> None:
    make_files(tmp_path)
    before = state(tmp_path)
    process = run_prep("run", *arguments, cwd=tmp_path)
    assert process.returncode == 2
    assert process.stdout == ""
    (line,) = without_progress(process.stderr)
    assert line.startswith("prep: ")
    assert state(tmp_path) == before


# plan


def test_a_plan_is_printed_and_nothing_is_written(tmp_path: Path) -> None:
    source = write_tree(tmp_path / "photos", {"train": {"cat": 70, "dog": 5}, "val": {"cat": 3}})
    (source / "train/cat/notes.txt").write_text("not an image")
    before = state(tmp_path)
    process = finished("plan", *PLACES, "--size", "64", cwd=tmp_path)
    assert state(tmp_path) == before
    rows = [[cell.strip() for cell in row.split("│")[1:-1]] for row in process.stdout.splitlines()]
    # class, label, train, val, in all
    assert ["cat", "0", "70", "3", "73"] in rows
    assert ["dog", "1", "5", "0", "5"] in rows
    # 75 train images at the least of 32 to a shard are 3 shards; 3 val images are one.
    assert ["images", "", "75", "3", "78"] in rows
    assert ["shards", "", "3", "1", "4"] in rows
    pairs = {row[0]: row[1] for row in rows if len(row) == 2}
    assert "B" in pairs["size"]
    assert " s on " in pairs["time"]
    assert "notes.txt" in pairs["passed over"]


def test_the_estimated_size_is_that_of_the_crops(source: Path, at_home: Path) -> None:
    # 12 images of 200 × 200 × 3 bytes are 1.44 MB.
    assert "about 1.4 MB" in here("plan", *PLACES, "--encoding", "raw", "--size", "200").stdout


def test_a_plan_shows_odd_names_as_they_are(at_home: Path) -> None:
    tree = {"[bold]": {"new\nline": 1, "[red]x": 1}, "b\x1b[1m": {"naïve": 1}}
    write_tree(at_home / "photos", tree)
    shown = here("plan", *PLACES, "--layout", "splits").stdout
    for name in ("[bold]", r"new\nline", "[red]x", r"b\x1b[1m", "naïve"):
        assert name in shown
    assert "\x1b" not in shown


def test_a_plan_of_many_classes_shows_the_largest(at_home: Path) -> None:
    write_tree(at_home / "photos", {"train": {f"class{n:02d}": 1 + n // 30 for n in range(32)}})
    shown = here("plan", *PLACES).stdout
    assert "class31" in shown
    assert "class29" not in shown
    assert "12 smaller classes" in shown


# labels


def test_labels_are_numbered_by_name(source: Path, at_home: Path) -> None:
    shown = here("labels", "photos", "-o", "labels.json").stdout
    assert read_json(at_home / "labels.json") == {"cat": 0, "dog": 1}
    assert "2 classes" in shown


@pytest.mark.parametrize(
    "arguments",
    [
        ["nowhere", "-o", "l.json"],
        ["photos", "-o", "photos"],
        ["photos", "-o", "s3://bucket/l.json"],
    ],
)
def test_labels_that_cannot_be_made_are_said_in_one_line(
    arguments: list[str], source: Path, at_home: Path
) -> None:
    before = state(at_home)
    (line,) = here("labels", *arguments, code=2).stderr.splitlines()
    assert line.startswith("prep: ")
    assert state(at_home) == before


# mean


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Two PNGs of other sizes, each of one colour: their means are plain to see."""
    folder = tmp_path / "mixed/train"
    folder.mkdir(parents=True)
    Image.new("RGB", (10, 10), (10, 20, 30)).save(folder / "small.png")
    Image.new("RGB", (20, 15), (50, 40, 30)).save(folder / "large.png")
    return tmp_path / "mixed"


def test_the_mean_of_images_weighs_each_the_same(mixed: Path, tmp_path: Path) -> None:
    options = ("--sample", "0.9", "--seed", "3", "--no-std")
    process = finished("mean", "-i", "mixed/**/*.png", "-o", "mean.json", *options, cwd=tmp_path)
    mean = read_json(tmp_path / "mean.json")
    assert (mean["R"], mean["G"], mean["B"]) == (30, 30, 30)
    assert "R 30.000  G 30.000  B 30.000" in process.stdout
    assert mean["sample"] == {"fraction": 0.9, "seed": 3, "drawn": 2, "of": 2}
    assert re.search(r"standard error +│ +R 0.000  G 0.000  B 0.000 ", process.stdout)
    assert "std" not in mean


@pytest.mark.slow
def test_the_mean_may_weigh_each_pixel_the_same(mixed: Path, tmp_path: Path) -> None:
    options = ("--weight", "pixel", "--scale")
    finished("mean", "-i", "mixed", "-o", "mean.json", *options, "255", cwd=tmp_path)
    mean = read_json(tmp_path / "mean.json")
    # (100 × 10 + 300 × 50) / 400, and so on.
    assert (mean["R"], mean["G"], mean["B"]) == (40, 35, 30)
    assert mean["covariance"] == [[300, 150, 0], [150, 75, 0], [0, 0, 0]]
    assert mean["eigenvalues"] == pytest.approx([375, 0, 0], abs=1e-12)
    assert mean["eigenvectors"][0] == pytest.approx([2 / 5**0.5, 1 / 5**0.5, 0])
    finished("mean", "-i", "mixed", "-o", "unit.json", *options, "1", cwd=tmp_path)
    unit = read_json(tmp_path / "unit.json")
    assert [unit[c] for c in "RGB"] == pytest.approx([40 / 255, 35 / 255, 30 / 255])
    assert unit["covariance"][0][1] == pytest.approx(150 / 255**2)
    assert (mean["scale"], unit["scale"]) == (255, 1)


def test_the_article_s_command_for_shards(tmp_path: Path) -> None:
    """GZIP, ZLIB and plain shards side by side."""
    for number, compression in enumerate(("GZIP", "ZLIB", "")):
        square = np.full((8, 8, 3), (10 + number, 20, 30 * number), np.uint8)
        features = {
            "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[number])),
            "image_raw": tf.train.Feature(
                bytes_list=tf.train.BytesList(value=[tf.io.encode_png(square).numpy()])
            ),
        }
        example = tf.train.Example(features=tf.train.Features(feature=features))
        path = tmp_path / f"records/train-{number}.tfrecord"
        path.parent.mkdir(exist_ok=True)
        options = tf.io.TFRecordOptions(compression_type=compression)
        with tf.io.TFRecordWriter(str(path), options) as writer:
            writer.write(example.SerializeToString())
    (tmp_path / "records/report.json").write_text("not a shard")
    finished("mean", "-i", "records/*.tfrecord", "-o", "mean.json", "-tf", "True", cwd=tmp_path)
    mean = read_json(tmp_path / "mean.json")
    assert (mean["R"], mean["G"], mean["B"], mean["images"]) == (11, 20, 30, 3)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        # Nothing there.
        (["-i", "nowhere/*.jpg", "-o", "m.json"], ["'nowhere/*.jpg'"]),
        # No place to write to.
        (["-i", "photos", "-o", "photos"], ["output", "'photos'"]),
        (["-i", "photos", "-o", "text.jpg/m.json"], ["output", "'text.jpg/m.json'"]),
        # A weight that is none.
        (["-i", "photos", "-o", "m.json", "--weight", "class"], ["'class'", "image", "pixel"]),
        # No input.
        (["-o", "m.json"], ["input: missing"]),
        # Samples that are none.
        (["photos", "-o", "m.json", "--sample", "2"], ["sample: got 2", "fraction"]),
        (["photos", "-o", "m.json", "--seed", "2"], ["seed: got 2 without sample"]),
    ],
)
def test_a_mean_that_cannot_be_had_is_said_in_one_line(
    arguments: list[str], named: list[str], source: Path, at_home: Path
) -> None:
    (at_home / "text.jpg").write_text("text")
    before = state(at_home)
    (line,) = here("mean", *arguments, code=2).stderr.splitlines()
    assert line.startswith("prep: ")
    assert [words for words in named if words not in line] == []
    assert state(at_home) == before


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        # Nothing that could be read.
        pytest.param([], 2, ["none", "not an image"], marks=pytest.mark.slow),
        # A shard that is none.
        (["-tf", "True"], 1, ["text.jpg", "TFRecord"]),
    ],
)
def test_what_is_found_while_summing_is_said_in_one_line_at_the_end(
    arguments: list[str], code: int, named: list[str], tmp_path: Path
) -> None:
    (tmp_path / "text.jpg").write_text("text")
    process = run_prep("mean", "-i", "text.jpg", "-o", "m.json", *arguments, cwd=tmp_path)
    assert process.returncode == code
    *progress, line = process.stderr.splitlines()
    assert line.startswith("prep: ")
    assert [words for words in named if words not in line] == []
    assert [other for other in progress if not re.match(r"[\d:]{8} mean RGB: ", other)] == []
    assert not (tmp_path / "m.json").exists()


# The command itself


def test_the_version() -> None:
    assert importlib.metadata.version("dask-prep") in finished("--version").stdout


def test_it_is_a_module_too() -> None:
    command = [sys.executable, "-m", "prep"]
    shown = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True)
    assert shown.stdout.startswith("Usage: prep ")
    wrong = subprocess.run([*command, "plan", "--sise", "3"], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert "--size" in wrong.stderr
    assert wrong.stderr.endswith("(prep plan -h lists all)\n")


def test_it_is_a_command_of_dask_too() -> None:
    dask = Path(sys.executable).with_name("dask")
    shown = subprocess.run([dask, "prep", "--version"], capture_output=True, text=True, check=True)
    assert importlib.metadata.version("dask-prep") in shown.stdout


def test_help_shows_the_examples_line_by_line() -> None:
    lines = [line.strip() for line in here("--help").stdout.splitlines()]
    assert any(re.fullmatch(r"prep run photos shards +do it", line) for line in lines), lines


def test_help_names_every_key_and_the_article_s_names() -> None:
    shown = here("run", "--help").stdout
    for flag in ("--images-per-shard", "--split-number", "--on-bad-image", "--crop-size"):
        assert flag in shown
