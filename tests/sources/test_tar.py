"""Tar files: their index against Python's ``tarfile``, and members read by their places."""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import random
import re
import subprocess
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest

from prep.errors import SourceError, StorageUnavailable
from prep.sources.archives import tar
from prep.sources.archives.archive_bytes import Read
from prep.sources.archives.member_reading import read_member, stamp_of_member
from prep.sources.archives.members import MOST_LINKS, Members, archive_bits, is_of, mark
from prep.sources.archives.tar import index_tar
from prep.sources.archives.tars.kept_indexes import cache_folder
from prep.sources.archives.tars.tar_scan import RawMembers, scan
from prep.sources.base import ImageEntry
from prep.storage import local
from prep.storage.backends.grants import grant
from prep.storage.backends.stores import Contents
from prep.storage.local import LocalPath
from prep.storage.locate import locate
from prep.storage.location import FileChanged, Stamp
from prep.storage.remote import RemotePath
from tests.support.storages import S3, Sftp
from tests.support.tars import END, as_tarfile_reads, block, joined, pax, tar_of, written

LONG = "train/" + "l" * 120 + "/cat.jpg"
LONGER = "/".join("d" * 90 for _ in range(4)) + "/cat.jpg"
FILES = {
    "cat.jpg": b"a cat",
    "./train/./dog.jpg": b"a dog" * 200,
    "/absolute.jpg": b"root",
    "train//ü ü.jpg": b"blanks",
    "empty.jpg": b"",
    "t" * 100: b"the longest name of a header",
}


def entries(members: Members, archive: Path | str) -> list[ImageEntry]:
    """Return the entries that a catalog makes of an index."""
    columns = (members.sizes.tolist(), members.marks.tolist(), members.offsets.tolist())
    return [
        ImageEntry(name, "", Stamp(size, mark), os.fsencode(archive), offset)
        for name, size, mark, offset in zip(members.names, *columns, strict=True)
    ]


def contents(archive: Path | str) -> dict[str, bytes]:
    """Return the contents of all members, as they are read by their places."""
    found = entries(index_tar(locate(archive)), archive)
    return {entry.name: read_member(str(archive), entry) for entry in found}


def error_of(archive: Path) -> str:
    """Return the message of the error that an archive ends in."""
    with pytest.raises(SourceError) as caught:
        index_tar(locate(archive))
    assert not re.search("\n|b'", str(caught.value))
    return str(caught.value)


@pytest.fixture
def sources() -> Path:
    data = os.environ.get("PREP_TEST_DATA")
    if not data or not (Path(data) / "sources").is_dir():
        pytest.skip("PREP_TEST_DATA has no sources")
    return Path(data) / "sources"


@pytest.mark.parametrize("name", ["archives/gnu", "archives/pax", "archives/links"])
def test_real_tars_are_read_as_tarfile_reads_them(sources: Path, name: str) -> None:
    archive = sources / f"{name}.tar"
    assert contents(archive) == as_tarfile_reads(archive)


def test_the_tar_of_tars_of_imagenet_is_read_in_place(sources: Path) -> None:
    archive = sources / "ilsvrc2012" / "ILSVRC2012_img_train.tar"
    found = contents(archive)
    assert found == as_tarfile_reads(archive)
    truth = (sources / "ilsvrc2012" / "truth.csv").read_text()
    for name, data in found.items():
        line = re.search(rf"{archive.name}/{name},.*", truth)
        assert line is not None
        assert hashlib.sha256(data).hexdigest()[:16] in line[0]


@pytest.mark.parametrize(
    ("format", "more"),
    [
        (tarfile.USTAR_FORMAT, {"p" * 120 + "/cat.jpg": b"a prefix"}),
        (tarfile.GNU_FORMAT, {LONG: b"long", LONGER: b"longer"}),
        (tarfile.PAX_FORMAT, {LONG: b"long", LONGER: b"longer"}),
    ],
)
def test_all_formats_are_read_as_tarfile_reads_them(
    tmp_path: Path, format: int, more: dict[str, bytes]
) -> None:
    archive = written(tmp_path / "a.tar", tar_of(FILES | more, format), end=b"")
    assert contents(archive) == as_tarfile_reads(archive)


