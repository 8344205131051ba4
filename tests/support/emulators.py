"""Servers for Azure's and Google's storages and for WebDAV, in their own processes."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from prep.storage.backends.protocols import filesystem_class
from tests.support.clusters import contents, wait_until
from tests.support.storages import KEY, REPO, SECRET, Bucket, Store, answers, free_port

# Google's are not asked what a token is good for.
os.environ["FETCH_RAW_TOKEN_EXPIRY"] = "false"

_AZURITE = Path(sys.prefix) / "azurite" / "node_modules" / ".bin" / "azurite-blob"
_ACCOUNT = "images"
_ACCOUNT_KEY = base64.b64encode(SECRET.encode()).decode()


@dataclass
class Server:
    """A process that serves what is in a folder, and that can be started anew."""

    command: list[str]
    port: int
    variables: dict[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it; again, if its port was still taken, as by a connection that just ended."""
        wait_until(self._starts)

    def _starts(self) -> bool:
        self._process = subprocess.Popen(
            self.command,
            cwd=REPO,
            env={**os.environ, **self.variables},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        process = self._process
        wait_until(lambda: answers(self.port) or process.poll() is not None)
        return process.poll() is None

    def stop(self) -> None:
        """Ends it in good order: what it has said that it has, is there when it starts anew."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(30)


@contextlib.contextmanager
def _serving(server: Server) -> Iterator[Server]:
    server.start()
    try:
        yield server
    finally:
        server.stop()


@dataclass(frozen=True)
class Azure(Bucket):
    """Azurite, and a container in it."""

    server: Server
    bucket: str

    @property
    def url(self) -> str:
        return f"abfs://{self.bucket}"

    @property
    def options(self) -> dict[str, Any]:
        endpoint = f"http://127.0.0.1:{self.server.port}/{_ACCOUNT}"
        parts = [
            *("DefaultEndpointsProtocol=http", f"AccountName={_ACCOUNT}"),
            *(f"AccountKey={_ACCOUNT_KEY}", f"BlobEndpoint={endpoint}"),
        ]
        return {"connection_string": ";".join(parts)}

    @property
    def fs(self) -> Any:
        # Not adlfs's own, to which a name with a question mark is another one.
        return filesystem_class("abfs")(use_listings_cache=False, **self.options)


@dataclass(frozen=True)
class Gcs(Bucket):
    """Google's storage, and a bucket in it. This server believes anybody."""

    server: Server
    bucket: str

    @property
    def url(self) -> str:
        return f"gs://{self.bucket}"

    @property
    def options(self) -> dict[str, Any]:
        return {"endpoint_url": f"http://127.0.0.1:{self.server.port}", "token": SECRET}

    @property
    def fs(self) -> Any:
        from gcsfs.core import GCSFileSystem

        return GCSFileSystem(use_listings_cache=False, project="p", **self.options)


@dataclass(frozen=True)
class WebDav(Store):
    """A folder of this machine behind WsgiDAV, that has to be logged in to."""

    server: Server
    root: Path
    name: str

    @property
    def url(self) -> str:
        return f"webdav://{KEY}@127.0.0.1:{self.server.port}/{self.name}"

    @property
    def options(self) -> dict[str, Any]:
        return {"password": SECRET}

    def credentials_in(self, url: str) -> tuple[str, dict[str, Any]]:
        return url.replace(f"{KEY}@", f"{KEY}:{quote(SECRET, safe='')}@"), {}

    def write(self, path: str, data: bytes) -> None:
        file = self.root / self.name / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)

    def remove(self, path: str) -> None:
        (self.root / self.name / path).unlink()

    def contents(self, prefix: str) -> dict[str, bytes]:
        return contents(self.root / self.name / prefix)


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that speaks Azure's blobs."""
    pytest.importorskip("adlfs", reason="no Azure: adlfs is not installed")
    if not _AZURITE.exists():
        pytest.skip(f"no Azurite in {_AZURITE.parents[2]}: 'make test-slow' puts it there, by npm")
    port, home = free_port(), tmp_path_factory.mktemp("azurite")
    flags = ["--silent", "--disableTelemetry", "--skipApiVersionCheck", "--location", str(home)]
    flags += ["--blobHost", "127.0.0.1", "--blobPort", str(port)]
    accounts = {"AZURITE_ACCOUNTS": f"{_ACCOUNT}:{_ACCOUNT_KEY}"}
    with _serving(Server([str(_AZURITE), *flags], port, accounts)) as server:
        yield server


@pytest.fixture(scope="session")
def gcs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that speaks Google's storage."""
    for package in ("gcsfs", "gcp_storage_emulator"):
        pytest.importorskip(package, reason=f"no Google storage: {package} is not installed")
    port, home = free_port(), tmp_path_factory.mktemp("gcs")
    program = str(REPO / "tests" / "support" / "gcs_server.py")
    with _serving(Server([sys.executable, program, str(port), str(home)], port)) as server:
        yield server


@pytest.fixture(scope="session")
def webdav_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """A server that speaks WebDAV, and the folder that it gives access to."""
    for package in ("webdav4", "wsgidav", "cheroot"):
        pytest.importorskip(package, reason=f"no WebDAV: {package} is not installed")
    port, home = free_port(), tmp_path_factory.mktemp("webdav")
    (home / "served").mkdir()
    config = {
        "host": "127.0.0.1",
        "port": port,
        "provider_mapping": {"/": str(home / "served")},
        "http_authenticator": {"accept_digest": False, "default_to_digest": False},
        "simple_dc": {"user_mapping": {"*": {KEY: {"password": SECRET}}}},
        "logging": {"enable": False},
    }
    (home / "config.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "wsgidav.server.server_cli", "--config"]
    with _serving(Server([*command, str(home / "config.json")], port)) as server:
        yield server, home / "served"


@pytest.fixture
def azure(azurite: Server) -> Azure:
    """An empty container."""
    made = Azure(azurite, f"prep-{uuid.uuid4().hex[:12]}")
    made.fs.mkdir(made.bucket)
    return made


@pytest.fixture
def gcs(gcs_server: Server) -> Gcs:
    """An empty bucket."""
    made = Gcs(gcs_server, f"prep-{uuid.uuid4().hex[:12]}")
    made.fs.mkdir(made.bucket)
    return made


@pytest.fixture
def webdav(webdav_server: tuple[Server, Path]) -> WebDav:
    """An empty folder."""
    made = WebDav(*webdav_server, f"prep-{uuid.uuid4().hex[:12]}")
    (made.root / made.name).mkdir()
    return made


_EMULATED = [pytest.param(name, marks=pytest.mark.slow) for name in ("azure", "gcs", "webdav")]


@pytest.fixture(params=_EMULATED)
def emulated(request: pytest.FixtureRequest) -> Store:
    """Each of them in turn; all have a server that can be started anew."""
    found: Store = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["s3", *_EMULATED])
def store(request: pytest.FixtureRequest) -> Store:
    """Each of them in turn, and S3."""
    found: Store = request.getfixturevalue(request.param)
    return found
