"""Storages that answer late, wrongly or not at all, and workers that die meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import re
import signal
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from distributed import Client
from fsspec.implementations.memory import MemoryFileSystem

import prep
from prep.errors import StorageUnavailable
from prep.execution.preflight.checks import samples_of
from prep.operations.averaging.mean_inputs import find_files
from prep.operations.outlook import plan
from prep.operations.running.carrying_out import _how_to_resume as how_to_resume
from prep.operations.running.carrying_out import _what_is_committed as what_is_committed
from prep.output.journal import Journal
from prep.sources.labels import LabelMap
from prep.storage.backends.filesystems import filesystem
from prep.storage.backends.grants import grant
from prep.storage.locate import locate, read_file, read_in_pieces, stamp_of
from prep.storage.location import Stamp
from prep.storage.remote import RemotePath
from prep.storage.retry import answering_within, is_transient
from tests.support.catalogs import scan_folders
from tests.support.clusters import Terminal, wait_until
from tests.support.gates import Gate
from tests.support.pictures import link_photos, write_tree
from tests.support.storages import (
    KEY,
    S3,
    SECRET,
    free_port,
    new_bucket,
    s3_server,
    same_as_on_disk,
)

_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: what is closed is reset.


@pytest.fixture
def place(s3: S3) -> Path:
    """The bucket, as what is opened."""
    grant(s3.url, s3.options)
    return locate(s3.url)


def raised(path: Path, expected: Stamp | None = None) -> OSError:
    with pytest.raises(OSError) as error:  # noqa: PT011 (which, is what is asked)
        read_file(str(path), expected)
    assert not any(secret in str(error.value) for secret in (KEY, SECRET))
    return error.value


def test_an_image_costs_one_request(s3: S3, place: Path) -> None:
    s3.fs.pipe_file(f"{s3.bucket}/photos/ä ?#%41.jpg", b"image")
    stamp = stamp_of(str(place / "photos/ä ?#%41.jpg"))
    before = len(s3.requests())
    assert read_file(f"{s3.url}/photos/ä ?#%41.jpg".encode(), stamp) == b"image"
    assert [request[0] for request in s3.requests()[before:]] == ["GET"]


def test_an_object_that_has_changed_is_not_read_as_what_it_was(s3: S3, place: Path) -> None:
    s3.fs.pipe_file(f"{s3.bucket}/a.jpg", b"image")
    stamp = stamp_of(str(place / "a.jpg"))
    longer = Stamp(stamp.size + 1, stamp.mtime)
    assert "6 bytes then, 5 now" in str(raised(place / "a.jpg", longer))
    earlier = Stamp(stamp.size, stamp.mtime - 10**9)
    assert "written to in the meantime" in str(raised(place / "a.jpg", earlier))


def test_what_can_not_be_read_says_whether_it_may_pass(s3: S3) -> None:
    grant(s3.url, s3.hasty)
    place = locate(s3.url)
    absent = raised(place / "absent.jpg")
    assert isinstance(absent, FileNotFoundError)
    s3.fs.pipe_file(f"{s3.bucket}/a.jpg", b"image")
    for status, kind, passes in (
        ("403", PermissionError, False),  # not for us
        ("500", OSError, True),  # a server that stumbles
        ("502", OSError, True),  # a proxy whose server does
        ("503", OSError, True),  # one that has too much to do
    ):
        s3.fail(100, status=status, method="GET", match="a.jpg")
        error = raised(place / "a.jpg")
        assert isinstance(error, kind), status
        assert is_transient(error) is passes, status
        s3.fail(0)
    assert read_file(str(place / "a.jpg")) == b"image"


def test_a_server_that_is_not_there_is_an_error_that_may_pass(s3: S3) -> None:
    url = f"s3://{s3.bucket}-elsewhere"
    grant(url, {**s3.hasty, "endpoint_url": f"http://127.0.0.1:{free_port()}"})
    error = raised(locate(url) / "a.jpg")
    assert is_transient(error)
    with pytest.raises(StorageUnavailable, match="can't be opened"):
        scan_folders(url)


@contextlib.contextmanager
def hanging_up() -> Iterator[str]:
    """The address of a server that breaks each connection as soon as it is there."""
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as server:

        def hang_up() -> None:
            with contextlib.suppress(OSError):  # The test is over.
                while True:
                    connection, _ = server.accept()
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                    connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_a_connection_that_breaks_is_told_of_by_what_needed_it_alone(
    s3: S3, caplog: pytest.LogCaptureFixture
) -> None:
    gc.collect()  # Tasks tell of what nobody asked them for when they are let go of.
    caplog.clear()
    with hanging_up() as endpoint:
        url = f"s3://{s3.bucket}-broken"
        grant(url, {**s3.hasty, "endpoint_url": endpoint})
        place = locate(url)

        def upload(number: int) -> OSError:
            with pytest.raises(OSError, match="Could not connect") as error:
                (place / str(number)).upload(b"image")
            return error.value

        with ThreadPoolExecutor(32) as threads:
            assert all(map(is_transient, threads.map(upload, range(96))))
    gc.collect()
    assert caplog.text == ""


def test_what_else_goes_wrong_in_the_background_is_logged(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def leave() -> None:
        async def fail() -> None:
            raise ValueError("odd")

        await asyncio.wait([asyncio.ensure_future(fail())])

    asyncio.run_coroutine_threadsafe(leave(), filesystem(str(place)).loop).result()
    gc.collect()
    assert "never retrieved" in caplog.text
    assert "odd" in caplog.text


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (scan_folders, "source: can't be opened: "),
        (samples_of, "source: can't be listed: "),
        (lambda url: find_files(url, None), "input: can't be listed: "),
        (LabelMap.read, "label map: can't be read: "),
    ],
)
def test_that_a_store_does_not_answer_is_no_wrong_request(
    ask: Callable[[str], object], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> object:
        raise ConnectionRefusedError(errno.ECONNREFUSED, "refused")

    monkeypatch.setattr("prep.storage.remote._PAUSES", (0,))
    for name in ("info", "ls", "cat_file", "open"):
        monkeypatch.setattr(MemoryFileSystem, name, refused)
    with pytest.raises(StorageUnavailable) as error:
        ask("memory://away/it")
    assert str(error.value).startswith(told)
    assert str(error.value).endswith("; try again later")
    assert error.value.exit_code == 1


def test_that_a_store_stops_to_answer_is_no_wrong_request_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(*_: object) -> object:
        raise ConnectionRefusedError(errno.ECONNREFUSED, "refused")

    MemoryFileSystem().pipe_file("/leaves/train/cat/a.jpg", b"image")
    monkeypatch.setattr("prep.storage.remote.RemotePath.listed", refused)
    with pytest.raises(StorageUnavailable, match="source: can't list a folder: "):
        scan_folders("memory://leaves")


def test_no_credentials_are_an_error_that_does_not_pass(
    s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    url = f"s3://{s3.bucket}-nobody"
    grant(url, {"endpoint_url": s3.endpoint, "anon": False})
    assert raised(locate(url) / "a.jpg").errno == errno.EACCES


def test_a_plan_that_is_not_for_us_is_no_reason_to_overwrite_it(s3: S3, place: Path) -> None:
    s3.fs.pipe_file(f"{s3.bucket}/shards/.prep/plan.json", b"{}")
    s3.fail(100, status="403", match="plan.json")
    with pytest.raises(prep.PrepError, match=r"plan.json: can't be read: .*Forbidden") as error:
        Journal(str(place / "shards")).stored_plan()
    s3.fail(0)
    assert "overwrite" not in str(error.value)


def test_a_run_is_stopped_though_the_store_does_not_say_what_is_committed(
    s3: S3, place: Path, tmp_path: Path
) -> None:
    source = write_tree(tmp_path / "source", {"train": {"cat": 1}})
    output = f"{s3.url}/shards"
    made = plan(prep.Config(source=source, output=output, storage_options=s3.options))
    s3.fail(100, status="403", match="receipts")
    try:
        told = how_to_resume(made, 1, what_is_committed(made, Journal(output)), "")
    finally:
        s3.fail(0)
    assert told.startswith("stopped: this run has seen 1 of 1 shards committed, and these stay;")


@pytest.fixture
def silent(s3: S3) -> Iterator[RemotePath]:
    """A bucket of a server that takes connections, and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"s3://{s3.bucket}-silent"
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        grant(url, {**s3.options, "endpoint_url": endpoint})
        yield locate(url)