@pytest.mark.parametrize("format", ["v7", "oldgnu", "gnu", "ustar", "posix"])
def test_what_gnu_tar_writes_is_read(tmp_path: Path, format: str) -> None:
    folder = tmp_path / "set"
    (folder / "train" / "cat").mkdir(parents=True)
    for number in range(3):
        (folder / "train" / "cat" / f"{'n' * 60}{number}.jpg").write_bytes(b"%d" % number * 700)
    os.link(folder / "train/cat" / f"{'n' * 60}0.jpg", folder / "train/hard.jpg")
    os.symlink(f"cat/{'n' * 60}1.jpg", folder / "train/soft.jpg")
    archive = tmp_path / "a.tar"
    subprocess.run(["tar", f"--format={format}", "-cf", archive, "-C", folder, "."], check=True)
    expected = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert contents(archive) == expected


def test_fields_that_few_programs_write(tmp_path: Path) -> None:
    archive = written(
        tmp_path / "a.tar",
        block(b"oldest.jpg", b"1", kind=b"\0", magic=b""),
        block(b"folder/", kind=b"\0", magic=b""),
        block(b"times/in/the/prefix.jpg", b"2", magic=b"ustar  \0", prefix=b"14000000000"),
        block(b"star.jpg", b"3", prefix=b"p" * 131 + b"14000000000 ", mark=b"tar\0"),
        block(b"contiguous.jpg", b"4", kind=b"7"),
        block(b"blanks.jpg", b"5", size=b"          1 "),
        block(b"twelve.jpg", b"6", size=b"000000000001"),
        block(b"base256.jpg", b"7", size=b"\x80" + (1).to_bytes(11, "big")),
        pax({"path": "pax/ü.jpg".encode(), "size": b"1", "mtime": b"1.5", "empty": b""}),
        block(b"cut", b"8", size=b"00000000000\0"),
        block(b"label", kind=b"V", magic=b"ustar  \0"),
        block(b"././@LongLink", b"k" * 150 + b".jpg\0", kind=b"L", magic=b"ustar  \0"),
        block(b"k" * 100, b"9", magic=b"ustar  \0"),
        pax({"comment": b"by git archive"}, kind=b"g"),
        block(b"a" * 100, b"0"),
    )
    assert contents(archive) == {
        "oldest.jpg": b"1",
        "times/in/the/prefix.jpg": b"2",
        "p" * 131 + "/star.jpg": b"3",
        "contiguous.jpg": b"4",
        "blanks.jpg": b"5",
        "twelve.jpg": b"6",
        "base256.jpg": b"7",
        "pax/ü.jpg": b"8",
        "k" * 150 + ".jpg": b"9",
        "a" * 100: b"0",
    }


def test_members_of_more_than_8_gib_and_beyond(tmp_path: Path) -> None:
    archive, large = tmp_path / "a.tar", 9 << 30
    with archive.open("wb") as file:
        file.write(block(b"large.bin", size=b"\x80" + large.to_bytes(11, "big")))
        file.seek(large, os.SEEK_CUR)
        file.write(joined([block(b"cat.jpg", b"a cat")]))
    members = index_tar(locate(archive))
    assert members.sizes.tolist() == [large, 5]
    assert read_member(str(archive), entries(members, archive)[1]) == b"a cat"


