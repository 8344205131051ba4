"""A storage reached from several hosts, with credentials that only the client has."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.support.clusters import PREP, contents, run_prep, wait_until
from tests.support.hosts import network, require_hosts
from tests.support.pictures import write_tree
from tests.support.services import dask_address, start_dask
from tests.support.storages import KEY, REPO, SECRET

_PORT = 9000
_COPY = """
import json, sys, fsspec
options, command, source, target = sys.argv[1:]
s3 = fsspec.filesystem("s3", **json.load(open(options)))
s3.mkdirs("prep", exist_ok=True)
getattr(s3, command)(source + "/", target + "/", recursive=True)
"""
_CLUSTER = {"version": 1, "address": "${DASK_SCHEDULER_ADDRESS}"}
_SIZE = ["--size", "64", "--images-per-shard", "10"]


@pytest.mark.slow
def test_hosts_read_and_write_a_storage_with_the_clients_credentials(tmp_path: Path) -> None:
    require_hosts()
    pytest.importorskip("moto", reason="no S3 server: moto is not installed")
    source = write_tree(tmp_path / "photos", {"train": {"cat": 60, "dog": 60}})
    done = run_prep("run", "--source", source, "--output", tmp_path / "expected", *_SIZE)
    assert done.returncode == 0, done.stderr
    (tmp_path / "cluster.yaml").write_text(json.dumps(_CLUSTER))
    options, log = tmp_path / "options.json", tmp_path / "s3.log"
    with network(3) as net:
        one = net.hosts[0]
        endpoint = f"http://{one.address}:{_PORT}"
        options.write_text(json.dumps({"key": KEY, "secret": SECRET, "endpoint_url": endpoint}))
        server = [sys.executable, REPO / "tests/support/s3_server.py", str(_PORT), one.address]
        one.start(*server, cwd=REPO, log=log)
        wait_until(lambda: log.read_text().startswith(str(_PORT)))
        one.run(sys.executable, "-c", _COPY, options, "put", source, "prep/photos")
        start_dask(net, tmp_path, {})
        command = [
            *(PREP, "run", "--source", "s3://prep/photos", "--output", "s3://prep/shards", *_SIZE),
            *("--storage-options", f"@{options}", "--cluster", tmp_path / "cluster.yaml"),
        ]
        run_log = tmp_path / "prep.log"
        address = {"DASK_SCHEDULER_ADDRESS": dask_address(net)}
        run = one.start(*command, cwd=tmp_path, log=run_log, **address)
        assert run.wait(120) == 0, run_log.read_text()
        one.run(sys.executable, "-c", _COPY, options, "get", "prep/shards", tmp_path / "found")
    assert contents(tmp_path / "found", "**/*.tfrecord") == contents(
        tmp_path / "expected", "**/*.tfrecord"
    )
    receipts = [json.loads(path.read_text()) for path in (tmp_path / "found").rglob("*.json")]
    hosts = {r["worker"].partition(":")[0] for r in receipts if "worker" in r}
    assert hosts == {"two", "three"}
    for path in tmp_path.rglob("*"):
        if path.is_file() and path != options:
            assert SECRET.encode() not in path.read_bytes()
