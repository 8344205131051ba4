"""A folder shared by all hosts of a test: photos, and outputs of runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.clusters import PREP, contents, run_prep
from tests.support.hosts import Host, require_hosts
from tests.support.pictures import link_photos, picture

CLUSTER_FILE = Path(__file__).resolve().parents[2] / "cluster.yaml"

#: Enough work for something to happen in the middle of it.
SHARDS = 24
IMAGES_PER_SHARD = 100
# What differs between two runs that do the same.
_OF_THE_ATTEMPT = ("began", "seconds", "worker", "retries")


@pytest.fixture(scope="session")
def one_machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos, and what a run on this machine alone makes of them."""
    require_hosts()
    folder = tmp_path_factory.mktemp("one-machine")
    cats = link_photos(folder, SHARDS * IMAGES_PER_SHARD - 1, picture(400, 500))
    (cats / "bad.jpg").write_bytes(b"")
    done = run_prep("run", *flags(folder), "--workers", "2", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def shared(tmp_path: Path, one_machine: Path) -> Path:
    """A folder with the same photos, in ``data``, and a cluster file that is ours as it is."""
    (tmp_path / "data").mkdir()
    shutil.copytree(one_machine / "photos", tmp_path / "data/photos", copy_function=os.link)
    adapt(tmp_path)
    return tmp_path


def flags(folder: Path) -> list[str]:
    """Return the flags of a ``prep run`` from ``photos`` to ``out`` in a folder."""
    paths = ["--source", f"{folder}/photos", "--output", f"{folder}/out"]
    return [*paths, "--size", "128", "--images-per-shard", str(IMAGES_PER_SHARD)]


def adapt(shared: Path, profile: str = "local", **changes: Any) -> None:
    """Does what our ``cluster.yaml`` asks for: copies it, and changes the copy.

    Args:
        changes: to the ``kwargs`` of a profile, and to its ``mounts``.
    """
    content = yaml.safe_load(CLUSTER_FILE.read_text())
    chosen = content["profiles"][profile]
    if "mounts" in changes:
        chosen["mounts"] = changes.pop("mounts")
    if changes:
        chosen["kwargs"].update(changes)
    (shared / "cluster.yaml").write_text(yaml.safe_dump(content))


def run_on(host: Host, shared: Path, profile: str, *options: str, **variables: str) -> Run:
    """Starts ``prep run`` on a host, on the cluster of a profile."""
    cluster = ["--cluster", "cluster.yaml", "--profile", profile]
    command = [PREP, "run", *flags(shared / "data"), *cluster, *options]
    log = shared / "prep.log"
    return Run(host.start(*command, cwd=shared, log=log, **variables), log)


@dataclass(frozen=True, slots=True)
class Run:
    """``prep run`` at work on a host, and what it says."""

    process: subprocess.Popen[bytes]
    log: Path

    def succeeds(self, seconds: float = 120) -> None:
        """Waits for its end."""
        assert self.process.wait(seconds) == 0, self.log.read_text()


def receipts(output: Path) -> dict[str, dict[str, Any]]:
    """Return the receipts of all committed shards."""
    files = output.glob(".prep/receipts/*/*.json")
    return {file.name: json.loads(file.read_text()) for file in files}


def written_by(shared: Path) -> Counter[str]:
    """Return how many shards each host has committed."""
    workers = (receipt["worker"] for receipt in receipts(shared / "data/out").values())
    return Counter(worker.partition(":")[0] for worker in workers)


def assert_as_on_one_machine(shared: Path, one_machine: Path) -> None:
    """Assert the same bytes and facts in receipts, and no leftovers."""
    found, expected = shared / "data/out", one_machine / "out"

    def facts(output: Path) -> dict[str, dict[str, Any]]:
        return {
            name: {key: value for key, value in receipt.items() if key not in _OF_THE_ATTEMPT}
            for name, receipt in receipts(output).items()
        }

    assert len(receipts(found)) == SHARDS
    assert facts(found) == facts(expected)
    for pattern in ("*/*.tfrecord", "mean_rgb.json"):
        assert contents(found, pattern) == contents(expected, pattern)
    assert list(found.glob("**/*.partial")) == []
