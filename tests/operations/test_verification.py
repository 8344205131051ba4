"""Damage to real outputs: each kind is found, named and repaired."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client
from rich.console import Console

import prep
from prep.cli.tables import print_verification, problem_table
from prep.errors import ConfigError, PrepError, SourceError
from prep.images.decoders.process import configure_process
from prep.monitoring.counts import LiveCounts
from prep.monitoring.events import RunEnded, ShardCommitted, WorkStarted
from prep.operations.verify import VerificationReport
from prep.output.findings import mismatch
from prep.output.journal import Journal
from prep.settings.choices import Compression, Encoding, Format
from prep.settings.image_settings import ImageSettings
from prep.settings.output_names import FORMATS
from prep.shards.formats.base import Record, RecordFormat, Sample, record_format
from prep.shards.writer import RunRef, write_shard
from prep.sources.labels import LabelMap
from tests.support.callbacks import Recorder
from tests.support.clusters import Terminal, contents, run_prep, wait_until
from tests.support.outputs import without_derived
from tests.support.pictures import image_file, jpeg, picture, write_tree

SIZE = 32
SHARD = "train/train-00001-of-00004.tfrecord"
RECEIPT = ".prep/receipts/train/00001.json"
ONE_HOT = {"bird": [0, 0, 1], "cat": [1, 0, 0], "dog": [0, 1, 0]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A form of output: how it is written."""

    format: Format = "tfrecord"
    encoding: Encoding = "jpeg"
    compression: Compression | None = None
    label_map: dict[str, Any] | None = None

    def __str__(self) -> str:
        one_hot = "-one-hot" if self.label_map else ""
        return f"{self.format}-{self.encoding}-{self.compression}{one_hot}"


FORMS = [
    Form(),
    Form(compression="GZIP", label_map=ONE_HOT),
    Form(format="webdataset", encoding="raw", label_map=ONE_HOT),
    Form(encoding="raw", compression="ZLIB"),
    Form(encoding="float32", compression="GZIP"),
]
PLAIN = FORMS[0]


