"""Hosts on one machine, each with its own name, address, processes and mounts.

Each is a set of Linux namespaces, held by a process that is the host's first. When that dies, the
kernel kills all others of the host, and takes its network away. It dies with the test, however the
test ends, so nothing stays behind.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.clusters import wait_until

SLOW_LINK = Path(__file__).with_name("slow_link.py")

# Addresses that are set aside for documentation. They exist in the hosts' network alone.
_NETWORK = "192.0.2"
_KEEPER = (
    # It dies with the thread that starts it, and the host's first process dies with it.
    *("setpriv", "--pdeathsig", "KILL", "unshare", "--fork", "--kill-child=SIGKILL"),
    *("--net", "--uts", "--ipc", "--pid", "--mount", "--mount-proc"),
)
_PROGRAMS = ("ip", "nsenter", "unshare", "setpriv", "mount", "hostname")
# Collects every process that has lost its parent, as the first one of a host has to.
_FIRST = (
    "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN); print(flush=True)\n"
    "while True: signal.pause()"
)


def require_hosts() -> None:
    """Skips the test, and says why, where no hosts can be made."""
    if reason := _why_not():
        pytest.skip(reason)


@functools.cache
def _why_not() -> str | None:
    if sys.platform != "linux" or os.geteuid() != 0:
        return "needs root on Linux, to make hosts out of namespaces"
    if missing := [name for name in _PROGRAMS if shutil.which(name) is None]:
        return f"needs {', '.join(missing)} (Debian: iproute2, util-linux, hostname)"
    try:
        with network(1):
            return None
    except (OSError, subprocess.CalledProcessError, TimeoutError) as error:
        return f"no hosts can be made here: {error} {getattr(error, 'stderr', None) or ''}"


class Host:
    """One host.

    Attributes:
        name: its host name, which the others know.
        address: its IPv4 address.
    """

    def __init__(self, name: str, address: str = "") -> None:
        self.name = name
        self.address = address
        self._keeper = subprocess.Popen(
            [*_KEEPER, sys.executable, "-S", "-c", _FIRST],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        self.first = self._first()

    def _first(self) -> psutil.Process:
        assert self._keeper.stdout is not None
        if not self._keeper.stdout.readline():
            raise OSError("the kernel gives no namespaces to this process")
        (first,) = psutil.Process(self._keeper.pid).children()
        return first

    def command(self, *arguments: str | Path, cwd: Path | None = None) -> list[str]:
        """Return the command for this machine that runs a command on the host.

        Args:
            cwd: the folder to run it in; by default, this process's.
        """
        target = [f"--target={self.first.pid}", f"--wdns={cwd or os.getcwd()}"]
        spaces = ["--net", "--uts", "--ipc", "--pid", "--mount"]
        return ["nsenter", *target, *spaces, *map(str, arguments)]

    def run(self, *arguments: str | Path, cwd: Path | None = None, timeout: float = 60) -> str:
        """Runs a command on the host to its end, and gives back what it has printed."""
        return subprocess.run(
            self.command(*arguments, cwd=cwd),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=timeout,
            check=True,
        ).stdout

    def start(
        self, *arguments: str | Path, cwd: Path, log: Path, **variables: str
    ) -> subprocess.Popen[bytes]:
        """Starts a command on the host, which ends with the host at the latest.

        Args:
            log: a file that gets what it prints.
            variables: what to add to its environment.
        """
        with open(log, "ab") as out:
            return subprocess.Popen(
                self.command(*arguments, cwd=cwd),
                env={**os.environ, **variables},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    def processes(self, text: str) -> list[psutil.Process]:
        """Return the host's processes whose command line holds ``text``."""
        here = os.stat(f"/proc/{self.first.pid}/ns/pid").st_ino
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                there = os.stat(f"/proc/{process.pid}/ns/pid").st_ino
                if there == here and text in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def switch_off(self) -> None:
        """Kills every process of the host, all at once."""
        self._keeper.kill()
        self._keeper.wait(20)
        if self._keeper.stdout is not None:
            self._keeper.stdout.close()


class Network:
    """Hosts on one switch."""

    def __init__(self, switch: Host, hosts: list[Host]) -> None:
        self.hosts = hosts
        self._switch = switch

    def unplug(self, host: Host) -> None:
        """Drop packets from and to a host, silently."""
        self._switch.run("ip", "link", "set", _port(host), "down")

    def plug(self, host: Host) -> None:
        """Ends :meth:`unplug`."""
        self._switch.run("ip", "link", "set", _port(host), "up")


@contextlib.contextmanager
def network(hosts: int, *, delays: dict[int, float] | None = None) -> Iterator[Network]:
    """Hosts ``one``, ``two`` and so on, which reach each other and nothing else.

    Args:
        delays: seconds by which each packet from or to a host (by number, from 0) comes late.
    """
    with contextlib.ExitStack() as stack:
        switch = _started(stack, "switch")
        switch.run("ip", "link", "add", "switch", "type", "bridge")
        switch.run("ip", "link", "set", "switch", "up")
        names = ("one", "two", "three", "four")[:hosts]
        made = [
            _started(stack, name, f"{_NETWORK}.{number}") for number, name in enumerate(names, 1)
        ]
        for number, host in enumerate(made):
            _connect(switch, host, (delays or {}).get(number, 0.0))
            _tell_names(host, made)
        yield Network(switch, made)


def _started(stack: contextlib.ExitStack, name: str, address: str = "") -> Host:
    host = Host(name, address)
    stack.callback(host.switch_off)
    host.run("hostname", name)
    host.run("ip", "link", "set", "lo", "up")
    return host


def _port(host: Host) -> str:
    return f"to-{host.name}"


def _connect(switch: Host, host: Host, delay: float) -> None:
    port = _port(host)
    if delay:
        cable = [sys.executable, SLOW_LINK, port, "wire", str(delay)]
        switch.start(*cable, cwd=SLOW_LINK.parent, log=Path(os.devnull))
        wait_until(lambda: {port, "wire"} <= set(_links(switch)))
    else:
        switch.run("ip", "link", "add", port, "type", "veth", "peer", "name", "wire")
    # Not on the switch: there, the number of the host's first process means nothing.
    move = ["ip", "link", "set", "wire", "netns", str(host.first.pid), "name", "eth0"]
    subprocess.run(
        ["nsenter", f"--target={switch.first.pid}", "--net", *move], check=True, capture_output=True
    )
    switch.run("ip", "link", "set", port, "master", "switch", "up")
    host.run("ip", "address", "add", f"{host.address}/24", "dev", "eth0")
    host.run("ip", "link", "set", "eth0", "up")
    # Where this leads, nobody answers. But Dask asks for the way out, to learn its own address.
    host.run("ip", "route", "add", "default", "dev", "eth0")


def _links(host: Host) -> list[str]:
    lines = host.run("ip", "-oneline", "link").splitlines()
    return [line.split(":")[1].strip().partition("@")[0] for line in lines]


def _tell_names(host: Host, hosts: list[Host]) -> None:
    lines = ["127.0.0.1 localhost", *(f"{other.address} {other.name}" for other in hosts)]
    script = "mount -t tmpfs tmpfs /mnt && printf '%s\\n' \"$@\" > /mnt/hosts"
    script += " && mount --bind /mnt/hosts /etc/hosts && umount -l /mnt"
    host.run("sh", "-c", script, "sh", *lines)
