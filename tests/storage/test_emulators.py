"""Peculiarities and faults of Azure's and Google's storages and of WebDAV."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from distributed import Client

import prep
from prep.storage.backends.filesystems import forget_filesystems
from prep.storage.backends.grants import grant
from prep.storage.locate import locate, read_file, read_in_pieces, stamp_of
from prep.storage.location import FileChanged, Stamp
from prep.storage.remote import RemotePath
from prep.storage.retry import is_transient
from tests.support.clusters import wait_until
from tests.support.emulators import Azure, Server, WebDav
from tests.support.pictures import write_tree
from tests.support.storages import KEY, SECRET, Store, same_as_on_disk

#: A character of each kind that something on the way may take for more than a part of a name.
NAMES = ("ä ?#%41.jpg", " x ", "a+b&c=d,e@f:g'(h)!~*$[i].jpg", "a%20b", "?versionid", "plain")


@pytest.fixture
def place(emulated: Store) -> Path:
    """The storage, as what is opened."""
    grant(emulated.url, emulated.options)
    return locate(emulated.url)


def server_of(store: Any) -> Server:
    server: Server = store.server
    return server


def test_a_name_is_the_same_in_each(emulated: Store, place: Path) -> None:
    (place / "photos").make_folder(within=place)
    for name in NAMES:
        path = str(place / "photos" / name)
        # Not by a name beside it: WsgiDAV cuts what it is to be renamed to at a question mark.
        RemotePath(path).upload(name.encode())
        assert read_file(path, stamp_of(path)) == name.encode()
        assert b"".join(read_in_pieces(path)) == name.encode()
    assert emulated.contents("photos") == {name: name.encode() for name in NAMES}
    assert {path.name for path in (place / "photos").iterdir()} == set(NAMES)
    for name in NAMES:
        (place / "photos" / name).remove_file(within=place)
    assert emulated.contents("photos") == {}


def test_files_are_told_from_folders_and_from_nothing(emulated: Store, place: Path) -> None:
    emulated.write("photos/cat/a.jpg", b"image")
    emulated.write("photos2/b.jpg", b"image")
    assert [path.name for path in (place / "photos").iterdir()] == ["cat"]
    assert (place / "photos").is_dir()
    assert (place / "photos/cat/a.jpg").is_file()
    assert not (place / "photos/cat/none").exists()
    with pytest.raises(NotADirectoryError):
        (place / "photos/cat/a.jpg").listed()
    for ask in (read_file, stamp_of):
        with pytest.raises(FileNotFoundError):
            ask(str(place / "photos/none.jpg"))


def test_of_those_that_put_a_file_where_there_is_none_one_does(
    emulated: Store, place: Path
) -> None:
    (place / "state").make_folder(within=place)

    def put(number: int) -> bool:
        with contextlib.suppress(FileExistsError):
            (place / "state" / "lock").put_if_absent(b"%d" % number)
            return True
        return False

    with ThreadPoolExecutor(6) as threads:
        done = list(threads.map(put, range(6)))
    assert done.count(True) == 1
    assert emulated.contents("state") == {"lock": b"%d" % done.index(True)}


def test_a_large_file_goes_from_disk_and_leaves_nothing_there(
    emulated: Store, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("prep.storage.upload._IN_MEMORY", 1 << 20)
    pieces = [bytes([number]) * (3 << 20) for number in range(4)]
    with (place / "out" / "file").create() as file:
        for piece in pieces:
            file.write(piece)
    assert list(tmp_path.iterdir()) == []
    assert emulated.contents("out") == {"file": b"".join(pieces)}
    assert b"".join(read_in_pieces(str(place / "out/file"))) == b"".join(pieces)


@pytest.mark.parametrize("emulated", ["azure", "webdav"], indirect=True)
@pytest.mark.slow
def test_a_file_that_has_changed_is_not_read_as_what_it_was(emulated: Store, place: Path) -> None:
    """Google's storage tells the time of a change in a listing alone."""
    emulated.write("a.jpg", b"image")
    path = str(place / "a.jpg")
    stamp = stamp_of(path)
    for other, says in (
        (Stamp(stamp.size + 1, stamp.mtime), "6 bytes then, 5 now"),
        (Stamp(stamp.size, stamp.mtime - 10**9), "written to in the meantime"),
    ):
        with pytest.raises(FileChanged, match=says):
            read_file(path, other)


