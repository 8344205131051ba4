"""Source and output in storages over a network: S3, and others with test servers."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from distributed import Client

import prep
from prep.errors import SourceError
from prep.operations.averaging.mean_inputs import find_files
from prep.storage.backends.grants import OPTIONS, grant
from tests.support.catalogs import scan_folders
from tests.support.clusters import contents
from tests.support.outputs import placed_here, prepare
from tests.support.pictures import write_tree
from tests.support.storages import S3, Store

SHARDS = "train/*.tfrecord"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two splits of images, one of which is broken, and a label map."""
    bad = {"broken.jpg": b"\xff\xd8 no image"}
    tree: Any = {
        "train": {"cat": 8, "dög & co?": 7},
        "val": {"cat": 3, "dög & co?": 2},
    }
    root = write_tree(tmp_path_factory.mktemp("s3") / "source", tree)
    write_tree(root, {"train": {"cat": bad}})
    (root / "label_map.json").write_text(json.dumps({"cat": 3, "dög & co?": 5}))
    return root


@pytest.fixture(scope="module")
def reference(source: Path, client: Client, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same output on this machine's disk."""
    output = tmp_path_factory.mktemp("reference") / "out"
    prep.run(prep.Config(source=str(source), output=str(output), **SETTINGS), client)
    return output


SETTINGS = {"size": 32, "images_per_shard": 4}


def test_source_and_output_in_a_store_give_the_same_bytes(
    store: Store, source: Path, reference: Path, client: Client
) -> None:
    config = run_config(store, store.upload(source, "photos"))
    report = prep.run(config, client)
    found = store.contents("shards")
    assert {name: data for name, data in found.items() if name.endswith(".tfrecord")} == contents(
        reference, "**/*.tfrecord"
    )
    for name in ("mean_rgb.json", "label_map.json", "refused.csv", "duplicates.csv"):
        assert found[name] == (reference / name).read_bytes()
    assert {name: found[name] for name in found if name.startswith("index/")} == contents(
        reference, "index/*/*.idx"
    )
    here, there = (
        pq.read_table(io.BytesIO(data))
        for data in (found["images.parquet"], (reference / "images.parquet").read_bytes())
    )
    assert here.equals(there)
    assert _digests(found) == _digests(contents(reference))
    assert report.images == {"planned": 21, "written": 20, "refused": 1}
    assert not [name for name in found if name.endswith(".partial")]
    assert prep.verify(config.output, client).clean


def _digests(files: dict[str, bytes]) -> dict[str, Any]:
    """Return what receipts say of the shards and their contents."""
    receipts = {name: json.loads(data) for name, data in files.items() if "receipts/" in name}
    assert receipts
    keys = ("sha256", "bytes", "written", "stats", "checksums", "findings")
    return {name: [receipt[key] for key in keys] for name, receipt in receipts.items()}


def run_config(store: Store, source: str, **more: Any) -> prep.Config:
    values = {**SETTINGS, **more}
    return prep.Config(
        source=source,
        output=f"{store.url}/shards",
        storage_options=dict(store.options),
        **values,
    )


@pytest.mark.slow
def test_an_output_in_a_store_is_verified_repaired_read_and_shown(
    s3: S3, source: Path, client: Client
) -> None:
    prep.run(run_config(s3, s3.upload(source, "photos")), client)
    whole = s3.contents("shards")
    output = f"{s3.url}/shards"
    assert prep.verify(output, client).clean

    name = "train/train-00001-of-00004.tfrecord"
    damaged = bytearray(whole[name])
    damaged[len(damaged) // 2] ^= 1
    s3.fs.pipe_file(f"{s3.bucket}/shards/{name}", bytes(damaged))
    s3.fs.rm_file(f"{s3.bucket}/shards/.prep/manifest.parquet")
    s3.fs.pipe_file(f"{s3.bucket}/shards/train/train-00009-of-00010.tfrecord", b"stray")
    found = prep.verify(output, client)
    assert {problem.where for problem in found.problems} == {
        name,
        ".prep/manifest.parquet",
        "train/train-00009-of-00010.tfrecord",
    }
    repaired = prep.verify(output, client, repair=True, trust_plan=True)
    assert repaired.clean
    assert len(repaired.repaired) >= 3
    after = s3.contents("shards")
    assert {n: d for n, d in after.items() if n.endswith((".tfrecord", ".parquet"))} == {
        n: d for n, d in whole.items() if n.endswith((".tfrecord", ".parquet"))
    }
    assert str(prep.report_page(output)) == f"{output}/report.html"
    assert b"made-from" in s3.contents("shards")["report.html"]
    assert prep.mean_rgb(output, client).images == 20
    assert prep.RunReport.read(output).images["written"] == 20
    assert len(list(prep.load(output, "train"))) == 15


@pytest.mark.slow
def test_a_repair_takes_the_options_of_the_source_too(
    s3: S3, source: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    prep.run(run_config(s3, s3.upload(source, "photos")), client)
    whole = shards_of(s3.contents("shards"))
    output = f"{s3.url}/shards"
    for options in (s3.options, {"source": s3.options, "output": s3.options}):
        s3.fs.rm_file(f"{s3.bucket}/shards/train/train-00001-of-00004.tfrecord")
        forget_options(monkeypatch)
        repaired = prep.verify(
            output, client, repair=True, trust_plan=True, storage_options=options
        )
        assert repaired.clean, repaired.problems
        assert shards_of(s3.contents("shards")) == whole
    # A source that does not say what it holds has not changed.
    s3.fs.rm_file(f"{s3.bucket}/shards/train/train-00001-of-00004.tfrecord")
    s3.fail(10_000, status="403", match="photos")
    with pytest.raises(prep.PrepError, match=r"source: can.t be read: .*no shard was written"):
        prep.verify(output, client, repair=True, trust_plan=True)
    s3.fail(0)
    assert prep.verify(output, client, repair=True, trust_plan=True).clean


def forget_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if in a process that was granted none yet."""
    monkeypatch.setattr(OPTIONS, "_own", {})
    monkeypatch.setattr(OPTIONS, "_held", {})


def test_outputs_in_a_store_are_merged_there(
    s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prep.operations.growth.merge.placed", placed_here)
    monkeypatch.setattr("prep.operations.verify.placed", placed_here)
    for name, split in (("a", "train"), ("b", "val")):
        source = write_tree(tmp_path / name, {split: {"cat": 3}})
        prepare(prep.Config(source=str(source), output=str(tmp_path / f"out-{name}"), **SETTINGS))
        s3.upload(tmp_path / f"out-{name}", f"out-{name}")
    given = [f"{s3.url}/out-a", tmp_path / "out-b"]
    options = {"source": dict(s3.options), "output": dict(s3.options)}
    report = prep.merge(given, f"{s3.url}/merged", storage_options=options)
    assert report.images["written"] == 6
    found = s3.contents("merged")
    for name, split in (("a", "train"), ("b", "val")):
        shard = f"{split}/{split}-00000-of-00001.tfrecord"
        assert found[shard] == (tmp_path / f"out-{name}" / shard).read_bytes()
    assert not [name for name in found if name.endswith(".partial")]
    assert prep.verify(f"{s3.url}/merged", storage_options=s3.options).clean
    assert prep.merge(given, f"{s3.url}/merged", storage_options=options).was_complete


@pytest.mark.slow
def test_what_was_begun_in_a_store_is_gone_on_with(
    store: Store, source: Path, client: Client
) -> None:
    config = run_config(store, store.upload(source, "photos"))
    prep.run(config, client)
    whole = store.contents("shards")
    for name in ("train/train-00001-of-00004.tfrecord", ".prep/receipts/val/00000.json"):
        store.remove(f"shards/{name}")
    leftover = f".00002.{'0' * 32}.partial"
    store.write(f"shards/train/{leftover}", b"")
    store.write("shards/train/theirs.partial", b"theirs")
    report = prep.run(config, client)
    assert report.resumed_shards == len([n for n in whole if n.endswith(".tfrecord")]) - 2
    after = store.contents("shards")
    assert after.pop("train/theirs.partial") == b"theirs"
    assert (after.pop(".prep/lock-000002"), whole.pop(".prep/lock-000001")) == (b"null\n",) * 2
    assert after.keys() == whole.keys()
    assert shards_of(after) == shards_of(whole)
    before = store.contents("shards"), store.requests()
    prep.run(config, client)
    assert store.contents("shards") == before[0]
    new = store.requests()[len(before[1]) :]
    assert [request for request in new if request[0] in ("PUT", "POST", "DELETE")] == []


def shards_of(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: data for name, data in files.items() if name.endswith(".tfrecord")}


def test_uploads_that_were_never_finished_are_forgotten_if_they_are_ours(
    s3: S3, source: Path, client: Client
) -> None:
    config = run_config(s3, s3.upload(source, "photos"))
    ours = ["shards/train/train-00000-of-00004.tfrecord", "shards/.prep/receipts/train/00000.json"]
    theirs = ["shards/train/film.mkv", "other/train/train-00000-of-00004.tfrecord"]
    for key in (*ours, *theirs):
        s3.fs.call_s3("create_multipart_upload", Bucket=s3.bucket, Key=key)
    prep.run(config, client)
    left = {upload["Key"] for upload in s3.fs.list_multipart_uploads(s3.bucket)}
    assert left == set(theirs)


@pytest.mark.slow
def test_an_output_that_holds_another_run_is_left_alone_unless_asked_for(
    s3: S3, source: Path, client: Client
) -> None:
    photos = s3.upload(source, "photos")
    prep.run(run_config(s3, photos), client)
    before = s3.contents("shards")
    with pytest.raises(prep.PrepError, match=r"holds a different run \(size: 32 there, 24 here"):
        prep.run(run_config(s3, photos, size=24), client)
    assert s3.contents("shards") == before
    s3.fs.pipe_file(f"{s3.bucket}/shards/train/notes.txt", b"theirs")
    prep.run(run_config(s3, photos, size=24, splits="train"), client, overwrite=True)
    after = s3.contents("shards")
    assert after["train/notes.txt"] == b"theirs"
    assert not [name for name in after if name.startswith(("val/", ".prep/receipts/val"))]
    assert prep.verify(f"{s3.url}/shards", client).clean


def test_keys_that_no_path_leads_to_are_told_of(s3: S3) -> None:
    grant(s3.url, s3.options)
    for key in ("cat/a.jpg", "cat//b.jpg", "/c.jpg"):
        s3.fs.pipe_file(f"{s3.bucket}/train/{key}", b"image")
    s3.fs.call_s3("put_object", Bucket=s3.bucket, Key="train/cat/", Body=b"")  # As consoles do.
    catalog = scan_folders(s3.url)
    assert catalog.images["path"].to_pylist() == [b"train/cat/a.jpg"]
    (told,) = catalog.ignored
    assert (told.reason, told.count) == ("folder without a name", 2)
    assert told.example == "train//"
    with pytest.raises(prep.PrepError, match=r"no images .*folder without a name: '//'"):
        scan_folders(f"{s3.url}/train/cat")
    with pytest.raises(prep.PrepError, match=r"no path leads to what is there: 's3://.*train//'"):
        find_files(s3.url, None)  # A mean would be that of some.


def test_a_bucket_that_is_not_there_is_named_whatever_is_asked_of_it(s3: S3) -> None:
    missing = f"{s3.url}-missing"
    for ask, key in (
        (prep.verify, "output"),
        (prep.report_page, "output"),
        (prep.mean_rgb, "input"),
    ):
        with pytest.raises(SourceError) as error:
            ask(f"{missing}/x", storage_options=s3.options)
        assert str(error.value) == (
            f"{key}: '{missing}/x': {missing} does not exist; expected a bucket"
        )
    with pytest.raises(SourceError, match="does not exist; give the path"):
        prep.verify(f"{s3.url}/x", storage_options=s3.options)


def test_where_photos_and_shards_can_not_be_is_said(s3: S3, source: Path) -> None:
    photos = s3.upload(source, "photos")

    def error(source: str, output: str) -> str:
        config = prep.Config(source=source, output=output, storage_options=s3.options)
        with pytest.raises(prep.PrepError) as error:
            prep.plan(config)
        return str(error.value)

    missing = f"{s3.url}-missing"
    assert f"{missing} does not exist" in error(f"{missing}/photos", f"{s3.url}/shards")
    assert f"{missing} does not exist" in error(missing, f"{s3.url}/shards")
    assert "does not exist; expected a folder" in error(f"{s3.url}/absent", f"{s3.url}/shards")
    for output in ("photos/train/cat", "photos/val/cat/shards"):
        assert "a class folder of the source" in error(photos, f"{s3.url}/{output}")
    assert "is also the source" in error(photos, photos.replace("s3://", "S3://"))
