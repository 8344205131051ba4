"""Images in the rows of Parquet and Arrow files."""

from __future__ import annotations

import contextlib
import gc
import io
import itertools
import json
import os
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import prep
from prep.errors import PrepError, RefusedImage
from prep.images.likeness.hashing import UNKNOWN
from prep.operations.tools.estimating import estimate
from prep.planning.dealing import deal
from prep.planning.plan import RunPlan
from prep.planning.planner import shuffled
from prep.shards import image_hashes
from prep.sources.manifest import entries_of
from prep.sources.registry import planned_source
from prep.sources.tables import row_groups
from prep.sources.tables.formats.parquet_footer import SNAPPY, UNCOMPRESSED, column_parts_in, end_of
from prep.sources.tables.row_groups import RowGroup, read_group
from prep.storage.location import FileChanged
from tests.support.imagenet import contents
from tests.support.outputs import examine, prepare
from tests.support.pictures import jpeg, picture
from tests.support.tables import IMAGE, arrow, parquet, table_of, write_files

NAMES = ["cat", "dog", "bee"]
IMAGES = [(f"{n}.jpg", contents(f"{n}.jpg" * (n % 3 + 1))) for n in range(10)]
LABELS = [n % 3 for n in range(10)]


class Found(NamedTuple):
    """An image of a plan."""

    split: str
    class_name: str
    number: int
    data: bytes


def planned(source: Any, tmp_path: Path, **config: Any) -> RunPlan:
    return prep.plan(prep.Config(source=source, output=tmp_path / "out", **config))


def images_of(plan: RunPlan) -> Iterator[tuple[str, Found]]:
    """Read each image of a plan by its manifest; yield it with its name."""
    source = planned_source(plan.config.source, plan.source, None)
    splits = itertools.chain.from_iterable(itertools.repeat(s, n) for s, n in plan.splits.items())
    for split, entry in zip(splits, entries_of(plan.manifest, plan.classes), strict=True):
        number = plan.labels.number(entry.class_name)
        yield entry.name, Found(split, entry.class_name, number, source.read(entry))


def expected(split: str = "train") -> Counter[Found]:
    rows = zip(IMAGES, LABELS, strict=True)
    return Counter(Found(split, NAMES[label], label, data) for (_, data), label in rows)


def table(**columns: Any) -> pa.Table:
    return table_of(IMAGES, LABELS, NAMES, **columns)


def with_images(column: pa.Array, name: str = "image") -> pa.Table:
    """Return the table with its images in another form."""
    labels = table().select(["label"])
    return labels.append_column(name, column)


