"""The files that tell readers what is in the shards: indexes, and the table of all images."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import prep
from prep.errors import Interrupted, OutputConflict, PrepError, RecordError
from prep.operations.running.work import write_missing
from prep.output.index.places import SplitPlaces, places_of, record_names
from prep.output.index.stored_table import read_split
from prep.output.journal import Journal
from prep.output.report.listings import decode_cell
from prep.planning.plan import RunPlan
from prep.settings.choices import Compression, Format
from prep.shards.formats.base import record_format
from prep.shards.formats.tfrecord import frame
from prep.storage.newfile import AtomicFile
from tests.support.label_targets import prepared_targets
from tests.support.outputs import examine, placed_here, prepare
from tests.support.pictures import jpeg, picture

ODD = b"train/cat/caf\xe9\\1.jpg"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of two splits, one of them broken, and one with a name that is no UTF-8."""
    root = tmp_path_factory.mktemp("photos")
    for split, count in (("train", 5), ("val", 3)):
        for name in ("cat", "dog"):
            for number in range(count):
                place = root / split / name / f"{number}.jpg"
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(jpeg(picture(30 + number, 40, seed=number)))
    (root / "train/dog/1.jpg").write_bytes(b"no image")
    shutil.copy(root / "train/cat/0.jpg", os.fsdecode(os.fsencode(root) + b"/" + ODD))
    return root


def made(source: Path, output: Path, **options: object) -> Path:
    values = {"size": 16, "images_per_shard": 4, **options}
    prepare(prep.Config(source=str(source), output=str(output), **values))  # type: ignore[arg-type]
    return output