def test_links_have_the_contents_that_unpacking_would_give(tmp_path: Path) -> None:
    def link(name: str, to: str, kind: bytes = b"2") -> bytes:
        return block(name.encode(), kind=kind, link=to.encode())

    archive = written(
        tmp_path / "a.tar",
        block(b"d/old.jpg", b"before"),
        link("d/hard.jpg", "d/old.jpg", b"1"),
        link("d/chain.jpg", "./d/hard.jpg", b"1"),
        block(b"d/old.jpg", b"after"),
        link("d/soft.jpg", "old.jpg"),
        link("d/softer.jpg", "../d/soft.jpg"),
        link("d/early.jpg", "late.jpg"),
        block(b"d/late.jpg", b"late"),
        link("d/loop.jpg", "pool.jpg"),
        link("d/pool.jpg", "loop.jpg"),
        link("d/nowhere.jpg", "nothing.jpg"),
        link("d/unmade.jpg", "d/later.jpg", b"1"),
        block(b"d/later.jpg", b"later"),
        link("out.jpg", "../out.jpg"),
        link("root.jpg", "/etc/passwd"),
        link("again", "d"),
        block(b"device", kind=b"3"),
        block(b"pipe", kind=b"6"),
        block(b"strange", b"12", kind=b"Z"),
    )
    assert contents(archive) == {
        "d/hard.jpg": b"before",
        "d/chain.jpg": b"before",
        "d/old.jpg": b"after",
        "d/soft.jpg": b"after",
        "d/softer.jpg": b"after",
        "d/early.jpg": b"late",
        "d/late.jpg": b"late",
        "d/later.jpg": b"later",
    }
    assert index_tar(locate(archive)).passed.counts == {
        "broken link": 4,
        "device": 1,
        "link out of the archive": 2,
        "link to a folder that is read already": 1,
        "member of an unknown type": 1,
        "named pipe": 1,
        "replaced by a later member of the same name": 1,
    }


def test_chains_of_links_are_followed_as_far_as_linux_does(tmp_path: Path) -> None:
    chain = [f"{n}.jpg".encode() for n in range(61)]
    links = [block(a, kind=b"2", link=b) for a, b in itertools.pairwise(chain)]
    members = index_tar(locate(written(tmp_path / "a.tar", *links, block(chain[-1], b"1"))))
    assert members.names == chain[-1 - MOST_LINKS :]
    assert members.passed.counts == {"broken link": 60 - MOST_LINKS}


def test_names_that_lead_out_are_kept_apart_as_they_are_written(tmp_path: Path) -> None:
    names = [b"../escape.jpg", b"a/../../b.jpg", b"a/../in.jpg", b"./", b"./../c.jpg"]
    members = index_tar(locate(written(tmp_path / "a.tar", *(block(n, b"1") for n in names))))
    assert members.names == [b"in.jpg"]
    assert members.outside == (b"../escape.jpg", b"a/../../b.jpg", b"./../c.jpg")
    assert sum(members.passed.counts.values()) == 0  # "./" is a folder.


def test_tars_in_tars_are_read_in_place(tmp_path: Path) -> None:
    deepest = tar_of({"cat.jpg": b"deep"})
    inner = joined(
        [
            block(b"./e.TAR", deepest),
            block(b"dog.jpg", b"dog"),
            block(b"../out.jpg", b"out"),
            block(b"bad", kind=b"3"),
        ]
    )
    archive = written(
        tmp_path / "a.tar",
        block(b"first.jpg", b"1"),
        block(b"n01.tar", inner),
        block(b"same.tar", kind=b"1", link=b"n01.tar"),
        block(b"d/._n01.tar", b"of macOS"),
        block(b"empty.tar", bytes(10240)),
        block(b"oldest.tar", joined([block(b"old.jpg", b"old", magic=b"")])),
        block(b"last.jpg", b"2"),
    )
    members = index_tar(locate(archive))
    found = contents(archive)
    assert found.pop("n01.tar") == inner  # Read once: as the member that was linked to last.
    assert found == {
        "first.jpg": b"1",
        "same.tar/e.TAR/cat.jpg": b"deep",
        "same.tar/dog.jpg": b"dog",
        "d/._n01.tar": b"of macOS",
        "oldest.tar/old.jpg": b"old",
        "last.jpg": b"2",
    }
    assert members.outside == (b"same.tar/../out.jpg",)
    assert members.passed.examples == {"device": "same.tar/bad"}


