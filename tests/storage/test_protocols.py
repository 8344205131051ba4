"""Protocols of fsspec that can be a source or an output, and errors for the rest."""

from __future__ import annotations

import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.registry import known_implementations

import prep
from prep.errors import ConfigError
from prep.storage.arguments import admit
from prep.storage.backends.filesystems import filesystem
from prep.storage.backends.grants import grant
from prep.storage.locate import read_file
from tests.support.clusters import run_prep

PROTOCOLS = sorted({*fsspec.available_protocols(), *known_implementations} - {"file", "local"})
#: Those that are opened, where their package is there.
OPENED = {
    *("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "sftp", "ssh", "webdav", "webdavs"),
    *("ftp", "smb", "hdfs", "arrow_hdfs", "webhdfs", "dbfs", "oss", "oci", "ocilake", "tos"),
    *("tosfs", "box", "dropbox", "gdrive", "hf", "lakefs", "root"),
}
REFUSED = {
    **dict.fromkeys(("zip", "tar", "libarchive"), "is an archive, .*; unpack it"),
    **dict.fromkeys(("simplecache", "filecache", "blockcache", "cached"), "give that URL alone"),
    **dict.fromkeys(("generic", "dir", "reference"), "give that URL alone"),
    **dict.fromkeys(("asyncwrapper", "async_wrapper", "asynclocal"), "give that URL alone"),
    **dict.fromkeys(("memory", "data", "dask", "pyscript"), "is seen by one process only"),
    **dict.fromkeys(("git", "github", "gist", "dvc", "wandb"), "make a copy of it"),
    **dict.fromkeys(("jupyter", "jlab"), "make a copy of it"),
    **dict.fromkeys(("http", "https"), "list"),
    "adl": "is retired; of Gen2, give abfs://CONTAINER/PATH",
}


def refusal(key: str, url: str, **options: Any) -> str:
    """Return the error for a URL when it is given, or when it is first opened."""
    values = {"source": "photos", "output": "shards", key: url}
    with pytest.raises(prep.PrepError) as error:
        prep.plan(prep.Config(**values, **options))
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("key", ["source", "output"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_each_protocol_is_opened_or_refused_in_a_line(protocol: str, key: str) -> None:
    url = f"{protocol}://127.0.0.1/photos"
    if protocol in REFUSED:
        with pytest.raises(ConfigError, match=f"{key}: {protocol}:// .*{REFUSED[protocol]}"):
            prep.Config(**{"source": "photos", "output": "shards", key: url})
        return
    assert protocol in OPENED
    told = ""
    try:
        prep.Config(**{"source": "photos", "output": "shards", key: url})
    except ConfigError as error:
        told = str(error)
    assert told == "" or "needs a package that is not installed: " in told
    assert "\n" not in told


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://127.0.0.1:9/photos", "can't be opened: .*refused.*try again later"),
        ("webdav://127.0.0.1:9/photos", "can't be opened: .*refused.*try again later"),
        ("webdavs://127.0.0.1:9/photos", "can't be opened: .*refused.*try again later"),
        ("webhdfs://127.0.0.1:9/photos", "can't be opened: .*refused.*try again later"),
        ("dbfs://photos", "missing .*'instance' and 'token'; give what is missing in storage_opt"),
        ("webdav:///photos", r"webdav:// needs a host: webdav://\[USER@\]HOST"),
        (
            "simplecache::s3://photos",
            "chained URLs .* give the URL of the archive itself",
        ),
        ("zip://photos.zip::s3://photos", "chained URLs"),
        ("no protocol://photos", "which is not a valid URL"),
    ],
)
def test_what_can_not_be_opened_is_said_in_a_line(url: str, says: str) -> None:
    told = refusal("source", url)
    with pytest.raises(prep.PrepError, match=says):
        raise prep.PrepError(told)


@pytest.mark.parametrize(
    ("url", "module", "extra"),
    [
        ("gs://photos", "gcsfs.core", "gcs"),
        ("abfs://photos", "prep.storage.backends.azure", "azure"),
        ("webdavs://host/photos", "prep.storage.backends.webdav", "webdav"),
    ],
)
def test_the_extra_that_is_missing_is_named(
    url: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)  # As if it could not be imported.
    assert f"not installed: pip install 'dask-prep[{extra}]'" in refusal("source", url)


def test_all_commands_refuse_them(tmp_path: Path) -> None:
    for ask in (
        lambda: prep.verify("generic://x"),
        lambda: prep.report_page("dir://x"),
        lambda: prep.mean_rgb("https://127.0.0.1:9/photos/"),
        lambda: prep.load("zip://x", "train"),
    ):
        with pytest.raises(ConfigError):
            ask()
    done = run_prep("run", "--source", "dir://x", "--output", "out", cwd=tmp_path)
    assert done.returncode == 2, done
    assert len(done.stderr.strip().splitlines()) == 1, done


def test_a_file_of_the_web_is_taken_where_a_file_is_expected() -> None:
    for key in ("label_map", "mean_file"):
        assert admit(key, "https://127.0.0.1:9/labels.json", None)


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes connections, and answers nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user without credentials."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)


_ASK = """
import os, sys, time
from prep.storage.locate import locate
began = time.monotonic()
for _ in range(3):
    try:
        locate("gs://photos").exists()
    except PermissionError as error:
        print(error.strerror)
print(time.monotonic() - began)
"""


@pytest.mark.usefixtures("nobody")
def test_that_there_are_no_credentials_of_google_is_found_out_in_seconds(silent: str) -> None:
    pytest.importorskip("gcsfs", reason="no Google storage: gcsfs is not installed")
    done = subprocess.run(
        [sys.executable, "-c", _ASK],
        env={"HOME": "/nowhere", "GCE_METADATA_IP": silent, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    *told, seconds = done.stdout.splitlines()
    assert len(told) == 3
    for line in told:
        assert line.startswith("no credentials found: run 'gcloud auth application-default login'")
    # Three, for one question to a server that does not answer; it was 43 for each process.
    assert float(seconds) < 40


@pytest.mark.slow
@pytest.mark.usefixtures("nobody")
def test_that_there_are_no_credentials_of_azure_is_said_in_a_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("adlfs", reason="no Azure storage: adlfs is not installed")
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "AzureCliCredential")  # The one that asks nobody.
    grant("abfs://of-nobody", {"account_name": "nobody"})
    with pytest.raises(PermissionError, match="no credentials found: run 'az login'") as error:
        read_file("abfs://of-nobody/photos/a.jpg")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "options", "says"),
    [
        ("webdav://127.0.0.1:9/x", {"nope": "hidden"}, "webdav:// knows no 'nope'; remove it"),
        ("s3://b/x", {"client_kwargs": {"nope": "hidden"}}, "s3:// knows no 'nope'; remove it"),
        ("s3://b/x", {"config_kwargs": {"nope": "hidden"}}, "s3:// knows no 'nope'; remove it"),
        ("s3://b/x", {"endpoint_ulr": "hidden"}, "'endpoint_ulr'; did you mean 'endpoint_url'?"),
        ("s3://b/x", {"endpoint-url": "hidden"}, "'endpoint-url'; did you mean 'endpoint_url'?"),
        ("gs://b/x", {"tokne": "hidden"}, "'tokne'; did you mean 'token'?"),
        ("webdav://127.0.0.1:9/x", {"timeout": "hidden"}, "'str' object"),
    ],
)
def test_an_option_that_no_storage_takes_is_named(
    url: str, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(prep.PrepError) as error:
        prep.verify(url, storage_options=options)
    told = str(error.value)
    assert "can't be read: storage_options: " in told
    assert says in told
    assert not any(shown in told for shown in ("TypeError", "__init__", "hidden", "\n"))


def test_options_that_are_passed_on_unseen_are_taken() -> None:
    """No signature has them, nor anything like them."""
    url = f"s3://bucket-{uuid.uuid4().hex}/x"
    grant(url, {"listings_expiry_time": 5, "use_listings_cache": False, "anon": True})
    assert filesystem(url).anon
