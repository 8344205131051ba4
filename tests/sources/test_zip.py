"""The index of zip files, held against Python's ``zipfile``, and the reading of their members."""

from __future__ import annotations

import errno
import io
import os
import random
import re
import shutil
import stat
import struct
import subprocess
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import prep
from prep.errors import RefusedImage, SourceError, StorageUnavailable
from prep.settings.image_settings import ImageSettings
from prep.shards.reading import ImageReader
from prep.sources.archives.members import Members
from prep.sources.archives.zip import index_zip
from prep.sources.archives.zips.zip_reading import inflate
from prep.sources.base import HOWS, ImageEntry, UnpacksTooLarge
from prep.sources.file_source import FileSource
from prep.storage.backends.grants import grant
from prep.storage.backends.stores import Contents
from prep.storage.locate import locate
from prep.storage.location import FileChanged, Stamp
from prep.storage.remote import RemotePath
from prep.storage.retry import Retries
from tests.support.storages import S3, Sftp

RANDOM = random.Random(0)
FILES = {
    "train/cat/1.jpg": RANDOM.randbytes(3000),
    "train/dog/2.jpg": b"much the same " * 500,
    "train/dog/empty.jpg": b"",
    "val/cat/3.jpg": RANDOM.randbytes(10),
}


def index(path: Path | str) -> Members:
    return index_zip(locate(path))


def entries(path: Path | str, members: Members) -> Iterator[ImageEntry]:
    columns = (members.offsets, members.sizes, members.marks)
    places = zip(*(column.tolist() for column in columns), members.hows, strict=True)
    for name, (offset, size, mark, how) in zip(members.names, places, strict=True):
        yield ImageEntry(name, "", Stamp(size, mark), os.fsencode(str(path)), offset, HOWS[how])


def read(path: Path | str, members: Members) -> dict[bytes, bytes]:
    """Return the contents of all members, as a worker reads them."""
    source = FileSource(str(path))
    return {entry.raw_name: source.read(entry) for entry in entries(path, members)}


def contents(path: Path | str) -> dict[str, bytes]:
    return {os.fsdecode(name): data for name, data in read(path, index(path)).items()}


def told(path: Path) -> str:
    """Return the error for an archive that is not taken."""
    with pytest.raises(SourceError) as error:
        index(path)
    text = str(error.value)
    assert "\n" not in text
    return text.replace(str(path), "ZIP")


def write(
    path: Path,
    files: dict[str, bytes] = FILES,
    method: int = zipfile.ZIP_DEFLATED,
    comment: bytes = b"",
) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.comment = comment
    return path


