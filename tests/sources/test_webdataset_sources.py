"""WebDataset's tar files as a source: samples, labels, splits, and what is an error."""

from __future__ import annotations

import gzip
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webdataset

import prep
from prep.errors import ConfigError, PrepError, SourceError
from prep.execution.writing import write_serially
from prep.output.journal import Journal
from prep.shards.writer import RunRef
from prep.sources.file_source import FileSource
from prep.sources.manifest import entries_of
from tests.support.catalogs import catalog_of, catalog_or_error, contents_of, rows_of
from tests.support.pictures import write_tree
from tests.support.storages import S3
from tests.support.tars import block, tar_of, written


def shards(root: Path, files: Mapping[str, Mapping[str, bytes] | bytes]) -> Path:
    """Write tar files, and others, into a folder."""
    for name, held in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(held if isinstance(held, bytes) else tar_of(held))
    return root


# In no order, with a dot in a folder, capitals, and members that are no labels.
PAIR = {
    "train-000000.tar": {
        "b.cls": b"1\n",
        "sub.dir/a.json": b"{}",
        "a.jpg": b"A",
        "sub.dir/a.JPG": b"C",
        "b.png": b"B",
        "a.cls": b"0",
        "sub.dir/a.cls": b"1",
        "a.txt": b"a cat on a mat",
    },
    "val-000000.tar": {"a.jpg": b"D", "a.cls": b"0"},
}


def test_a_shard_without_samples_is_passed_over_and_zeros_that_are_none_are_not(
    tmp_path: Path,
) -> None:
    """All images of a shard may have been refused, in an output of ours or of others."""
    catalog = catalog_of(shards(tmp_path / "a", {**PAIR, "train-000001.tar": bytes(10240)}))
    assert rows_of(catalog) == rows_of(catalog_of(shards(tmp_path / "b", PAIR)))
    lost = {**PAIR, "train-000001.tar": bytes(1 << 16)}
    with pytest.raises(SourceError, match=r"train-000001\.tar' is no archive, as it begins"):
        catalog_of(shards(tmp_path / "c", lost))


def test_samples_are_grouped_by_key_in_whatever_order_members_lie(tmp_path: Path) -> None:
    files = {**PAIR, "classnames.txt": b"cat\ndog\n", "_info.json": b"{}", "readme.html": b""}
    catalog = catalog_of(shards(tmp_path, files))
    assert rows_of(catalog) == [
        ("train", "train-000000.tar/a.jpg", "cat"),
        ("train", "train-000000.tar/b.png", "dog"),
        ("train", "train-000000.tar/sub.dir/a.JPG", "dog"),
        ("val", "val-000000.tar/a.jpg", "cat"),
    ]
    assert contents_of(catalog) == [b"A", b"B", b"C", b"D"]
    assert catalog.order == ("cat", "dog")
    assert catalog.read_as == "WebDataset (2 tar files), labels from .cls, named by classnames.txt"
    assert [(i.reason, i.example) for i in catalog.ignored] == [("other extension", "readme.html")]
    assert rows_of(catalog_of(tmp_path, splits=["val"])) == rows_of(catalog)[3:]
    with pytest.raises(SourceError, match="splits: no shards of 'test' in the source"):
        catalog_of(tmp_path, splits=["test"])


def test_the_library_that_writes_them_is_read(tmp_path: Path) -> None:
    """Its writer is the oracle; numbers stay numbers."""
    photo = np.zeros((8, 8, 3), np.uint8)
    with webdataset.TarWriter(str(tmp_path / "imagenet-train-0.tar")) as writer:
        for number in (11, 2, 7):
            writer.write({"__key__": f"dir/{number}", "png": photo, "cls": number})
    catalog = catalog_of(tmp_path)
    assert catalog.splits == ("train",)
    assert [(name, kind) for _, name, kind in rows_of(catalog)] == [
        ("imagenet-train-0.tar/dir/11.png", "11"),
        ("imagenet-train-0.tar/dir/2.png", "2"),
        ("imagenet-train-0.tar/dir/7.png", "7"),
    ]
    plan = prep.plan(prep.Config(source=tmp_path, output=tmp_path / "out"))
    assert {name: plan.labels.number(name) for name in ("11", "2", "7")} == {
        "11": 11,
        "2": 2,
        "7": 7,
    }
    plan = prep.plan(prep.Config(source=tmp_path, output=tmp_path / "out", label_offset=2))
    assert [plan.labels.number(name) for name in ("9", "0", "5")] == [9, 0, 5]
    with pytest.raises(SourceError, match=r"2\.png' has the label 2; expected at least 3"):
        catalog_of(tmp_path, label_offset=3)


