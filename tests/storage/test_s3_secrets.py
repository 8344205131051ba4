"""Credentials appear nowhere: not in files, displays, logs or tasks."""

from __future__ import annotations

import base64
import json
import logging
import pickle
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import cloudpickle
import pytest
from click.testing import CliRunner
from distributed import Client, LocalCluster

import prep
from prep.cli.main import main
from prep.operations.outlook import plan
from prep.planning.shards import ShardSpec
from prep.shards.writer import RunRef
from prep.storage.backends.faults import redacted
from prep.storage.locate import granted, locate
from tests.support.clusters import run_prep
from tests.support.pictures import write_tree
from tests.support.storages import KEY, S3, SECRET, Store

_FORMS = [
    form
    for secret in (KEY, SECRET)
    for form in (secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode())
]


def shows(what: str | bytes) -> list[str]:
    """The secrets in a text, in whatever form; a name before a host is none."""
    text = what.decode("utf-8", "replace") if isinstance(what, bytes) else what
    text = text.replace("<wbr>", "").replace(f"webdav://{KEY}@", "webdav://@")
    return [form for form in _FORMS if form in text]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "source", {"train": {"cat": 4, "dog": 4}})


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """Everything that prep and distributed log, at the finest level."""
    lines: list[str] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    keeper = Keeper()
    loggers = [logging.getLogger(name) for name in ("prep", "distributed")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(keeper)
        logger.setLevel(logging.DEBUG)
    yield lines
    for logger, level in zip(loggers, levels, strict=True):
        logger.removeHandler(keeper)
        logger.setLevel(level)


def credentials_in_urls(store: Store, photos: str) -> prep.Config:
    """The worst way to give them: in the URLs themselves, where these may have them."""
    source, options = store.credentials_in(photos)
    output, _ = store.credentials_in(f"{store.url}/shards")
    return prep.Config(
        source=source, output=output, storage_options=options, size=32, images_per_shard=4
    )


def test_the_configuration_keeps_them_apart(s3: S3) -> None:
    config = credentials_in_urls(s3, f"{s3.url}/photos")
    assert config.source == f"{s3.url}/photos"
    assert config.output == f"{s3.url}/shards"
    assert config.storage_options == {"source": s3.options, "output": s3.options}
    shown = [repr(config), str(config), config._repr_html_(), config.model_dump_json()]
    assert [shows(text) for text in shown] == [[]] * 4
    assert "storage_options" not in config.model_dump()
    config.grant()
    assert shows(repr(granted())) == []


@pytest.mark.parametrize(
    "values",
    [
        {"source": f"gopher://{KEY}:{SECRET}@host/photos"},  # a protocol that nobody knows
        {"source": f"sftp://{KEY}:{SECRET}@:22/photos"},  # no host
        {"source": f"sftp://me:{SECRET}@host:{KEY}/photos"},  # a port that is none
        {"source": f"zip::s3://{KEY}:{SECRET.replace('/', '')}@bucket"},  # more than one storage
        {"storage_options": f'{{"key": "{SECRET}"'},  # half of it
        {"storage_options": [KEY, SECRET]},  # no mapping
        {"storage_options": json.dumps([KEY, SECRET])},  # no mapping, as text
        {"storage_options": {"secret": SECRET}, "size": 0},  # another mistake
    ],
)
def test_a_mistake_in_the_configuration_does_not_show_them(values: dict[str, Any]) -> None:
    with pytest.raises(prep.PrepError) as error:
        prep.Config(**{"source": "photos", "output": "shards", **values})
    assert shows(str(error.value)) == []
    assert SECRET.replace("/", "") not in str(error.value)


def test_a_broken_config_file_does_not_show_them(tmp_path: Path) -> None:
    for name, text in (
        ("config.yaml", f"storage_options: {{secret: {SECRET}: {KEY}\n"),
        ("config.json", f'{{"storage_options": {{"secret": "{SECRET}" "{KEY}"}}}}'),
        ("config.toml", f"[storage_options]\nsecret = {SECRET}"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(prep.PrepError, match="can't be read") as error:
            prep.Config.from_file(tmp_path / name)
        assert shows(str(error.value)) == []


@pytest.mark.slow
@pytest.mark.pages
def test_a_run_shows_them_nowhere(store: Store, source: Path, logged: list[str]) -> None:
    config = credentials_in_urls(store, store.upload(source, "photos"))
    cluster = LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
    )
    with cluster, Client(cluster) as client:
        report = prep.run(config, client)
        assert report.images["written"] == 8
        dashboard = f"http://127.0.0.1:{urlsplit(client.dashboard_link).port}"
        pages = ["status", "prep", "info/main/workers.html", "json/counts.json", "metrics"]
        for page in pages:
            with urllib.request.urlopen(f"{dashboard}/{page}") as reply:
                assert shows(reply.read()) == [], page
        # As text, not as JSON: keys of what workers have measured since a heartbeat are tuples.
        assert shows(repr(client.scheduler_info())) == []
        assert prep.verify(config.output, client).clean
    assert report.output == config.output
    for text in (
        repr(report),
        report._repr_html_(),
        repr(plan(config)),
        plan(config)._repr_html_(),
    ):
        assert shows(text) == []
    files = store.contents("shards")
    assert {"report.html", "report.json", ".prep/plan.json"} <= files.keys()
    for name, data in files.items():
        assert shows(data) == [], name
    assert logged
    assert [line for line in logged if shows(line)] == []


def test_tasks_do_not_carry_them(s3: S3) -> None:
    config = credentials_in_urls(s3, f"{s3.url}/photos")
    config.grant()
    shard = ShardSpec(split="train", index=0, count=1, start=0, stop=4)
    run = RunRef(output=config.output, digest="0" * 64, run="1")
    place = locate(config.output)
    for value in (shard, run, place, place / "train"):
        assert shows(pickle.dumps(value)) == []
        assert shows(cloudpickle.dumps(value)) == []


def test_a_starter_is_made_with_them_and_does_not_hold_them(
    s3: S3, source: Path, tmp_path: Path
) -> None:
    options = tmp_path / "options.json"
    options.write_text(json.dumps(s3.options))
    file = tmp_path / "config.yaml"
    photos = s3.upload(source, "photos")
    flags = ["-c", str(file), f"--storage-options=@{options}"]
    done = CliRunner().invoke(main, ["init", photos, *flags])
    assert done.exit_code == 0, done.output
    assert f"source: {photos}\n" in file.read_text().replace('"', "")
    assert shows(file.read_text() + done.output) == []


@pytest.mark.slow
def test_the_command_shows_them_nowhere(s3: S3, source: Path, tmp_path: Path) -> None:
    """Wrong ones too: a server that is not there is asked with them."""
    photos = s3.upload(source, "photos")
    options = tmp_path / "options.json"
    options.write_text(json.dumps({**s3.hasty, "endpoint_url": "http://127.0.0.1:9"}))
    output = f"{s3.url}/shards"
    flags = ["--source", photos, "--output", output, f"--storage-options=@{options}"]
    for command in (
        ["run", *flags],
        ["verify", output, f"--storage-options=@{options}"],
    ):
        done = run_prep(*command, cwd=tmp_path)
        assert done.returncode in (1, 2), done
        assert shows(done.stdout + done.stderr) == []
        assert "Traceback" not in done.stderr
        assert "s3://" in done.stderr


def test_what_a_server_quotes_is_not_shown() -> None:
    said = f"The key {KEY} is unknown; signature of {SECRET} does not match, at http://host"
    options = {"key": KEY, "client_kwargs": {"secret": [SECRET]}, "endpoint_url": "http://host"}
    assert redacted(said, options) == (
        "The key … is unknown; signature of … does not match, at http://host"
    )
