"""Source and output in an object store: over the network, to a server that speaks S3."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from clusters import contents
from distributed import Client
from pictures import write_tree
from storages import S3

import prep

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
    """What comes of it on this machine."""
    output = tmp_path_factory.mktemp("reference") / "out"
    prep.run(prep.Config(source=str(source), output=str(output), **SETTINGS), client)
    return output


SETTINGS = {"size": 32, "images_per_shard": 4}


def test_source_and_output_in_a_store_give_the_same_bytes(
    s3: S3, source: Path, reference: Path, client: Client
) -> None:
    config = prep.Config(
        source=s3.upload(source, "photos"),
        output=f"{s3.url}/shards",
        storage_options=s3.options,
        **SETTINGS,
    )
    report = prep.run(config, client)
    found = s3.contents("shards")
    assert {name: data for name, data in found.items() if name.endswith(".tfrecord")} == contents(
        reference, "**/*.tfrecord"
    )
    for name in ("mean_rgb.json", "label_map.json", "refused.csv", "duplicates.csv"):
        assert found[name] == (reference / name).read_bytes()
    assert _digests(found) == _digests(contents(reference))
    assert report.images == {"planned": 21, "written": 20, "refused": 1}
    assert not [name for name in found if name.endswith(".partial")]


def _digests(files: dict[str, bytes]) -> dict[str, Any]:
    """What receipts say of the shards, and of what is in them."""
    receipts = {name: json.loads(data) for name, data in files.items() if "receipts/" in name}
    assert receipts
    keys = ("sha256", "bytes", "written", "stats", "checksums", "findings")
    return {name: [receipt[key] for key in keys] for name, receipt in receipts.items()}
