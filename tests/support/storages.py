"""Real storages: S3 from a server in another process, and SFTP from an sshd."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import fsspec
import psutil
import pytest
from distributed import Client

import prep
from tests.support.clusters import contents, wait_until
from tests.support.pictures import write_tree

REPO = Path(__file__).resolve().parents[2]
#: What must be seen nowhere.
KEY, SECRET = "AKIAQ7SEENNOWHERE", "s3cr3t/shown+nowhere=42"
_SSHD = shutil.which("sshd") or "/usr/sbin/sshd"


class Store:
    """A place in a storage that is the test's own, and what the test itself does there."""

    url: str
    options: Mapping[str, Any]

    def credentials_in(self, url: str) -> tuple[str, dict[str, Any]]:
        """Return URL and options with the credentials in the URL itself, where that is allowed."""
        return url, dict(self.options)

    def requests(self) -> list[tuple[str, str, str]]:
        """Return the requests that its server had so far, if it tells."""
        return []

    def write(self, path: str, data: bytes) -> None:
        """Puts a file there."""
        raise NotImplementedError

    def remove(self, path: str) -> None:
        """Removes a file."""
        raise NotImplementedError

    def contents(self, prefix: str) -> dict[str, bytes]:
        """All files below a prefix, by their name below it."""
        raise NotImplementedError

    def upload(self, folder: Path, prefix: str) -> str:
        """Puts a folder there, and gives its URL."""
        for name, data in contents(folder).items():
            self.write(f"{prefix}/{name}", data)
        return f"{self.url}/{prefix}"


