"""Real schedulers, workers, SSH servers and a Slurm, on hosts that a test has made."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.clusters import wait_until
from tests.support.hosts import Host, Network

#: Where schedulers listen.
DASK_PORT = 8786

_SSHD = "/usr/sbin/sshd"
_SLURM = ("slurmctld", "slurmd", "sbatch", "munged")

_SSHD_CONFIG = """
ListenAddress {address}
HostKey {home}/host_key
AuthorizedKeysFile {home}/key.pub
PasswordAuthentication no
StrictModes no
UsePAM no
PidFile none
"""
_SLURM_CONFIG = """
ClusterName=hosts
SlurmctldHost={controller}
SlurmUser=root
AuthType=auth/munge
CredType=cred/munge
StateSaveLocation={home}/slurmctld
SlurmctldPidFile=/run/slurmctld.pid
SlurmctldLogFile={home}/slurmctld.log
SlurmdSpoolDir={home}/slurmd-%n
SlurmdPidFile=/run/slurmd.pid
SlurmdLogFile={home}/slurmd-%n.log
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
NodeName={nodes} CPUs=2 RealMemory=4000 State=UNKNOWN
PartitionName=images Nodes=ALL Default=YES State=UP
"""


def dask_address(network: Network) -> str:
    """Of the scheduler that :func:`start_dask` starts."""
    return f"tcp://{network.hosts[0].address}:{DASK_PORT}"


def start_dask(
    network: Network, home: Path, env: Mapping[str, str], **own: Mapping[str, str]
) -> dict[str, subprocess.Popen[bytes]]:
    """Starts a scheduler on the first host, and a worker on each other.

    Args:
        env: variables for all of them.
        own: variables for the worker on a host, by the host's name.

    Returns:
        The command ``dask worker`` of each host. Its scheduler knows it already.
    """
    first, *others = network.hosts
    scheduler = ["scheduler", "--host", first.address, "--port", str(DASK_PORT), "--no-dashboard"]
    _start(first, home, scheduler, env)
    workers = {}
    for host in others:
        worker = ["worker", dask_address(network), "--host", host.address, "--nthreads", "1"]
        worker += ["--no-dashboard", "--local-directory", f"{home}/scratch-{host.name}"]
        workers[host.name] = _start(host, home, worker, {**env, **own.get(host.name, {})})
    for host in others:
        log = home / f"{host.name}.log"
        wait_until(lambda log=log: "Registered to" in log.read_text())
    return workers


def _start(
    host: Host, home: Path, command: list[str], env: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    log = home / f"{host.name}.log"
    return host.start(sys.executable, "-m", "dask", *command, cwd=home, log=log, **env)


def require_sshd() -> None:
    """Skips the test where there is no SSH server."""
    if not os.path.exists(_SSHD):
        pytest.skip("needs an SSH server (Debian: openssh-server)")


def start_sshd(network: Network, home: Path) -> None:
    """Starts an SSH server on each host.

    They let ``home/key`` in, and prove to be those that ``home/known_hosts`` names.
    """
    for name in ("host_key", "key"):
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", home / name]
        subprocess.run(make, check=True)
    host_key = (home / "host_key.pub").read_text()
    (home / "known_hosts").write_text("".join(f"{host.name} {host_key}" for host in network.hosts))
    for host in network.hosts:
        config = home / f"sshd-{host.name}.conf"
        config.write_text(_SSHD_CONFIG.format(address=host.address, home=home))
        _own_run_folder(host, "sshd")
        log = home / f"sshd-{host.name}.log"
        host.start(_SSHD, "-D", "-e", "-f", config, cwd=home, log=log)
        wait_until(lambda log=log: "listening" in log.read_text())


def require_slurm() -> None:
    """Skips the test where there is no Slurm."""
    if missing := [name for name in _SLURM if shutil.which(name) is None]:
        pytest.skip(f"needs Slurm: no {', '.join(missing)} (Debian: slurmctld, slurmd, munge)")


def start_slurm(network: Network, home: Path) -> dict[str, str]:
    """Starts Slurm: its controller on the first host, a node of two cores on each other.

    The partition is called ``images``.

    Returns:
        The variables by which Slurm's commands find it.
    """
    controller, *nodes = network.hosts
    names = ",".join(node.name for node in nodes)
    config = _SLURM_CONFIG.format(home=home, controller=controller.name, nodes=names)
    (home / "slurm.conf").write_text(config)
    # Slurm's nodes don't start without; nothing is put under its control.
    (home / "cgroup.conf").write_text(f"CgroupPlugin=cgroup/v1\nCgroupMountpoint={home}\n")
    (home / "munge.key").write_bytes(os.urandom(128))
    (home / "munge.key").chmod(0o400)
    for folder in ("slurmctld", *(f"slurmd-{node.name}" for node in nodes)):
        (home / folder).mkdir()
    variables = {"SLURM_CONF": str(home / "slurm.conf")}
    for host in network.hosts:
        _start_munge(host, home)
    controller.start("slurmctld", "-D", cwd=home, log=home / "slurmctld.out", **variables)
    for node in nodes:
        log = home / f"slurmd-{node.name}.out"
        node.start("slurmd", "-D", "-N", node.name, cwd=home, log=log, **variables)
    states = ["env", f"SLURM_CONF={home}/slurm.conf", "sinfo", "--noheader", "-N", "-o", "%t"]
    wait_until(lambda: _answer(controller, states).split() == ["idle"] * len(nodes))
    return variables


def _start_munge(host: Host, home: Path) -> None:
    """Starts what Slurm's parts prove to each other with who they are."""
    _own_run_folder(host, "munge")
    files = ["--key-file", home / "munge.key", "--seed-file", "/run/munge/seed"]
    log = home / f"munge-{host.name}.log"
    host.start("munged", "--foreground", "--force", *files, cwd=home, log=log)
    wait_until(lambda: "Created socket" in log.read_text())


def _own_run_folder(host: Host, *folders: str) -> None:
    """Gives a host a ``/run`` of its own, with empty folders in it."""
    host.run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    host.run("mkdir", "-m", "755", *(f"/run/{folder}" for folder in folders))


def _answer(host: Host, command: list[str]) -> str:
    """Return what a command prints; nothing while its server does not answer."""
    try:
        return host.run(*command)
    except subprocess.CalledProcessError:
        return ""