def test_who_is_in_a_hurry_waits_for_no_answer_longer_than_that(silent: RemotePath) -> None:
    began = time.monotonic()
    with answering_within(0.5):
        place = silent / "a"
        for ask in (place.read_patiently, place.sizes, place.read_patiently):
            with pytest.raises(OSError, match="silent") as error:
                ask()
            assert is_transient(error.value)
        with pytest.raises(OSError, match="silent"):  # Threads are in a hurry, too.
            list(silent.each(stamp_of, [str(silent / "a")] * 3))
    assert time.monotonic() - began < 40  # One answer alone is waited for for longer.


@pytest.mark.usefixtures("ctrl_c_interrupts")
def test_who_is_stopped_waits_for_no_thread_that_waits_for_a_store(silent: RemotePath) -> None:
    def press() -> None:
        wait_until(lambda: sum(t.name.startswith("ThreadPool") for t in threading.enumerate()) >= 2)
        os.kill(os.getpid(), signal.SIGINT)

    began = time.monotonic()
    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        list(silent.each(RemotePath.read_patiently, [silent / "a", silent / "b"]))
    thread.join()
    assert time.monotonic() - began < 40  # One answer alone is waited for for longer.


@pytest.mark.slow
@pytest.mark.parametrize("away", [signal.SIGSTOP, signal.SIGKILL], ids=["silent", "gone"])
def test_ctrl_c_ends_a_run_whose_store_is_away_and_sooner_if_pressed_again(
    away: signal.Signals, tmp_path: Path
) -> None:
    link_photos(tmp_path, 400)
    assert seconds_to_stop(tmp_path, away, times=2) < seconds_to_stop(tmp_path, away, times=1)


