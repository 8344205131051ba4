"""Source and output on a server with SFTP: a real sshd."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest
from distributed import Client

import prep
from prep.sources import manifest
from prep.storage.backends.grants import grant
from prep.storage.locate import locate, read_file, stamp_of
from tests.support.clusters import contents
from tests.support.pictures import write_tree
from tests.support.storages import Sftp

SETTINGS: Any = {"size": 32, "images_per_shard": 4}


@pytest.fixture
def place(sftp: Sftp) -> Path:
    grant(sftp.url, sftp.options)
    return locate(sftp.url)


def test_a_file_is_uploaded_beside_its_name_and_renamed(sftp: Sftp, place: Path) -> None:
    path = place / "new" / "folder" / "file"
    for content in (b"one", b"two" * 10**6):  # The second replaces the first.
        with path.create(tag="00001") as file:
            file.write(content)
            (marker,) = os.listdir(sftp.folder / "new/folder") if content == b"one" else [".00001."]
            assert marker.startswith(".00001.")
        assert contents(sftp.folder) == {"new/folder/file": content}
    with pytest.raises(KeyboardInterrupt), path.create(tag="00001") as file:  # noqa: PT012
        file.write(b"three")
        raise KeyboardInterrupt
    assert contents(sftp.folder) == {"new/folder/file": b"two" * 10**6}


def test_a_file_is_read_as_it_was_listed_or_not_at_all(sftp: Sftp, place: Path) -> None:
    name = "ä ?#%41.jpg"
    (sftp.folder / name).write_bytes(b"image")
    stamp = stamp_of(str(place / name))
    assert read_file(f"{sftp.url}/{name}", stamp) == b"image"
    os.utime(sftp.folder / name, (1, 1))
    with pytest.raises(OSError, match="written to in the meantime"):
        read_file(f"{sftp.url}/{name}", stamp)
    with pytest.raises(FileNotFoundError):
        read_file(f"{sftp.url}/absent.jpg")
    assert [path.name for path in place.iterdir()] == [name]
    assert not (place / "absent").exists()


def test_a_server_whose_key_is_not_known_is_not_trusted(
    sftp: Sftp, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    options = {name: value for name, value in sftp.options.items() if name != "host_key_policy"}
    monkeypatch.setenv("HOME", str(tmp_path))
    grant(sftp.url, options)
    with pytest.raises(PermissionError, match="is not trusted: no key of it is in"):
        read_file(f"{sftp.url}/file")
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/known_hosts").write_text(sftp.known_hosts.read_text())
    (sftp.folder / "file").write_bytes(b"1")
    assert read_file(f"{sftp.url}/file") == b"1"


def test_a_wrong_password_is_shown_nowhere(sftp: Sftp) -> None:
    url = sftp.url.replace("sftp://", "sftp://nobody:s3cr3t-42@")
    config = prep.Config(source=url, output="shards", storage_options=sftp.options)
    assert config.source == sftp.url.replace("sftp://", "sftp://nobody@")
    assert config.storage_options == {"source": {**sftp.options, "password": "s3cr3t-42"}}
    with pytest.raises(prep.PrepError, match="can't be opened") as error:
        prep.plan(config)
    assert "s3cr3t" not in str(error.value)


@pytest.mark.parametrize("by_key", [False, True])
def test_options_that_another_storage_was_given_as_well_are_to_be_given_by_key(
    sftp: Sftp, by_key: bool
) -> None:
    source = "s3://photos/of-nobody"
    options: Any = {"anon": "just so", **sftp.options}
    if by_key:  # Its own fault, and nothing to do with the other storage.
        options = {"source": {"endpoint_url": "http://127.0.0.1:9"}, "output": options}
    config = prep.Config(source=source, output=f"{sftp.url}/shards", storage_options=options)
    config.grant()
    with pytest.raises(OSError, match="storage_options: sftp:// knows no 'anon'") as error:
        locate(config.output).exists()
    told = "'anon', which was given for s3 as well: storage_options that are not by key hold for"
    assert (told in str(error.value)) is not by_key


def test_a_folder_is_listed_though_the_connection_has_broken(sftp: Sftp, place: Path) -> None:
    (sftp.folder / "file").write_bytes(b"1")
    assert place.sizes() == {"file": 1}
    sftp.kill_sessions()
    assert place.sizes() == {"file": 1}
    sftp.kill_sessions()
    assert [path.name for path in place.files_below()] == ["file"]


def test_a_server_is_asked_over_a_few_connections(sftp: Sftp, place: Path) -> None:
    for number in range(24):
        (sftp.folder / f"{number}").write_bytes(b"1")
    most = []

    def connections() -> int:
        opened = psutil.Process().net_connections("tcp")
        return sum(bool(c.raddr) and c.raddr.port == sftp.port for c in opened)

    def read(number: int) -> bytes:
        found = read_file(f"{sftp.url}/{number}")
        most.append(connections())
        return found

    before = connections()
    assert list(place.each(read, range(24))) == [b"1"] * 24
    assert before < max(most) <= before + 6


@pytest.mark.slow
def test_a_manifest_is_read_on_over_a_new_connection(sftp: Sftp, place: Path) -> None:
    """A kept connection may be closed by its server at any time."""
    images = 50_000
    paths = [os.urandom(50).hex().encode() for _ in range(images)]
    table = pa.table(
        {
            "path": pa.array(paths, pa.large_binary()),
            "class": pa.array([0] * images, pa.int32()),
            "size": pa.array(range(images), pa.int64()),
            "mtime": pa.array([1] * images, pa.int64()),
        }
    )
    path = place / "images.parquet"
    path.publish(manifest.to_parquet(table))
    assert stamp_of(str(path)).size > 4 << 20  # More than is read ahead.

    def sizes(start: int, stop: int) -> list[int]:
        rows = manifest.entries(path, "/photos", ["cat"], range(start, stop))
        return [entry.stamp.size for entry in rows]

    assert sizes(0, 3) == [0, 1, 2]
    reading = manifest.entries(path, "/photos", ["cat"], range(20_000, 30_000))
    assert next(reading).stamp.size == 20_000
    sftp.kill_sessions()
    assert [entry.stamp.size for entry in reading] == list(range(20_001, 30_000))
    sftp.kill_sessions()
    assert sizes(49_000, 49_002) == [49_000, 49_001]


@pytest.mark.slow
def test_source_and_output_on_a_server_give_the_same_bytes(
    sftp: Sftp, client: Client, tmp_path: Path
) -> None:
    write_tree(sftp.folder / "photos", {"train": {"cat": 6, "dog": 5}, "val": {"cat": 2, "dog": 2}})
    here = tmp_path / "here"
    prep.run(prep.Config(source=str(sftp.folder / "photos"), output=str(here), **SETTINGS), client)
    config = prep.Config(
        source=f"{sftp.url}/photos",
        output=f"{sftp.url}/shards",
        storage_options=sftp.options,
        **SETTINGS,
    )
    assert prep.run(config, client).images["written"] == 15
    there = sftp.folder / "shards"
    assert contents(there, "**/*.tfrecord") == contents(here, "**/*.tfrecord")
    assert contents(there, "*.json").keys() == contents(here, "*.json").keys()
    assert not list(there.glob("**/.*.partial"))
    shard = there / "train/train-00001-of-00003.tfrecord"
    shard.write_bytes(shard.read_bytes()[:-1])
    (there / "train" / f".00000.{'0' * 32}.partial").touch()
    assert {problem.where for problem in prep.verify(config.output, client).problems} == {
        "train/train-00001-of-00003.tfrecord",
        f"train/.00000.{'0' * 32}.partial",
    }
    assert prep.verify(config.output, client, repair=True, trust_plan=True).clean
    assert contents(there, "**/*.tfrecord") == contents(here, "**/*.tfrecord")
