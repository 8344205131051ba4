"""WebDataset shards against tarfile, GNU tar, NumPy and the webdataset library."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import webdataset
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import prep
from prep.errors import ConfigError, OutputConflict, RecordError
from prep.operations.averaging.mean import mean_rgb
from prep.operations.tools.lookup import find_record
from prep.output.journal import Journal
from prep.planning.shards import ShardSpec
from prep.settings.choices import Encoding
from prep.settings.image_settings import ImageSettings
from prep.shards.check import inspect_shard
from prep.shards.formats.base import Sample, format_of_file, record_key
from prep.shards.formats.webdataset import FORMAT
from prep.shards.writer import RunRef, write_shard
from prep.sources.labels import LabelMap
from tests.support.clusters import contents, wait_until
from tests.support.pictures import jpeg, picture, write_tree

SIZE = 16
LABELS = LabelMap(numbers={"cat": 3, "chat né\udcff": -(1 << 63), "dog": 0})
ONE_HOT = LabelMap(numbers={"cat": 2, "chat né\udcff": 0, "dog": 1}, width=4)
ALONE = LabelMap(numbers=dict.fromkeys(LABELS.numbers, 0), width=1)
MEAN = {"R": 120.5, "G": 116.25, "B": 104.0}

samples = st.lists(
    st.builds(
        lambda image, name, path: (image, name, path),
        st.binary(max_size=1200),
        st.sampled_from(sorted(LABELS.numbers)),
        st.text(st.characters(exclude_characters="\0"), max_size=40),
    ),
    max_size=5,
)


def keyed(found: Sequence[tuple[bytes, str, str]]) -> list[Sample]:
    return [Sample(*sample, record_key(3, number)) for number, sample in enumerate(found)]


def written(
    found: Sequence[Sample], labels: LabelMap = LABELS, encoding: Encoding = "jpeg"
) -> bytes:
    """The bytes of a shard."""
    file = io.BytesIO()
    encode = FORMAT.encoder(ImageSettings(size=SIZE, encoding=encoding), labels)
    writer = FORMAT.writer(file)
    for sample in found:
        writer.write(encode(sample))
    writer.finish()
    return file.getvalue()


def read(data: bytes) -> list[tuple[bytes, tuple[int, ...]]]:
    return [tuple(FORMAT.parse(record)) for record in FORMAT.records(io.BytesIO(data))]


@given(found=samples, labels=st.sampled_from([LABELS, ONE_HOT, ALONE]))
def test_any_samples_read_back_and_are_what_tarfile_writes(
    found: list[tuple[bytes, str, str]], labels: LabelMap
) -> None:
    data = written(keyed(found), labels)
    assert read(data) == [(image, labels.feature(name)) for image, name, _ in found]
    theirs = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(data)) as ours,
        tarfile.open(fileobj=theirs, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for member in ours:
            copy = tarfile.TarInfo(member.name)
            copy.size = member.size
            archive.addfile(copy, ours.extractfile(member))
        about = [json.load(ours.extractfile(m)) for m in ours if m.name.endswith(".json")]  # type: ignore[arg-type]
    assert theirs.getvalue() == data
    assert [(a["class"], a["name"]) for a in about] == [(name, path) for _, name, path in found]


def test_gnu_tar_reads_the_files_and_finds_none_wrong(tmp_path: Path) -> None:
    image = jpeg(picture(16, 16))
    data = written(keyed([(image, "cat", "a/b.jpg"), (b"", "dog", "c.jpg")]))
    (tmp_path / "a.tar").write_bytes(data)
    for action in ("-xpf", "-df"):
        done = subprocess.run(
            ["tar", action, "a.tar"], cwd=tmp_path, check=True, capture_output=True
        )
        assert done.stderr == b""
    names = [f"00003-00000{number}.{end}" for number in (0, 1) for end in ("cls", "jpg", "json")]
    assert sorted(path.name for path in tmp_path.glob("0*")) == names
    assert (tmp_path / names[0]).read_bytes() == b"3"
    assert (tmp_path / names[1]).read_bytes() == image
    status = (tmp_path / names[1]).stat()
    assert (status.st_mode & 0o777, status.st_mtime) == (0o644, 0)


@pytest.mark.parametrize("encoding", ["raw", "float32"])
def test_samples_are_what_numpy_saves(encoding: Encoding) -> None:
    kind = "u1" if encoding == "raw" else "<f4"
    array = np.arange(SIZE * SIZE * 3).reshape(SIZE, SIZE, 3).astype(kind)
    data = written(keyed([(array.tobytes(), "dog", "a.jpg")]), encoding=encoding)
    saved = io.BytesIO()
    np.save(saved, array)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert archive.extractfile("00003-000000.npy").read() == saved.getvalue()  # type: ignore[union-attr]
    assert read(data) == [(array.tobytes(), (0,))]


def test_shards_that_the_webdataset_library_writes_are_read(tmp_path: Path) -> None:
    """Its headers have a time with fractions, in a pax header of its own."""
    with webdataset.TarWriter(str(tmp_path / "a.tar")) as writer:
        for number in range(3):
            image = Image.fromarray(picture(20, 30))
            writer.write({"__key__": f"folder.x/{number}", "png": image, "cls": number})
    found = [find_record(str(tmp_path), number) for number in range(3)]
    assert [(record.label, record.kind) for record in found] == [((n,), "PNG") for n in range(3)]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(found[0].picture))), picture(20, 30))
    with webdataset.TarWriter(str(tmp_path / "a.tar")) as writer:
        writer.write({"__key__": "1", "txt": "no image"})
    with pytest.raises(RecordError, match=r"record 0: expected members jpg, .* found txt"):
        mean_rgb(tmp_path)


# Damage


def test_a_tar_file_cut_anywhere_is_refused() -> None:
    whole = written(keyed([(b"abc", "cat", "a.jpg"), (b"", "dog", "b.jpg")]))
    end = len(whole.rstrip(b"\0")) // 512 * 512 + 512
    for cut in range(0, end + 1024, 7):
        with pytest.raises(RecordError, match="the file ends"):
            read(whole[:cut])
    assert len(read(whole[: end + 1024])) == 2


def test_what_follows_the_archive_is_not_passed_over_in_silence() -> None:
    whole = written(keyed([(b"abc", "cat", "a.jpg")]))
    for more in (b"x", whole):
        with pytest.raises(RecordError, match="something after the end of the archive"):
            read(whole + more)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((0, b"1"), "wrong checksum of a member's header, at byte 0"),  # another key
        ((124, b"99999999999"), "expected the header of a tar file, at byte 0"),  # no octal size
        ((512, b"x"), "wrong checksum of its jpg"),
        ((520, b"x"), "expected zeros after its jpg"),
        ((1536, b"4"), "expected one label, found 4 in .cls and another in .json"),
        ((1536, b"a"), "expected a number in .cls"),
        ((2560, b"["), "JSON in .json"),
    ],
)
def test_damage_is_named(change: tuple[int, bytes], message: str) -> None:
    data = bytearray(written(keyed([(b"abc", "cat", "a.jpg")])))
    at, there = change
    data[at : at + len(there)] = there
    with pytest.raises(RecordError, match=message):
        read(bytes(data))


def test_records_before_a_damaged_header_are_read() -> None:
    data = bytearray(written(keyed([(b"abc", "cat", "a.jpg"), (b"d", "dog", "b.jpg")])))
    data[6 * 512] ^= 1
    records = FORMAT.records(io.BytesIO(data))
    assert FORMAT.parse(next(records)).image == b"abc"
    with pytest.raises(RecordError, match="header, at byte 3072"):
        next(records)


def test_no_more_than_a_record_may_have_is_read() -> None:
    data = written(keyed([(bytes(5000), "cat", "a.jpg")]))
    with pytest.raises(RecordError, match="claims"):
        list(FORMAT.records(io.BytesIO(data), largest=4000))
    assert FORMAT.count(io.BytesIO(data), largest=4000) == 1


def test_records_are_chosen_and_counted_without_their_data() -> None:
    data = bytearray(written(keyed([(b"%d" % n, "dog", "a") for n in range(4)])))
    data[512] ^= 1  # of a record that nobody asks for
    assert list(FORMAT.chosen(io.BytesIO(data), {2, 9})) == [(2, (b"2", (0,)))]
    assert FORMAT.count(io.BytesIO(data)) == 4


# Outputs


def begin(output: Path, source: Path, **values: object) -> tuple[prep.Config, RunRef]:
    settings = {"size": SIZE, "images_per_shard": 4, "format": "webdataset", **values}
    config = prep.Config(source=str(source), output=str(output), **settings)  # type: ignore[arg-type]
    plan = prep.plan(config)
    Journal(config.output).begin(plan)
    return config, RunRef(output=config.output, digest=plan.fingerprint.digest, run="1")


def write(output: Path, source: Path, **values: object) -> Path:
    """Writes an output in this process."""
    config, run = begin(output, source, **values)
    for shard in prep.plan(config).shards:
        write_shard(shard, run)
    return output


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("webdataset") / "source"
    write_tree(root, {"train": {"cat": 5, "dog": 4}, "val": {"dog": 2}})
    (root / "train/cat/broken.jpg").write_bytes(b"no image")
    return root


@pytest.mark.parametrize(
    ("encoding", "one_hot"), [("jpeg", False), ("raw", True), ("float32", False)]
)
def test_all_readers_give_the_same(
    encoding: str, one_hot: bool, source: Path, tmp_path: Path
) -> None:
    values: dict[str, object] = {"encoding": encoding}
    if one_hot:
        values["label_map"] = {"cat": [0, 0, 1], "dog": [1, 0, 0]}
    if encoding == "float32":
        (tmp_path / "mean.json").write_text(json.dumps(MEAN))
        values["mean_file"] = str(tmp_path / "mean.json")
    output = write(tmp_path / "out", source, **values)
    twin = write(tmp_path / "twin", source, **values, format="tfrecord")
    names = [path.name for path in sorted(output.glob("train/*"))]
    assert names == [f"train-0000{number}-of-00003.tar" for number in range(3)]
    ours, theirs = (list(prep.load(out).as_numpy_iterator()) for out in (output, twin))
    assert len(ours) == len(prep.load(output)) == 9
    shards = f"{output}/train/train-{{00000..00002}}-of-00003.tar"
    dataset = webdataset.WebDataset(shards, shardshuffle=False).decode("rgb8")
    found = list(dataset.to_tuple("__key__", "jpg" if encoding == "jpeg" else "npy", "cls"))
    for (image, label), (expected, same), (_, array, number) in zip(
        ours, theirs, found, strict=True
    ):
        assert np.array_equal(image, expected)
        assert np.array_equal(label, same)
        assert array.dtype == image.dtype
        # Pillow's decoder is not TensorFlow's.
        assert np.allclose(array, image, atol=2 if encoding == "jpeg" else 0)
        assert number == (label.argmax() if one_hot else label)
    assert len({key for key, *_ in found}) == 9
    one, other = mean_rgb(output / "train"), mean_rgb(twin / "train")
    assert (one.images, one.mean) == (other.images, other.mean)


def test_a_record_is_shown_with_what_it_was_made_of(source: Path, tmp_path: Path) -> None:
    output = write(tmp_path / "out", source)
    twin = write(tmp_path / "twin", source, format="tfrecord")
    for number in range(11):
        found, expected = find_record(str(output), number), find_record(str(twin), number)
        assert dataclasses.replace(found, shard=expected.shard, features={}) == expected
        with tarfile.open(found.shard) as archive:
            member = f"{found.shard.split('-')[-3]}-{found.number:06d}.json"
            about = json.load(archive.extractfile(member))  # type: ignore[arg-type]
        assert (about["name"], about["class"]) == (found.source, found.classes[0])
        assert found.features == {name: (about[name],) for name in ("class", "name", "crc32c")}


@pytest.fixture(scope="module")
def sound(source: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunRef]:
    config, run = begin(tmp_path_factory.mktemp("sound") / "out", source)
    write_shard(prep.plan(config).shards[0], run)
    return Path(config.output), run


@given(bit=st.integers(0, 8 * 20 * 512 - 1))
def test_a_flipped_bit_anywhere_in_a_shard_is_found(bit: int, sound: tuple[Path, RunRef]) -> None:
    output, run = sound
    path = output / "train/train-00000-of-00003.tar"
    data = path.read_bytes()
    damaged = bytearray(data)
    damaged[bit // 8] ^= 1 << bit % 8
    path.write_bytes(damaged)
    shard = ShardSpec(split="train", index=0, count=3, start=0, stop=3, format="webdataset")
    problems = [str(problem) for problem in inspect_shard(shard, run).problems]
    path.write_bytes(data)
    assert any("expected SHA-256" in problem for problem in problems)


@pytest.mark.slow
def test_a_run_that_is_killed_is_continued_and_repaired_with_the_same_bytes(
    tmp_path: Path,
) -> None:
    """Two images are the same, and one is none, so that the lists have rows."""
    source = write_tree(tmp_path / "source", {"train": {"cat": 30, "dog": 9}})
    shutil.copy(next(source.glob("train/cat/*")), source / "train/dog/copy.jpg")
    (source / "train/cat/broken.jpg").write_bytes(b"no image")
    flags = [source, tmp_path / "out", "--format=webdataset", "--images-per-shard=1", "--size=256"]
    command = [sys.executable, "-m", "prep", "run", *map(str, flags)]
    with subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: list(tmp_path.glob("out/.prep/receipts/train/*.json")))
        os.killpg(process.pid, signal.SIGKILL)
    assert len(list(tmp_path.glob("out/.prep/receipts/train/*.json"))) < 41
    settings = {"format": "webdataset", "images_per_shard": 1, "size": 256}
    report = prep.run({"source": str(source), "output": str(tmp_path / "out"), **settings})
    assert (report.images["written"], report.images["refused"]) == (40, 1)
    assert report.duplicates["conflicts"] == 1
    write(tmp_path / "undisturbed", source, **settings)
    expected = contents(tmp_path / "undisturbed", "train/*")
    assert len(expected) == 41
    assert contents(tmp_path / "out", "train/*") == expected
    name = "train/train-00007-of-00041.tar"
    (tmp_path / "out" / name).write_bytes(expected[name][:-2000])
    assert {problem.where for problem in prep.verify(tmp_path / "out").problems} == {name}
    assert prep.verify(tmp_path / "out", repair=True).clean
    assert contents(tmp_path / "out", "train/*") == expected


def test_an_output_is_not_continued_in_another_format(source: Path, tmp_path: Path) -> None:
    write(tmp_path / "out", source)
    config = prep.Config(
        source=str(source), output=str(tmp_path / "out"), size=SIZE, images_per_shard=4
    )
    with pytest.raises(OutputConflict, match="format: webdataset there, tfrecord here"):
        prep.run(config)
    assert prep.run(config, overwrite=True).images["written"] == 11
    assert not list(tmp_path.glob("out/*/*.tar"))
    assert prep.verify(tmp_path / "out").clean


def test_tar_files_are_not_compressed() -> None:
    with pytest.raises(ConfigError, match=r"compression: got GZIP.*format webdataset.*leave"):
        prep.Config(source="a", output="b", format="webdataset", compression="GZIP")
    assert format_of_file("a.tar") is FORMAT
