"""One run at a time without locks of a kernel: in folders and in a storage."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from distributed import Client

import prep
from prep.errors import OutputConflict
from prep.output import lease as leases
from prep.output.journal import Journal
from prep.output.lease import Owner, leased
from prep.storage.backends.grants import OPTIONS, grant
from prep.storage.locate import locate
from prep.storage.location import Location
from prep.storage.newfile import temporary_name
from tests.support.pictures import write_tree
from tests.support.storages import S3, Sftp

# Holds a lease for as long as its standard input is open, in a process of another machine.
OWNER = """
import json, sys
from prep.output import lease as leases
from prep.storage.locate import locate
from prep.storage.backends.grants import grant
leases._machine = lambda: "elsewhere"
state = locate(sys.argv[1])
grant(str(state.parent), json.loads(sys.argv[3]))
with leases.leased(state, float(sys.argv[2])):
    print("held", flush=True)
    sys.stdin.read()
"""
HOUR = 3600.0


@pytest.fixture(params=["folder", "store", pytest.param("server", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    """The state of an output in which something is already."""
    found = locate(tmp_path / "out/.prep")
    if request.param != "folder":
        there: S3 | Sftp = request.getfixturevalue("s3" if request.param == "store" else "sftp")
        grant(there.url, there.options)
        found = locate(f"{there.url}/out/.prep")
    (found / "plan.json").publish(b"{}")
    return found


def names(place: Location) -> list[str]:
    return place.names("lock")


def start_owner(place: Location, seconds: float) -> subprocess.Popen[str]:
    options = json.dumps(dict(OPTIONS.of(str(place))))
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(place), str(seconds), options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def leave(place: Location, owner: Owner) -> None:
    """As one does that dies."""
    (place / "lock-000001").put_if_absent(json.dumps(asdict(owner)).encode())


def died() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_a_lease_is_free_again_after_the_block_and_numbers_go_up(place: Location) -> None:
    for number in (1, 2, 3):
        with leased(place, HOUR) as lease:
            assert names(place) == [f"lock-{number:06d}"]
            with pytest.raises(OutputConflict, match=f"process {os.getpid()} on"), leased(place):
                pass
            lease.require(ask=True)
        assert (place / f"lock-{number:06d}").read_bytes() == b"null\n"


def test_an_owner_that_is_alive_on_another_machine_is_waited_for_and_told(
    place: Location, caplog: pytest.LogCaptureFixture
) -> None:
    with start_owner(place, 0.5) as process:
        held = f"process {process.pid} on .*, since "
        with pytest.raises(OutputConflict, match=held), leased(place, 30.0):
            pass
        assert f"whether a run is still at work in {place.parent}: process {process.pid}" in (
            caplog.text
        )
        process.communicate("")
    assert process.returncode == 0
    with leased(place, HOUR):  # It has let go.
        assert names(place) == ["lock-000002"]


def test_an_owner_that_has_died_on_another_machine_loses_it_in_time(place: Location) -> None:
    with start_owner(place, HOUR) as process:
        process.kill()
    with leased(place, 0.5) as lease:
        assert names(place) == ["lock-000002"]
        lease.require(ask=True)


def test_an_owner_that_has_died_on_this_machine_loses_it_at_once(place: Location) -> None:
    leave(place, Owner(process=died()))
    with leased(place, HOUR):
        assert names(place) == ["lock-000002"]


def test_who_has_a_number_that_another_process_has_now_is_dead(tmp_path: Path) -> None:
    parent = Owner(process=os.getppid(), started=leases._started(os.getppid()))
    assert parent.is_alive()
    assert replace(parent, started="1").is_alive() is False
    assert replace(parent, machine="elsewhere").is_alive() is None
    assert Owner().is_alive() is False  # This process, which holds nothing.


@pytest.mark.parametrize("written", [b"", b"{}", b"[" * 2000, bytes(1 << 20), b'{"process": "x"}'])
def test_what_tells_of_no_owner_is_watched_as_one_that_has_just_begun(
    written: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "lock-000007").write_bytes(written)
    with leased(locate(tmp_path), 0.1):
        assert names(locate(tmp_path)) == ["lock-000008"]
    assert caplog.text.count("one that has just started") == 1


def test_who_holds_it_is_read_from_a_file_of_moderate_size_alone(tmp_path: Path) -> None:
    file = tmp_path / "lock-000001"
    with open(file, "wb") as sparse:
        sparse.truncate(1 << 40)
    with leased(locate(tmp_path), 0.1):
        assert names(locate(tmp_path)) == ["lock-000002"]
    os.mkfifo(file)
    with pytest.raises(OSError, match="not a regular file"), leased(locate(tmp_path), 0.1):
        pass


def test_names_that_no_lease_has_are_nobodys(tmp_path: Path) -> None:
    others = {"lock-0000001", "lock-000001.bak", "lock-\u0660\u0660\u0660\u0660\u0660\u0661"}
    for name in others:
        (tmp_path / name).write_bytes(b"{}")
    with leased(locate(tmp_path), HOUR):
        assert {*names(locate(tmp_path))} == {"lock-000001", *others}


def test_of_many_contenders_for_a_dead_lease_one_has_it(place: Location) -> None:
    leave(place, Owner(process=died()))
    count = 8
    began, tried = threading.Barrier(count, timeout=120), threading.Barrier(count, timeout=120)

    def contend(_: int) -> str:
        began.wait()
        try:
            with leased(place, HOUR):
                tried.wait()
                return "held"
        except OutputConflict:
            tried.wait()
            return "refused"
        except BaseException:
            tried.abort()  # The others are not to wait for this one.
            raise

    with ThreadPoolExecutor(count) as pool:
        done = sorted(pool.map(contend, range(count)))
    assert done == ["held"] + ["refused"] * (count - 1)


def test_who_was_suspended_learns_of_it_and_does_not_end_well(
    place: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if it were: it does not renew its lease for an hour."""

    def be_taken_over() -> None:
        with leased(place, HOUR) as late:
            monkeypatch.setattr(leases, "_machine", lambda: "elsewhere")
            with leased(place, 0.3) as lease:
                late.require()  # It does not know yet.
                late._renewals += 1
                with contextlib.suppress(FileNotFoundError):  # A store makes it anew.
                    (place / "lock-000001").put_over(late._content())
                lease.require(ask=True)
                with pytest.raises(OutputConflict, match="this one was silent"):
                    late.require(ask=True)

    with pytest.raises(OutputConflict, match="this one was silent"):
        be_taken_over()
    with leased(place, HOUR):
        assert names(place) == ["lock-000003"]