def seconds_to_stop(folder: Path, away: signal.Signals, times: int) -> float:
    """Return how long a run goes on after Ctrl-C when its store was sent that signal."""
    with s3_server() as (endpoint, server):
        s3 = new_bucket(endpoint)
        flags = ["--source", "photos", "--output", f"{s3.url}/out", "--images-per-shard", "10"]
        flags += ["--size", "512", "--workers", "2"]
        gate = Gate(folder, first=15)
        with gate, Terminal("run", *flags, cwd=folder, **s3.variables) as terminal:
            wait_until(lambda: re.search(r"[1-9]\d* of 40 shards", terminal.shown))
            server.send_signal(away)
            gate.open()
            began = time.monotonic()
            for time_ in range(times):
                if time_ > 0:  # Two that come at the same moment are one to Python.
                    painted = terminal.shown.count("preparing")
                    again = painted + 2
                    wait_until(
                        lambda n=again: (
                            terminal.shown.count("preparing") >= n
                            or terminal.process.poll() is not None
                        )
                    )
                terminal.press(b"\x03")
            assert terminal.wait(45) == 130  # It takes 10 at the most, and others may be at work.
            took = time.monotonic() - began
            wait_until(lambda: terminal.processes() == [])
            shown = terminal.shown
    assert re.search(r"prep: stopped: this run has seen [1-9]\d* of 40 shards committed", shown)
    assert "Traceback" not in shown
    assert "distributed." not in shown
    return took


def test_a_file_appears_whole_or_not_at_all(s3: S3, place: Path) -> None:
    path = place / "out" / "file"
    with path.create(tag="00001") as file:
        file.write(b"one")
        (marker,) = s3.contents("out")
        assert marker.startswith(".00001.")
        with path.create(tag="00001") as other:
            assert other.others == [marker]
    assert s3.contents("out") == {"file": b"one"}
    with pytest.raises(KeyboardInterrupt), path.create(tag="00001") as file:  # noqa: PT012
        file.write(b"two")
        raise KeyboardInterrupt
    assert s3.contents("out") == {"file": b"one"}

    def refuse() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"), path.create(before_publishing=refuse) as f:
        f.write(b"three")
    assert s3.contents("out") == {"file": b"one"}