def test_damage_within_a_tar_names_both(tmp_path: Path) -> None:
    inner = joined([block(b"cat.jpg", b"1"), block(b"dog.jpg", b"2")])
    told = error_of(written(tmp_path / "a.tar", block(b"n01.tar", inner[:1200])))
    assert re.search("a.tar/n01.tar' is truncated: .* last whole member is 'cat.jpg'", told)
    told = error_of(written(tmp_path / "b.tar", block(b"n01.tar", b"this is none" * 100)))
    assert "b.tar/n01.tar' is no tar file" in told


def test_a_tar_cut_anywhere_is_an_error_and_never_a_shorter_list(tmp_path: Path) -> None:
    whole = tar_of({"cat.jpg": b"1" * 600, LONG: b"2" * 10, "dog.jpg": b"3"})
    end = len(whole.rstrip(b"\0")) // 512 * 512 + 512  # Of the last member.
    archive = tmp_path / "a.tar"
    for length in (*range(0, end + 512, 100), *range(0, end + 512, 512), end + 511):
        archive.write_bytes(whole[:length])
        told = error_of(archive)
        if length > 1536:
            assert "'cat.jpg'" in told or LONG[-30:] in told or "'dog.jpg'" in told, told
    archive.write_bytes(whole[: end + 512])
    assert len(index_tar(locate(archive))) == 3


def test_damage_is_an_error_that_says_where(tmp_path: Path) -> None:
    first, second = block(b"cat.jpg", b"1"), block(b"dog.jpg", b"2")
    cases = {
        "no tar header at byte 1,024, after 'cat.jpg'": first + b"x" + second[1:] + END,
        "ends at byte 1,024, after 'cat.jpg', but there is more at byte 2,048": first
        + END
        + second
        + END,
        "there is more at byte 1,536": first + bytes(512) + second + END,
        "its last whole member is 'dog.jpg'; get it again, or, if nothing": first + second,
        "'dog.jpg', which goes on to": first + block(b"dog.jpg", size=b"7" * 11 + b"\0") + END,
        "a malformed size in a header after 'cat.jpg'": first
        + block(b"dog.jpg", size=b"7778")
        + END,
        "a malformed record": first + block(b"x", b"99 path=a\n", kind=b"x") + second + END,
        "a malformed size": first + pax({"size": b"-1"}) + second + END,
        "an extended header of 8,589,934,591 bytes": first
        + block(b"x", kind=b"L", size=b"7" * 11 + b"\0")
        + END,
        "no tar header at byte 2,048": first + pax({"path": b"a"}) + END,
        "'s.jpg' is sparse": first + block(b"s.jpg", b"1", kind=b"S") + END,
        "'real.jpg' is sparse": first
        + pax({"GNU.sparse.major": b"1", "GNU.sparse.name": b"real.jpg"})
        + second
        + END,
        "'m.jpg' begins in another volume": first + block(b"m.jpg", b"1", kind=b"M") + END,
        "is no tar file": b"x" * 2000,
        "ends at byte 0 without the mark of its end": b"",
    }
    for number, (expected, data) in enumerate(cases.items()):
        archive = tmp_path / f"{number}.tar"
        archive.write_bytes(data)
        assert expected in error_of(archive)


def test_a_sparse_file_that_gnu_tar_stores_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "hole.jpg").open("wb") as file:
        file.truncate(1 << 20)
    for format in ("gnu", "posix"):
        archive = tmp_path / f"{format}.tar"
        command = ["tar", "-S", f"--format={format}", "-cf", archive, "-C", tmp_path, "hole.jpg"]
        subprocess.run(command, check=True)
        assert "'hole.jpg' is sparse" in error_of(archive)