@dataclass(frozen=True, kw_only=True)
class Labels(LabelMap):
    """A label map that has any label, also one that no file could give."""

    it: tuple[int, ...]

    def feature(self, name: str) -> tuple[int, ...]:
        return self.it


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """An output that a test may damage, and what it was before."""

    root: Path
    form: Form
    before: dict[str, Any]

    @property
    def name(self) -> str:
        return SHARD.replace(".tfrecord", FORMATS[self.form.format].suffix)

    @property
    def shard(self) -> Path:
        return self.root / self.name

    @property
    def receipt(self) -> Path:
        return self.root / RECEIPT

    @property
    def format(self) -> RecordFormat:
        return record_format(self.form.format)

    def records(self) -> list[bytes]:
        with open(self.shard, "rb") as file:
            return list(self.format.records(file))

    def record(self, number: int) -> Record:
        return self.format.parse(self.records()[number])

    def replace(self, number: int, image: bytes, label: tuple[int, ...]) -> None:
        """Puts another image or label into a record, and a receipt that agrees with the file."""
        settings = ImageSettings(size=SIZE, encoding=self.form.encoding)
        value, width = (label[0], None) if len(label) == 1 else (label.index(1), len(label))
        labels = Labels(numbers={"it": value}, width=width, it=label)
        records = self.records()
        sample = Sample(image, "it", "it.jpg", f"00001-{number:06d}")
        records[number] = b"".join(self.format.encoder(settings, labels)(sample))
        self.write(records)
        self.forge()

    def write(self, records: list[bytes]) -> None:
        with open(self.shard, "wb") as file:
            writer = self.format.writer(file, self.form.compression)
            for record in records:
                writer.write((record,))
            writer.finish()

    def change_receipt(self, **values: Any) -> None:
        self.receipt.write_text(json.dumps({**json.loads(self.receipt.read_bytes()), **values}))

    def forge(self) -> None:
        """Makes the receipt agree with the file: what is wrong has to be seen in the records."""
        data = self.shard.read_bytes()
        self.change_receipt(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def state(root: Path) -> dict[str, Any]:
    """Return all that is in an output, but for its place and the time it took to write."""
    found: dict[str, Any] = contents(root)
    found.pop("report.html", None)  # It shows how long it took to write.
    for name in found:
        if name == "report.json" or "receipts" in name:
            value = json.loads(found[name])
            passing = (
                "output",
                "seconds",
                "start_seconds",
                "images_per_second",
                "resumed_shards",
                "retries",
                "worker",
                "began",
                "read_as",  # A report that can't be read is made again without the source.
            )
            found[name] = {key: value[key] for key in value if key not in passing}
    return found


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good images and one that is none; in two splits."""
    root = tmp_path_factory.mktemp("verification") / "source"
    write_tree(root, {"train": {"bird": 6, "cat": 8, "dog": 6}, "val": {"cat": 3, "dog": 2}})
    return write_tree(root, {"train": {"cat": {"page.jpg": b"<!doctype html>"}}})


@pytest.fixture(scope="module")
def prepared(
    source: Path, tmp_path_factory: pytest.TempPathFactory, client: Client
) -> Callable[[Form], Path]:
    """The output of a run, in any form, made once."""
    made: dict[str, Path] = {}

    def prepare(form: Form) -> Path:
        if str(form) not in made:
            folder = tmp_path_factory.mktemp(str(form))
            mean = folder / "mean.json"
            mean.write_text('{"R": 120.1, "G": 116.3, "B": 104.7}')
            config = prep.Config(
                source=str(source),
                output=str(folder / "out"),
                size=SIZE,
                images_per_shard=6,
                format=form.format,
                encoding=form.encoding,
                compression=form.compression,
                label_map=form.label_map,
                mean_file=str(mean) if form.encoding == "float32" else None,
            )
            prep.run(config, client)
            made[str(form)] = folder / "out"
        return made[str(form)]

    return prepare


@pytest.fixture(params=FORMS, ids=str)
def output(
    request: pytest.FixtureRequest, prepared: Callable[[Form], Path], tmp_path: Path
) -> Output:
    """A copy that a test may damage, in each form."""
    return copied(prepared(request.param), request.param, tmp_path)


@pytest.fixture
def plain(prepared: Callable[[Form], Path], tmp_path: Path) -> Output:
    """The output in the usual form alone."""
    return copied(prepared(PLAIN), PLAIN, tmp_path)


def copied(root: Path, form: Form, folder: Path) -> Output:
    shutil.copytree(root, folder / "out")
    return Output(root=folder / "out", form=form, before=state(folder / "out"))


def told(report: prep.VerificationReport) -> str:
    return "\n".join(map(str, report.problems))


def test_a_sound_output_is_clean(output: Output, client: Client) -> None:
    report = prep.verify(output.root, client)
    assert report.problems == ()
    assert (report.clean, report.shards, report.images) == (True, 5, 25)
    assert state(output.root) == output.before


# Damage to one shard. Each gives back where it is to be found, and what is to be said of it.

Damage = Callable[[Output], tuple[str, str]]


def empty_file(output: Output) -> tuple[str, str]:
    output.shard.write_bytes(b"")
    return output.name, r"expected \d+ records; found 0"


def no_file(output: Output) -> tuple[str, str]:
    output.shard.unlink()
    return output.name, "expected a shard; found no file"


def a_flipped_bit(output: Output) -> tuple[str, str]:
    data = bytearray(output.shard.read_bytes())
    data[len(data) // 2] ^= 4
    output.shard.write_bytes(data)
    return output.name, "expected SHA-256"


def a_cut_within_a_record(output: Output) -> tuple[str, str]:
    data = output.shard.read_bytes()
    output.shard.write_bytes(data[: len(data) * 4 // 7])
    return output.name, "(the file ends within a record|ends before its trailer)"


def a_cut_after_a_record(output: Output) -> tuple[str, str]:
    records = output.records()
    output.write(records[:-2])
    return output.name, f"expected {len(records)} records; found {len(records) - 2}"


def a_dropped_record(output: Output) -> tuple[str, str]:
    records = output.records()
    output.write(records[:2] + records[3:])
    return output.name, f"expected {len(records)} records; found {len(records) - 1}"


def a_doubled_record(output: Output) -> tuple[str, str]:
    records = output.records()
    output.write(records[:3] + records[2:])
    return output.name, "expected record 3 to be its own; found record 2 once more"


def exchanged_records(output: Output) -> tuple[str, str]:
    records = output.records()
    output.write([records[1], records[0], *records[2:]])
    return (
        output.name,
        r"expected (SHA-256|[\d,]+ bytes)",
    )  # Compressed, they may have another size.


def bytes_after_the_end(output: Output) -> tuple[str, str]:
    with open(output.shard, "ab") as file:
        file.write(b"more")
    return output.name, r"expected [\d,]+ bytes; found [\d,]+ bytes"


def no_trailer(output: Output) -> tuple[str, str]:
    """Cut off the trailer, or else the end of the last record or of the archive."""
    data = output.shard.read_bytes()
    length = sum(map(len, output.records())) + 512 if data.endswith(bytes(1024)) else -4
    output.shard.write_bytes(data[:length])
    return output.name, "(ends before its trailer|ends within (a record|the end of the archive))"


def a_file_of_another_kind(output: Output) -> tuple[str, str]:
    output.shard.write_bytes(b"<!doctype html>")
    return output.name, "(expected a TFRecord file|the file ends before the archive does)"


def other_compression(output: Output) -> tuple[str, str]:
    """Compress the same records otherwise, with a receipt that agrees."""
    if output.form.format == "webdataset":
        output.shard.write_bytes(gzip.compress(output.shard.read_bytes()))
    else:
        other: Compression | None = None if output.form.compression else "GZIP"
        records = output.records()
        Output(root=output.root, form=Form(compression=other), before={}).write(records)
    output.forge()
    return output.name, "(expected compression|expected the header of a tar file)"


def an_image_that_is_none(output: Output) -> tuple[str, str]:
    """In a whole record, and with a receipt that agrees with the file."""
    image, label = output.record(1)
    output.replace(1, image[: len(image) // 2], label)
    return output.name, "expected record 1 to be whole"


def an_image_of_another_size(output: Output) -> tuple[str, str]:
    pixels = picture(SIZE, SIZE + 1)
    image = {
        "jpeg": jpeg(pixels),
        "raw": pixels.tobytes(),
        "float32": pixels.astype("<f4").tobytes(),
    }[output.form.encoding]
    output.replace(0, image, output.record(0).label)
    return output.name, "record 0 to be whole; found expected"


def an_image_of_another_kind(output: Output) -> tuple[str, str]:
    """A PNG: our readers take one as well, but it was not written by us."""
    image = image_file(picture(SIZE, SIZE), "PNG")
    output.replace(0, image, output.record(0).label)
    return output.name, "expected record 0 to be whole"


def a_label_of_another_class(output: Output) -> tuple[str, str]:
    image, label = output.record(0)
    output.replace(0, image, ((label[0] + 1) % 3,) if len(label) == 1 else label[1:] + label[:1])
    return output.name, r"expected record 0 to have label \d \('\w+'\); found label \d \('\w+'\)"


def a_label_of_no_class(output: Output) -> tuple[str, str]:
    image, label = output.record(0)
    output.replace(0, image, (77,) if len(label) == 1 else (1, 1, 1))
    return output.name, "which is not in the map"


def wrong_sums(output: Output) -> tuple[str, str]:
    stats = json.loads(output.receipt.read_bytes())["stats"]
    output.change_receipt(stats={**stats, "sums": [s - s // 10 for s in stats["sums"]]})
    return output.name, "(expected sums|expected a mean of)"


def no_receipt(output: Output) -> tuple[str, str]:
    output.receipt.unlink()
    return RECEIPT, f"expected the receipt of {output.shard.name}; found a file without one"


def neither_file_nor_receipt(output: Output) -> tuple[str, str]:
    output.receipt.unlink()
    output.shard.unlink()
    return RECEIPT, "it was not written"


def half_a_receipt(output: Output) -> tuple[str, str]:
    data = output.receipt.read_bytes()
    output.receipt.write_bytes(data[: len(data) // 2])
    return RECEIPT, "expected a receipt; found one that can't be read"


def a_receipt_of_another_plan(output: Output) -> tuple[str, str]:
    output.change_receipt(fingerprint="0" * 64)
    return RECEIPT, "expected a receipt of this plan"


def a_receipt_of_another_shard(output: Output) -> tuple[str, str]:
    shutil.copy(output.receipt.with_name("00000.json"), output.receipt)
    return RECEIPT, "it is that of shard 0 of 'train'"


def a_receipt_that_counts_otherwise(output: Output) -> tuple[str, str]:
    written = json.loads(output.receipt.read_bytes())["written"]
    counted = {**written, "cat": written.get("cat", 0) + 1}
    output.change_receipt(written=counted, measures="")  # With measures, it can't be read at all.
    return RECEIPT, "expected images: 5; found 6"


def a_receipt_with_nonsense(output: Output) -> tuple[str, str]:
    output.change_receipt(written="many")
    return RECEIPT, 'written: expected an object of whole numbers, found "many"'


DAMAGES: list[Damage] = [
    empty_file,
    no_file,
    a_flipped_bit,
    a_cut_within_a_record,
    a_cut_after_a_record,
    a_dropped_record,
    a_doubled_record,
    exchanged_records,
    bytes_after_the_end,
    no_trailer,
    a_file_of_another_kind,
    other_compression,
    an_image_that_is_none,
    an_image_of_another_size,
    an_image_of_another_kind,
    a_label_of_another_class,
    a_label_of_no_class,
    wrong_sums,
]
DAMAGES_TO_RECEIPTS: list[Damage] = [
    no_receipt,
    neither_file_nor_receipt,
    half_a_receipt,
    a_receipt_of_another_plan,
    a_receipt_of_another_shard,
    a_receipt_that_counts_otherwise,
    a_receipt_with_nonsense,
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_shard_is_found_named_and_repaired(
    output: Output, damage: Damage, client: Client
) -> None:
    is_found_named_and_repaired(output, damage, client)


@pytest.mark.parametrize("damage", DAMAGES_TO_RECEIPTS, ids=lambda damage: damage.__name__)
def test_a_damaged_receipt_is_found_named_and_repaired(
    plain: Output, damage: Damage, client: Client
) -> None:
    is_found_named_and_repaired(plain, damage, client)


def is_found_named_and_repaired(output: Output, damage: Damage, client: Client) -> None:
    where, said = damage(output)
    damaged = contents(output.root)
    report = prep.verify(output.root, client)
    assert not report.clean
    # What was made of receipts does not agree with one that has been changed, either.
    found = {problem.where for problem in report.problems}
    assert without_derived(found) - {"report.json", "mean_rgb.json"} == {where}
    assert {p.remedy for p in report.problems if p.where == where} == {"rewrite"}
    assert_matches(said, told(report))
    assert contents(output.root) == damaged
    repaired = prep.verify(output.root, client, repair=True)
    assert repaired.problems == ()
    assert repaired.repaired == report.problems
    assert prep.verify(output.root, client).clean
    assert state(output.root) == output.before


def assert_matches(pattern: str, text: str) -> None:
    with pytest.raises(ValueError, match=pattern):
        raise ValueError(text)


# What lies beside the shards.


def a_shard_of_another_count(output: Output) -> tuple[str, str]:
    name = "train/train-00000-of-00099.tfrecord"
    shutil.copy(output.shard, output.root / name)
    return name, "expected only the shards of the plan"


def a_receipt_too_many(output: Output) -> tuple[str, str]:
    name = ".prep/receipts/train/00009.json"
    shutil.copy(output.receipt, output.root / name)
    return name, "expected only the receipts of the plan"


def what_a_killed_attempt_left(output: Output) -> tuple[str, str]:
    name = f"train/.{'0' * 32}.partial"
    (output.root / name).write_bytes(b"half a shard")
    return name, "expected no temporary files"


def a_wrong_mean(output: Output) -> tuple[str, str]:
    (output.root / "mean_rgb.json").write_text('{"R": 1.0, "G": 2.0, "B": 3.0}')
    return "mean_rgb.json", 'found {"R": 1.0, "G": 2.0, "B": 3.0}'


def no_mean(output: Output) -> tuple[str, str]:
    (output.root / "mean_rgb.json").unlink()
    told = "expected the mean that the receipts add up to; found no such file"
    return "mean_rgb.json", told


def a_report_that_counts_otherwise(output: Output) -> tuple[str, str]:
    path = output.root / "report.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "shards": 7, "refused": []}))
    return "report.json", "other values of shards, refused"


def half_a_report(output: Output) -> tuple[str, str]:
    path = output.root / "report.json"
    path.write_bytes(path.read_bytes()[:100])
    return "report.json", "found a file that can't be read"


def other_labels(output: Output) -> tuple[str, str]:
    (output.root / "label_map.json").write_text('{"cat": 5}')
    return "label_map.json", "expected the label map of the plan"


def no_image_list(output: Output) -> tuple[str, str]:
    (output.root / ".prep/manifest.parquet").unlink()
    return ".prep/manifest.parquet", "expected the manifest; found one that can't be read"


def half_an_image_list(output: Output) -> tuple[str, str]:
    path = output.root / ".prep/manifest.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    return ".prep/manifest.parquet", "expected the manifest; found one that can't be read"


DAMAGES_BESIDE: list[Damage] = [
    a_shard_of_another_count,
    a_receipt_too_many,
    what_a_killed_attempt_left,
    a_wrong_mean,
    no_mean,
    a_report_that_counts_otherwise,
    half_a_report,
    other_labels,
    no_image_list,
    half_an_image_list,
]


@pytest.mark.parametrize("damage", DAMAGES_BESIDE, ids=lambda damage: damage.__name__)
def test_damage_beside_the_shards_is_found_named_and_repaired(
    plain: Output, damage: Damage, client: Client
) -> None:
    where, said = damage(plain)
    damaged = contents(plain.root)
    shards = {path: path.stat().st_ino for path in plain.root.glob("*/*.tfrecord")}
    report = prep.verify(plain.root, client)
    assert [problem.where for problem in report.problems] == [where]
    assert said in told(report)
    assert contents(plain.root) == damaged
    assert prep.verify(plain.root, client, repair=True).clean
    assert state(plain.root) == plain.before
    kept = {path: path.stat().st_ino for path in plain.root.glob("*/*.tfrecord")}
    assert kept.items() <= shards.items()  # None was written again.


def test_much_damage_at_once(output: Output, client: Client) -> None:
    empty_file(output)
    wheres = {output.name}
    for damage in (
        a_shard_of_another_count,
        what_a_killed_attempt_left,
        other_labels,
        no_image_list,
    ):
        wheres.add(damage(output)[0])
    other = output.name.replace("train", "val").replace("1-of-00004", "0-of-00001")
    (output.root / other).unlink()
    wheres.add(other)
    a_wrong_mean(output)  # Which can't be told before the image list is there again.
    report = prep.verify(output.root, client)
    assert {problem.where for problem in report.problems} == wheres
    assert prep.verify(output.root, client, repair=True).clean
    assert state(output.root) == output.before


def test_files_of_others_are_left_alone(plain: Output, client: Client) -> None:
    others = {
        "train/notes.txt": b"mine",
        "train/val-00000-of-00003.tfrecord": b"of another split",
        "test/test-00000-of-00003.tfrecord": b"of a split that is not planned",
        ".prep/notes.json": b"{}",
    }
    for name, data in others.items():
        (plain.root / name).parent.mkdir(exist_ok=True)
        (plain.root / name).write_bytes(data)
    empty_file(plain)
    report = prep.verify(plain.root, client, repair=True)
    assert report.clean
    assert set(report.unrelated) == {name for name in others if name.endswith(".tfrecord")}
    assert state(plain.root) == {**plain.before, **others}


def test_a_folder_named_like_a_shard_is_named_and_stays(plain: Output, client: Client) -> None:
    folder = plain.root / "train/train-00000-of-00099.tfrecord"
    folder.mkdir()
    report = prep.verify(plain.root, client, repair=True)
    assert [(p.where, p.remedy) for p in report.problems] == [
        ("train/train-00000-of-00099.tfrecord", "none")
    ]
    assert folder.is_dir()


# What can't be repaired.


@pytest.fixture
def own(source: Path, tmp_path: Path, client: Client) -> Output:
    """An output whose source a test may change."""
    shutil.copytree(source, tmp_path / "source")
    root = tmp_path / "out"
    config = prep.Config(
        source=str(tmp_path / "source"), output=str(root), size=SIZE, images_per_shard=6
    )
    prep.run(config, client)
    return Output(root=root, form=PLAIN, before=state(root))


def vanish(path: Path) -> None:
    path.unlink()


def touch(path: Path) -> None:
    os.utime(path, ns=(10**18, 2 * 10**18))


@pytest.mark.parametrize("change", [vanish, touch])
def test_a_shard_whose_images_have_changed_is_left_as_it_is(
    own: Output, client: Client, change: Callable[[Path], None]
) -> None:
    source = own.root.parent / "source"
    for path in source.glob("train/*/*.jpg"):
        change(path)
    a_flipped_bit(own)
    a_wrong_mean(own)
    damaged = contents(own.root)
    report = prep.verify(own.root, client, repair=True)
    assert {problem.where for problem in report.problems} == {SHARD}
    assert f"expected its images in '{source}' as they were" in told(report)
    assert "5 images of its 5 changed or gone, such as 'train/" in told(report)
    assert [problem.where for problem in report.repaired] == ["mean_rgb.json"]
    after = contents(own.root)
    assert {name for name in after if after[name] != damaged[name]} <= {"mean_rgb.json"}


def test_other_bytes_of_the_same_size_and_time_are_told_of(own: Output, client: Client) -> None:
    for path in (own.root.parent / "source").glob("train/*/*.jpg"):
        data = path.read_bytes()
        path.write_bytes(data[::-1])
        os.utime(path, ns=(10**18, 10**18))
    a_flipped_bit(own)
    report = prep.verify(own.root, client, repair=True)
    assert not report.clean
    assert "other contents" in told(report)


def test_a_manifest_of_a_source_that_has_changed_stays_lost(own: Output, client: Client) -> None:
    next((own.root.parent / "source").glob("train/*/*.jpg")).unlink()
    no_image_list(own)
    report = prep.verify(own.root, client, repair=True)
    assert "images: " in told(report)
    assert {problem.where for problem in report.problems} == {".prep/manifest.parquet"}


def test_other_versions_write_nothing_again(own: Output, client: Client) -> None:
    """A plan of another version, whole in itself."""
    path = own.root / ".prep/plan.json"
    plan = json.loads(path.read_bytes())
    plan["fingerprint"]["version of opencv"] = "4.1"
    text = json.dumps(plan["fingerprint"], sort_keys=True).encode()
    path.write_text(json.dumps({**plan, "digest": hashlib.sha256(text).hexdigest()}))
    report = prep.verify(own.root, client, repair=True)
    assert "expected opencv 4.1, to write the same shards again" in told(report)
    assert set(contents(own.root, "**/*.tfrecord")) == {n for n in own.before if "tfrec" in n}


def test_a_plan_that_contradicts_itself_is_named(plain: Output, client: Client) -> None:
    path = plain.root / ".prep/plan.json"
    labels = {"bird": 3, "cat": 1, "dog": 0}
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "labels": labels}))
    report = prep.verify(plain.root, client)
    assert [p.remedy for p in report.problems if p.where == ".prep/plan.json"] == ["none"]


def test_what_is_not_an_output(tmp_path: Path, client: Client) -> None:
    with pytest.raises(SourceError, match="holds no run"):
        prep.verify(tmp_path, client)
    with pytest.raises(SourceError):
        prep.verify(tmp_path / "nowhere", client)


def test_a_plan_that_is_lost(plain: Output, client: Client) -> None:
    (plain.root / ".prep/plan.json").unlink()
    with pytest.raises(PrepError, match="expected the plan of this output, found no such file"):
        prep.verify(plain.root, client)


def test_workers_and_a_client_contradict_each_other(plain: Output, client: Client) -> None:
    with pytest.raises(ConfigError, match="workers, cluster"):
        prep.verify(plain.root, client, workers=2)


# Sums of JPEGs


@pytest.mark.parametrize(
    ("quality", "size"),
    [(1, 32), (30, 32), (90, 32), (100, 32), (1, 7), (50, 8), (90, 8), (90, 35)],
)
def test_the_hardest_pictures_are_within_the_tolerance_of_sums(
    quality: int, size: int, tmp_path: Path, client: Client
) -> None:
    """Single colours, and single pixels of them: nothing moves the mean of a JPEG further."""
    colours = [(r, g, b) for r in (0, 255) for g in (0, 255) for b in (0, 255)]
    random = np.random.default_rng(0)
    for number, colour in enumerate([*colours, (3, 77, 201), (250, 250, 240)]):
        flat = np.full((size, size, 3), colour, np.uint8)
        dots = np.zeros_like(flat)
        dots[::2, ::2] = colour
        noise = random.choice(np.array([0, 255], np.uint8), (size, size, 3)) & flat
        files = {
            f"{kind}.png": image_file(pixels, "PNG")
            for kind, pixels in {
                "flat": flat,
                "dots": dots,
                "noise": noise,
                "smooth": picture(size, size),
            }.items()
        }
        write_tree(tmp_path / "source", {"train": {f"c{number}": files}})
    config = prep.Config(
        source=str(tmp_path / "source"),
        output=str(tmp_path / "out"),
        size=size,
        quality=quality,
        images_per_shard=1,
    )
    prep.run(config, client)
    assert prep.verify(config.output, client).problems == ()


# Runs that were stopped


@pytest.fixture
def stopped(source: Path, tmp_path: Path) -> Path:
    """An output of which three of five shards are committed, and a fourth was just begun."""
    config = prep.Config(
        source=str(source), output=str(tmp_path / "out"), size=SIZE, images_per_shard=6
    )
    made, journal = prep.plan(config), Journal(config.output)
    configure_process()
    journal.begin(made)
    run = RunRef(output=journal.output, digest=made.fingerprint.digest, run="r")
    for shard in made.shards[:4]:
        write_shard(shard, run)
    (tmp_path / "out/.prep/receipts/train/00003.json").unlink()  # Killed before it was there.
    (tmp_path / "out/val/.val-00000-of-00001.tfrecord.1.partial").touch()
    return tmp_path / "out"


def begun_with(output: Path) -> prep.Config:
    """The configuration of an output."""
    stored = Journal(output).stored_plan()
    assert stored is not None
    return stored.config


def test_a_stopped_run_is_one_line(
    stopped: Path, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(stopped)
    report = prep.verify(stopped, client)
    assert (report.problems, report.clean) == ((), False)
    assert (report.committed, report.shards) == (3, 5)
    print_verification(report)
    assert capsys.readouterr().out == (
        f"{stopped}: 3 of 5 shards are committed, with {report.images} images: OK; "
        "repeat the run to continue\n"
    )
    assert "not finished" in report._repr_html_()
    assert contents(stopped) == before
    receipts = Journal(stopped).committed(prep.plan(begun_with(stopped)))
    assert report.images == sum(receipt.images for receipt in receipts)
    assert prep.run(begun_with(stopped), client).resumed_shards == 3
    assert prep.verify(stopped, client).clean


def test_of_a_run_that_is_at_work_it_is_said_so(stopped: Path, client: Client) -> None:
    with Journal(stopped).lock():
        report = prep.verify(stopped, client)
    assert (report.running, report.clean, report.committed) == (True, False, 3)
    told = report.summary()
    assert told.endswith(": OK; a run is at work in it: verify it again when that has ended")
    assert "a run is at work" in report._repr_html_()


def test_what_is_wrong_with_a_stopped_run_is_said_of_what_is_there(
    stopped: Path, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    shard = stopped / SHARD
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    print_verification(prep.verify(stopped, client))
    first, *problems = capsys.readouterr().out.splitlines()
    assert re.search(r"3 of 5 shards are committed, .*: 3 problems; repeat the run", first)
    assert all(line.startswith(f"{SHARD}\t") for line in problems)
    assert re.match(r"SHA-256 [0-9a-f]{12}…\t[0-9a-f]{12}…\t", problems[0].partition("\t")[2])
    repaired = prep.verify(stopped, client, repair=True)
    assert (repaired.problems, len(repaired.repaired), repaired.committed) == ((), 3, 3)
    assert shard.read_bytes() == whole
    assert not (stopped / "report.json").exists()


def test_a_run_that_had_committed_nothing(source: Path, tmp_path: Path, client: Client) -> None:
    config = prep.Config(source=str(source), output=str(tmp_path / "out"), size=SIZE)
    Journal(config.output).begin(prep.plan(config))
    report = prep.verify(config.output, client)
    assert report.summary().endswith(
        "0 of 2 shards are committed, with 0 images: OK; repeat the run to continue"
    )


def test_a_repair_shows_the_shards_that_it_repairs(plain: Output, client: Client) -> None:
    plain.shard.unlink()
    told = Recorder()
    report = prep.verify(plain.root, client, repair=True, callbacks=[told])
    first, repairing, again = told.of(WorkStarted)
    assert (first.planned, first.shards) == (26, 5)
    assert (repairing.title, repairing.shards) == ("repairing", 1)
    counts = told.events[told.events.index(repairing) : told.events.index(again)]
    last = [event for event in counts if isinstance(event, LiveCounts)][-1]
    assert repairing.planned == last.images == again.planned
    assert last.shards == again.shards == 1
    assert [shard.path for shard in told.of(ShardCommitted)] == [str(plain.shard)]
    assert told.events[-1] == RunEnded(verdict=report.verdict, report=report)
    assert [problem.where for problem in report.repaired] == [SHARD]


# At a terminal


@pytest.mark.slow
def test_the_command(plain: Output) -> None:
    clean = run_prep("verify", plain.root, "--workers", "1")
    assert (clean.returncode, clean.stdout) == (
        0,
        f"{plain.root}: 5 shards with 25 images: OK\n",
    )
    empty_file(plain)
    broken = run_prep("verify", plain.root, "--workers", "1")
    assert broken.returncode == 1
    assert SHARD in broken.stdout
    assert "5 records" in broken.stdout
    assert "--repair writes the shard again" in broken.stdout
    *problems, _ = broken.stdout.splitlines()
    assert {line.count("\t") for line in problems} == {3}
    with Terminal("verify", plain.root, "--workers", "1", cwd=plain.root) as terminal:
        assert terminal.wait() == 1
        wait_until(lambda: terminal.shown.endswith("problems\r\n"))
        assert re.search(r"where.*expected.*found.*remedy", terminal.shown)
    repaired = run_prep("verify", plain.root, "--repair", "--workers", "1")
    assert repaired.returncode == 0
    assert "problems repaired" in repaired.stdout
    assert state(plain.root) == plain.before


def test_names_of_shards_stay_whole_in_a_table_of_80_columns() -> None:
    found = "SHA-256 " + 64 * "f"
    problems = [mismatch("train/train-00041-of-00042.tfrecord", "SHA-256 0", found, "rewrite")]
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(problem_table(problems, console.width))
    shown = console.export_text()
    assert "│ train/train-00041-of-00042.tfrecord │" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_a_problem_is_one_whole_line_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    long = "a/b " * 200
    problems = (
        mismatch(f"{long}\n\t.json", "[a]", "b", "none"),
        mismatch("c", "d", "e", "remove"),
    )
    report = VerificationReport(output="out", shards=2, images=9, problems=problems)
    print_verification(report)
    assert report.to_json()["problems"][1] == {
        "where": "c",
        "expected": "d",
        "found": "e",
        "remedy": "remove",
    }
    assert capsys.readouterr().out.splitlines() == [
        f"{long}\\n\\t.json\t[a]\tb\t--repair can't help",
        "c\td\te\t--repair removes it",
        "out: 2 shards with 9 images: 2 problems",
    ]


def test_the_command_on_something_else(tmp_path: Path) -> None:
    done = run_prep("verify", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        "holds no run (there is no plan in it); give the path that was the --output" in done.stderr
    )