class Pipe(io.RawIOBase):
    """A file that can't be sought in, for which ``zipfile`` writes sizes after the contents."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        return self._file.write(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def streamed(path: Path, *, zip64: bool = False) -> None:
    with Pipe(path) as pipe, zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in FILES.items():
            with archive.open(name, "w", force_zip64=zip64) as file:
                file.write(data)


def with_zip64_headers(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in FILES.items():
            with archive.open(name, "w", force_zip64=name.startswith("train")) as file:
                file.write(data)


def prefixed(path: Path) -> None:
    path.write_bytes(b"#!/bin/sh\nexit 1\n" * 99 + write(path).read_bytes())


def made_executable(path: Path) -> None:
    path.write_bytes(b"#!/bin/sh\nexit 1\n" * 99)
    with zipfile.ZipFile(path, "a") as archive:  # Which counts offsets from the top of the file.
        for name, data in FILES.items():
            archive.writestr(name, data)


def appended_to(path: Path) -> None:
    write(path, {"train/cat/1.jpg": b"before"})
    data = path.read_bytes()
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("val/late.jpg", b"late", zipfile.ZIP_DEFLATED)
    assert path.read_bytes()[:40] == data[:40]


def with_folders(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train/", b"")
        archive.mkdir("train/cat")
        archive.writestr("train/cat/1.jpg", b"cat")


SHAPES: dict[str, Callable[[Path], object]] = {
    "stored": lambda path: write(path, method=zipfile.ZIP_STORED),
    "deflated": write,
    "empty": lambda path: write(path, {}),
    "sizes after the contents": streamed,
    "zip64 sizes after the contents": lambda path: streamed(path, zip64=True),
    "some zip64 headers": with_zip64_headers,
    "prefixed": prefixed,
    "prefixed, with offsets of the whole file": made_executable,
    "appended to": appended_to,
    "folders": with_folders,
    "the longest comment": lambda path: write(path, comment=b"x" * 65535),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_index_gives_what_zipfile_gives(tmp_path: Path, shape: str) -> None:
    path = tmp_path / "images.zip"
    SHAPES[shape](path)
    with zipfile.ZipFile(path) as archive:
        expected = {i.filename: archive.read(i) for i in archive.infolist() if not i.is_dir()}
    members = index(path)
    assert contents(path) == expected
    assert [os.fsdecode(name) for name in members.names] == [*expected]
    assert not members.passed.counts
    assert not members.outside


def test_what_info_zip_writes_is_read(tmp_path: Path) -> None:
    if shutil.which("zip") is None:
        pytest.skip("needs Debian's package zip")
    for name, data in FILES.items():
        file = tmp_path / "set" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    (tmp_path / "set/val/cat/link.jpg").symlink_to("../../train/cat/1.jpg")
    (tmp_path / "set/val/cat/ü, 貓.jpg").write_bytes(b"cat")
    path = tmp_path / "images.zip"
    for options in (["-qr0y"], ["-qry"], ["-qry", "-fz"]):  # Stored; deflated; zip64.
        path.unlink(missing_ok=True)
        subprocess.run(["zip", *options, path, "set"], cwd=tmp_path, check=True)
        expected = {f"set/{name}": data for name, data in FILES.items()}
        expected["set/val/cat/link.jpg"] = FILES["train/cat/1.jpg"]
        expected["set/val/cat/ü, 貓.jpg"] = b"cat"
        assert contents(path) == expected, options
    subprocess.run(["zip", "-qrP", "secret", "secret.zip", "set"], cwd=tmp_path, check=True)
    assert re.search(
        "has encrypted files, such as 'set/(train|val)/", told(tmp_path / "secret.zip")
    )


FALSE_ENDS = {
    "only the mark": b"PK\5\6" * 9,
    "of an empty archive": b"PK\5\6" + bytes(18),
    "of an empty archive, and more": b"PK\5\6" + bytes(18) + b"more",
    "of a directory that is none": b"PK\5\6" + struct.pack("<4H2LH", 0, 0, 1, 1, 50, 0, 0),
}


@pytest.mark.parametrize("comment", FALSE_ENDS.values(), ids=FALSE_ENDS.keys())
def test_an_end_record_in_a_comment_is_not_taken_for_the_end(
    tmp_path: Path, comment: bytes
) -> None:
    path = write(tmp_path / "images.zip", comment=comment)
    assert contents(path) == FILES


def test_an_archive_in_the_comment_of_another_is_refused(tmp_path: Path) -> None:
    inner = write(tmp_path / "inner.zip", {"a.jpg": b"another"}).read_bytes()
    path = write(tmp_path / "images.zip", comment=inner)
    assert "has two directories" in told(path)


def test_bytes_after_the_end_do_no_harm(tmp_path: Path) -> None:
    path = write(tmp_path / "images.zip")
    path.write_bytes(path.read_bytes() + b"\r\n" * 100)
    assert contents(path) == FILES


def test_more_members_than_sixteen_bits_count(tmp_path: Path) -> None:
    path = tmp_path / "images.zip"
    names = [b"%d.jpg" % number for number in range(66_000)]
    path.write_bytes(archive_of(names))
    assert index(path).names == names
    # Some programs know no zip64, and write the number of members modulo 65,536.
    path.write_bytes(archive_of(names, zip64=False))
    members = index(path)
    assert members.names == names
    assert read(path, members)[b"65999.jpg"] == b"65999.jpg"


def record(name: bytes, header: int, *, extra: bytes = b"") -> bytes:
    """Return what a directory says of a member that holds its own name."""
    sizes = (zlib.crc32(name), len(name), len(name), len(name), len(extra), 0, 0, 0, 0, header)
    return struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 0, *sizes) + name + extra


def local(name: bytes) -> bytes:
    """Return a member that holds its own name, with its header."""
    sizes = (zlib.crc32(name), len(name), len(name), len(name), 0)
    return struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 0, *sizes) + name + name


def end(count: int, size: int, offset: int, *, zip64: bool) -> bytes:
    """Return the end of an archive, from the end of its directory."""
    if not zip64:
        counts = (count & 0xFFFF, count & 0xFFFF, size, offset & 0xFFFFFFFF)
        return struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, *counts, 0)
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, offset)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, offset + size, 1)
    full = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, *[0xFFFFFFFF] * 2, 0)
    return record + locator + full


def archive_of(names: list[bytes], *, zip64: bool = True) -> bytes:
    """Return an archive of members that hold their own names."""
    members, records, at = [], [], 0
    for name in names:
        members.append(local(name))
        records.append(record(name, at))
        at += len(members[-1])
    directory = b"".join(records)
    return b"".join([*members, directory, end(len(names), len(directory), at, zip64=zip64)])


@pytest.mark.parametrize("zip64", [True, False])
def test_members_beyond_four_gibibytes_are_found(tmp_path: Path, zip64: bool) -> None:
    path = tmp_path / "images.zip"
    places = {b"1.jpg": 0, b"2.jpg": 3 << 30, b"3.jpg": 6 << 30, b"4.jpg": 9 << 30}
    records = []
    with path.open("wb") as file:  # A sparse file.
        for name, place in places.items():
            file.seek(place)
            file.write(local(name))
            if zip64 and place:
                extra = struct.pack("<2HQ", 1, 8, place)
                records.append(record(name, 0xFFFFFFFF, extra=extra))
            else:  # As macOS's Archive Utility does.
                records.append(record(name, place & 0xFFFFFFFF))
        at, directory = file.tell(), b"".join(records)
        file.write(directory + end(4, len(directory), at, zip64=zip64))
    assert contents(path) == {os.fsdecode(name): name for name in places}


# A name as it is stored, the system that it was made on, its flags, and the path that it is.
NAMES: list[tuple[bytes, int, int, bytes]] = [
    ("ü.jpg".encode(), 0, 1 << 11, "ü.jpg".encode()),
    ("ü.jpg".encode("cp437"), 0, 0, "ü.jpg".encode()),
    ("ü.jpg".encode(), 0, 0, "ü.jpg".encode()),  # By programs that forget the flag.
    ("ü.jpg".encode("latin-1"), 3, 0, b"\xfc.jpg"),  # On Unix, a name is bytes.
    (b"\xfc.jpg", 3, 1 << 11, b"\xfc.jpg"),  # The flag is wrong.
    (b"train\\cat\\1.jpg", 0, 0, b"train/cat/1.jpg"),
    (b"train\\cat\\1.jpg", 3, 0, b"train\\cat\\1.jpg"),  # On Unix, this is one name.
    (b"./train//cat/./1.jpg", 3, 0, b"train/cat/1.jpg"),
    (b"/train/cat/1.jpg", 3, 0, b"train/cat/1.jpg"),
    (b"train/dog/../cat/1.jpg", 3, 0, b"train/cat/1.jpg"),
    (b"train/..cat/1..jpg", 3, 0, b"train/..cat/1..jpg"),
    (b"train/new\nline.jpg", 3, 0, b"train/new\nline.jpg"),
]


@pytest.mark.parametrize(("name", "system", "flags", "path"), NAMES)
def test_a_name_becomes_a_path(
    tmp_path: Path, name: bytes, system: int, flags: int, path: bytes
) -> None:
    archive = tmp_path / "images.zip"
    data = bytearray(archive_of([name]))
    at = data.index(b"PK\1\2")
    data[at + 5] = system
    data[at + 8 : at + 10] = flags.to_bytes(2, "little")
    archive.write_bytes(data)
    assert index(archive).names == [path]


def test_a_name_in_unicode_beside_another_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "images.zip"
    name, unicode = b"\x8b.jpg", "貓.jpg".encode()
    field = b"\1" + zlib.crc32(name).to_bytes(4, "little") + unicode
    extra = struct.pack("<2H", 0x7075, len(field)) + field
    directory = record(name, 0, extra=extra)
    data = local(name)
    path.write_bytes(data + directory + end(1, len(directory), len(data), zip64=False))
    assert index(path).names == [unicode]


def test_names_that_lead_out_are_told(tmp_path: Path) -> None:
    names = [b"../escape.jpg", b"a/../../b.jpg", b"..", b"a/good.jpg"]
    path = tmp_path / "images.zip"
    path.write_bytes(archive_of(names))
    members = index(path)
    assert members.names == [b"a/good.jpg"]
    assert members.outside == (b"../escape.jpg", b"a/../../b.jpg", b"..")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_members_with_one_name_the_last_counts(tmp_path: Path) -> None:
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (("a.jpg", b"old"), ("b.jpg", b"b"), ("./a.jpg", b"new")):
            archive.writestr(name, data)
    members = index(path)
    assert read(path, members) == {b"b.jpg": b"b", b"a.jpg": b"new"}
    assert members.passed.counts == {"replaced by a later member of the same name": 1}


def test_links_are_followed_within_the_archive(tmp_path: Path) -> None:
    path = tmp_path / "images.zip"
    links = {
        "a/one.jpg": "../b/1.jpg",
        "a/two.jpg": "one.jpg",
        "a/cycle.jpg": "cycle.jpg",
        "a/broken.jpg": "nothing.jpg",
        "a/out.jpg": "../../etc/passwd",
        "a/absolute.jpg": "/etc/passwd",
        "a/folder": "../b",
        **{f"c/{n}.jpg": f"{n + 1}.jpg" if n < 41 else "../b/1.jpg" for n in range(1, 42)},
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, target in links.items():
            member = zipfile.ZipInfo(name)
            member.create_system = 3
            member.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(member, target)
        archive.writestr("b/1.jpg", b"one")
        pipe = zipfile.ZipInfo("a/pipe.jpg")
        pipe.create_system, pipe.external_attr = 3, stat.S_IFIFO << 16
        archive.writestr(pipe, b"")
    members = index(path)
    chain = [b"c/%d.jpg" % n for n in range(2, 42)]  # As many as Linux follows.
    there = (b"a/one.jpg", b"a/two.jpg", *chain, b"b/1.jpg")
    assert read(path, members) == dict.fromkeys(there, b"one")
    assert members.passed.counts == {
        "broken link": 3,
        "link to a folder that is read already": 1,
        "link out of the archive": 2,
        "no regular file": 1,
    }


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compression_is_an_error(tmp_path: Path, method: int) -> None:
    path = write(tmp_path / "images.zip", method=method)
    assert told(path) == (
        f"source: 'ZIP' has files compressed by {'bzip2' if method == 12 else 'LZMA'}, such as "
        "'train/cat/1.jpg'; expected stored or deflated ones; unpack it, and give the folder"
    )


def twisted(path: Path, at: int, value: bytes, mark: bytes = b"PK\1\2") -> Path:
    """Change the first directory record, or what else begins with a mark."""
    data = bytearray(write(path).read_bytes())
    start = data.index(mark) + at
    data[start : start + len(value)] = value
    path.write_bytes(data)
    return path


# Where in a record, what is put there, and what is said of it.
DAMAGES = [
    (8, b"\1", "has encrypted files, such as 'train/cat/1.jpg'; unpack it"),
    (10, b"\0", "is damaged: 'train/cat/1.jpg' is stored, but has 3,005 bytes of 3,000"),
    (20, b"\xff\xff\xff", "is damaged: 'train/cat/1.jpg' lies beyond its end"),
    (20, b"\xff", "is damaged: 'train/cat/1.jpg' overlaps what comes after it"),
    (28, b"\xff\xff", "is damaged: its directory breaks off at byte"),
    (34, b"\1", "is one of several parts of an archive; join them"),
    (42, b"\1", "is damaged: 'train/cat/1.jpg' overlaps what comes after it"),
    (42, b"\xff\x0b", "is damaged: 'train/cat/1.jpg' lies beyond its end"),
]


@pytest.mark.parametrize(("at", "value", "expected"), DAMAGES)
def test_a_damaged_directory_is_an_error(
    tmp_path: Path, at: int, value: bytes, expected: str
) -> None:
    assert expected in told(twisted(tmp_path / "images.zip", at, value))


def test_a_header_that_is_not_where_it_should_be_is_an_error(tmp_path: Path) -> None:
    path = twisted(tmp_path / "images.zip", 0, b"XX", mark=b"PK\3\4")
    assert "is damaged: the header of 'train/cat/1.jpg' is not at byte 0, where" in told(path)


def test_members_that_share_bytes_are_refused(tmp_path: Path) -> None:
    """Otherwise, few bytes would stand for very many images."""
    path = tmp_path / "images.zip"
    data = local(b"a.jpg")
    directory = record(b"a.jpg", 0) + record(b"b.jpg", 0)
    path.write_bytes(data + directory + end(2, len(directory), len(data), zip64=False))
    assert "is damaged: 'a.jpg' overlaps what comes after it" in told(path)


def test_a_wrong_number_of_members_is_an_error(tmp_path: Path) -> None:
    path = twisted(tmp_path / "images.zip", 10, b"\3", mark=b"PK\5\6")
    assert "is damaged: its directory lists 4 files instead of 3" in told(path)


def test_an_end_record_that_tells_of_no_members_is_an_error(tmp_path: Path) -> None:
    path = twisted(tmp_path / "images.zip", 8, bytes(12), mark=b"PK\5\6")
    assert "it is truncated or damaged" in told(path)


def test_a_part_of_an_archive_is_an_error(tmp_path: Path) -> None:
    path = twisted(tmp_path / "images.zip", 4, b"\1", mark=b"PK\5\6")
    assert "is one of several parts of an archive; join them" in told(path)


def test_a_truncated_archive_is_an_error_wherever_it_ends(tmp_path: Path) -> None:
    path = write(tmp_path / "images.zip")
    data = path.read_bytes()
    for length in [*range(0, len(data), 37), len(data) - 1]:
        path.write_bytes(data[:length])
        assert "it is truncated or damaged" in told(path)
        path.write_bytes(data[length + 1 :])
        assert "truncated or damaged" in told(path) or length + 1 < 3


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_contents_that_changed_are_noticed(tmp_path: Path, method: int) -> None:
    path = write(tmp_path / "images.zip", {"a.jpg": b"contents of an image"}, method)
    (entry,) = entries(path, index(path))
    source, data, status = FileSource(str(path)), bytearray(path.read_bytes()), path.stat()
    assert source.stamp(entry) == entry.stamp
    assert entry.offset is not None
    data[entry.offset + 5] ^= 1
    path.write_bytes(data)
    with pytest.raises(FileChanged, match="its archive was written to or replaced"):
        source.read(entry)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(FileChanged, match="damaged, or another member is in its place"):
        source.read(entry)
    with pytest.raises(FileChanged, match="damaged, or another member is in its place"):
        b"".join(source.read_in_pieces(entry))
    assert source.stamp(entry) != entry.stamp


def test_members_come_in_pieces_too(tmp_path: Path) -> None:
    files = FILES | {"large.bmp": b"zeros and ones" * 500_000}
    path = write(tmp_path / "images.zip", files)
    source = FileSource(str(path))
    for entry in entries(path, index(path)):
        pieces = [*source.read_in_pieces(entry)]
        assert b"".join(pieces) == files[entry.name]
        assert max(map(len, pieces), default=0) <= 1 << 20


def test_a_bomb_takes_no_more_memory_than_an_image_may() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    zeros = bytes(1 << 20)
    bomb = b"".join(packer.compress(zeros) for _ in range(64)) + packer.flush()  # 64 MiB
    tracemalloc.start()
    with pytest.raises(UnpacksTooLarge, match="more than the 1,000,000 bytes that are read"):
        inflate(bomb, 1_000_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_500_000  # Twice that, while memory for it grows.


def test_a_bomb_is_refused_as_too_large(tmp_path: Path) -> None:
    path = write(tmp_path / "images.zip", {"a.bmp": bytes(70_000_000)})
    (entry,) = entries(path, index(path))
    source = FileSource(str(path))
    reader = ImageReader(ImageSettings(max_pixels=100_000), Retries(), source)
    with pytest.raises(RefusedImage, match="too large: unpacks to more than the 67,908,864 bytes"):
        reader.read(entry, lambda: source.fetch(entry))


def test_mutated_archives_give_an_error_or_all_their_members(tmp_path: Path) -> None:
    """A mutation may change names, but no file is lost in silence, or read from elsewhere."""
    path = tmp_path / "images.zip"
    shapes = ["stored", "deflated", "sizes after the contents", "some zip64 headers", "folders"]
    taken = 0
    for shape in shapes:
        SHAPES[shape](path)
        whole = path.read_bytes()
        files = len(index(path))
        directory = whole.index(b"PK\1\2")
        for _ in range(100):
            data = bytearray(whole)
            for _ in range(RANDOM.choice((1, 1, 2))):
                data[RANDOM.randrange(directory, len(data))] = RANDOM.choice(
                    (0, 255, RANDOM.randrange(256))
                )
            path.write_bytes(data)
            try:
                members = index(path)
            except SourceError:
                continue
            taken += 1
            assert len(members) + len(members.outside) + members.passed.counts.total() >= files
            assert all(members.offsets + members.sizes <= len(data))
    assert taken


def test_mutated_contents_are_noticed_or_the_same(tmp_path: Path) -> None:
    path = write(tmp_path / "images.zip")
    members, whole = index(path), path.read_bytes()
    status, source = path.stat(), FileSource(str(path))
    stop = int(max(members.offsets + members.sizes))
    noticed = 0
    for _ in range(300):
        data = bytearray(whole)
        data[RANDOM.randrange(stop)] ^= 1 << RANDOM.randrange(8)
        path.write_bytes(data)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        for entry in entries(path, members):
            try:
                assert source.read(entry) == FILES[entry.name]
            except FileChanged:
                noticed += 1
    assert noticed > 100


def test_a_zip_in_a_storage_is_indexed_in_few_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []

    def count(path: RemotePath, offset: int, length: int) -> Contents:
        asked.append((offset, length))
        return read_part(path, offset, length)

    read_part = RemotePath.read_part
    monkeypatch.setattr(RemotePath, "read_part", count)
    many = archive_of([b"train/cat/%0100d.jpg" % number for number in range(2000)])
    for name, data, most in (
        ("stored", write(tmp_path / "a.zip", method=zipfile.ZIP_STORED).read_bytes(), 2),
        ("deflated", write(tmp_path / "b.zip").read_bytes(), 2),
        ("many", many, 4),  # Its directory is longer than what is read of each at first.
    ):
        archive = locate(f"memory://{tmp_path.name}/{name}.zip")
        archive.publish(data)
        asked.clear()
        members = index(str(archive))
        assert len(asked) <= most, name
        asked.clear()
        found = read(str(archive), members)
        assert len(asked) == len(found), "each is read in one request"
        assert len(found) in (4, 2000)


def test_a_storage_that_does_not_answer_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bytes:
        raise TimeoutError(errno.ETIMEDOUT, "no answer")

    archive = locate(f"memory://{tmp_path.name}/a.zip")
    archive.publish(write(tmp_path / "a.zip").read_bytes())
    monkeypatch.setattr(RemotePath, "read_range", fail)
    monkeypatch.setattr("prep.storage.remote._PAUSES", ())
    with pytest.raises(StorageUnavailable, match="can't read"):
        index_zip(archive)


def test_zips_are_read_from_s3_and_over_sftp(tmp_path: Path, s3: S3, sftp: Sftp) -> None:
    data = write(tmp_path / "images.zip").read_bytes()
    grant(s3.url, s3.options)
    s3.write("images.zip", data)
    assert contents(f"{s3.url}/images.zip") == FILES
    grant(sftp.url, sftp.options)
    (sftp.folder / "images.zip").write_bytes(data)
    assert contents(f"{sftp.url}/images.zip") == FILES


@pytest.mark.parametrize("shape", ["prefixed", "prefixed, with offsets of the whole file"])
def test_a_program_that_unpacks_itself_is_a_source(tmp_path: Path, shape: str) -> None:
    path = tmp_path / "images.run"
    SHAPES[shape](path)
    plan = prep.plan(prep.Config(source=str(path), output=str(tmp_path / "out")))
    assert plan.read_as == "zip file of class folders in splits"
    assert plan.images == 4