@pytest.mark.parametrize(
    "mutations", [range(300), pytest.param(range(300, 20_000), marks=pytest.mark.slow)]
)
def test_mutated_tars_never_give_a_shorter_list(tmp_path: Path, mutations: range) -> None:
    inner = tar_of({"x.jpg": b"x", "y.jpg": b"y"})
    whole = joined(
        [
            *(block(name.encode(), data) for name, data in FILES.items()),
            block(b"././@LongLink", LONG.encode() + b"\0", kind=b"L"),
            block(b"cut", b"1"),
            block(b"n.tar", inner),
            block(b"hard.jpg", kind=b"1", link=b"cat.jpg"),
            pax({"path": b"pax.jpg", "size": b"3"}),
            block(b"short", b"123"),
        ]
    )
    archive = tmp_path / "a.tar"
    archive.write_bytes(whole)
    number = len(index_tar(locate(archive)))
    refused = 0
    for seed in mutations:
        archive.write_bytes(mutated(whole, random.Random(seed)))
        refused += not is_whole(archive, number)
    assert refused > len(mutations) / 4


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Return changed data; no 512 bytes are taken out, for they may be a whole member."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 3))):
        place, length = rng.randrange(len(changed)), rng.choice((1, 7, 512))
        match rng.randrange(4):
            case 0:
                changed[place] = rng.randrange(256)
            case 1:
                changed[place : place + length] = bytes(len(changed[place : place + length]))
            case 2:
                del changed[place : place + min(length, 511)]
                break
            case _:
                changed[place:place] = changed[place : place + length]
    return bytes(changed)


def is_whole(archive: Path, number: int) -> bool:
    """Return whether all members are there and can be read; False if the archive is refused."""
    try:
        members = index_tar(locate(archive))
    except SourceError:
        return False
    passed = sum(members.passed.counts.values())
    assert len(members) + passed + len(members.outside) >= number
    for entry in entries(members, archive):
        assert len(read_member(str(archive), entry)) == entry.stamp.size
    return True


def test_tars_in_tars_are_read_in_threads_where_a_disk_is_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = {f"{n:02}.tar": tar_of({f"{n}.jpg": b"%d" % n}) for n in range(40)}
    archive = written(tmp_path / "a.tar", tar_of(inner), end=b"")
    expected = index_tar(locate(archive)).names
    two_at_a_time = threading.Barrier(2)

    def meet(read: Read, begin: int, end: int, shown: str) -> RawMembers:
        if shown != str(archive):  # There are forty: each meets another one.
            two_at_a_time.wait(60)
        return scan(read, begin, end, shown)

    monkeypatch.setattr(tar, "_MOST_WAITING", -1)
    monkeypatch.setattr(tar, "scan", meet)
    tar._KEPT.forget()
    assert index_tar(locate(archive)).names == expected


def test_a_member_that_was_replaced_is_noticed(tmp_path: Path) -> None:
    archive = written(tmp_path / "a.tar", block(b"cat.jpg", b"first"))
    time = 1_234_567_890_123_456_789  # Of no coarser unit, which would be compared as such.
    os.utime(archive, ns=(time, time))
    [entry] = entries(index_tar(locate(archive)), archive)
    assert read_member(str(archive), entry) == b"first"
    assert stamp_of_member(str(archive), entry) == entry.stamp
    written(archive, block(b"dog.jpg", b"other"))  # In its place: the open file sees it, too.
    os.utime(archive, ns=(time, time))
    with pytest.raises(FileChanged, match="another member is in its place"):
        read_member(str(archive), entry)
    assert stamp_of_member(str(archive), entry) != entry.stamp
    os.utime(archive, ns=(time, time + 1))
    with pytest.raises(FileChanged, match="its archive was written to or replaced"):
        read_member(str(archive), entry)


def test_a_forged_place_takes_no_memory_and_is_no_image(tmp_path: Path) -> None:
    archive = written(tmp_path / "a.tar", block(b"cat.jpg", b"first"))
    [entry] = entries(index_tar(locate(archive)), archive)
    forged = [
        entry._replace(stamp=Stamp(2**62, entry.stamp.mtime)),
        entry._replace(stamp=Stamp(2**62, entry.stamp.mtime), offset=2**62),
        entry._replace(offset=2**63 - 1),
        entry._replace(offset=0),
        entry._replace(offset=511, how="row"),
        entry._replace(how="deflate"),
    ]
    for each in forged:
        with pytest.raises(OSError, match=r"changed since|Invalid argument"):
            read_member(str(archive), each)
    assert LocalPath(archive).read_range(512, 2**62)[:5] == b"first"


