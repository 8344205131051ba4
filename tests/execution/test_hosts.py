"""Clusters of several hosts, each with its own name, address and processes."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from prep.execution.clusters.spec import ClusterSpec
from tests.support.clusters import commits, wait_until
from tests.support.gates import Gate
from tests.support.hosts import Host, Network, network, require_hosts
from tests.support.services import DASK_PORT, dask_address, start_dask
from tests.support.shared_folder import (
    IMAGES_PER_SHARD,
    SHARDS,
    Run,
    adapt,
    assert_as_on_one_machine,
    run_on,
    written_by,
)

_CUT = 40  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """``prep run`` on host one, where the scheduler is, and a worker each on two and three."""

    prep: Run
    two: Host
    three: Host
    worker_of_three: subprocess.Popen[bytes]


def start(
    net: Network, shared: Path, *, on_three: Mapping[str, str] | None = None, **env: str
) -> Running:
    """Starts all of it.

    Args:
        on_three: variables for the worker on host three alone.
        env: variables for the scheduler and both workers.
    """
    one, two, three = net.hosts
    workers = start_dask(net, shared, env, three=on_three or {})
    prep = run_on(one, shared, "existing", DASK_SCHEDULER_ADDRESS=dask_address(net))
    return Running(prep=prep, two=two, three=three, worker_of_three=workers["three"])


def in_the_middle(shared: Path) -> bool:
    """Return whether both hosts are at work on their third shard, or beyond."""
    return min(written_by(shared)[name] for name in ("two", "three")) >= 2


def logging(shared: Path, shim: Path) -> dict[str, str]:
    """The environment in which a worker notes down each file that it puts in its place."""
    return {"LD_PRELOAD": str(shim), "HALT_LOG": str(shared / "renamed")}


def assert_each_committed_once(shared: Path) -> None:
    receipts = commits(shared / "renamed", ".json")
    assert [times for name, times in receipts.items() if name[0].isdigit()] == [1] * SHARDS


@contextlib.contextmanager
def cut_off(net: Network, host: Host, *, seconds: float) -> Iterator[None]:
    """Cuts a host off for as long as the block takes, but not for less than some time."""
    net.unplug(host)
    until = time.monotonic() + seconds
    yield
    time.sleep(max(0.0, until - time.monotonic()))
    net.plug(host)


@pytest.mark.slow
def test_three_hosts_write_the_same_as_one_machine(shared: Path, one_machine: Path) -> None:
    with Gate(shared, first=IMAGES_PER_SHARD) as gate, network(3) as net:
        run = start(net, shared)
        wait_until(lambda: len(written_by(shared)) == 2)
        gate.open()
        run.prep.succeeds()
    assert set(written_by(shared)) == {"two", "three"}
    assert_as_on_one_machine(shared, one_machine)


@pytest.mark.slow
def test_a_host_may_see_the_folder_elsewhere(shared: Path, one_machine: Path) -> None:
    data = shared / "data"
    adapt(shared, "existing", mounts={str(data): {"three": "/mnt"}})
    with Gate(shared, first=IMAGES_PER_SHARD) as gate, network(3) as net:
        three = net.hosts[2]
        three.run("mount", "--bind", data, "/mnt")
        three.run("mount", "-t", "tmpfs", "tmpfs", data)
        run = start(net, shared)
        wait_until(lambda: len(written_by(shared)) == 2)
        gate.open()
        run.prep.succeeds()
        assert three.run("ls", data) == ""
    assert set(written_by(shared)) == {"two", "three"}
    assert_as_on_one_machine(shared, one_machine)


@pytest.mark.slow
def test_a_host_that_is_killed_costs_no_shard(shared: Path, shim: Path, one_machine: Path) -> None:
    with Gate(shared, first=2 * IMAGES_PER_SHARD) as gate, network(3) as net:
        run = start(net, shared, **logging(shared, shim))
        wait_until(lambda: in_the_middle(shared))
        run.three.switch_off()
        before = written_by(shared)
        assert before == {"two": 2, "three": 2}
        gate.open()
        run.prep.succeeds()
    assert written_by(shared) == {"two": SHARDS - before["three"], "three": before["three"]}
    assert_as_on_one_machine(shared, one_machine)
    assert_each_committed_once(shared)


@pytest.mark.slow
def test_a_host_that_was_cut_off_for_a_while_goes_on(
    shared: Path, shim: Path, one_machine: Path
) -> None:
    """With the setting of our cluster file. Dask's own would end the host's worker."""
    patience = str(ClusterSpec.read().config["distributed.comm.timeouts.tcp"])
    env = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": patience, **logging(shared, shim)}
    with Gate(shared, first=2 * IMAGES_PER_SHARD) as gate, network(3) as net:
        run = start(net, shared, **env)
        wait_until(lambda: in_the_middle(shared))
        resting = run.two.processes("spawn_main")  # Or nothing would be left to do.
        for process in resting:
            process.suspend()
        with cut_off(net, run.three, seconds=_CUT):
            gate.open()
        meanwhile = written_by(shared)
        assert sum(meanwhile.values()) < SHARDS
        wait_until(lambda: written_by(shared)["three"] > meanwhile["three"])
        for process in resting:
            process.resume()
        run.prep.succeeds()
        assert run.worker_of_three.poll() is None
    assert_as_on_one_machine(shared, one_machine)
    assert_each_committed_once(shared)


@pytest.mark.slow
def test_what_a_host_commits_that_was_given_up_does_no_harm(
    shared: Path, shim: Path, one_machine: Path
) -> None:
    """With Dask's own setting: it gives a host up after 30 s, and its shard to another one."""
    log, halted = shared / "renamed", shared / "halted"
    halt = {"HALT_AT": "before:.tfrecord", "HALT_ONCE": str(halted)}
    with network(3) as net:
        run = start(net, shared, on_three={**halt, **logging(shared, shim)})
        wait_until(halted.exists)
        (late,) = (p for p in run.three.processes("spawn_main") if p.status() == "stopped")
        with cut_off(net, run.three, seconds=_CUT):
            run.prep.succeeds()
            assert written_by(shared) == {"two": SHARDS}
            assert len(partials(shared)) == 2  # the file of the late one, and its trace
        late.resume()
        wait_until(lambda: log.exists() and sum(commits(log).values()) == 1)
        wait_until(lambda: partials(shared) == [])
        run.worker_of_three.wait(60)  # It ends itself, once it sees that it was given up.
    assert_as_on_one_machine(shared, one_machine)


