"""Inputs in the shapes that people have: each image is what their ``truth.csv`` says.

Read twice: by the manifest (the bytes of each image, its label and split), and by the shards.
"""

from __future__ import annotations

import csv
import hashlib
import itertools
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

import prep
from prep.errors import PrepError
from prep.execution.writing import write_serially
from prep.images.processor import ImageProcessor
from prep.output.journal import Journal
from prep.shards.writer import RunRef
from prep.sources.manifest import entries_of
from prep.sources.registry import planned_source
from tests.conftest import DATA
from tests.support.records import examples

INPUTS = DATA / "sources"


class Truth(NamedTuple):
    """What is true of an image; a name of None is not compared."""

    name: str | None
    label: str
    number: int
    split: str
    digest: str


class Input(NamedTuple):
    """A source in an input folder, how it is configured, and what of ``truth.csv`` it holds."""

    folder: str
    source: str = "."
    config: Mapping[str, Any] = MappingProxyType({})
    named: bool = True
    split: str | None = None
    labels: dict[str, str] | None = None
    skipped: int = 0


def _list(name: str, **config: Any) -> Input:
    return Input("lists", name, config)


REAL_INPUTS = {
    "stored.zip": Input("archives", "stored.zip"),
    "deflated.zip": Input("archives", "deflated.zip"),
    "gnu.tar": Input("archives", "gnu.tar", named=False),
    "pax.tar": Input("archives", "pax.tar", named=False),
    "classes.tar.gz": Input("archives", "classes.tar.gz", {"unpack": True}, named=False),
    "ilsvrc2012": Input("ilsvrc2012", config={"unlabelled": "keep"}),
    "kaggle": Input("kaggle", config={"unlabelled": "keep"}),
    "list.csv": _list("list.csv"),
    "list.tsv": _list("list.tsv"),
    "list.jsonl": _list("list.jsonl"),
    "list.parquet": _list("list.parquet"),
    "list.arrow": _list("list.arrow"),
    "list_bom_crlf.csv": _list("list_bom_crlf.csv"),
    "nosplit.csv": Input("lists", "nosplit.csv", split="train"),
    "dogs_vs_cats": Input(
        "dogs_vs_cats",
        config={"labels": {"from": r"(?P<label>cat|dog)\.\d+\.jpg$"}, "unlabelled": "keep"},
    ),
    "webdataset": Input("webdataset"),
    "hf_parquet": Input("hf_parquet", config={"unlabelled": "keep"}),
    "nested": Input("nested", config={"labels": {"from": "path"}}),
}


def truth_of(folder: str, known: Input) -> Counter[Truth]:
    """Read ``truth.csv``."""
    with (INPUTS / folder / "truth.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return Counter(
        Truth(
            row["path"] if known.named else None,
            row["label"],
            int(row["index"]),
            known.split or row["split"],
            row["sha256_16"],
        )
        for row in rows
    )


def planned(config: prep.Config, *, named: bool = True) -> Counter[Truth]:
    """Read each image of a plan by its manifest."""
    plan = prep.plan(config)
    source = planned_source(config.source, plan.source, None)
    splits = itertools.chain.from_iterable(
        itertools.repeat(split, number) for split, number in plan.splits.items()
    )
    return Counter(
        Truth(
            entry.name if named else None,
            entry.class_name,
            plan.labels.number(entry.class_name),
            split,
            hashlib.sha256(source.read(entry)).hexdigest()[:16],
        )
        for split, entry in zip(splits, entries_of(plan.manifest, plan.classes), strict=True)
    )


def written(config: prep.Config) -> tuple[Counter[tuple[str, int, bytes]], Journal]:
    """Write all shards in this process; return split, label and image of each record."""
    plan = prep.plan(config)
    journal = Journal(config.output)
    journal.begin(plan)
    reference = RunRef(output=journal.output, digest=plan.fingerprint.digest, run="1")
    write_serially(plan.shards, reference)
    found: Counter[tuple[str, int, bytes]] = Counter()
    for shard in plan.shards:
        path = Path(config.output) / shard.split / shard.name
        for label, image in examples(path):
            found[shard.split, label, image] += 1
    return found, journal


@pytest.fixture(params=REAL_INPUTS)
def known(request: pytest.FixtureRequest) -> Input:
    known = REAL_INPUTS[request.param]
    if not (INPUTS / known.folder).is_dir():
        pytest.skip(f"no real data: {INPUTS} is absent (PREP_TEST_DATA names another folder)")
    return known


def config_of(known: Input, tmp_path: Path) -> prep.Config:
    source = without_truth(INPUTS / known.folder / known.source, tmp_path)
    return prep.Config(source=source, output=tmp_path / "out", size=32, **known.config)


def without_truth(source: Path, tmp_path: Path) -> Path:
    """Return a source as people have it: a folder without ``truth.csv``, which is a list."""
    if not source.is_dir():
        return source
    ignore = shutil.ignore_patterns("truth.csv")
    return Path(shutil.copytree(source, tmp_path / "in", ignore=ignore, symlinks=True))


def test_the_manifest_has_each_image_with_its_label_and_split(known: Input, tmp_path: Path) -> None:
    found = planned(config_of(known, tmp_path), named=known.named)
    assert found == truth_of(known.folder, known)


def test_the_shards_have_each_image_with_its_label_and_split(known: Input, tmp_path: Path) -> None:
    config = config_of(known, tmp_path)
    plan = prep.plan(config)
    source = planned_source(config.source, plan.source, None)
    process = ImageProcessor(plan.settings)
    images = {
        hashlib.sha256(data).hexdigest()[:16]: process(data).image
        for data in map(source.read, entries_of(plan.manifest, plan.classes))
    }
    expected = Counter(
        {
            (truth.split, truth.number, images[truth.digest]): number
            for truth, number in truth_of(known.folder, known).items()
        }
    )
    found, _ = written(config)
    assert found == expected


@pytest.mark.parametrize(
    ("source", "config", "message"),
    [
        ("lists/bad_missing.csv", {}, "gone.jpg"),
        ("lists/bad_twice.csv", {}, "img 00.jpg"),
        ("lists/bad_escape.csv", {}, "etc/passwd"),
        ("lists/bad_empty_label.csv", {}, "line 4"),
        ("lists/onehot.csv", {"extension": "jpg", "images": "lists/images"}, "line 3"),
        ("archives/truncated.tar", {}, "truncated"),
        ("archives/links.tar", {}, "escape.JPEG"),
        ("archives/classes.tar.gz", {}, "unpack"),
        ("dogs_vs_cats", {}, "labels.from"),
        ("nested", {"labels": {"from": "leaf"}}, "crane"),
    ],
)
def test_bad_inputs_end_in_their_errors(
    source: str, config: dict[str, Any], message: str, tmp_path: Path
) -> None:
    if not INPUTS.is_dir():
        pytest.skip(f"no real data: {INPUTS} is absent (PREP_TEST_DATA names another folder)")
    if "images" in config:
        config = {**config, "images": INPUTS / config["images"]}
    given = without_truth(INPUTS / source, tmp_path)
    with pytest.raises(PrepError) as error:
        prep.plan(prep.Config(source=given, output=tmp_path / "out", **config))
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()
