"""Clusters of several hosts: each with a name, an address and processes of its own."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from clusters import commits, contents, run_prep, wait_until
from hosts import Host, Network, network, require_hosts
from pictures import link_photos, picture

from prep.clusters import ClusterSpec

SHARDS = 24
IMAGES_PER_SHARD = 100
CONFIG = {"source": "photos", "output": "out", "size": 128, "images_per_shard": IMAGES_PER_SHARD}
RUN = """
import json, sys
from distributed import Client
import prep

if __name__ == "__main__":
    with Client(sys.argv[1]) as client:
        client.wait_for_workers(int(sys.argv[2]), timeout=60)
        prep.run(prep.Config(**json.load(open("config.json"))), client)
"""
# What differs between two runs that do the same.
_OF_THE_ATTEMPT = ("began", "seconds", "worker", "retries")


@pytest.fixture(scope="module")
def one_machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos, and what a run on this machine alone makes of them."""
    require_hosts()
    home = tmp_path_factory.mktemp("one-machine")
    cats = link_photos(home, SHARDS * IMAGES_PER_SHARD - 1, picture(600, 800))
    (cats / "bad.jpg").write_bytes(b"")
    (home / "config.json").write_text(json.dumps(CONFIG))
    done = run_prep("run", "-c", "config.json", "--workers", "2", cwd=home)
    assert done.returncode == 0, done.stderr
    return home


@pytest.fixture
def home(tmp_path: Path, one_machine: Path) -> Path:
    """A folder with the same photos, which all hosts see."""
    (tmp_path / "photos").symlink_to(one_machine / "photos")
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "run.py").write_text(RUN)
    return tmp_path


def receipts(home: Path) -> dict[str, dict[str, Any]]:
    """What is said of each shard that is committed."""
    files = home.glob("out/.prep/receipts/*/*.json")
    return {file.name: json.loads(file.read_text()) for file in files}


def written_by(home: Path) -> Counter[str]:
    """How many shards each host has committed."""
    return Counter(receipt["worker"].partition(":")[0] for receipt in receipts(home).values())


