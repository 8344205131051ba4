"""Tar files: their index against Python's ``tarfile``, and members read by their places."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest

from prep.sources.archives.member_reading import read_member
from prep.sources.archives.members import Members
from prep.sources.archives.tar import index_tar
from prep.sources.base import ImageEntry
from prep.storage.locate import locate
from prep.storage.location import FileChanged, Stamp


def entries(members: Members, archive: Path) -> list[ImageEntry]:
    """Return the entries that a catalog makes of an index."""
    return [
        ImageEntry(name, "", Stamp(size, mark), os.fsencode(archive), offset)
        for name, size, mark, offset in zip(
            members.names,
            members.sizes.tolist(),
            members.marks.tolist(),
            members.offsets.tolist(),
            strict=True,
        )
    ]


def contents(archive: Path) -> dict[str, bytes]:
    """Return the contents of all members, as they are read by their places."""
    found = entries(index_tar(locate(archive)), archive)
    return {entry.name: read_member(str(archive), entry) for entry in found}


def oracle(archive: Path | io.BytesIO, prefix: str = "") -> dict[str, bytes]:
    """Return the same as Python's tarfile reads it."""
    found: dict[str, bytes] = {}
    with tarfile.open(*[archive] if isinstance(archive, Path) else [None, "r:", archive]) as tar:
        for member in tar:
            name = os.path.normpath(member.name).lstrip("/")
            if not member.isdir() and not name.startswith(".."):
                file = tar.extractfile(member)
                assert file is not None
                data = file.read()
                if name.endswith(".tar"):
                    found |= oracle(io.BytesIO(data), f"{prefix}{name}/")
                else:
                    found[prefix + name] = data
    return found


@pytest.fixture
def sources() -> Path:
    data = os.environ.get("PREP_TEST_DATA")
    if not data or not (Path(data) / "sources").is_dir():
        pytest.skip("PREP_TEST_DATA has no sources")
    return Path(data) / "sources"


@pytest.mark.parametrize("name", ["archives/gnu", "archives/pax", "archives/links"])
def test_real_tars_are_read_as_tarfile_reads_them(sources: Path, name: str) -> None:
    archive = sources / f"{name}.tar"
    assert contents(archive) == oracle(archive)


def test_the_tar_of_tars_of_imagenet_is_read_in_place(sources: Path) -> None:
    archive = sources / "ilsvrc2012" / "ILSVRC2012_img_train.tar"
    found = contents(archive)
    assert found == oracle(archive)
    truth = (sources / "ilsvrc2012" / "truth.csv").read_text()
    for name, data in found.items():
        assert f"{archive.name}/{name}," in truth
        assert hashlib.sha256(data).hexdigest()[:16] in truth


def test_a_member_that_was_replaced_is_noticed(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    write(archive, {"cat.jpg": b"first"})
    [entry] = entries(index_tar(locate(archive)), archive)
    status = archive.stat()
    assert read_member(str(archive), entry) == b"first"
    write(archive, {"dog.jpg": b"other"})
    os.utime(archive, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(FileChanged, match="another member is in its place"):
        read_member(str(archive), entry)


def write(archive: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(archive, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