def test_an_answer_that_was_lost_is_no_other_owner(
    place: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = type(place)
    put = kind.put_if_absent

    def unheard(path: Location, data: bytes, **where: Any) -> None:
        put(path, data, **where)
        raise FileExistsError

    monkeypatch.setattr(kind, "put_if_absent", unheard)
    with leased(place, HOUR) as lease:
        lease.require(ask=True)


def test_a_store_that_does_not_know_put_if_absent_will_do(s3: S3) -> None:
    grant(s3.url, s3.options)
    folder = locate(f"{s3.url}/out/.prep")
    s3.fail(1, status="501", method="PUT", match="lock-000001")
    with leased(folder, HOUR) as lease:
        lease.require(ask=True)
        with pytest.raises(OutputConflict), leased(folder):
            pass
    assert s3.contents("out") == {}  # Nothing has come of it.


def test_an_output_that_is_held_in_a_store_is_refused_to_all_others(
    s3: S3, tmp_path: Path, client: Client
) -> None:
    source = write_tree(tmp_path / "source", {"train": {"cat": 4}})
    output = f"{s3.url}/out"
    config = prep.Config(source=str(source), output=output, size=32, storage_options=s3.options)
    grant(s3.url, s3.options)
    state = locate(f"{output}/.prep")
    held = f"another run is at work in {output} \\(process {os.getpid()} on "
    with leased(state), pytest.raises(OutputConflict, match=held):
        prep.run(config, client)
    assert s3.contents("out") == {}
    prep.run(config, client)
    with leased(state):
        prep.run(config, client)  # There is nothing to do.
        with pytest.raises(OutputConflict, match=held):
            prep.run(config, client, overwrite=True)
        with pytest.raises(OutputConflict, match=held):
            prep.verify(output, client, repair=True, trust_plan=True)
        assert prep.verify(output, client).clean


def test_a_lease_outlives_what_it_was_taken_to_remove(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what dead attempts have left does not, though there are no locks to tell them by."""

    def no_locks(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    source = write_tree(tmp_path / "source", {"train": {"cat": 4}})
    plan = prep.plan(prep.Config(source=str(source), output=str(tmp_path / "out"), size=32))
    journal = Journal(tmp_path / "out")
    train = locate(tmp_path / "out/train")
    with journal.lock():
        journal.begin(plan)
        left = train / temporary_name("00000")
        left.write_bytes(b"half a shard")
        journal.begin(plan)
        (trace,) = train.leftovers()
        assert trace.read_bytes() == b""
        assert trace != left  # Who is at that after all can't publish it.
        journal.remove_leftovers(plan)
        assert train.leftovers() == []
        journal.clear(plan)
        journal.require_lock(ask=True)
