"""Archives that are compressed as a whole: refused, or unpacked into the output."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import tarfile
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

import prep
from prep.errors import SourceError
from prep.output.journal import Journal
from prep.shards.writer import RunRef, write_shard
from prep.sources.archives import solid
from prep.storage.backends.grants import grant
from prep.storage.locate import locate
from tests.support.clusters import contents
from tests.support.pictures import write_tree
from tests.support.storages import S3


def _zstandard(data: bytes) -> bytes:
    return bytes(pa.Codec("zstd").compress(data, asbytes=True))


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "Zstandard": _zstandard,
}
SHAPE = {"train": {"cat": 2, "dog": 1}, "val": {"cat": 1}}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("solid") / "photos", SHAPE)


@pytest.fixture(scope="module")
def tar(folders: Path) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        archive.add(folders, arcname=".")
    return data.getvalue()


def config(source: Path, output: Path, *, unpack: bool = False) -> prep.Config:
    return prep.Config(source=str(source), output=str(output), size=16, unpack=unpack)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(solid, "_TEMPORARY", solid._Temporary())
    return folder


def write_all(chosen: prep.Config) -> dict[str, bytes]:
    """Write all shards of a configuration in this process, and return them."""
    return write_planned(prep.plan(chosen), chosen.output)


def write_planned(plan: prep.RunPlan, output: str) -> dict[str, bytes]:
    journal = Journal(output)
    journal.begin(plan)
    run = RunRef(output=output, digest=plan.fingerprint.digest, run=uuid.uuid4().hex)
    for shard in plan.shards:
        assert not write_shard(shard, run).findings
    return contents(Path(output), "*/*.tfrecord")


def told(chosen: prep.Config) -> str:
    with pytest.raises(SourceError) as error:
        prep.plan(chosen)
    text = str(error.value)
    assert "\n" not in text
    return text.replace(str(chosen.source), "SOURCE")


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_an_unpacked_archive_gives_the_shards_of_its_folders(
    tmp_path: Path, folders: Path, tar: bytes, temporary: Path, kind: str
) -> None:
    archive = tmp_path / "photos.compressed"
    archive.write_bytes(COMPRESSIONS[kind](tar))
    plan = prep.plan(config(archive, tmp_path / "out", unpack=True))
    assert plan.read_as == f"{kind} file of class folders in splits"
    assert not (tmp_path / "out").exists()
    archive.rename(tmp_path / "moved")  # It is in a temporary file, and then in the output.
    shards = write_planned(plan, str(tmp_path / "out"))
    assert shards == write_all(config(folders, tmp_path / "folders"))
    (kept,) = (tmp_path / "out/.prep").glob("images-*.bin")
    assert kept.read_bytes() == tar
    assert not [*temporary.iterdir()]


def test_a_compressed_zip_is_unpacked_too(tmp_path: Path, folders: Path) -> None:
    inner = shutil.make_archive(str(tmp_path / "photos"), "zip", folders)
    archive = tmp_path / "photos.zip.gz"
    archive.write_bytes(gzip.compress(Path(inner).read_bytes()))
    shards = write_all(config(archive, tmp_path / "out", unpack=True))
    assert shards == write_all(config(folders, tmp_path / "folders"))


def test_unless_it_may_be_unpacked_it_is_an_error(tmp_path: Path, tar: bytes) -> None:
    archive = tmp_path / "photos.tgz"
    archive.write_bytes(gzip.compress(tar))
    assert told(config(archive, tmp_path / "out")) == (
        "source: 'SOURCE' is compressed as a whole (gzip), so its images can't be read in parts; "
        "unpack it, and give the folder, or pass `unpack=True` to have it unpacked into the output"
    )


@pytest.mark.parametrize(
    ("magic", "kind"), [(b"7z\xbc\xaf\x27\x1c\0\4", "7z"), (b"Rar!\x1a\x07\1\0", "RAR")]
)
def test_other_formats_are_told_by_their_names(tmp_path: Path, magic: bytes, kind: str) -> None:
    archive = tmp_path / "photos.archive"
    archive.write_bytes(magic + bytes(1000))
    assert told(config(archive, tmp_path / "out", unpack=True)) == (
        f"source: 'SOURCE' is compressed by {kind}, which is not read; unpack it, and give the "
        "folder"
    )


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_a_truncated_or_damaged_archive_is_an_error(
    tmp_path: Path, tar: bytes, temporary: Path, kind: str
) -> None:
    archive = tmp_path / "photos.compressed"
    whole = COMPRESSIONS[kind](tar)
    flipped = whole[:-7] + bytes([whole[-7] ^ 1]) + whole[-6:]
    # Zstandard's checksums are optional, and seldom written.
    damaged = [] if kind == "Zstandard" else [flipped]
    for data in (whole[:-20], whole[: len(whole) // 2], *damaged):
        archive.write_bytes(data)
        text = told(config(archive, tmp_path / "out", unpack=True))
        assert text.startswith("source: can't unpack 'SOURCE': ")
        assert text.endswith("; it is truncated or damaged: get it again")
        assert not [*temporary.iterdir()]


def test_what_holds_no_archive_is_an_error(tmp_path: Path) -> None:
    archive = tmp_path / "notes.bz2"
    archive.write_bytes(bz2.compress(b"no archive " * 1000))
    assert "holds no tar or zip file" in told(config(archive, tmp_path / "out", unpack=True))


def test_later_runs_read_what_the_output_keeps(
    tmp_path: Path, tar: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "photos.tar.xz"
    archive.write_bytes(lzma.compress(tar))
    chosen = config(archive, tmp_path / "out", unpack=True)
    before = write_all(chosen)
    unpacked = []
    decompressed = solid._decompressed
    monkeypatch.setattr(solid, "_decompressed", lambda a: unpacked.append(a) or decompressed(a))
    plan = prep.plan(chosen)
    journal = Journal(chosen.output)
    assert journal.holds(plan)
    for path in (tmp_path / "out/train").glob("*.tfrecord"):
        path.unlink()
    assert write_planned(plan, chosen.output) == before
    assert not unpacked
    # Whoever has removed it to save room gets it again when it is needed.
    (kept,) = (tmp_path / "out/.prep").glob("images-*.bin")
    kept.unlink()
    assert not journal.holds(plan)
    journal.begin(plan)
    assert kept.read_bytes() == tar
    assert unpacked


def test_a_temporary_file_that_was_tidied_away_is_made_again(
    tmp_path: Path, tar: bytes, temporary: Path
) -> None:
    archive = tmp_path / "photos.tar.gz"
    archive.write_bytes(gzip.compress(tar))
    chosen = config(archive, tmp_path / "out", unpack=True)
    plan = prep.plan(chosen)
    for again in (lambda: prep.plan(chosen), lambda: Journal(chosen.output).begin(plan)):
        for path in temporary.glob("prep-unpacked-*"):
            path.unlink()
        again()
    (kept,) = (tmp_path / "out/.prep").glob("images-*.bin")
    assert kept.read_bytes() == tar


def test_another_archive_of_that_name_is_another_source(tmp_path: Path, tar: bytes) -> None:
    archive = tmp_path / "photos.tar.gz"
    archive.write_bytes(gzip.compress(tar))
    chosen = config(archive, tmp_path / "out", unpack=True)
    first = prep.plan(chosen)
    archive.write_bytes(gzip.compress(tar, 1))
    assert prep.plan(chosen).fingerprint.digest != first.fingerprint.digest


def test_one_of_several_sources_may_be_unpacked(tmp_path: Path, folders: Path) -> None:
    sources = {}
    for split in SHAPE:
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w") as archive:
            archive.add(folders / split, arcname=".")
        sources[split] = str(tmp_path / f"{split}.tar.gz")
        Path(sources[split]).write_bytes(gzip.compress(data.getvalue()))
    shards = write_all(
        prep.Config(source=sources, output=str(tmp_path / "out"), size=16, unpack=True)
    )
    assert shards == write_all(config(folders, tmp_path / "folders"))
    assert len([*(tmp_path / "out/.prep").glob("images-*.bin")]) == 2


def test_an_archive_in_s3_is_unpacked_into_an_output_there(
    tmp_path: Path, folders: Path, tar: bytes, s3: S3
) -> None:
    grant(s3.url, s3.options)
    s3.write("photos.tar.gz", gzip.compress(tar))
    output = locate(f"{s3.url}/out")
    source = f"{s3.url}/photos.tar.gz"
    write_all(prep.Config(source=source, output=str(output), size=16, unpack=True))
    found = {f"{f.parent.name}/{f.name}": f.read_bytes() for f in output.files_below()}
    expected = write_all(config(folders, tmp_path / "folders"))
    assert {name: found[name] for name in expected} == expected
    assert tar in found.values()


def test_an_output_is_repaired_from_what_it_keeps(tmp_path: Path, tar: bytes) -> None:
    archive = tmp_path / "photos.tar.bz2"
    archive.write_bytes(bz2.compress(tar))
    chosen = config(archive, tmp_path / "out", unpack=True)
    report = prep.run(chosen, workers=1)
    assert report.images["written"] == 4
    before = contents(tmp_path / "out", "*/*.tfrecord")
    archive.unlink()
    (tmp_path / "out/train/train-00000-of-00001.tfrecord").unlink()
    assert not prep.verify(chosen.output, workers=1).clean
    assert prep.verify(chosen.output, workers=1, repair=True).clean
    assert contents(tmp_path / "out", "*/*.tfrecord") == before
