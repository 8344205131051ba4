"""Images given as a list: the same shards as from folders, and no memory kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from distributed import Client

import prep
from prep.errors import ConfigError, OutputConflict, SourceError, UntrustedPlan
from prep.execution.writing import write_serially
from prep.operations.tools.estimating import estimate
from prep.output.journal import Journal
from prep.output.plan_file import require_trusted
from prep.output.receipt import of_outcome
from prep.shards.formats.tfrecord import FORMAT
from prep.shards.writer import RunRef
from prep.sources.base import ImageEntry
from prep.sources.memory import KeptImages, ListedImages
from prep.storage.location import FileChanged, Stamp
from tests.support.clusters import contents
from tests.support.pictures import jpeg, picture, write_tree
from tests.support.storages import S3

Items = Sequence[tuple[Any, ...]]


def config(out: Path | str, items: Items, **more: Any) -> prep.Config:
    return prep.Config(source=items, output=str(out), **{"size": 32, "images_per_shard": 4, **more})


def photos(count: int = 10) -> list[tuple[Any, ...]]:
    """A list of JPEGs in memory, of two classes."""
    return [(jpeg(picture(40, 48, n)), "cat" if n % 2 else "dog") for n in range(count)]


def write(made: prep.RunPlan, shards: slice = slice(None)) -> Journal:
    """Write shards of a plan, in this process."""
    journal = Journal(made.config.output)
    journal.begin(made)
    run = RunRef(output=journal.output, digest=made.fingerprint.digest, run="1")
    write_serially(made.shards[shards], run)
    return journal


def shards_of(out: Path) -> dict[str, bytes]:
    return contents(out, "*/*.tfrecord")


def records(out: Path) -> list[tuple[tuple[int, ...], bytes]]:
    """The label and image of each record of the split train, in order."""
    found = []
    for path in sorted(out.glob("train/*.tfrecord")):
        with path.open("rb") as file:
            examples = map(FORMAT.parse, FORMAT.records(file))
            found += [(example.label, example.image) for example in examples]
    return found


@pytest.mark.parametrize("kind", ["bytes", "paths", "both"])
def test_a_list_gives_the_shards_that_folders_give(tmp_path: Path, kind: str) -> None:
    source = write_tree(
        tmp_path / "photos", {"train": {"cat": 5, "dog": 6}, "val": {"cat": 3, "eel": 2}}
    )
    files = sorted(source.glob("*/*/*"))
    images = [
        path if kind == "paths" or (kind == "both" and n % 3) else path.read_bytes()
        for n, path in enumerate(files)
    ]
    items = [
        (image, path.parts[-2], path.parts[-3]) for image, path in zip(images, files, strict=True)
    ]
    settings = {"size": 32, "images_per_shard": 4}
    write(prep.plan(prep.Config(source=source, output=tmp_path / "folders", **settings)))
    made = prep.plan(config(tmp_path / "list", items))
    assert made.counts == {"train": {"cat": 5, "dog": 6}, "val": {"cat": 3, "eel": 2}}
    write(made)
    assert shards_of(tmp_path / "list") == shards_of(tmp_path / "folders")
    kept = list((tmp_path / "list/.prep").glob("images-*.bin"))
    assert len(kept) == (kind != "paths")


def test_arrays_are_stored_without_loss(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    coloured, grey = rng.integers(0, 256, (32, 32, 3), np.uint8), rng.integers(0, 256, (32, 32))
    items = [(coloured, 5), (grey.astype(np.uint8), np.int64(-3)), (coloured[::-1, ::-1], 5)]
    write(prep.plan(config(tmp_path / "out", items, encoding="raw")))
    expected = {
        (5, coloured.tobytes()),
        (5, coloured[::-1, ::-1].tobytes()),
        (-3, np.repeat(grey.astype(np.uint8)[..., None], 3, 2).tobytes()),
    }
    assert {(label, image) for (label,), image in records(tmp_path / "out")} == expected


def test_numbers_are_the_labels_and_a_label_map_wins(tmp_path: Path) -> None:
    images = [image for image, _ in photos(3)]
    items = [*zip(images, (7, 10, 9), strict=True)]
    made = prep.plan(config(tmp_path / "out", items))
    assert made.classes == ("7", "9", "10")
    assert made.labels.numbers == {"7": 7, "9": 9, "10": 10}
    mapped = prep.plan(config(tmp_path / "out", items, label_map={"7": 0, "9": 1, "10": 2}))
    assert mapped.labels.numbers == {"7": 0, "9": 1, "10": 2}
    named = prep.plan(config(tmp_path / "out", [(images[0], "b"), (images[1], "a")]))
    assert named.labels.numbers == {"a": 0, "b": 1}


def test_a_plan_writes_nothing_and_reports_name_the_list(tmp_path: Path) -> None:
    out, items = tmp_path / "out", photos()
    made = prep.plan(config(out, items))
    assert not out.exists()
    assert estimate(made).refused == 0
    assert "list of 10 images" in repr(made) + made._repr_html_()
    assert len(repr(made.config)) < 200
    report = prep.run(config(out, items))
    assert report.images == {"planned": 10, "written": 10, "refused": 0}
    next((out / ".prep").glob("images-*.bin")).unlink()
    assert prep.verify(out).clean  # It needs no images.
    for file in (".prep/plan.json", "report.json"):
        told = json.loads((out / file).read_text())
        assert told["config"]["source"] == "list of 10 images"
        assert len(json.dumps(told)) < 50_000


def test_a_run_that_was_stopped_goes_on_with_the_same_list(tmp_path: Path) -> None:
    write(prep.plan(config(tmp_path / "whole", photos())))
    journal = write(prep.plan(config(tmp_path / "out", photos())), slice(1))
    assert len(shards_of(tmp_path / "out")) == 1
    report = prep.run(config(tmp_path / "out", photos()))
    assert report.resumed_shards == 1
    assert shards_of(tmp_path / "out") == shards_of(tmp_path / "whole")
    plan = journal.layout.plan.read_bytes()
    again = prep.run(config(tmp_path / "out", photos()))
    assert (again.resumed_shards, journal.layout.plan.read_bytes()) == (3, plan)
    prep.run(config(tmp_path / "out", photos(), check="digest"))


def test_other_contents_are_another_run(tmp_path: Path) -> None:
    items = photos()
    write(prep.plan(config(tmp_path / "out", items)))
    items[3] = (items[3][0][:-9] + bytes(9), items[3][1])
    told = prep.plan(config(tmp_path / "out", items)).state
    assert told is not None
    assert isinstance(told.obstacle, OutputConflict)
    assert "images: 1 changed (such as '000003')" in str(told.obstacle)
    prep.run(config(tmp_path / "out", items, max_refused=1), overwrite=True)
    assert len(list((tmp_path / "out/.prep").glob("images-*.bin"))) == 1


def test_images_of_a_run_that_died_before_its_plan_was_published_are_removed(
    tmp_path: Path,
) -> None:
    journal = write(prep.plan(config(tmp_path / "out", photos(2))), slice(0))
    journal.layout.plan.remove_file(within=journal.layout.root)
    made = prep.plan(config(tmp_path / "out", photos(3)))
    write(made, slice(0))
    kept = [path.name for path in (tmp_path / "out/.prep").glob("images-*.bin")]
    assert isinstance(made.config.source, ListedImages)
    assert made.config.source.kept
    assert kept == [made.config.source.kept[0].name]


def test_a_damaged_shard_is_repaired_without_the_list(tmp_path: Path) -> None:
    path = tmp_path / "on-disk.jpg"
    path.write_bytes(jpeg(picture(40, 48, 99)))
    out = tmp_path / "out"
    prep.run(config(out, [*photos(), (path, "cat")]))
    before = shards_of(out)
    shard = next(out.glob("train/*.tfrecord"))
    shard.write_bytes(shard.read_bytes()[:-1])
    assert prep.verify(out, repair=True).clean
    assert shards_of(out) == before


def test_a_list_that_is_needed_again_is_asked_for(tmp_path: Path) -> None:
    out = tmp_path / "out"
    prep.run(config(out, photos()))
    kept = next((out / ".prep").glob("images-*.bin"))
    kept.unlink()
    next(out.glob("train/*.tfrecord")).write_bytes(b"")
    (problem, *_) = [p for p in prep.verify(out, repair=True).problems if p.remedy == "none"]
    assert "changed or gone, such as '0000" in str(problem.found)
    (out / ".prep/manifest.parquet").unlink()
    (problem, *_) = [p for p in prep.verify(out, repair=True).problems if p.remedy == "none"]
    assert "repeat the run with that list" in str(problem.found)
    prep.run(config(out, photos()))
    assert kept.exists()


def test_the_images_in_files_are_read_where_they_are(tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}.jpg" for n in range(3)]
    for n, path in enumerate(paths):
        path.write_bytes(jpeg(picture(40, 48, n)))
    items = [(str(paths[0]), "cat"), (paths[1], "cat"), (paths[2], "dog")]
    made = prep.plan(config(tmp_path / "out", items))
    paths[1].write_bytes(b"something else")
    (receipt,) = write(made).committed(made)
    (refused,) = of_outcome(receipt.findings, "refused")
    assert (refused.path, refused.reason) == ("000001-1.jpg", "unreadable")
    paths[2].unlink()
    with pytest.raises(SourceError, match=r"^source: item 2: '.*2\.jpg' can't be read: No such"):
        prep.plan(config(tmp_path / "out", items))


def test_of_images_with_the_same_bytes_one_is_kept_if_asked(tmp_path: Path) -> None:
    items = [*photos(4), photos(4)[0]]
    assert prep.plan(config(tmp_path / "out", items)).images == 5
    assert prep.plan(config(tmp_path / "out", items, duplicates="drop")).images == 4


def test_splits_are_chosen_by_name(tmp_path: Path) -> None:
    items = [(image, label, split) for image, label in photos(4) for split in ("a", "b")]
    assert list(prep.plan(config(tmp_path / "out", items, splits=["b"])).counts) == ["b"]
    with pytest.raises(SourceError, match="no images of 'c' in the list; splits found: 'a', 'b'"):
        prep.plan(config(tmp_path / "out", items, splits=["c"]))


IMAGE = b"bytes"


@pytest.mark.parametrize(
    ("items", "told"),
    [
        ([], "got an empty list; expected (image, label) pairs"),
        ([IMAGE], "item 0: got bytes; expected (image, label) or (image, label, split)"),
        ([(IMAGE, "cat"), (IMAGE,)], "item 1: got 1 value; expected (image, label) or"),
        ([(IMAGE, "cat"), (IMAGE, "cat", "val")], "item 1: got 3 values, and item 0 has 2"),
        ([(IMAGE, np.array("cat")), (IMAGE, 1)], "item 1: got the label 1, and item 0 has 'cat'"),
        ([(IMAGE, "")], "item 0: got the label ''; expected the name of a class"),
        ([(IMAGE, True)], "item 0: got the label true; expected"),
        ([(IMAGE, 1.5)], "item 0: got the label 1.5; expected"),
        ([(IMAGE, 1 << 63)], "item 0: got the label 9223372036854775808; expected"),
        ([(IMAGE, "cat", "../up")], "item 0: a split can't be called '../up'"),
        ([(IMAGE, "cat", ".prep")], "item 0: a split can't be called '.prep'"),
        (
            zip([IMAGE], ["cat"], strict=True),
            "got a zip; expected the path or URL of a folder, an archive or a list, or several",
        ),
        (
            {(IMAGE, "cat")},
            "got a set; expected the path or URL of a folder, an archive or a list, or several",
        ),
        ([("", "cat")], "item 0: got nothing; expected a path"),
        ([(None, "cat")], "item 0: got nothing; expected the bytes of an image file"),
        ([("s3://bucket/a.jpg", "cat")], "item 0: got a URL; expected"),
        ([(np.zeros((4, 4, 3)), 0)], "item 0: got an array of float64, 4 × 4 × 3; expected uint8"),
        ([(np.zeros((4, 4, 4), np.uint8), 0)], "item 0: got an array of uint8, 4 × 4 × 4"),
        ([(np.zeros((0, 4), np.uint8), 0)], "item 0: got an array of uint8, 0 × 4; expected"),
    ],
)
def test_what_is_no_list_of_images_is_told_in_one_line(items: Any, told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        prep.Config(source=items, output="out")
    assert str(raised.value).startswith(f"source: {told}")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("key", [{"layout": "classes"}, {"image_type": "png"}])
def test_keys_that_say_something_of_files_are_refused(tmp_path: Path, key: Any) -> None:
    with pytest.raises(ConfigError, match="applies only to files, and the source is a list"):
        prep.plan(config(tmp_path / "out", photos(2), **key))


def test_no_manifest_leads_to_other_files(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    source = KeptImages("list of 1 image", tmp_path / ".prep")
    entry = ImageEntry(b"0", "cat", Stamp(6, 0), b"../secret", 0)
    for strange in (entry, entry._replace(offset=None), entry._replace(file=b"/etc/passwd")):
        with pytest.raises(OSError, match="no file that a list of images has"):
            source.read(strange)


def test_a_repair_of_somebody_elses_list_says_what_it_would_read(tmp_path: Path) -> None:
    journal = write(prep.plan(config(tmp_path / "out", photos(2))), slice(0))
    plan = journal.stored_plan()
    assert plan is not None
    with pytest.raises(UntrustedPlan, match="read images wherever its list of images says with"):
        require_trusted(journal.layout, plan, trust=False)


def test_other_bytes_in_the_kept_file_are_noticed(tmp_path: Path) -> None:
    journal = write(prep.plan(config(tmp_path / "out", photos(2))), slice(0))
    plan = journal.stored_plan()
    assert plan is not None
    entries = list(journal.entries(plan, plan.shards[0]))
    source = journal.source(plan)
    assert sorted(map(source.read, entries)) == sorted(image for image, _ in photos(2))
    (file,) = journal.layout.state.glob("images-*.bin")
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    (changed,) = [entry for entry in entries if entry.offset]
    with pytest.raises(FileChanged):
        source.read(changed)
    file.write_bytes(b"")
    with pytest.raises(FileChanged, match="ends at byte 0"):
        source.read(changed)
    assert pq.read_table(journal.layout.manifest).column_names == [
        *("path", "class", "size", "mtime", "file", "offset", "how")
    ]


def test_workers_of_a_cluster_read_it_also_from_a_storage(
    tmp_path: Path, client: Client, s3: S3
) -> None:
    write(prep.plan(config(tmp_path / "here", photos())))
    run = prep.start(config(tmp_path / "out", photos()), client)
    assert run.result().images["written"] == 10
    assert shards_of(tmp_path / "out") == shards_of(tmp_path / "here")
    report = prep.run(
        config(f"{s3.url}/out", photos(), storage_options={"output": s3.options}), client
    )
    assert report.images["written"] == 10