def partials(shared: Path) -> list[Path]:
    """Files that are being written, or whose writer is gone."""
    return list(shared.glob("data/out/**/*.partial"))


@pytest.mark.slow
def test_slow_links_do_no_harm(shared: Path, one_machine: Path) -> None:
    slow = network(3, delays={1: 0.05, 2: 0.05})
    with Gate(shared, first=IMAGES_PER_SHARD) as gate, slow as net:
        run = start(net, shared)
        assert round_trip(run.two, net.hosts[0]) >= 0.1
        wait_until(lambda: len(written_by(shared)) == 2)
        gate.open()
        run.prep.succeeds()
    assert set(written_by(shared)) == {"two", "three"}
    assert_as_on_one_machine(shared, one_machine)


def round_trip(host: Host, other: Host) -> float:
    """Seconds that a packet takes from one host to the other and back."""
    connect = (
        "import socket, sys, time; began = time.monotonic()\n"
        "socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
        "print(time.monotonic() - began)"
    )
    return float(host.run(sys.executable, "-c", connect, other.name, str(DASK_PORT)))


@pytest.mark.slow
def test_hosts_end_with_the_process_that_made_them_even_if_it_is_killed() -> None:
    require_hosts()
    make = (
        "import signal, sys; sys.path.insert(0, sys.argv[1])\n"
        "from tests.support.hosts import network\n"
        "with network(2) as net:\n"
        "    print(*(host.first.pid for host in net.hosts), flush=True)\n"
        "    net.hosts[0].run('sleep', '1000', timeout=1000)"
    )
    command = [sys.executable, "-c", make, str(Path(__file__).parents[2])]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as maker:
        assert maker.stdout is not None
        first = [psutil.Process(int(pid)) for pid in maker.stdout.readline().split()]
        helpers = wait_until(lambda: psutil.Process(maker.pid).children())
        maker.kill()
    assert len(first) == 2
    assert psutil.wait_procs([*first, *helpers], timeout=60)[1] == []