@contextlib.contextmanager
def same_as_on_disk(
    store: Store, tmp_path: Path, images: int, images_per_shard: int
) -> Iterator[tuple[prep.Config, Client]]:
    """A run from a store to itself, to be made in the block: it must write what one on a disk does.

    The cluster has two workers that may be killed.
    """
    source = write_tree(tmp_path / "source", {"train": {"cat": images // 2, "dog": images // 2}})
    whole = tmp_path / "whole"
    on_disk = prep.Config(
        source=str(source), output=str(whole), size=32, images_per_shard=images_per_shard
    )
    places = {"source": store.upload(source, "photos"), "output": f"{store.url}/shards"}
    with prep.cluster(workers=2) as client:
        prep.run(on_disk, client)
        config = prep.Config(**on_disk.model_dump() | places, storage_options=dict(store.options))
        yield config, client
        assert prep.verify(config.output, client).clean
    found = store.contents("shards")
    shards = {name: data for name, data in found.items() if name.endswith(".tfrecord")}
    assert shards == contents(whole, "**/*.tfrecord")
    assert [name for name in found if name.endswith(".partial")] == []


class Bucket(Store):
    """One in an object store, of which fsspec has a filesystem."""

    bucket: str
    fs: Any

    def write(self, path: str, data: bytes) -> None:
        self.fs.pipe_file(f"{self.bucket}/{path}", data)

    def remove(self, path: str) -> None:
        self.fs.rm_file(f"{self.bucket}/{path}")

    def contents(self, prefix: str) -> dict[str, bytes]:
        root = f"{self.bucket}/{prefix}/"
        return {name.removeprefix(root): self.fs.cat_file(name) for name in self.fs.find(root)}


@dataclass(frozen=True)
class S3(Bucket):
    """A server, and a bucket of the test's own in it."""

    endpoint: str
    bucket: str

    @property
    def options(self) -> dict[str, Any]:
        return {"key": KEY, "secret": SECRET, "endpoint_url": self.endpoint}

    @property
    def hasty(self) -> dict[str, Any]:
        """The options, without the pauses of botocore: only s3fs, and prep, ask again."""
        return {**self.options, "config_kwargs": {"retries": {"max_attempts": 0}}}

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}"

    @property
    def fs(self) -> Any:
        """The filesystem that the test itself reads and writes with."""
        return fsspec.filesystem("s3", use_listings_cache=False, **self.options)

    @property
    def variables(self) -> dict[str, str]:
        """The options as the environment of a process."""
        return {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL": self.endpoint,
        }

    def credentials_in(self, url: str) -> tuple[str, dict[str, Any]]:
        inside = f"s3://{quote(KEY, safe='')}:{quote(SECRET, safe='')}@"
        return url.replace("s3://", inside), {"endpoint_url": self.endpoint}

    def requests(self) -> list[tuple[str, str, str]]:
        """Return method, path with query, and range of all requests so far."""
        with urllib.request.urlopen(f"{self.endpoint}/_requests") as reply:
            return [tuple(request) for request in json.load(reply)]

    def fail(self, times: int, **trouble: str) -> None:
        """Make some of the next requests fail; see ``s3_server``."""
        query = urlencode({"times": times, **trouble})
        urllib.request.urlopen(f"{self.endpoint}/_trouble?{query}", data=b"").close()


def free_port() -> int:
    """A port for a server, that stays free while the server is down.

    It is below those that the kernel gives to connections (from 32768 on, with Linux): one of them,
    be it of a client that tries to reach this very server, would keep it from starting anew.
    """
    for port in random.sample(range(10_000, 32_768), 1000):
        with socket.socket() as taken, contextlib.suppress(OSError):
            taken.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


@contextlib.contextmanager
def s3_server() -> Iterator[tuple[str, psutil.Popen]]:
    """The address of a server that speaks S3, and its process."""
    pytest.importorskip("moto", reason="no S3 server: moto is not installed")
    environment = {**os.environ, "MOTO_S3_CUSTOM_ENDPOINTS": ""}
    server = psutil.Popen(
        [sys.executable, str(REPO / "tests" / "support" / "s3_server.py"), "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=REPO,
        env=environment,
        text=True,
    )
    try:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}", server
    finally:
        server.kill()
        server.wait()


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The address of one that all tests share."""
    with s3_server() as (endpoint, _):
        yield endpoint


def new_bucket(endpoint: str) -> S3:
    """An empty one."""
    made = S3(endpoint, f"prep-{uuid.uuid4().hex[:12]}")
    made.fs.mkdir(made.bucket)
    return made


@pytest.fixture
def s3(s3_endpoint: str) -> S3:
    """An empty bucket."""
    return new_bucket(s3_endpoint)


@dataclass(frozen=True)
class Sftp:
    """An sshd, and a folder of this machine that it gives access to."""

    port: int
    folder: Path
    key: Path
    known_hosts: Path

    @property
    def url(self) -> str:
        return f"sftp://127.0.0.1:{self.port}{self.folder}"

    @property
    def options(self) -> dict[str, Any]:
        return {
            "key_filename": str(self.key),
            "host_key_policy": "auto_add",
            "look_for_keys": False,
            "allow_agent": False,
        }

    def kill_sessions(self) -> None:
        """Kills the server's end of all connections; the server itself goes on."""
        server = psutil.Process(int((self.key.parent / "pid").read_text()))
        sessions = server.children(recursive=True)
        for process in sessions:
            process.kill()
        psutil.wait_procs(sessions, timeout=10)


_SSHD_CONFIG = """
ListenAddress 127.0.0.1
Port {port}
HostKey {home}/host_key
AuthorizedKeysFile {home}/authorized_keys
PidFile {home}/pid
StrictModes no
UsePAM no
PasswordAuthentication no
MaxStartups 100
Subsystem sftp internal-sftp
"""


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sftp]:
    if not os.access(_SSHD, os.X_OK) or shutil.which("ssh-keygen") is None:
        pytest.skip("no sshd on this machine; Debian's is in openssh-server")
    pytest.importorskip("paramiko", reason="no SFTP: paramiko is not installed")
    home, port = tmp_path_factory.mktemp("sshd"), free_port()
    for name in ("host_key", "user_key"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / name)]
        subprocess.run(command, check=True)
    shutil.copy(home / "user_key.pub", home / "authorized_keys")
    (home / "config").write_text(_SSHD_CONFIG.format(port=port, home=home))
    if os.geteuid() == 0:  # Where it shuts itself in before it knows who is there.
        Path("/run/sshd").mkdir(exist_ok=True)
    log = home / "log"
    server = subprocess.Popen([_SSHD, "-D", "-f", str(home / "config"), "-E", str(log)])
    try:
        wait_until(lambda: answers(port) or server.poll() is not None)
        if server.poll() is not None:
            pytest.skip(f"sshd does not start here: {log.read_text()[-200:]}")
        host_key = (home / "host_key.pub").read_text().split()[:2]
        known_hosts = home / "known_hosts"
        known_hosts.write_text(f"[127.0.0.1]:{port} {' '.join(host_key)}\n")
        yield Sftp(port, home, home / "user_key", known_hosts)
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def sftp(sshd: Sftp, tmp_path: Path) -> Sftp:
    """An empty folder on it."""
    folder = tmp_path / "served"
    folder.mkdir()
    return Sftp(sshd.port, folder, sshd.key, sshd.known_hosts)


def answers(port: int) -> bool:
    """Return whether a server listens there."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