def test_an_archive_that_was_replaced_before_it_was_listed_is_opened_anew(tmp_path: Path) -> None:
    archive = written(tmp_path / "a.tar", block(b"cat.jpg", b"first"))
    assert contents(archive) == {"cat.jpg": b"first"}
    written(tmp_path / "b.tar", block(b"cat.jpg", b"other")).replace(archive)
    assert contents(archive) == {"cat.jpg": b"other"}


def test_few_archives_are_kept_open_and_none_for_ever(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for number in range(80):
        contents(written(tmp_path / f"{number}.tar", block(b"cat.jpg", b"1")))
    assert len(os.listdir("/proc/self/fd")) <= before + 64
    assert local.close_kept_files()
    assert len(os.listdir("/proc/self/fd")) <= before
    assert not local.close_kept_files()


@pytest.mark.parametrize(
    ("listed", "now", "same"),
    [
        (1_234_567_891, 1_234_567_891, True),
        (1_234_567_891, 1_234_567_892, False),
        (1_234_567_891, 1_234_567_800, True),  # read through SMB
        (1_234_567_891, 1_000_000_000, True),  # or a file system that has seconds
        (1_234_567_800, 1_234_567_891, True),  # listed so
        (1_234_567_891, 2_234_567_891, False),
        (1_234_567_891, 2_000_000_000, False),
    ],
)
def test_an_archive_is_known_by_its_time_in_other_units(listed: int, now: int, same: bool) -> None:
    marked = mark(7, Stamp(100, listed))
    assert is_of(marked, Stamp(100, now)) is same
    assert not is_of(marked, Stamp(101, now))
    assert marked & 0xFFFFFFFF == archive_bits(Stamp(100, listed))


def test_the_index_of_the_same_archive_is_made_once(tmp_path: Path) -> None:
    archive = written(tmp_path / "a.tar", block(b"cat.jpg", b"1"))
    first = index_tar(locate(archive))
    assert index_tar(locate(archive)) is first
    time = archive.stat().st_mtime_ns
    written(archive, block(b"dog.jpg", b"2"))
    os.utime(archive, ns=(time, time))
    assert index_tar(locate(archive)).names == [b"dog.jpg"]


def test_a_tar_in_a_storage_is_indexed_in_few_requests_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []

    def count(path: RemotePath, offset: int, length: int) -> Contents:
        asked.append((offset, length))
        return read_part(path, offset, length)

    read_part = RemotePath.read_part
    monkeypatch.setattr(RemotePath, "read_part", count)
    rng = random.Random(1)
    photos = {f"{n:03}.jpg": rng.randbytes(rng.randrange(100_000, 200_000)) for n in range(60)}
    classes = {f"{n:03}.tar": tar_of({"cat.jpg": b"%d" % n}) for n in range(40)}
    large = {f"{n}.bin": bytes(3 << 20) for n in range(8)}
    for name, members, most in (
        ("photos", photos, 7),
        ("classes", classes, 42),
        ("large", large, 9),
    ):
        archive = locate(f"memory://{tmp_path.name}/{name}.tar")
        data = tar_of(members)
        archive.publish(data)
        asked.clear()
        index = index_tar(archive)
        assert len(asked) <= most, name
        assert index_tar(archive) is index
        assert len(asked) <= most
        asked.clear()
        assert contents(str(archive)) == as_tarfile_reads(data)
        assert len(asked) == len(members), "each is read in one request"


def test_the_index_of_a_tar_in_a_storage_is_kept_for_other_processes(
    s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant(s3.url, s3.options)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(tar, "_WORTH_KEEPING", -1.0)
    archive = locate(f"{s3.url}/a.tar")
    data = tar_of({"cat.jpg": b"a cat", "caf\udce9.jpg": b"a dog", "../out.jpg": b"a bird"})
    archive.publish(data)
    index = index_tar(archive)
    (kept,) = cache_folder().iterdir()
    tar._KEPT.forget()  # As in another process.
    with monkeypatch.context() as patch:
        patch.setattr(RemotePath, "read_range", lambda *_: pytest.fail("it is read again"))
        again = index_tar(archive)
    assert again is not index
    assert (again.names, again.outside, again.passed) == (index.names, index.outside, index.passed)
    for column in ("offsets", "sizes", "marks", "hows"):
        assert np.array_equal(getattr(again, column), getattr(index, column))

    whole = kept.read_bytes()
    for damaged in (whole[:-9], whole[:99] + b"?" + whole[100:], b""):
        kept.write_bytes(damaged)
        tar._KEPT.forget()
        assert index_tar(archive).names == index.names
        assert kept.read_bytes() == whole, "it is made again"
    archive.publish(tar_of({"cat.jpg": b"another cat"}))
    assert index_tar(archive).names == [b"cat.jpg"]


def test_a_tar_that_changes_while_it_is_indexed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = locate(f"memory://{tmp_path.name}/a.tar")
    archive.publish(tar_of({"cat.jpg": bytes(3 << 20), "dog.jpg": b"a dog"}))
    status = archive.stat()
    monkeypatch.setattr(RemotePath, "stat", lambda _: status)
    archive.publish(tar_of({"cat.jpg": bytes(3 << 20)})[: 2 << 20])
    with pytest.raises(SourceError, match="is truncated"):
        index_tar(archive)


def test_a_storage_that_does_not_answer_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bytes:
        raise TimeoutError(errno.ETIMEDOUT, "no answer")

    archive = locate(f"memory://{tmp_path.name}/a.tar")
    archive.publish(tar_of({"cat.jpg": b"a cat"}))
    monkeypatch.setattr(RemotePath, "read_range", fail)
    monkeypatch.setattr("prep.storage.remote._PAUSES", ())
    with pytest.raises(StorageUnavailable, match="can't read an archive"):
        index_tar(archive)


def test_tars_are_read_from_s3(s3: S3) -> None:
    grant(s3.url, s3.options)
    inner = tar_of({LONG: b"a cat", "dog.jpg": b"a dog"})
    data = tar_of({"a.tar": inner, "b.tar": inner, "cat.jpg": b"1"})
    s3.write("set.tar", data)
    assert contents(f"{s3.url}/set.tar") == as_tarfile_reads(data)
    require_noticed(f"{s3.url}/set.tar")


def require_noticed(archive: str) -> None:
    """Require that another archive is noticed although the headers of its members are the same."""
    members = index_tar(locate(archive))
    status = locate(archive).stat()
    entry = entries(members, archive)[-1]
    assert stamp_of_member(archive, entry) == entry.stamp
    other = Stamp(status.st_size, status.st_mtime_ns - 5_000_000_000)
    contents = entry.stamp.mtime >> 32
    listed = entry._replace(stamp=Stamp(entry.stamp.size, mark(contents, other)))
    assert stamp_of_member(archive, listed) != listed.stamp
    with pytest.raises(FileChanged, match="its archive was written to or replaced"):
        read_member(archive, listed)


def test_tars_are_read_over_sftp(sftp: Sftp) -> None:
    grant(sftp.url, sftp.options)
    data = tar_of({"a.tar": tar_of({LONG: b"a cat", "dog.jpg": b"a dog"}), "cat.jpg": b"1"})
    (sftp.folder / "set.tar").write_bytes(data)
    assert contents(f"{sftp.url}/set.tar") == as_tarfile_reads(data)
    require_noticed(f"{sftp.url}/set.tar")
    large = os.urandom(300_000)  # More than one packet has.
    (sftp.folder / "large").write_bytes(large)
    place = locate(f"{sftp.url}/large")
    assert place.read_range(7, 200_000) == large[7:200_007]
    assert place.read_range(290_000, 20_000) == large[290_000:]
    assert place.read_range(400_000, 9) == b""