def assert_as_on_one_machine(home: Path, one_machine: Path) -> None:
    def facts(home: Path) -> dict[str, dict[str, Any]]:
        return {
            name: {key: value for key, value in receipt.items() if key not in _OF_THE_ATTEMPT}
            for name, receipt in receipts(home).items()
        }

    assert len(receipts(home)) == SHARDS
    assert facts(home) == facts(one_machine)
    for pattern in ("*/*.tfrecord", "mean_rgb.json"):
        assert contents(home / "out", pattern) == contents(one_machine / "out", pattern)
    assert list(home.glob("out/**/*.partial")) == []


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A run on hosts that are there for it alone.

    Attributes:
        client: the process that waits for the run, on the same host as the scheduler.
        workers: the command ``dask worker`` of each other host.
    """

    network: Network
    home: Path
    client: subprocess.Popen[bytes]
    workers: dict[str, subprocess.Popen[bytes]]

    def host(self, name: str) -> Host:
        (host,) = (host for host in self.network.hosts if host.name == name)
        return host

    def wait(self, seconds: float = 120) -> None:
        """Waits for the run to succeed."""
        assert self.client.wait(seconds) == 0, (self.home / "client.log").read_text()


@contextlib.contextmanager
def running(
    home: Path, *, delays: dict[int, float] | None = None, at_three: dict[str, str], **env: str
) -> Iterator[Running]:
    """Starts scheduler and client on host one, and a worker each on two and three.

    Args:
        delays: see :func:`hosts.network`.
        at_three: variables for the worker on host three alone.
        env: variables for the scheduler and all workers.
    """
    dask = [sys.executable, "-m", "dask"]
    with network(3, delays=delays) as net:
        one, two, three = net.hosts
        address = f"tcp://{one.address}:8786"
        scheduler = ["scheduler", "--host", one.address, "--port", "8786", "--no-dashboard"]
        one.start(*dask, *scheduler, cwd=home, log=home / "scheduler.log", **env)
        workers = {}
        for host, variables in ((two, env), (three, {**env, **at_three})):
            worker = ["worker", address, "--host", host.address, "--nthreads", "1"]
            worker += ["--no-dashboard", "--local-directory", str(home / f"scratch-{host.name}")]
            log = home / f"{host.name}.log"
            workers[host.name] = host.start(*dask, *worker, cwd=home, log=log, **variables)
        client = one.start(
            sys.executable, "run.py", address, "2", cwd=home, log=home / "client.log"
        )
        yield Running(network=net, home=home, client=client, workers=workers)


@pytest.mark.slow
def test_three_hosts_write_the_same_as_one_machine(home: Path, one_machine: Path) -> None:
    with running(home, at_three={}) as run:
        run.wait()
    assert set(written_by(home)) == {"two", "three"}
    assert_as_on_one_machine(home, one_machine)


@pytest.mark.slow
def test_a_host_that_is_killed_costs_no_shard(home: Path, shim: Path, one_machine: Path) -> None:
    log = {"LD_PRELOAD": str(shim), "HALT_LOG": str(home / "log")}
    with running(home, at_three={}, **log) as run:
        wait_until(lambda: min(written_by(home)[name] for name in ("two", "three")) >= 2)
        run.host("three").switch_off()
        before = written_by(home)
        assert sum(before.values()) < SHARDS
        run.wait()
    after = written_by(home)
    assert after["three"] == before["three"]
    assert after["two"] == SHARDS - after["three"]
    assert_as_on_one_machine(home, one_machine)
    assert set(commits(home / "log", ".json").values()) == {1}


@pytest.mark.slow
def test_a_host_that_was_cut_off_for_a_while_goes_on(home: Path, one_machine: Path) -> None:
    patience = str(ClusterSpec.read().config["distributed.comm.timeouts.tcp"])
    with running(home, at_three={}, DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP=patience) as run:
        wait_until(lambda: min(written_by(home)[name] for name in ("two", "three")) >= 2)
        resting = run.host("two").processes("spawn_main")  # Or nothing would be left to do.
        for process in resting:
            process.suspend()
        with cut_off(run.network, run.host("three"), seconds=40):
            pass
        during = written_by(home)
        assert sum(during.values()) < SHARDS
        wait_until(lambda: written_by(home)["three"] > during["three"])
        for process in resting:
            process.resume()
        run.wait()
        assert run.workers["three"].poll() is None
    assert_as_on_one_machine(home, one_machine)


@pytest.mark.slow
def test_what_a_lost_host_commits_late_does_no_harm(
    home: Path, shim: Path, one_machine: Path
) -> None:
    halt = {
        "LD_PRELOAD": str(shim),
        "HALT_AT": "before:.tfrecord",
        "HALT_ONCE": str(home / "once"),
    }
    with running(home, at_three=halt, HALT_LOG=str(home / "log")) as run:
        wait_until((home / "once").exists)
        late, *_ = run.host("three").processes("spawn_main")
        with cut_off(run.network, run.host("three"), seconds=40):
            run.wait()  # Dask gives the host up after 30 s.
            assert written_by(home) == {"two": SHARDS}
            assert len(list(home.glob("out/**/*.partial"))) == 1
        late.resume()
        wait_until(lambda: (home / "log").exists() and commits(home / "log"))
        wait_until(lambda: list(home.glob("out/**/*.partial")) == [])
        assert run.workers["three"].wait(60) is not None
    assert_as_on_one_machine(home, one_machine)


@contextlib.contextmanager
def cut_off(network: Network, host: Host, *, seconds: float) -> Iterator[None]:
    """Cuts a host off for as long as the block takes, but not for less than some time."""
    network.unplug(host)
    until = time.monotonic() + seconds
    yield
    time.sleep(max(0.0, until - time.monotonic()))
    network.plug(host)


@pytest.mark.slow
def test_slow_links_do_no_harm(home: Path, one_machine: Path) -> None:
    with running(home, delays={1: 0.05, 2: 0.05}, at_three={}) as run:
        wait_until(lambda: written_by(home)["three"])
        assert round_trip(run.host("two"), run.host("one")) >= 0.1
        run.wait()
    assert_as_on_one_machine(home, one_machine)


def round_trip(host: Host, other: Host) -> float:
    """Seconds that a packet takes from one host to the other and back."""
    connect = (
        "import socket, sys, time; began = time.monotonic()\n"
        "socket.create_connection((sys.argv[1], 8786)); print(time.monotonic() - began)"
    )
    return float(host.run(sys.executable, "-c", connect, other.name))