@pytest.mark.slow
def test_a_large_file_goes_in_parts_from_disk_and_leaves_nothing_there(
    s3: S3, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    pieces = [bytes([number]) * (9 << 20) for number in range(9)]
    with (place / "out" / "file").create() as file:
        for piece in pieces:
            file.write(piece)
        opened = [os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()]
        assert [target for target in opened if target.startswith(f"{tmp_path}/")]
        assert list(tmp_path.iterdir()) == []  # Whoever is killed here leaves nothing.
    assert s3.fs.cat_file(f"{s3.bucket}/out/file") == b"".join(pieces)
    assert b"".join(read_in_pieces(str(place / "out/file"))) == b"".join(pieces)
    assert [r for r in s3.requests() if "uploadId" in r[1] and r[0] == "PUT"]


@pytest.mark.slow
def test_listing_takes_a_request_for_a_thousand_objects_and_not_one_for_each(s3: S3) -> None:
    """So 1,281,167 images in 1,000 folders take 2,000, of which 32 wait at the same time."""
    body = b"x" * 7
    prefixes = 8
    names = [
        f"{s3.bucket}/photos/train/n{folder:04d}/{number:05d}.jpg"
        for folder in range(prefixes)
        for number in range(1_100 if folder == 0 else 10)
    ]
    s3.fs.pipe(dict.fromkeys(names, body))
    s3.fs.pipe_file(f"{s3.bucket}/photos/train/n0000/", b"")  # made by a console, for the folder
    s3.fs.pipe_file(f"{s3.bucket}/photos/train/n0001/", b"some tools put something into it")
    s3.fs.pipe_file(f"{s3.bucket}/photos/train/n0000/.hidden.jpg", b"x")
    s3.fs.pipe_file(f"{s3.bucket}/photos/train/notes.txt", b"x")
    grant(s3.url, s3.options)
    before = len(s3.requests())
    catalog = scan_folders(f"{s3.url}/photos")
    asked = s3.requests()[before:]
    assert catalog.images.num_rows == len(names)
    assert len(catalog.classes) == prefixes
    assert catalog.images["size"].unique().to_pylist() == [7]
    assert {i.reason: i.count for i in catalog.ignored} == {"hidden": 1, "other extension": 1}
    # One folder of two answers, the others of one; the source, what it is, and its split.
    assert len(asked) <= 2 + (prefixes - 1) + 4
    assert Counter(request[0] for request in asked)["HEAD"] <= 1


@pytest.mark.slow
def test_killed_workers_and_a_stumbling_store_cost_nothing_but_time(s3: S3, tmp_path: Path) -> None:
    with same_as_on_disk(s3, tmp_path, 180, images_per_shard=6) as (config, client):
        with killing(s3, client) as killed:
            report = prep.run(config, client)
        assert len(killed) == 2
        s3.fail(0)
    assert report.images["written"] == 180


@pytest.mark.slow
def test_a_store_that_does_not_answer_is_no_finding(s3: S3, tmp_path: Path, client: Client) -> None:
    source = write_tree(tmp_path / "source", {"train": {"cat": 4, "dog": 4}})
    config = prep.Config(
        source=str(source),
        output=f"{s3.url}/shards",
        storage_options=s3.hasty,
        size=32,
        images_per_shard=4,
    )
    prep.run(config, client)
    receipt, shard = "receipts/train/00000.json", "train-00000-of-00002.tfrecord"
    for match in (receipt, shard):
        s3.fail(2, status="500", method="GET", match=match)
        assert prep.verify(config.output, client).clean
        s3.fail(0)
    for match in (receipt, shard):
        s3.fail(10_000, status="500", method="GET", match=match)
        with pytest.raises(StorageUnavailable, match=f"{match}'; try again later"):
            prep.verify(config.output, client)
        s3.fail(0)


@pytest.mark.slow
def test_a_mean_is_that_of_all_images_or_none(s3: S3, tmp_path: Path, client: Client) -> None:
    source = write_tree(tmp_path / "source", {"train": {"cat": 4, "dog": 4}})
    photos, dog = s3.upload(source, "photos"), "photos/train/dog/"
    s3.fail(2, status="500", method="GET", match=dog)
    report = prep.mean_rgb(photos, client, storage_options=s3.hasty)
    s3.fail(0)
    assert (report.images, report.refused) == (8, ())
    s3.fail(10_000, status="500", method="GET", match=dog)
    with pytest.raises(StorageUnavailable, match="try again later"):
        prep.mean_rgb(photos, client, storage_options=s3.hasty)
    s3.fail(0)


@contextlib.contextmanager
def killing(s3: S3, client: Client) -> Iterator[list[int]]:
    """Kills a worker after some shards, and another one later; every 20th request or so fails."""
    killed: list[int] = []

    def committed() -> int:
        receipts = f"{s3.bucket}/shards/.prep/receipts/"
        return sum(method == "PUT" and receipts in path for method, path, _ in s3.requests())

    def kill() -> None:
        for after in (2, 8):
            wait_until(lambda after=after: committed() >= after)
            s3.fail(10, status="503", match="shards|photos")
            pids = client.run(os.getpid, on_error="ignore")
            victim = next(pid for pid in pids.values() if isinstance(pid, int))
            psutil.Process(victim).kill()
            killed.append(victim)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        thread.join()