PLAIN = pa.array([data for _, data in IMAGES], pa.binary())
FORMS: dict[str, Callable[[], bytes]] = {
    "snappy.parquet": lambda: parquet(table()),
    "zstd.parquet": lambda: parquet(table(), compression="zstd"),
    "gzip.parquet": lambda: parquet(table(), compression="gzip"),
    "lz4.parquet": lambda: parquet(table(), compression="lz4"),
    "plain.parquet": lambda: parquet(table(), compression="none", use_dictionary=False),
    "one-group.parquet": lambda: parquet(table(), rows=100),
    "no-statistics.parquet": lambda: parquet(table(), write_statistics=False),
    "pages.parquet": lambda: parquet(table(), data_page_size=400, data_page_version="2.0"),
    "binary.parquet": lambda: parquet(with_images(PLAIN)),
    "large.parquet": lambda: parquet(with_images(PLAIN.cast(pa.large_binary()))),
    "dictionary.parquet": lambda: parquet(with_images(PLAIN.dictionary_encode())),
    "other-name.parquet": lambda: parquet(with_images(PLAIN, "jpg_0")),
    "stream.arrow": lambda: arrow(table()),
    "file.arrow": lambda: arrow(table(), stream=False),
    "lz4.arrow": lambda: arrow(table(), stream=False, compression="lz4"),
    "zstd.arrow": lambda: arrow(table(), stream=False, compression="zstd"),
    "binary.arrow": lambda: arrow(with_images(PLAIN)),
    "large.arrow": lambda: arrow(with_images(PLAIN.cast(pa.large_binary()))),
    "dictionary.arrow": lambda: arrow(with_images(PLAIN.dictionary_encode()), stream=False),
    "one-batch.arrow": lambda: arrow(table(), rows=100),
    "no-extension": lambda: parquet(table()),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_table_gives_each_image_with_its_label(name: str, tmp_path: Path) -> None:
    write_files(tmp_path, {name: FORMS[name]()})
    plan = planned(tmp_path / name, tmp_path)
    found = dict(images_of(plan))
    assert Counter(found.values()) == expected()
    assert found.keys() == {f"{name}#{row}" for row in range(10)}
    assert found[f"{name}#7"].data == IMAGES[7][1]
    form = "Arrow" if name.endswith("arrow") else "Parquet"
    assert plan.read_as.startswith(f"1 {form} file of images: images from column ")


HALF = table().slice(0, 5), table().slice(5)
FOLDERS: dict[str, dict[str, bytes]] = {
    "hub": {
        "data/train-00000-of-00002.parquet": parquet(HALF[0]),
        "data/train-00001-of-00002.parquet": parquet(HALF[1]),
        "data/validation-00000-of-00001.parquet": parquet(HALF[1]),
        "README.md": b"# A set",
        ".gitattributes": b"",
    },
    "hub with hashes": {
        "data/train-00000-of-00001-0123456789abcdef.parquet": parquet(table()),
        "data/validation-00000-of-00001-0123456789abcdef.parquet": parquet(HALF[1]),
    },
    "converted by the hub": {
        "default/train/0000.parquet": parquet(HALF[0]),
        "default/train/0001.parquet": parquet(HALF[1]),
        "default/validation/0000.parquet": parquet(HALF[1]),
    },
    "flat": {"train.parquet": parquet(table()), "validation.parquet": parquet(HALF[1])},
    "cache of datasets": {
        "beans-train-00000-of-00002.arrow": arrow(HALF[0]),
        "beans-train-00001-of-00002.arrow": arrow(HALF[1]),
        "beans-validation.arrow": arrow(HALF[1]),
        "cache-0123456789abcdef.arrow": arrow(HALF[1]),
        "dataset_info.json": b"{}",
    },
    "saved to disk": {
        "train/data-00000-of-00002.arrow": arrow(HALF[0]),
        "train/data-00001-of-00002.arrow": arrow(HALF[1]),
        "train/state.json": b"{}",
        "validation/data-00000-of-00001.arrow": arrow(HALF[1]),
        "dataset_dict.json": b"{}",
    },
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_of_tables_has_the_splits_that_names_tell(name: str, tmp_path: Path) -> None:
    write_files(tmp_path / "set", FOLDERS[name])
    plan = planned(tmp_path / "set", tmp_path)
    validation = [found._replace(split="validation") for _, found in _second_half()]
    assert Counter(found for _, found in images_of(plan)) == expected() + Counter(validation)
    chosen = planned(tmp_path / "set", tmp_path, splits=["validation"])
    assert Counter(found for _, found in images_of(chosen)) == Counter(validation)


def _second_half() -> list[tuple[str, Found]]:
    rows = zip(IMAGES[5:], LABELS[5:], strict=True)
    return [(name, Found("train", NAMES[n], n, data)) for (name, data), n in rows]


CARD = b"""---
dataset_info:
  features:
  - name: image
    dtype: image
  - name: label
    dtype:
      class_label:
        names:
          '0': cat
          '1': dog
          '2': bee
---
# A set
"""
INFO = json.dumps({"features": {"label": {"names": NAMES, "_type": "ClassLabel"}}}).encode()


@pytest.mark.parametrize("beside", [{"README.md": CARD}, {"dataset_info.json": INFO}])
def test_names_of_classes_are_found_beside_the_tables(
    beside: dict[str, bytes], tmp_path: Path
) -> None:
    unnamed = parquet(table_of(IMAGES, LABELS), store_schema=False)
    write_files(tmp_path / "set", {"data/train.parquet": unnamed, **beside})
    assert Counter(found for _, found in images_of(planned(tmp_path / "set", tmp_path))) == (
        expected()
    )


LABEL_COLUMNS: dict[str, tuple[Any, dict[str, int], str]] = {
    # Numbers without names keep their order as numbers.
    "numbers": ([3, 1, 10, 2] * 2, {str(n): n for n in range(11)}, "`label_offset=1`"),
    "small numbers": (pa.array([0, 1, 1, 2] * 2, pa.int8()), {"0": 0, "1": 1, "2": 2}, ""),
    "text": (["b", "a", "ü", "a"] * 2, {"a": 0, "b": 1, "ü": 2}, ""),
    "categories": (
        pa.array(["b", "a", "c", "a"] * 2).dictionary_encode(),
        {"a": 0, "b": 1, "c": 2},
        "",
    ),
    "truth": ([True, False] * 4, {"false": 0, "true": 1}, ""),
}


@pytest.mark.parametrize("write", [parquet, arrow])
@pytest.mark.parametrize("name", LABEL_COLUMNS)
def test_labels_without_names_are_numbered_in_their_order(
    name: str, write: Callable[[pa.Table], bytes], tmp_path: Path
) -> None:
    labels, numbers, doubt = LABEL_COLUMNS[name]
    write_files(tmp_path, {"set.bin": write(table_of(IMAGES[:8], labels))})
    plan = planned(tmp_path / "set.bin", tmp_path)
    assert plan.labels.numbers == numbers
    assert not doubt or any(doubt in each for each in plan.doubts)
    values = labels.to_pylist() if isinstance(labels, pa.Array) else labels
    told = {n: str(v).lower() if isinstance(v, bool) else str(v) for n, v in enumerate(values)}
    for image, found in images_of(plan):
        assert found.class_name == told[int(image.rpartition("#")[2])]


def test_images_without_a_label_are_counted_or_kept(tmp_path: Path) -> None:
    labels = [0, -1, None, 1, 2, 0, -1, 0, 0, 0]
    write_files(tmp_path, {"train.parquet": parquet(table_of(IMAGES, labels, NAMES))})
    plan = planned(tmp_path / "train.parquet", tmp_path)
    assert [(item.reason, item.count) for item in plan.ignored] == [("image without a label", 3)]
    kept = planned(tmp_path / "train.parquet", tmp_path, unlabelled="keep")
    assert Counter(found.number for _, found in images_of(kept)) == {0: 5, -1: 3, 1: 1, 2: 1}


def test_classes_of_one_name_stay_two(tmp_path: Path) -> None:
    names = ["tench", "crane", "crane"]
    write_files(tmp_path, {"a.parquet": parquet(table_of(IMAGES, LABELS, names))})
    plan = planned(tmp_path / "a.parquet", tmp_path)
    assert plan.labels.numbers == {"tench": 0, "crane (1)": 1, "crane (2)": 2}
    assert any("1 name of several classes: 'crane'" in doubt for doubt in plan.doubts)


def test_columns_are_those_that_are_named(tmp_path: Path) -> None:
    both = table(mask=pa.array([{"bytes": b"\x89PNG", "path": None}] * 10, IMAGE))
    both = both.append_column("part", pa.array(["train", "test"] * 5))
    both = both.append_column("kind", pa.array(["x", "y"] * 5))
    write_files(tmp_path, {"a.parquet": parquet(both)})
    columns = {"image": "mask", "label": "kind", "split": "part"}
    plan = planned(tmp_path / "a.parquet", tmp_path, columns=columns)
    assert {(f.split, f.class_name, f.data) for _, f in images_of(plan)} == {
        ("train", "x", b"\x89PNG"),
        ("test", "y", b"\x89PNG"),
    }


def test_a_table_that_lists_files_is_a_list(tmp_path: Path) -> None:
    write_files(tmp_path, {f"images/{name}": data for name, data in IMAGES})
    paths = pa.table({"path": [f"images/{name}" for name, _ in IMAGES], "label": LABELS})
    write_files(tmp_path, {"list.parquet": parquet(paths), "metadata.parquet": parquet(paths)})
    assert planned(tmp_path / "list.parquet", tmp_path).read_as.startswith("a list (Parquet)")
    (tmp_path / "list.parquet").unlink()
    assert planned(tmp_path, tmp_path).read_as.startswith("a list (Parquet)")


LIST = pa.array([[{"bytes": b"\xff\xd8\xff", "path": None}]] * 10, pa.list_(IMAGE))
UNEMBEDDED = [(name, None) for name, _ in IMAGES]
ERRORS: dict[str, tuple[dict[str, bytes], str]] = {
    "two columns": (
        {"a.parquet": parquet(with_images(PLAIN, "left").append_column("right", PLAIN))},
        "name the one to prepare with `columns.image`",
    ),
    "several in a row": (
        {"set/train.parquet": parquet(table()), "set/val.parquet": parquet(with_images(LIST))},
        "'val.parquet' has no column 'image'",
    ),
    "no bytes": (
        {"a.parquet": parquet(table_of(UNEMBEDDED, LABELS, NAMES))},
        "holds no images",
    ),
    "no bytes in Arrow": (
        {"a.arrow": arrow(table_of(UNEMBEDDED, LABELS, NAMES))},
        "holds no images",
    ),
    "other columns": (
        {
            "set/train.parquet": parquet(table()),
            "set/val.parquet": parquet(table().drop_columns("label")),
        },
        "'val.parquet' has no column 'label'",
    ),
    "other classes": (
        {
            "set/train.parquet": parquet(table()),
            "set/val.parquet": parquet(table_of(IMAGES, LABELS, NAMES[::-1])),
        },
        "numbers its classes otherwise",
    ),
    "some splits": (
        {"set/train.parquet": parquet(table()), "set/more.parquet": parquet(table())},
        "'more.parquet' tells no split",
    ),
    "several sets": (
        {"set/a/train/0.parquet": parquet(table()), "set/b/train/0.parquet": parquet(table())},
        "tables of 2 sets: 'a/train/0.parquet', 'b/train/0.parquet'",
    ),
    "number without a name": (
        {"set/train.parquet": parquet(table_of(IMAGES, [*LABELS[:9], 3], NAMES))},
        "not that of 1 label: 3 in 'train.parquet#9'",
    ),
    "compressed stream": (
        {"set/a.arrow": arrow(table(), compression="zstd")},
        "a compressed stream",
    ),
    "no label": (
        {"a.parquet": parquet(table().rename_columns(["image", "thing"]))},
        "`columns.label`",
    ),
    "no rows": ({"set/a.parquet": parquet(table().slice(0, 0))}, "has no rows"),
    "cut Parquet": ({"set/a.parquet": parquet(table())[:-40]}, "'set/a.parquet': can't be read"),
    "cut Arrow": ({"set/a.arrow": arrow(table())[:-8]}, "no mark at its end"),
    "cut batch": ({"set/a.arrow": arrow(table())[:-300]}, "truncated"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_does_not_fit_is_an_error_before_any_work(name: str, tmp_path: Path) -> None:
    files, message = ERRORS[name]
    write_files(tmp_path, files)
    source = tmp_path / ("set" if next(iter(files)).startswith("set/") else next(iter(files)))
    with pytest.raises(PrepError) as error:
        planned(source, tmp_path)
    told = str(error.value).replace(f"{tmp_path}/", "")
    assert message in told
    assert "\n" not in told


def test_rows_without_an_image_are_empty(tmp_path: Path) -> None:
    some: list[tuple[str, bytes | None]] = [*IMAGES[:9], ("9.jpg", None)]
    for name, write in (("a.parquet", parquet), ("a.arrow", arrow)):
        write_files(tmp_path, {name: write(table_of(some, LABELS, NAMES))})
        plan = planned(tmp_path / name, tmp_path)
        if write is arrow:
            assert any("1 row without an image" in doubt for doubt in plan.doubts)
        assert dict(images_of(plan))[f"{name}#9"].data == b""


def test_a_table_that_has_changed_is_not_read(tmp_path: Path) -> None:
    for name, write in (("a.parquet", parquet), ("a.arrow", arrow)):
        path = tmp_path / name
        write_files(tmp_path, {name: write(table())})
        plan = planned(path, tmp_path)
        source = planned_source(str(path), plan.source, None)
        entry = next(entries_of(plan.manifest, plan.classes))
        assert source.stamp(entry) == entry.stamp
        stat = path.stat()
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))
        assert source.stamp(entry) != entry.stamp
        with pytest.raises(FileChanged):
            source.read(entry)


@given(
    units=st.lists(st.integers(0, 12), max_size=200),
    images_per_shard=st.integers(1, 40),
    seed=st.integers(0, 3),
)
def test_groups_are_dealt_to_shards_whole(
    units: list[int], images_per_shard: int, seed: int
) -> None:
    numbers = np.array(units, np.int64)
    permutation = shuffled(len(units), seed, "train")
    order, sizes = deal(numbers, permutation, images_per_shard)
    assert sorted(order) == [*range(len(units))]
    assert sum(sizes) == len(units)
    assert all(sizes)
    dealt = numbers[order]
    runs = [unit for unit, _ in itertools.groupby(dealt.tolist())]
    assert len(runs) == len(set(runs))  # Each group is in one place…
    bounds = np.cumsum(sizes, dtype=int)[:-1]
    assert all(dealt[bounds - 1] != dealt[bounds])  # … and in one shard.
    largest = max(Counter(units).values(), default=0)
    assert all(size <= images_per_shard + largest for size in sizes)


def test_each_group_is_read_once_and_two_are_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(tmp_path, {"a.parquet": parquet(table(), rows=2)})
    plan = planned(tmp_path / "a.parquet", tmp_path, images_per_shard=4)
    assert plan.sizes == {"train": [4, 4, 2]} or plan.sizes == {"train": [4, 2, 4]}
    read: Counter[Any] = Counter()
    held: list[int] = []

    def counted(*key: Any) -> RowGroup:
        group = read_group(*key)
        read[key] += 1
        gc.collect()
        held.append(sum(isinstance(each, RowGroup) for each in gc.get_objects()))
        return group

    monkeypatch.setattr(row_groups, "read_group", counted)
    source = planned_source(plan.config.source, plan.source, None)
    images = {
        entry.name: fetch()
        for entry, fetch in source.read_ahead(entries_of(plan.manifest, plan.classes))
    }
    assert images == {f"a.parquet#{n}": data for n, (_, data) in enumerate(IMAGES)}
    assert list(read.values()) == [1] * 5
    assert max(held) <= 2


def test_groups_are_cut_where_shards_are_to_have_one_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(tmp_path, {"a.parquet": parquet(table(), rows=4)})
    plan = planned(tmp_path / "a.parquet", tmp_path, shard_count=4)
    assert plan.sizes == {"train": [2, 3, 2, 3]}
    read = counting_reads(monkeypatch)
    for shard in plan.shards:  # Each has a source of its own, as workers do.
        source = planned_source(plan.config.source, plan.source, None)
        rows = plan.manifest.slice(shard.start, shard.images)
        for entry, fetch in source.read_ahead(entries_of(rows, plan.classes)):
            assert fetch() == IMAGES[int(entry.name.partition("#")[2])][1]
    # Without their order, each of four shards would read nearly all of three groups.
    assert sum(read.values()) <= 3 + 3


def counting_reads(monkeypatch: pytest.MonkeyPatch) -> Counter[Any]:
    """Return how many times each group is read from now on."""
    read: Counter[Any] = Counter()

    def counted(*key: Any) -> RowGroup:
        read[key] += 1
        return read_group(*key)

    monkeypatch.setattr(row_groups, "read_group", counted)
    return read


class Refusing:
    """Decodes no image."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __call__(self, data: bytes) -> NoReturn:
        raise RefusedImage("not an image", "")

    def close(self) -> None: ...


def test_images_are_compared_by_reading_each_group_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(tmp_path, {"a.parquet": parquet(table(), rows=2)})
    plan = planned(tmp_path / "a.parquet", tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(image_hashes, "_FEWEST", 1)
    monkeypatch.setattr(image_hashes, "_AT_ONCE", 3)
    monkeypatch.setattr(image_hashes, "IsolatedProcessor", Refusing)
    read = counting_reads(monkeypatch)
    source = planned_source(plan.config.source, plan.source, None)
    hashes = image_hashes.hash_images(
        source,
        plan.manifest,
        plan.classes,
        plan.settings,
        timeout=60,
        processes=4,
        tell=lambda _: None,
    )
    assert (hashes == UNKNOWN).all()
    assert sorted(read.values()) == [1] * 5


def test_a_damaged_group_is_read_once_for_all_its_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bytearray(parquet(table(), rows=5, compression="gzip"))
    images = pq.read_metadata(pa.BufferReader(bytes(data))).row_group(1).column(0)
    at = data.index(b"\x1f\x8b", images.dictionary_page_offset)
    data[at : at + 2] = b"??"
    write_files(tmp_path, {"a.parquet": bytes(data)})
    plan = planned(tmp_path / "a.parquet", tmp_path)
    entries = [*entries_of(plan.manifest, plan.classes)]
    read = counting_reads(monkeypatch)
    source = planned_source(plan.config.source, plan.source, None)

    def failures(images: Iterable[Callable[[], bytes]]) -> list[str]:
        found = []
        for fetch in images:
            try:
                fetch()
            except OSError as error:
                found.append(str(error))
        return found

    found = failures(fetch for _, fetch in source.read_ahead(entries))
    assert len(found) == 5
    assert len(set(found)) == 1
    assert [*read.values()] == [1, 1]
    assert failures(partial(source.read, entry) for entry in entries) == found
    assert [*read.values()] == [2, 2]


@pytest.mark.parametrize("compression", ["none", "snappy"])
def test_a_footer_tells_the_parts_of_columns_as_pyarrow_does(compression: str) -> None:
    data = parquet(table(long=["x" * 40_000] * 10), rows=3, compression=compression)
    metadata = pq.read_metadata(pa.BufferReader(data))
    names = {UNCOMPRESSED: "UNCOMPRESSED", SNAPPY: "SNAPPY"}
    found = column_parts_in(end_of(io.BytesIO(data), len(data)))
    for number, parts in enumerate(found):
        columns = map(metadata.row_group(number).column, range(metadata.num_columns))
        expected = [(column.compression, column.num_values) for column in columns]
        assert [(names[codec], values) for codec, values in parts] == expected
    assert len(found) == metadata.num_row_groups == 4


def test_the_footer_of_a_file_is_read_once(tmp_path: Path) -> None:
    path = write_files(tmp_path, {"a.parquet": parquet(table(), rows=5)}) / "a.parquet"
    plan = planned(path, tmp_path)
    entries = [*entries_of(plan.manifest, plan.classes)]
    source = planned_source(plan.config.source, plan.source, None)
    before = path.stat()
    assert source.read(entries[0])
    data = path.read_bytes()
    path.write_bytes(data[:-12] + b"no footer???")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert source.read(entries[-1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000_000))
    with pytest.raises(OSError, match="damaged"):
        source.read(entries[0])


def test_an_error_in_a_group_is_met_by_its_images_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(tmp_path, {"a.parquet": parquet(table())})
    plan = planned(tmp_path / "a.parquet", tmp_path)
    failing = iter([True, True, False])

    def broken(*key: Any) -> RowGroup:
        if next(failing, False):
            raise OSError(5, "Input/output error")
        return read_group(*key)

    monkeypatch.setattr(row_groups, "read_group", broken)
    source = planned_source(plan.config.source, plan.source, None)
    images = iter(source.read_ahead(entries_of(plan.manifest, plan.classes)))
    _, fetch = next(images)
    with pytest.raises(OSError, match="Input/output"):
        fetch()
    assert fetch() in [data for _, data in IMAGES]


FUZZED = ("snappy.parquet", "dictionary.parquet", "stream.arrow", "lz4.arrow")


def read_mutated(path: Path, chance: random.Random, mutations: int) -> None:
    """Plan mutated tables, and read what was planned."""
    whole = FORMS[path.name]()
    for _ in range(mutations):
        data = bytearray(whole)
        at = chance.randrange(len(data))
        if chance.random() < 0.7:
            data[at] ^= 1 << chance.randrange(8)
        else:
            del data[at : at + chance.randrange(1, 40)]
        path.write_bytes(data)
        try:
            plan = planned(path, path.parent)
        except PrepError:
            continue
        assert plan.images + sum(item.count for item in plan.ignored) == 10
        source = planned_source(str(path), plan.source, None)
        for entry in entries_of(plan.manifest, plan.classes):
            with contextlib.suppress(OSError):
                assert isinstance(source.read(entry), bytes)


@pytest.mark.parametrize("name", FUZZED)
def test_damaged_bytes_end_in_an_error_or_in_all_rows(name: str, tmp_path: Path) -> None:
    read_mutated(tmp_path / name, random.Random(name), 40)


@pytest.mark.slow
@pytest.mark.parametrize("name", FUZZED)
def test_many_mutated_tables_end_in_all_rows_or_in_one_line(name: str, tmp_path: Path) -> None:
    read_mutated(tmp_path / name, random.Random(f"many {name}"), 2000)


def test_tables_are_sources_among_others(tmp_path: Path) -> None:
    write_files(tmp_path / "folder", {f"dog/{name}": data for name, data in IMAGES})
    write_files(tmp_path, {"a.parquet": parquet(table()), "b.arrow": arrow(table())})
    source = {"train": [tmp_path / "a.parquet", tmp_path / "folder"], "val": tmp_path / "b.arrow"}
    plan = planned(source, tmp_path, labels={"order": "name"}, images_per_shard=5)
    number = {"bee": 0, "cat": 1, "dog": 2}
    found = Counter(f for _, f in images_of(plan))
    dogs = Counter(Found("train", "dog", 2, data) for _, data in IMAGES)
    assert found == dogs + Counter(
        f._replace(number=number[f.class_name])
        for split in ("train", "val")
        for f in expected(split)
    )
    assert plan.sizes is not None
    assert {split: sum(sizes) for split, sizes in plan.sizes.items()} == dict(plan.splits)


def test_groups_of_images_that_are_split_are_read_once_for_each(tmp_path: Path) -> None:
    part = pa.array(["train", "test", *["train"] * 8])
    write_files(tmp_path, {"a.parquet": parquet(table(split=part))})
    plan = planned(tmp_path / "a.parquet", tmp_path)
    assert dict(plan.splits) == {"test": 1, "train": 9}
    assert any("1 row group will be read once for each split" in doubt for doubt in plan.doubts)


def test_duplicates_among_rows_are_dropped(tmp_path: Path) -> None:
    twice = table_of([*IMAGES, *IMAGES[:3]], [*LABELS, *LABELS[:3]], NAMES)
    write_files(tmp_path, {"a.parquet": parquet(twice)})
    plan = planned(tmp_path / "a.parquet", tmp_path, duplicates="drop")
    assert Counter(found for _, found in images_of(plan)) == expected()


def test_an_output_of_tables_is_written_resumed_and_verified(tmp_path: Path) -> None:
    images = [(f"{n}.jpg", jpeg(picture(40, 40, n))) for n in range(10)]
    write_files(tmp_path, {"a.parquet": parquet(table_of(images, LABELS, NAMES))})
    config = prep.Config(
        source=tmp_path / "a.parquet", output=tmp_path / "out", size=32, images_per_shard=4
    )
    journal = prepare(config)
    assert not examine(tmp_path / "out").problems
    stored = journal.stored_plan()
    assert stored is not None
    assert stored.sizes is not None
    plan = prep.plan(config)
    assert plan.state is not None
    assert plan.state.complete
    assert plan.fingerprint == stored.fingerprint
    assert estimate(plan).sampled == 10
    (tmp_path / "out" / "train" / stored.shards[1].name).unlink()
    again = prep.plan(config)
    assert again.state is not None
    assert again.state.images_left == stored.shards[1].images


def test_labels_are_counted_from_an_offset_or_taken_from_names(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.parquet": parquet(table_of(IMAGES, [n + 1 for n in LABELS]))})
    shifted = planned(tmp_path / "a.parquet", tmp_path, label_offset=1)
    assert shifted.labels.numbers == {"0": 0, "1": 1, "2": 2}
    by_name = planned(
        tmp_path / "a.parquet", tmp_path, labels={"from": r"#(?P<label>[0-4])$"}, unlabelled="keep"
    )
    assert {f.class_name for _, f in images_of(by_name)} == {"", *"01234"}


def test_a_column_for_each_class_holds_ones_and_zeros(tmp_path: Path) -> None:
    flags = {name: [int(label == n) for label in LABELS] for n, name in enumerate(NAMES)}
    one_hot = table().select(["image"])
    for name, values in flags.items():
        one_hot = one_hot.append_column(name, pa.array(values))
    write_files(tmp_path, {"a.parquet": parquet(one_hot)})
    classes = {
        name: f.class_name for name, f in images_of(planned(tmp_path / "a.parquet", tmp_path))
    }
    assert classes == {f"a.parquet#{n}": NAMES[label] for n, label in enumerate(LABELS)}