def test_an_output_of_ours_is_a_source(tmp_path: Path) -> None:
    """Its labels keep their numbers and names, its splits their names."""
    photos = write_tree(tmp_path / "photos", {"fold_a": {"cat": 2, "dog": 2}, "fold_b": {"dog": 1}})
    config = prep.Config(
        source=photos,
        output=tmp_path / "one",
        format="webdataset",
        size=16,
        layout="splits",
        label_map={"cat": 7, "dog": 3},
    )
    plan = prep.plan(config)
    journal = Journal(config.output)
    journal.begin(plan)
    run = RunRef(output=journal.output, digest=plan.fingerprint.digest, run="1")
    write_serially(plan.shards, run)
    again = prep.plan(prep.Config(source=tmp_path / "one", output=tmp_path / "two"))
    assert again.read_as.startswith(
        "WebDataset (2 tar files), labels from .cls, named by label_map"
    )
    assert dict(again.labels.numbers) == {"cat": 7, "dog": 3}
    assert again.class_totals == {"cat": 2, "dog": 3}
    assert dict(again.splits) == {"fold_a": 4, "fold_b": 1}


def test_labels_of_other_parts(tmp_path: Path) -> None:
    sample = {"0.jpg": b"", "0.json": b'{"label": 1, "class_name": "dog", "site": {"id": "x"}}'}
    one = shards(tmp_path / "json", {"a-0.tar": {**sample, "1.jpg": b"", "1.json": b"{}"}})
    catalog = catalog_of(one)
    assert rows_of(catalog) == [("train", "a-0.tar/0.jpg", "1")]
    assert catalog.class_names == {"1": "dog"}
    assert [(i.reason, i.count) for i in catalog.ignored] == [("image without a label", 1)]
    assert catalog.as_keys == {"layout": "webdataset", "columns": {"label": "json.label"}}
    kept = catalog_of(one, unlabelled="keep")
    assert [kind for _, _, kind in rows_of(kept)] == ["1", ""]
    named = catalog_of(one, columns={"label": "json.site.id"})
    assert named.classes == ("x",)
    grouped = catalog_of(one, unlabelled="keep", columns={"group": "json.site.id"})
    assert grouped.images["group"].to_pylist() == [b"x", None]
    assert catalog_of(one, columns={"label": "json.class_name"}).classes == ("dog",)
    test = {"9.jpg": b"", "9.json": b'{"id": 9}'}
    two = shards(tmp_path / "two", {"test-0.tar": test, "train-0.tar": sample})
    assert catalog_of(two).as_keys["columns"] == {"label": "json.label"}
    text = shards(tmp_path / "txt", {"0001.tar": {"0.jpg": b"", "0.txt": "ein Rücken\n".encode()}})
    assert catalog_of(text).classes == ("ein Rücken",)
    one_hot = {"0.jpg": b"", "0.json": b'{"label": [0, 0, 1.0]}'}
    assert catalog_of(shards(tmp_path / "hot", {"a-0.tar": one_hot})).classes == ("2",)
    # In folders for classes, a text is no label of its own.
    pets = shards(tmp_path / "pets", {"a-0.tar": {"cat/0.jpg": b"", "cat/0.txt": b"1"}})
    assert catalog_of(pets, layout="archive", labels={"from": "leaf"}).classes == ("cat",)
    assert catalog_of(shards(tmp_path / "cat", {"cat.tar": sample, "dog.tar": sample})).classes == (
        "cat",
        "dog",
    )


def test_numbers_from_one_are_doubted(tmp_path: Path) -> None:
    files = {f"{n}.{part}": b"%d" % n for n in (1, 2) for part in ("jpg", "cls")}
    [doubt] = catalog_of(shards(tmp_path, {"a-0.tar": files})).doubts
    assert "pass `label_offset=1`" in doubt
    shifted = catalog_of(tmp_path, label_offset=1)
    assert (shifted.classes, shifted.order, shifted.doubts) == (("0", "1"), ("0", "1"), ())


