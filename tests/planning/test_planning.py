"""Plans: the assignment of images to shards, and the equality of plans."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import prep
from prep.config.model import Config
from prep.errors import ConfigError, SourceError
from prep.operations.preparation import as_begun, plan_as_stored, plan_images
from prep.output.journal import Journal
from prep.output.layout import OutputLayout
from prep.planning.plan import RunPlan
from prep.planning.planner import make_plan, shuffled
from prep.planning.shards import ShardSpec, default_images_per_shard, plan_shards
from prep.planning.stored_plan import plan_from_json
from prep.settings.output_names import MOST_SHARDS, require_split_name
from prep.shards.writer import RunRef, write_shard
from prep.sources.base import Catalog
from prep.sources.labels import LabelMap
from prep.storage.locate import locate
from tests.support.catalogs import scan_folders
from tests.support.clusters import contents
from tests.support.pictures import write_tree

VERSIONS = {"opencv": "5.0"}
TREE = {"train": {"cat": 5, "dog": 3}, "val": {"dog": 2}}

split_sizes = st.dictionaries(
    st.text(min_size=1, max_size=4), st.integers(1, 300), min_size=1, max_size=4
)


def plan_of(catalog: Catalog, **values: Any) -> RunPlan:
    labels = values.pop("labels", None) or LabelMap.build(catalog.classes)
    mean = values.pop("mean", None)
    versions = values.pop("versions", VERSIONS)
    config = Config(**{"source": catalog.source, "output": "shards", **values})
    return make_plan(config, catalog, labels, mean, versions)


def plan(source: Path, **values: Any) -> RunPlan:
    return plan_of(scan_folders(str(source), values.get("splits")), **values)


def catalog_of(sizes: dict[str, int]) -> Catalog:
    """A catalog of images that need not exist."""
    rows = [(i, n) for i, size in enumerate(sizes.values()) for n in range(size)]
    return Catalog(
        source="/photos",
        splits=tuple(sizes),
        classes=("even", "odd"),
        images=pa.table(
            {
                "split": pa.array([i for i, _ in rows], pa.int32()),
                "class": pa.array([n % 2 for _, n in rows], pa.int32()),
                "path": pa.array([f"{i}/{n}.jpg".encode() for i, n in rows], pa.large_binary()),
                "size": pa.array([n for _, n in rows], pa.int64()),
                "mtime": pa.array([0 for _ in rows], pa.int64()),
            }
        ),
        ignored=(),
    )


@given(train=st.integers(1, 300), val=st.integers(0, 300), data=st.data())
def test_a_number_of_shards_makes_all_of_them_equal(
    train: int, val: int, data: st.DataObject
) -> None:
    sizes = {"train": train, **({"val": val} if val else {})}
    count = data.draw(st.integers(1, min(sizes.values())))
    made = plan_of(catalog_of(sizes), shard_count=count)
    for split, images in sizes.items():
        found = [shard.images for shard in made.shards if shard.split == split]
        assert len(found) == count
        assert sum(found) == images
        assert max(found) - min(found) <= 1
    stored = plan_from_json(json.loads(json.dumps(made.to_json())))
    assert stored.shards == made.shards
    by_size = plan_of(catalog_of(sizes))
    assert made.manifest.equals(by_size.manifest)  # The order of images is the same.


def test_a_split_with_fewer_images_than_shards_is_an_error() -> None:
    told = "shard_count: 4 is more than the 3 images of 'val'; expected at most 3"
    with pytest.raises(ConfigError, match=told):
        plan_of(catalog_of({"train": 9, "val": 3}), shard_count=4)
    assert len(plan_of(catalog_of({"train": 9, "val": 3}), shard_count=3).shards) == 6
    with pytest.raises(ConfigError, match="shard_count: got 4, and images_per_shard 3; give one"):
        Config(source="photos", output="out", shard_count=4, images_per_shard=3)


@given(sizes=split_sizes, per_shard=st.integers(1, 400), seed=st.integers(0, (1 << 32) - 1))
def test_every_image_is_in_exactly_one_shard_of_its_split(
    sizes: dict[str, int], per_shard: int, seed: int
) -> None:
    catalog = catalog_of(sizes)
    made = plan_of(catalog, images_per_shard=per_shard, seed=seed)
    paths = made.manifest["path"].to_pylist()
    rows = {split: [] for split in sizes}
    for shard in made.shards:
        rows[shard.split] += paths[shard.start : shard.stop]
    for number, split in enumerate(sizes):
        assert sorted(rows[split]) == sorted(p for p in paths if p.startswith(b"%d/" % number))
    assert sorted(paths) == sorted(catalog.images["path"].to_pylist())


@given(sizes=split_sizes, per_shard=st.integers(1, 400))
def test_shards_of_a_split_differ_by_one_image_at_the_most(
    sizes: dict[str, int], per_shard: int
) -> None:
    shards = plan_shards(sizes, per_shard)
    for split, size in sizes.items():
        images = [shard.images for shard in shards if shard.split == split]
        assert len(images) == -(-size // per_shard)
        assert max(images) - min(images) <= 1
        assert 1 <= min(images) <= max(images) <= per_shard
        assert sum(images) == size


def test_no_image_is_left_over_for_a_shard_of_its_own() -> None:
    assert [shard.images for shard in plan_shards({"train": 61}, 30)] == [20, 20, 21]


@given(sizes=split_sizes, per_shard=st.integers(1, 400))
def test_in_outputs_of_earlier_versions_all_shards_but_the_last_are_full(
    sizes: dict[str, int], per_shard: int
) -> None:
    shards = plan_shards(sizes, per_shard, "filled")
    assert [s.count for s in shards] == [s.count for s in plan_shards(sizes, per_shard)]
    for split, size in sizes.items():
        images = [shard.images for shard in shards if shard.split == split]
        assert images[:-1] == [per_shard] * (len(images) - 1)
        assert 1 <= images[-1] <= per_shard
        assert sum(images) == size


@given(sizes=split_sizes, per_shard=st.integers(1, 400))
def test_shards_are_numbered_from_zero_and_know_how_many_they_are(
    sizes: dict[str, int], per_shard: int
) -> None:
    shards = plan_shards(sizes, per_shard)
    for split in sizes:
        own = [shard for shard in shards if shard.split == split]
        assert [shard.index for shard in own] == list(range(len(own)))
        assert {shard.count for shard in own} == {len(own)}


def test_a_row_of_the_manifest_is_still_that_of_one_image(tmp_path: Path) -> None:
    made = plan(write_tree(tmp_path, TREE))
    for row in made.manifest.to_pylist():
        path = Path(os.fsdecode(row["path"]))
        status = (tmp_path / path).stat()
        assert made.classes[row["class"]] == path.parent.name
        assert (row["size"], row["mtime"]) == (status.st_size, status.st_mtime_ns)


def test_images_are_counted_by_split_and_class(tmp_path: Path) -> None:
    made = plan(write_tree(tmp_path, TREE))
    assert made.counts == TREE
    assert made.images == 10
    assert made.source_bytes == sum(p.stat().st_size for p in tmp_path.rglob("*.jpg"))


@given(count=st.integers(0, 500), seed=st.integers(0, (1 << 32) - 1), split=st.text(max_size=5))
def test_shuffling_is_a_permutation_and_the_same_each_time(
    count: int, seed: int, split: str
) -> None:
    order = shuffled(count, seed, split)
    assert sorted(order) == list(range(count))
    assert np.array_equal(order, shuffled(count, seed, split))


def test_shuffling_depends_on_seed_and_split() -> None:
    orders = [shuffled(100, seed, split) for seed in (0, 1) for split in ("train", "val")]
    assert len({order.tobytes() for order in orders}) == 4
    assert not np.array_equal(orders[0], np.arange(100))


def test_shuffling_mixes_classes_evenly() -> None:
    # Of 1000 images, 500 of each class; the first 100 would have 50 ± 5 by chance.
    first = shuffled(1000, 0, "train")[:100]
    assert 30 < (first < 500).sum() < 70


def test_the_shuffle_is_the_one_that_numpy_promises_to_keep() -> None:
    # NEP 19: RandomState's streams are frozen. 0x5c66e4a3 is the CRC-32 of b"train".
    order = np.random.RandomState([7, 0x5C66E4A3]).permutation(50)
    assert np.array_equal(shuffled(50, 7, "train"), order)


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (1, 32),  # never fewer, or files would be tiny
        (4096, 32),  # 128 shards of 32
        (20_000, 156),  # about 128 shards
        (128_000, 1000),  # 128 shards of 1000
        (1_281_167, 1000),  # ImageNet: never more, as in the article
    ],
)
def test_shards_are_as_large_as_the_set_suggests(images: int, expected: int) -> None:
    assert default_images_per_shard(images) == expected


def test_the_default_size_of_shards_is_taken_and_recorded(tmp_path: Path) -> None:
    source = write_tree(tmp_path, TREE)
    assert plan(source).images_per_shard == 32
    assert plan(source).fingerprint == plan(source, images_per_shard=32).fingerprint


# --- fingerprints ---------------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "photos", TREE)


def test_the_same_files_elsewhere_make_the_same_plan(source: Path, tmp_path: Path) -> None:
    before = plan(source)
    shutil.copytree(source, tmp_path / "copy")  # keeps the times
    after = plan(tmp_path / "copy", output="somewhere else")
    assert after.fingerprint == before.fingerprint
    assert after.fingerprint.digest == before.fingerprint.digest
    assert after.manifest == before.manifest
    assert after.shards == before.shards


@pytest.mark.parametrize(
    ("values", "difference"),
    [
        ({"size": 224}, "size: 256 there, 224 here"),  # other pixels
        ({"quality": 80}, "quality: 90 there, 80 here"),  # other bytes
        ({"compression": "GZIP"}, "compression: none there, GZIP here"),  # other files
        ({"seed": 1}, "seed: 0 there, 1 here"),  # another order
        ({"interpolation": "linear"}, "interpolation: bilinear there, linear here"),  # other pixels
        ({"encoding": "raw"}, "encoding: jpeg there, raw here"),  # other bytes
        ({"images_per_shard": 4}, "images_per_shard: 32 there, 4 here"),  # other shards
        ({"mean": (1.0, 2.0, 3.0)}, "mean: none there, 1.0,2.0,3.0 here"),  # other samples
        ({"versions": {"opencv": "6.0"}}, "version of opencv: 5.0 there, 6.0 here"),  # maybe others
    ],
    ids=str,
)
def test_another_configuration_is_named(
    source: Path, values: dict[str, Any], difference: str
) -> None:
    before, after = plan(source).fingerprint, plan(source, **values).fingerprint
    differences = before.differences(after)
    assert difference in differences
    # Nothing else differs but the order of the images, which is the seed's doing.
    assert {d.partition(":")[0] for d in differences} <= {difference.partition(":")[0], "images"}
    assert before.digest != after.digest


@pytest.mark.parametrize("interpolation", ["cubic", "lanczos"])
def test_what_was_begun_when_a_kernel_aliased_is_another_run(
    source: Path, interpolation: str
) -> None:
    now = plan(source, interpolation=interpolation).fingerprint
    assert now.without("kernel").differences(now) == ["kernel: none there, antialiased here"]


@pytest.mark.parametrize(
    "values",
    [
        {"output": "other"},  # where to
        {"on_bad_image": "fail"},  # what to do in case
        {"splits": ("train", "val")},  # what would have been done anyway
    ],
)
def test_what_has_no_say_in_the_bytes_makes_no_difference(
    source: Path, values: dict[str, Any]
) -> None:
    assert plan(source).fingerprint == plan(source, **values).fingerprint


def test_another_label_is_named(source: Path) -> None:
    after = plan(source, labels=LabelMap(numbers={"cat": 1, "dog": 0}))
    (difference,) = plan(source).fingerprint.differences(after.fingerprint)
    assert difference.startswith("label map: ")


def test_other_splits_are_named(source: Path) -> None:
    differences = plan(source).fingerprint.differences(plan(source, splits=["val"]).fingerprint)
    assert "splits: train,val there, val here" in differences


def test_the_order_in_which_splits_are_given_makes_no_difference(source: Path) -> None:
    asked = [
        Config(source=str(source), output="out", splits=splits)
        for splits in ("train,val", "val,train", ["val", "train"], {"train", "val"}, None)
    ]
    assert len({prep.plan(config).fingerprint.digest for config in asked}) == 1


@pytest.mark.parametrize("duplicates", ["report", "drop"])
def test_an_output_begun_with_splits_in_another_order_is_continued(
    source: Path, tmp_path: Path, duplicates: str
) -> None:
    first = next(source.glob("train/cat/*"))
    shutil.copy2(first, source / "val/dog" / first.name)  # Of which one is dropped: not the same.
    config = Config(
        source=str(source), output=str(tmp_path / "out"), size=16, duplicates=duplicates
    )
    # As it was done when the order that was asked for was kept.
    begun = prep.plan(config.model_copy(update={"splits": ("val", "train")}))
    journal = Journal(config.output)
    journal.begin(begun)
    run = RunRef(output=config.output, digest=begun.fingerprint.digest, run="1")
    for shard in begun.shards:
        write_shard(shard, run)
    written = contents(tmp_path / "out", "*/*.tfrecord")
    assert len(written) == 2
    again = plan_images(config)
    assert again.fingerprint.digest != begun.fingerprint.digest
    stored = journal.stored_plan()
    assert stored is not None
    assert as_begun(again, stored).fingerprint == begun.fingerprint
    assert plan_as_stored(stored, config.output).fingerprint == begun.fingerprint
    report = prep.run(config.model_copy(update={"splits": ("train", "val")}))
    assert report.fingerprint == begun.fingerprint.digest
    assert contents(tmp_path / "out", "*/*.tfrecord") == written


def longer(image: Path) -> None:
    times = (image.stat().st_atime_ns, image.stat().st_mtime_ns)
    image.write_bytes(image.read_bytes() + b" ")
    os.utime(image, ns=times)


def newer(image: Path) -> None:
    os.utime(image, ns=(0, image.stat().st_mtime_ns + 1_000_000_000))


def added(image: Path) -> None:
    shutil.copy2(image, image.with_name("new.jpg"))


def moved(image: Path) -> None:
    image.rename(image.parent.parent / "dog" / "new.jpg")


@pytest.mark.parametrize("change", [longer, newer, added, moved, Path.unlink])
def test_another_set_of_images_is_named(source: Path, change: Callable[[Path], None]) -> None:
    before = plan(source)
    change(source / "train" / "cat" / "0000.jpg")
    after = plan(source)
    (difference,) = before.fingerprint.differences(after.fingerprint)
    assert difference.startswith("images: ")
    assert before.fingerprint.digest != after.fingerprint.digest


def test_a_file_that_is_no_image_makes_no_difference(source: Path) -> None:
    before = plan(source)
    (source / "train" / "cat" / "notes.txt").touch()
    assert plan(source).fingerprint == before.fingerprint


@pytest.mark.parametrize(
    ("tree", "classes", "others"),
    [
        (TREE, ["train/cat", "train/cat/out", "val/dog/a/b"], ["out", "train/out", "val/cat"]),
        ({"": TREE["train"]}, ["cat", "dog/out/deep"], ["out", "out/cat"]),
    ],
    ids=["splits", "no splits"],
)
def test_shards_do_not_go_among_the_images_of_a_class(
    tmp_path: Path, tree: Any, classes: list[str], others: list[str]
) -> None:
    source = write_tree(tmp_path / "source", tree)
    for folder in classes:
        output = str(source / folder)
        with pytest.raises(ConfigError, match="a class folder of the source"):
            prep.plan(Config(source=str(source), output=output))
    for folder in [*others, "../source-2/train/cat"]:
        assert prep.plan(Config(source=str(source), output=str(source / folder))).images > 0


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "one folder"),
        ("../escaped", "one folder"),
        ("/abs", "one folder"),
        ("a/b", "one folder"),
        ("a\0b", "one folder"),
        (".", "hidden"),
        ("..", "hidden"),
        (".prep", "hidden"),
        ("report.json", "a file of the output"),
        ("Report.HTML", "a file of the output"),  # the same file on some filesystems
        ("x" * 228, "at most 227 bytes"),
        ("é" * 114, "at most 227 bytes"),
        ("\ud800", "at most"),  # can't be a file's name
        (7, "text"),
    ],
)
def test_what_no_split_can_be_called(name: object, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        require_split_name(name)


@pytest.mark.parametrize("name", ["train", "x" * 227, "two words", "a\nb", "\udcff", "Zürich", "-"])
def test_what_a_split_can_be_called(name: str, tmp_path: Path) -> None:
    assert require_split_name(name) == name
    spec = ShardSpec(split=name, index=MOST_SHARDS - 1, count=MOST_SHARDS, start=0, stop=1)
    shard = OutputLayout(locate(tmp_path)).shard(spec)
    shard.parent.mkdir()
    shard.touch()


def test_so_many_shards_as_nothing_can_hold_are_refused_before_they_are_planned() -> None:
    assert len(plan_shards({"train": 10, "val": 1}, 1)) == 11
    with pytest.raises(ConfigError, match="images_per_shard: 1 would make 1,000,000,000,000,000"):
        plan_shards({"train": 10**15}, 1)
    with pytest.raises(ConfigError, match="expected 2 or more"):
        plan_shards({"train": MOST_SHARDS, "val": 1}, 1)


@pytest.mark.parametrize("split", ["report.json", "Mean_RGB.json", "x" * 250, "ß" * 114])
def test_a_split_that_no_output_can_hold_is_refused_before_the_work(
    tmp_path: Path, split: str
) -> None:
    source = write_tree(tmp_path / "source", {"train": {"cat": 1}, split: {"cat": 1}})
    config = Config(source=str(source), output=str(tmp_path / "output"), layout="splits")
    with pytest.raises(SourceError, match="source: a split can't be called") as error:
        prep.plan(config)
    assert str(error.value).endswith("; rename that folder, or leave it out with `splits`")
    assert prep.plan(config.model_copy(update={"splits": ("train",)})).images == 1