@pytest.fixture(scope="module")
def finished(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(source, tmp_path_factory.mktemp("out") / "out")


@pytest.fixture
def output(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "out")
    return tmp_path / "out"


def opened(output: Path) -> tuple[Journal, RunPlan]:
    journal = Journal(output)
    plan = journal.stored_plan()
    assert plan is not None
    return journal, plan


def problems(output: Path) -> dict[str, str]:
    return {finding.where: finding.what for finding in examine(output).problems}


def test_an_index_has_the_place_of_each_record(finished: Path) -> None:
    shards = sorted(finished.glob("*/*.tfrecord"))
    assert len(shards) == 5
    for shard in shards:
        index = finished / "index" / shard.parent.name / f"{shard.stem}.idx"
        data = shard.read_bytes()
        records = list(record_format("tfrecord").records(shard.open("rb")))
        places = [[*map(int, line.split(" "))] for line in index.read_text().splitlines()]
        assert [data[offset : offset + size] for offset, size in places] == [*map(frame, records)]


def test_the_table_has_all_images_and_what_became_of_them(finished: Path) -> None:
    table = pq.read_table(finished / "images.parquet")
    rows = table.to_pylist()
    assert len(rows) == 17
    refused = [row for row in rows if row["outcome"] == "refused"]
    assert refused == [
        {
            **dict.fromkeys(("shard", "row", "offset", "size", "width", "height")),
            **{"split": "train", "label": 1, "class": "dog", "name": "train/dog/1.jpg"},
            "outcome": "refused",
        }
    ]
    for split, count in (("train", 10), ("val", 6)):
        written = [row for row in rows if row["split"] == split and row["row"] is not None]
        assert [row["row"] for row in written] == [*range(count)]
    for row in rows:
        name = os.fsencode(decode_cell(row["name"]))
        if row["outcome"] == "refused":
            continue
        if name == ODD:
            assert (row["width"], row["height"]) == (40, 30)
        else:
            assert (row["width"], row["height"]) == (40, 30 + int(Path(row["name"]).stem))
        with (finished / row["split"] / row["shard"]).open("rb") as file:
            file.seek(row["offset"])
            data = file.read(row["size"])
        record = record_format("tfrecord").parse(data[12:-4])
        assert record.label == (row["label"],) == ({"cat": 0, "dog": 1}[row["class"]],)
    assert ODD in {os.fsencode(decode_cell(row["name"])) for row in rows}


@pytest.mark.parametrize("rows", [1, 4, 1 << 16])
@pytest.mark.parametrize("form", [("tfrecord", None), ("tfrecord", "GZIP"), ("webdataset", None)])
def test_places_are_the_same_from_table_receipts_and_shards(
    source: Path,
    tmp_path: Path,
    form: tuple[Format, Compression | None],
    rows: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in ("image_table", "stored_table"):
        monkeypatch.setattr(f"prep.output.index.{module}.ROW_GROUP", rows)
    format, compression = form
    output = made(source, tmp_path / "out", format=format, compression=compression)
    journal, plan = opened(output)
    found = [places_of(journal, plan, "train")]
    shards = [shard for shard in plan.shards if shard.split == "train"]
    assert read_split(journal.layout.images, plan, shards, found[0].sizes.tolist()) is not None
    journal.layout.images.remove_file(within=journal.layout.root)
    found.append(places_of(journal, plan, "train"))
    if compression is None:
        forget_measures(output)
        found.append(places_of(journal, plan, "train"))
    for places in found[1:]:
        assert same(places, found[0])
    assert sorted(found[0].classes) == [0] * 6 + [1] * 4
    names = record_names(journal, plan, found[0])
    assert len(names) == 10
    assert ODD in names
    assert b"train/dog/1.jpg" not in names


def same(one: SplitPlaces, other: SplitPlaces) -> bool:
    arrays = ("sizes", "shards", "offsets", "lengths", "classes", "rows")
    equal = [np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays]
    return one.files == other.files and all(equal)


def forget_measures(output: Path) -> None:
    """Make the receipts those of an earlier version."""
    for path in output.glob(".prep/receipts/*/*.json"):
        receipt = json.loads(path.read_text())
        receipt.pop("measures", None)
        path.write_text(json.dumps(receipt))


def edit(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-9] + bytes(byte ^ 1 for byte in data[-9:-8]) + data[-8:])


DAMAGE: dict[str, Callable[[Path], object]] = {
    "absent": Path.unlink,
    "edited": edit,
    "empty": lambda path: path.write_bytes(b""),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"1 2\n"),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", ["images.parquet", "index/train/train-00001-of-00003.idx"])
def test_what_is_wrong_is_found_and_made_anew(
    output: Path, name: str, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (output / name).read_bytes()
    DAMAGE[damage](output / name)
    assert problems(output) == {name: "no such file" if damage == "absent" else "another file"}
    monkeypatch.setattr("prep.operations.verify.placed", placed_here)
    assert [found.where for found in prep.verify(output, repair=True).repaired] == [name]
    assert (output / name).read_bytes() == before


def test_a_folder_in_the_place_of_a_file_is_told(output: Path) -> None:
    (output / "features.json").unlink()
    (output / "features.json").mkdir()
    (found,) = examine(output).problems
    assert (found.where, found.remedy) == ("features.json", "none")
    assert found.what == "a folder that prep did not make"


def test_an_index_of_another_plan_is_removed(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stray = output / "index/train/train-00001-of-00009.idx"
    own = output / "index/train/notes.txt"
    stray.write_text("0 1\n")
    own.write_text("mine")
    assert problems(output) == {"index/train/train-00001-of-00009.idx": "this file"}
    monkeypatch.setattr("prep.operations.verify.placed", placed_here)
    assert prep.verify(output, repair=True).clean
    assert not stray.exists()
    assert own.read_text() == "mine"


def test_outputs_without_measures_have_none_and_miss_none(output: Path) -> None:
    shutil.rmtree(output / "index")
    (output / "images.parquet").unlink()
    forget_measures(output)
    assert problems(output) == {}


def test_a_receipt_with_other_lengths_of_records_is_found(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipt = output / ".prep/receipts/val/00000.json"
    before = receipt.read_text()
    measures = json.loads(before)["measures"]
    other = f"{int(measures[:8], 16) + 1:08x}{measures[8:]}"
    receipt.write_text(before.replace(measures, other))
    told = [str(finding) for finding in examine(output).problems]
    assert "bytes, as its receipt says; found" in told[0]
    monkeypatch.setattr("prep.operations.verify.placed", placed_here)
    assert prep.verify(output, repair=True).clean
    assert json.loads(receipt.read_text())["measures"] == measures


def test_outputs_of_an_earlier_version_get_the_files_when_asked(output: Path) -> None:
    before = derived(output)
    for name in before:
        (output / name).unlink()
    forget_measures(output)
    assert problems(output) == {}
    report = prep.index(output)
    assert (report.images, report.shards, report.scanned) == (16, 5, 5)
    assert derived(output) == {**before, "images.parquet": derived(output)["images.parquet"]}
    table = pq.read_table(output / "images.parquet")
    assert table["width"].null_count == table["height"].null_count == 17
    assert table["offset"].null_count == 1
    assert problems(output) == {}
    again = prep.index(output)
    assert (again.scanned, again.written) == (0, False)
    html = again._repr_html_()
    assert ("there already" in html, "of 5 shards" in html) == (True, True)


def derived(output: Path) -> dict[str, bytes]:
    """Return the files that are made of plan and receipts."""
    names = ("images.parquet", "dataset_info.json", "features.json", "label.labels.txt")
    paths = [*output.glob("index/*/*.idx"), *(output / name for name in names)]
    return {str(path.relative_to(output)): path.read_bytes() for path in paths if path.exists()}


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda output: shutil.rmtree(output / ".prep"), "holds no run"),
        (
            lambda output: (output / ".prep/receipts/val/00000.json").unlink(),
            "4 of 5 shards are committed; continue its run",
        ),
        (
            lambda output: edit(output / ".prep/manifest.parquet"),
            "a manifest of 17 images|the manifest",
        ),
    ],
    ids=["no run", "not complete", "no manifest"],
)
def test_an_index_is_refused_of_what_is_no_complete_output(
    output: Path, harm: Callable[[Path], object], told: str
) -> None:
    harm(output)
    with pytest.raises(PrepError, match=told):
        prep.index(output)


def test_shards_of_an_earlier_version_that_can_not_be_passed_through(
    source: Path, tmp_path: Path
) -> None:
    compressed = made(source, tmp_path / "gzip", compression="GZIP")
    assert not (compressed / "index").exists()
    assert not (compressed / "dataset_info.json").exists()
    assert pq.read_table(compressed / "images.parquet").num_rows == 17
    (compressed / "images.parquet").unlink()
    forget_measures(compressed)
    with pytest.raises(RecordError, match="prepare the images again without `compression`"):
        prep.index(compressed)


def test_a_damaged_shard_of_an_earlier_version_is_named(output: Path) -> None:
    for name in derived(output):
        (output / name).unlink()
    forget_measures(output)
    shard = output / "train/train-00001-of-00003.tfrecord"
    data = bytearray(shard.read_bytes())
    data[0] ^= 1
    shard.write_bytes(data)
    with pytest.raises(RecordError, match="length is wrong; the file is damaged; repair it with"):
        prep.index(output)


def test_a_finished_output_is_indexed_where_nothing_can_be_written(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("read only")

    monkeypatch.setattr("prep.storage.newfile.AtomicFile._publish", refuse)
    monkeypatch.setattr("prep.output.lock.exclusive", refuse)
    assert not prep.index(output).written


def test_readers_find_none_of_the_files_while_shards_change(
    source: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looks at what is there when the first shard is written, or taken over."""
    monkeypatch.setattr("prep.operations.run.placed", placed_here)
    photos = output.parent / "photos"
    shutil.copytree(source, photos)
    config = {"source": str(photos), "output": str(output), "size": 16, "images_per_shard": 4}
    shutil.rmtree(output)
    prep.run(config)
    seen: list[list[str]] = []
    begin = Journal.begin

    def looking(journal: Journal, plan: RunPlan) -> None:
        names = {"images.parquet", "features.json", "label.labels.txt", "dataset_info.json"}
        there = [path.name for path in output.iterdir() if path.name in names]
        seen.append([*there, *(path.name for path in output.glob("index/*/*"))])
        begin(journal, plan)

    monkeypatch.setattr(Journal, "begin", looking)
    shutil.copy(photos / "train/cat/1.jpg", photos / "train/cat/9.jpg")
    prep.run(config, append=True)
    prep.run({**config, "seed": 3}, overwrite=True)
    (output / "val/val-00000-of-00002.tfrecord").unlink()
    prep.run({**config, "seed": 3})
    assert seen == [[]] * len(seen)
    assert len(seen) >= 3
    assert problems(output) == {}
    assert len(list(output.glob("index/train/*.idx"))) == 3


def test_what_an_earlier_version_wrote_is_indexed_with_what_is_added(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prep.operations.run.placed", placed_here)
    photos, output = tmp_path / "photos", tmp_path / "out"
    shutil.copytree(source, photos)
    config = {"source": str(photos), "output": str(output), "size": 16, "images_per_shard": 4}
    prep.run(config)
    for name in derived(output):
        (output / name).unlink()
    forget_measures(output)
    shutil.copy(photos / "train/cat/1.jpg", photos / "train/cat/9.jpg")
    prep.run(config, append=True)
    table = pq.read_table(output / "images.parquet")
    assert table.num_rows == 18
    assert table["offset"].null_count == 1
    assert table["width"].null_count == 17
    assert problems(output) == {}


def of_an_earlier_version(source: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> prep.Config:
    """Make an output as an earlier version did, and return its configuration."""
    for operation in ("run", "verify"):
        monkeypatch.setattr(f"prep.operations.{operation}.placed", placed_here)
    shutil.copytree(source, home / "photos")
    config = prep.Config(
        source=str(home / "photos"), output=str(home / "out"), size=16, images_per_shard=4
    )
    prepare(config)
    for name in derived(home / "out"):
        (home / "out" / name).unlink()
    shutil.rmtree(home / "out/index")
    forget_measures(home / "out")
    return config


@pytest.mark.parametrize("remedy", ["run", "append", "repair", "index"])
def test_a_run_that_died_before_it_measured_earlier_shards_is_finished(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remedy: str
) -> None:
    config = of_an_earlier_version(source, tmp_path, monkeypatch)
    output = tmp_path / "out"
    added = tmp_path / "photos/train/cat/9.jpg"
    shutil.copy(tmp_path / "photos/train/cat/1.jpg", added)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("prep.operations.publish.note_measures", die)
        with pytest.raises(KeyboardInterrupt):
            prep.run(config, append=True)
    assert problems(output)["images.parquet"] == "none that tells where all records are"
    match remedy:
        case "repair":
            assert prep.verify(output, repair=True).clean
        case "index":
            assert prep.index(output).scanned == 5
        case _:
            prep.run(config, append=remedy == "append")
    assert len(derived(output)) == 6 + 4
    assert problems(output).keys() <= ({"report.json"} if remedy == "index" else set())


def test_a_merge_that_died_before_it_measured_earlier_shards_is_finished(
    source: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prep.operations.growth.merge.placed", placed_here)
    of_an_earlier_version(source, tmp_path, monkeypatch)
    outputs, merged = [finished, tmp_path / "out"], tmp_path / "merged"

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("prep.operations.publish.note_measures", die)
        with pytest.raises(KeyboardInterrupt):
            prep.merge(outputs, merged)
    left = merged / f".{'0' * 32}.partial"
    left.touch()
    prep.merge(outputs, merged)
    assert problems(merged) == {}
    assert len(derived(merged)) == 10 + 4
    left.touch()
    prep.merge(outputs, merged)
    assert not left.exists()


def test_files_that_an_earlier_version_did_not_write_are_not_replaced(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = of_an_earlier_version(source, tmp_path, monkeypatch)
    output = tmp_path / "out"
    theirs = output / "images.parquet"
    for theirs in (output / "images.parquet", output / "index/val/val-00000-of-00002.idx"):
        theirs.parent.mkdir(parents=True, exist_ok=True)
        theirs.write_text("mine")
        prep.run(config)  # Nothing is left to do.
        assert prep.verify(output, repair=True).clean
        with pytest.raises(OutputConflict, match="was not made by prep"):
            prep.index(output)
        added = tmp_path / "photos/train/cat/9.jpg"
        shutil.copy(tmp_path / "photos/train/cat/1.jpg", added)
        with pytest.raises(OutputConflict, match=f"{theirs.name} is in the way"):
            prep.run(config, append=True)
        added.unlink()
        shard = output / "val/val-00000-of-00002.tfrecord"
        before = shard.read_bytes()
        edit(shard)
        with pytest.raises(OutputConflict, match="was not made by prep"):
            prep.verify(output, repair=True)
        shard.write_bytes(before)
        assert theirs.read_text() == "mine"
        theirs.unlink()
    theirs.write_text("mine")
    prep.run(config, overwrite=True)
    assert len(derived(output)) == 5 + 4


def test_no_file_for_readers_is_there_while_a_repair_writes_shards(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prep.operations.verify.placed", placed_here)
    before, seen = derived(output), []

    def looking(*given: Any) -> None:
        seen.append(derived(output))
        write_missing(*given)

    monkeypatch.setattr("prep.operations.repair.write_missing", looking)
    edit(output / "train/train-00001-of-00003.tfrecord")
    assert prep.verify(output, repair=True).clean
    assert seen == [{}]
    assert derived(output) == before


def test_a_finished_output_is_left_alone_while_another_run_is_at_work(
    source: Path, finished: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished, tmp_path / "out")
    config = prep.Config(
        source=str(source), output=str(tmp_path / "out"), size=16, images_per_shard=4
    )
    index = tmp_path / "out/index/train/train-00001-of-00003.idx"
    before = index.read_bytes()
    index.unlink()
    with Journal(tmp_path / "out").lock():
        prep.run(config)
        assert not index.exists()
    prep.run(config)
    assert index.read_bytes() == before


@pytest.mark.parametrize("steps", range(5))
def test_a_run_that_dies_as_it_begins_is_continued(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    monkeypatch.setattr("prep.operations.run.placed", placed_here)
    config = prep.Config(source=str(source), output=str(tmp_path / "out"), size=16)
    publish, left = AtomicFile._publish, iter(range(steps))

    def dying(file: AtomicFile) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        publish(file)

    with monkeypatch.context() as patch:
        patch.setattr(AtomicFile, "_publish", dying)
        with pytest.raises(Interrupted):
            prep.run(config)
    prep.run(config)
    assert problems(tmp_path / "out") == {}


@pytest.mark.parametrize(
    "harm",
    [
        lambda output: edit(output / "images.parquet"),
        lambda output: (output / "images.parquet").write_bytes(b""),
        lambda output: (output / "images.parquet").write_bytes(b"PAR1" * 9),
        lambda output: rewritten(output, size=lambda sizes: sizes[::-1]),
        lambda output: rewritten(output, size=lambda sizes: [*sizes[1:], 99]),
        lambda output: rewritten(output, row=lambda rows: rows[:4]),
        lambda output: rewritten(output, **{"class": lambda names: ["cow"] * len(names)}),
        lambda output: rewritten(output, about=b"{}"),
        lambda output: rewritten(output, about=b'{"fingerprint": "00", "splits": {}}'),
        lambda output: rewritten(output, about=b"nonsense"),
    ],
)
def test_a_table_of_other_shards_is_not_believed(
    output: Path, harm: Callable[[Path], object]
) -> None:
    journal, plan = opened(output)
    expected = places_of(journal, plan, "train")
    harm(output)
    shards = [shard for shard in plan.shards if shard.split == "train"]
    assert read_split(journal.layout.images, plan, shards, expected.sizes.tolist()) is None
    assert same(places_of(journal, plan, "train"), expected)


def test_a_flipped_bit_of_the_table_leads_nobody_astray(output: Path) -> None:
    journal, plan = opened(output)
    expected = places_of(journal, plan, "train")
    shards = [shard for shard in plan.shards if shard.split == "train"]
    table, results = output / "images.parquet", set()
    data = table.read_bytes()
    for place in range(0, len(data), len(data) // 400):
        table.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        found = read_split(journal.layout.images, plan, shards, expected.sizes.tolist())
        results.add(found is None)
        if found is not None:
            assert found.lengths.tolist() == expected.lengths.tolist()
            assert found.classes.tolist() == expected.classes.tolist()
            assert found.shards.tolist() == expected.shards.tolist()
    assert results == {False, True}


def rewritten(output: Path, about: bytes = b"", **change: Callable[[Any], Any]) -> None:
    """Write the table again with another column, or with other metadata."""
    table = pq.read_table(output / "images.parquet")
    columns = table.to_pydict()
    for name, changed in change.items():
        columns[name] = changed(columns[name])
    rows = min(map(len, columns.values()))
    schema = table.schema.with_metadata({b"prep": about or table.schema.metadata[b"prep"]})
    other = pa.table({name: values[:rows] for name, values in columns.items()}, schema=schema)
    pq.write_table(other, output / "images.parquet", compression="zstd", row_group_size=11)


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_in_the_way_is_told_before_any_work(
    source: Path, tmp_path: Path, overwrite: bool
) -> None:
    output = tmp_path / "out"
    output.mkdir()
    config = prep.Config(source=str(source), output=str(output), size=16)
    (output / "index").write_text("mine")
    with pytest.raises(OutputConflict, match="index is a file, where a run has a folder"):
        prep.run(config, overwrite=overwrite)
    (output / "index").unlink()
    (output / "images.parquet").mkdir()
    with pytest.raises(OutputConflict, match=r"images\.parquet is in the way"):
        prep.run(config, overwrite=overwrite)
    assert [path.name for path in output.iterdir()] == ["images.parquet"]


def test_files_of_others_with_our_names_are_kept_until_they_may_be_replaced(
    source: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    theirs = output / "index/train/train-00000-of-00001.idx"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("mine")
    with pytest.raises(OutputConflict, match="is in the way, and was not made by this run"):
        prep.run(prep.Config(source=str(source), output=str(output), size=16))
    assert theirs.read_text() == "mine"


@pytest.mark.parametrize(
    ("target", "kind"),
    [("multi", pa.list_(pa.int64())), ("value", pa.float32()), ("soft", pa.list_(pa.float32()))],
)
def test_the_table_has_the_labels_that_records_hold(
    tmp_path: Path, target: str, kind: pa.DataType
) -> None:
    output = prepared_targets(tmp_path, target)
    table = pq.read_table(output / "images.parquet")
    format = record_format("tfrecord")
    records = [
        format.parse(record)
        for shard in sorted(output.glob("*/*.tfrecord"))
        for record in format.records(io.BytesIO(shard.read_bytes()))
    ]
    assert table["label"].type == kind
    found = table["label"].to_pylist()
    alone = [record.label[0] for record in records] if target == "value" else None
    assert found == (alone or [list(record.label) for record in records])
    journal, plan = opened(output)
    (split,) = plan.splits
    sizes = places_of(journal, plan, split).sizes.tolist()
    assert read_split(journal.layout.images, plan, plan.shards, sizes) is not None