def test_what_a_sample_lacks_or_has_twice_is_told(tmp_path: Path) -> None:
    files = {
        **{"0.jpg": b"", "0.cls": b"0", "0.seg.png": b""},
        **{"1.cls": b"1", "1.json": b"{}"},
        **{"2.jpg": b"", "3.jpg": b"", "3.cls": b"-1", "._4.jpg": b"", "5.jpg": b"", "5.cls": b" "},
    }
    catalog = catalog_of(shards(tmp_path, {"a-0.tar": files}))
    assert [name for _, name, _ in rows_of(catalog)] == ["a-0.tar/0.jpg"]
    assert [(i.reason, i.count, i.example) for i in catalog.ignored] == [
        ("hidden", 1, "a-0.tar/._4.jpg"),
        ("image without a label", 3, "a-0.tar/2.jpg"),
        ("other image of a sample", 1, "a-0.tar/0.seg.png"),
        ("sample without an image", 1, "a-0.tar/1.json"),
    ]
    seg = catalog_of(tmp_path, columns={"image": "SEG.png"})
    assert [name for _, name, _ in rows_of(seg)] == ["a-0.tar/0.seg.png"]


ONE = {"0.jpg": b"", "0.cls": b"0"}
# The members of a tar file, what is asked for, and what is told.
REFUSED: dict[str, tuple[dict[str, bytes], dict[str, Any], str]] = {
    "two images": (
        {**ONE, "0.png": b""},
        {},
        "'SOURCE/a-0.tar' has two images of one sample, '0.jpg' and '0.png'; name the part that is",
    ),
    "two eyes": (
        {"0.left.jpg": b"", "0.right.jpg": b"", "0.cls": b"0"},
        {},
        "samples have several images, 'left.jpg', 'right.jpg'; name the part that is meant with",
    ),
    "no such image": (ONE, {"columns": {"image": "png"}}, "columns.image: 'png': unknown part"),
    "no such label": (ONE, {"columns": {"label": "json.x"}}, "unknown part; there are cls"),
    "another role": (ONE, {"columns": {"split": "x"}}, "columns.split: has no meaning in a source"),
    "an image list": (ONE, {"images": "photos"}, "images: is for lists of images, and"),
    "no number": ({**ONE, "0.cls": b"\xff"}, {}, "'a-0.tar/0.cls' is not valid UTF-8; expected"),
    "large": ({**ONE, "0.cls": bytes(2 << 20)}, {}, "'a-0.tar/0.cls' has 2,097,152 bytes; expect"),
    "no object": (
        {"0.jpg": b"", "0.json": b"[1]"},
        {"layout": "webdataset"},
        "'a-0.tar/0.json' holds a list; expected an object",
    ),
    "a list": (
        {"0.jpg": b"", "0.json": b'{"label": [1, 1]}'},
        {},
        "has [1, 1] for 'label'; expected a whole number, a name or a one-hot list",
    ),
    "arrays": (
        {"0.npy": b"", "0.cls": b"0"},
        {"layout": "webdataset"},
        "no sample has an image; expected members such as 0001.jpg, found those called *.npy",
    ),
    "captions": (
        {f"{n}.{part}": b"text %d" % n for n in range(30) for part in ("jpg", "txt")},
        {},
        "the .txt of 30 samples in 'SOURCE' hold 30 different texts, as captions do",
    ),
    "no name": (
        {**ONE, "0.cls": b"2"},
        {"names": b"cat\ndog\n"},
        "'classes.txt' names 2 classes, and not that of 1 label: 2 in 'a-0.tar/0.jpg'",
    ),
    "a name twice": (ONE, {"names": b"cat\ncat\n"}, "has a class twice, or two of one number"),
    "a split untold": (
        ONE,
        {"more": "train-0.tar"},
        "the name of 'a-0.tar' tells no split, as those of other shards do; rename it, or",
    ),
    "as an archive": (ONE, {"layout": "archive"}, "pass `layout='webdataset'`, or `labels.from`"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_not_be_read_is_told_in_one_line(name: str, tmp_path: Path) -> None:
    members, config, expected = REFUSED[name]
    config = {**config}
    names, more = config.pop("names", None), config.pop("more", None)
    shards(tmp_path, {"a-0.tar": members, **({more: members} if more else {})})
    if names:
        (tmp_path / "classes.txt").write_bytes(names)
    with pytest.raises((SourceError, ConfigError)) as error:
        catalog_of(tmp_path, **config)
    told = str(error.value).replace(str(tmp_path), "SOURCE")
    assert expected in told
    assert "\n" not in told


def test_one_tar_is_a_source_and_a_compressed_one_is_unpacked(tmp_path: Path) -> None:
    shards(tmp_path, PAIR)
    one = catalog_of(tmp_path / "train-000000.tar")
    assert one.splits == ("train",)
    assert contents_of(one) == [b"A", b"B", b"C"]
    assert [name for _, name, _ in rows_of(one)] == ["a.jpg", "b.png", "sub.dir/a.JPG"]
    packed = tmp_path / "train-0.tar.gz"
    packed.write_bytes(gzip.compress((tmp_path / "train-000000.tar").read_bytes()))
    with pytest.raises(SourceError, match="or pass `unpack=True`"):
        catalog_of(packed, layout="webdataset")
    unpacked = catalog_of(packed, layout="webdataset", unpack=True)
    assert rows_of(unpacked) == rows_of(one)


def test_tars_beside_images_and_in_many_folders_are_none(tmp_path: Path) -> None:
    root = shards(tmp_path, {**PAIR, "cat/0.jpg": b"", "dog/0.jpg": b""})
    assert catalog_of(root).read_as == "class folders"


def test_a_changed_sample_is_noticed(tmp_path: Path) -> None:
    shards(tmp_path, PAIR)
    catalog = catalog_of(tmp_path)
    shards(tmp_path, {"val-000000.tar": {"a.cls": b"0", "a.jpg": b"E"}})
    with pytest.raises(OSError, match="changed since it was listed"):
        contents_of(catalog)


def test_a_bucket_gives_the_same_catalog(s3: S3, tmp_path: Path) -> None:
    for name, held in PAIR.items():
        s3.write(f"set/{name}", tar_of(held))
    s3.write("set/classnames.txt", b"cat\ndog\n")
    shards(tmp_path, {**PAIR, "classnames.txt": b"cat\ndog\n"})
    options = {"source": dict(s3.options)}
    config = prep.Config(source=f"{s3.url}/set", output=tmp_path / "out", storage_options=options)
    config.grant()
    source = FileSource(f"{s3.url}/set")
    found = source.catalog(config)
    assert rows_of(found) == rows_of(catalog_of(tmp_path))
    images = found.images.drop_columns(["split"])
    assert [source.read(e) for e in entries_of(images, found.classes)] == [b"A", b"B", b"C", b"D"]


@pytest.mark.parametrize("rounds", [200, pytest.param(5_000, marks=pytest.mark.slow)])
def test_a_mutated_tar_ends_in_its_samples_or_in_one_line(rounds: int, tmp_path: Path) -> None:
    """Whatever a byte becomes: an error, or each image in the list or counted."""
    whole = tar_of(PAIR["train-000000.tar"])
    told = 0
    for seed in range(rounds):
        rng = random.Random(seed)
        data = bytearray(whole)
        for _ in range(rng.choice((1, 1, 2, 8))):
            data[rng.randrange(len(data))] = rng.randrange(256)
        data = data[: rng.choice((len(data), len(data), rng.randrange(len(data))))]
        path = tmp_path / "train-0.tar"
        path.write_bytes(data)
        found = catalog_or_error(path, layout="webdataset")
        if isinstance(found, PrepError):
            told += 1
            assert "\n" not in str(found)
            continue
        counted = found.images.num_rows + sum(item.count for item in found.ignored)
        assert counted >= 3
    assert 0 < told < rounds


def test_a_name_twice_is_the_later_member(tmp_path: Path) -> None:
    pieces = [block(b"0.jpg", b"old"), block(b"0.cls", b"0"), block(b"0.jpg", b"new")]
    catalog = catalog_of(written(tmp_path / "a-0.tar", *pieces))
    assert contents_of(catalog) == [b"new"]
    assert catalog.ignored[0].reason == "replaced by a later member of the same name"