@pytest.mark.parametrize("emulated", ["azure", "gcs"], indirect=True)
@pytest.mark.slow
def test_a_container_that_is_not_there_is_named(
    emulated: Store, tmp_path: Path, client: Client
) -> None:
    source = write_tree(tmp_path / "source", {"train": {"cat": 1}})
    options = dict(emulated.options)
    missing = f"{emulated.url}-missing"
    for values in (
        {"source": f"{missing}/photos", "output": str(tmp_path / "out")},
        {"source": str(source), "output": f"{missing}/shards"},
    ):
        config = prep.Config(**values, storage_options=options)
        with pytest.raises(prep.PrepError, match=f"{missing} does not exist") as error:
            prep.run(config, client)
        assert "\n" not in str(error.value)
        assert "<" not in str(error.value)


@pytest.mark.slow
def test_who_is_not_let_in_is_told_so(azure: Azure, webdav: WebDav) -> None:
    wrong = azure.options["connection_string"].replace("AccountKey=", "AccountKey=d3Jvbmc")
    for url, options in (
        (f"{azure.url}/wrong", {"connection_string": wrong}),
        (f"{webdav.url}/wrong", {"password": "wrong-one"}),
        (f"{webdav.url}/nobody".replace(f"{KEY}@", ""), {}),
    ):
        grant(url, options)
        with pytest.raises(PermissionError) as error:
            read_file(f"{url}/a.jpg")
        assert not is_transient(error.value)
        assert not any(secret in str(error.value) for secret in (SECRET, wrong, "wrong-one"))
        assert "\n" not in str(error.value)


@pytest.mark.slow
def test_webdav_is_logged_in_to_by_url_options_or_environment(
    webdav: WebDav, monkeypatch: pytest.MonkeyPatch
) -> None:
    webdav.write("photos/train/cat/a.jpg", b"image")
    plain = webdav.url.replace(f"{KEY}@", "")
    inside, _ = webdav.credentials_in(webdav.url)
    ways: list[tuple[str, dict[str, Any]]] = [
        (inside, {}),
        (webdav.url, {"password": SECRET}),
        (plain, {"username": KEY, "password": SECRET}),
        (plain, {"auth": [KEY, SECRET]}),  # as webdav4 calls it; a pair is a list in JSON
    ]
    for number, (url, options) in enumerate(ways):
        config = prep.Config(
            source=f"{url}/photos", output=f"out-{number}", storage_options=options
        )
        assert SECRET not in config.source
        assert "1 image of 1 class" in repr(prep.plan(config))
    monkeypatch.setenv("WEBDAV_USERNAME", KEY)
    monkeypatch.setenv("WEBDAV_PASSWORD", SECRET)
    forget_filesystems()  # As a process that begins with these variables.
    grant(f"{plain}/photos/train", {})  # The nearest options hold, and these are none.
    assert locate(f"{plain}/photos/train/cat/a.jpg").is_file()


@pytest.mark.slow
def test_killed_workers_and_a_server_that_is_started_anew_cost_nothing_but_time(
    emulated: Store, tmp_path: Path
) -> None:
    with same_as_on_disk(emulated, tmp_path, 80, images_per_shard=5) as (config, client):
        with trouble(emulated, client) as told:
            report = prep.run(config, client)
        assert told == ["a worker is killed", "the server is back"]
    assert report.images["written"] == 80


@contextlib.contextmanager
def trouble(store: Store, client: Client) -> Iterator[list[str]]:
    """Kills a worker after some shards; ends the server after some more, and starts it anew."""
    told: list[str] = []

    def committed(count: int) -> None:
        wait_until(lambda: len(store.contents("shards/.prep/receipts/train")) >= count)

    def make() -> None:
        committed(2)
        pids = client.run(os.getpid, on_error="ignore")
        psutil.Process(next(pid for pid in pids.values() if isinstance(pid, int))).kill()
        told.append("a worker is killed")
        committed(6)
        server_of(store).stop()
        server_of(store).start()
        told.append("the server is back")

    thread = threading.Thread(target=make)
    thread.start()
    try:
        yield told
    finally:
        thread.join()
