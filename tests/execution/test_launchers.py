"""Clusters that Dask starts on other hosts, from the profiles of ``cluster.yaml``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.clusters import wait_until
from tests.support.hosts import Network, network
from tests.support.services import require_slurm, require_sshd, start_slurm, start_sshd
from tests.support.shared_folder import adapt, assert_as_on_one_machine, run_on, written_by


@pytest.mark.slow
def test_over_ssh(shared: Path, one_machine: Path) -> None:
    require_sshd()
    login = {"client_keys": [f"{shared}/key"], "known_hosts": f"{shared}/known_hosts"}
    adapt(shared, "ssh", hosts=["one", "two", "three"], connect_options=login)
    with network(3) as net:
        start_sshd(net, shared)
        run_on(net.hosts[0], shared, "ssh", PREP_SSH_SCHEDULER="one").succeeds()
        wait_until(lambda: nothing_runs(net))
    assert set(written_by(shared)) == {"two", "three"}
    assert_as_on_one_machine(shared, one_machine)


@pytest.mark.slow
def test_as_jobs_of_slurm(shared: Path, one_machine: Path) -> None:
    """Four jobs are asked for. The nodes have room for two; the others wait, and are cancelled."""
    require_slurm()
    adapt(shared, "slurm", cores=2, processes=2, memory="3GB", interface="eth0")
    with network(3) as net:
        login = net.hosts[0]
        slurm = start_slurm(net, shared)
        run_on(login, shared, "slurm", PREP_SLURM_QUEUE="images", **slurm).succeeds()
        queue = ["env", *(f"{name}={value}" for name, value in slurm.items()), "squeue", "-h"]
        wait_until(lambda: login.run(*queue) == "")
        wait_until(lambda: nothing_runs(net))
    assert (shared / "slurmctld.log").read_text().count("_slurm_rpc_submit_batch_job: JobId=") == 4
    assert set(written_by(shared)) <= {"two", "three"}
    assert_as_on_one_machine(shared, one_machine)


def nothing_runs(net: Network) -> bool:
    """Return whether Dask has ended on all hosts."""
    return all(host.processes("distributed") == [] for host in net.hosts)
