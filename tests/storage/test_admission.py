"""Paths and URLs as users type them: their meaning, and one-line errors."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import prep
from prep.cli.main import main
from prep.config.model import Config
from prep.errors import ConfigError
from prep.output.journal import Journal
from prep.settings.keys import KEYS
from prep.storage.arguments import LOCATIONS, Stored, typed
from prep.storage.urls import hide_credentials
from tests.support.pictures import write_tree

SECRET = "s3cr3t"


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DATA", "/data")
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.setenv("BUCKET", "s3://bucket")
    monkeypatch.delenv("ABSENT", raising=False)


def line_of(attempt: Callable[[], Any]) -> str:
    with pytest.raises(prep.PrepError) as error:
        attempt()
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("~", "{home}"),
        ("~/photos", "{home}/photos"),
        ("~root/photos", pwd.getpwnam("root").pw_dir + "/photos"),
        ("$DATA/photos", "/data/photos"),
        ("${DATA}/photos", "/data/photos"),
        ("${ABSENT:-/mnt}/photos", "/mnt/photos"),
        ("${EMPTY:-/mnt}/photos", "/mnt/photos"),
        ("~/$DATA", "{home}//data"),
        ("$BUCKET/photos", "s3://bucket/photos"),
        ("a$$b", "a$b"),  # how a dollar is written
        ("$5", "$5"),  # no name of a variable
        ("a~", "a~"),
        ("./~", "./~"),  # how a name with a tilde is written
        ("/~/x", "/~/x"),
        ("s3://bucket/$DATA/~", "s3://bucket/$DATA/~"),  # keys of a storage, as they are
    ],
)
def test_what_is_typed_stands_for_what_it_does_in_a_shell(
    text: str, meant: str, tmp_path: Path
) -> None:
    meant = meant.format(home=tmp_path / "home")
    assert typed("source", text) == meant
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"source": text, "output": text, "label_map": text}))
    for made in (Config.from_file(file), Config(source=text, output=text, label_map=text)):
        assert (made.source, made.output, made.label_map) == (meant, meant, meant)
    floats = {"encoding": "float32", "mean_file": text}
    assert Config(source="a", output="b", **floats).mean_file == meant


def test_a_path_that_a_program_made_keeps_its_dollars(tmp_path: Path) -> None:
    assert typed("source", Path("$DATA/$$")) == "$DATA/$$"
    assert typed("source", Path("~/photos")) == str(tmp_path / "home/photos")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("$ABSENT/photos", "the environment variable ABSENT is not set"),
        ("${ABSENT}/photos", "the environment variable ABSENT is not set"),
        ("$EMPTY/photos", "the environment variable EMPTY is not set"),  # not /photos
        ("${DATA/photos", "expected ${NAME}"),
        ("~nobody-of-this-name/photos", "the user 'nobody-of-this-name' is not known"),
        ("file:///a%00b", "no path has a NUL character in it"),
        ("file://", "got nothing; expected a path or a URL"),
        ("a\0b", "no path has a NUL character in it"),
        ("\ud800", "which no file name can encode"),
        ("x" * 256, "too long"),
        ("x/" * 2050, "too long"),
        ("", "got nothing; expected a path or a URL"),
        ("zip::s3://bucket/photos.zip", "chained URLs"),
    ],
)
def test_what_can_be_no_path_is_refused_wherever_it_is_typed(text: str, why: str) -> None:
    attempts = [
        lambda: typed("source", text),
        lambda: prep.verify(text),
        lambda: prep.load(text),
        lambda: prep.mean_rgb(text),
        lambda: prep.report_page(text),
        lambda: Config.from_file(text),
        lambda: prep.run(Config(source="a", output="b"), cluster=text),
    ]
    if text:
        attempts += [
            lambda key=key: Config(**{"source": "a", "output": "b", key: text}) for key in LOCATIONS
        ]
    for attempt in attempts:
        assert why in line_of(attempt)


def test_a_home_that_is_not_known_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for home in ("", "relative"):
        monkeypatch.setenv("HOME", home)
        assert "HOME is not set; write './~'" in line_of(lambda: typed("source", "~/photos"))


@pytest.mark.parametrize("value", [7, None, b"photos", ["photos"]])
def test_what_is_no_text_is_refused(value: Any) -> None:
    assert line_of(lambda: typed("source", value)).startswith("source: got ")
    assert "expected a path or a URL" in line_of(lambda: prep.verify(value))


def test_an_output_is_found_again_whatever_its_paths_are_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stored paths of a source are not interpreted a second time."""
    monkeypatch.chdir(tmp_path)
    write_tree(tmp_path / "$ABSENT" / "~", {"train": {"cat": 1}})
    config = Config(source="$$ABSENT/~", output="./~/$$HOME")
    journal = Journal(config.output)
    journal.begin(prep.plan(config))
    stored = journal.stored_plan()
    assert stored is not None
    assert (stored.config.source, stored.config.output) == ("$ABSENT/~", "./~/$HOME")
    assert (tmp_path / "~" / "$HOME" / ".prep").is_dir()


def test_a_received_output_learns_nothing_of_the_environment() -> None:
    values = {"image_folder": "/$DATA", "record_path": "~", "label_map": "${DATA}"}
    made = Config.stored(values)
    assert (made.source, made.output, made.label_map) == ("/$DATA", "~", "${DATA}")
    assert typed("source", Stored("$DATA")) == "$DATA"


SIGNED = [
    f"abfs://photos/o?sv=2024-11-04&ss=b&sig={SECRET}",
    f"abfs://photos/o?sig={SECRET}",
    f"abfs://photos@account.dfs.core.windows.net/o?sv=2024-11-04&sig={SECRET}",
    f"az://photos/o#sig={SECRET}",
    f"az://photos/o%3Fsv=1%26sig={SECRET}",  # quoted, as it is in a link
    f"gs://bucket/o?X-Goog-Signature={SECRET}",
    f"gcs://bucket/o?GoogleAccessId=me&Signature={SECRET}",
    f"s3://bucket/o?X-Amz-Security-Token={SECRET}",
    f"s3://bucket/o?AWSAccessKeyId={SECRET}",
    f"sftp://host/o?password={SECRET}",
    f"hdfs://host/o?delegation_token={SECRET}",
    f"webdav://host/o?api_key={SECRET}",
    f"https://host/o.json?key={SECRET}",
    f"https://host/o.json#access_token={SECRET}",
    f"https://host/o.json;jwt={SECRET}",
    f"unheard://host/o?token={SECRET}",
    f"zip::abfs://photos/o?sig={SECRET}",
    f"zip::s3://me:{SECRET}@bucket/o.zip",
]


@pytest.mark.parametrize(
    "values",
    [
        {"source": SIGNED[0]},
        {"source": "s3://bucket/a", "storage_options": f'{{"secret": "{SECRET}"'},
        {"source": "s3://b/a", "encoding": "float32", "storage_options": {"secret": SECRET}},
    ],
    ids=["query", "malformed options", "options beside what is wrong"],
)
def test_no_error_keeps_a_secret_in_those_that_led_to_it(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        Config(**{"output": "b", **values})
    led_to: list[BaseException] = [caught.value]
    for error in led_to:
        led_to += [e for e in (error.__cause__, error.__context__) if e is not None]
    assert all(SECRET not in f"{error!r} {vars(error)}" for error in led_to)


@pytest.mark.parametrize("url", SIGNED)
def test_a_secret_in_the_query_of_any_url_is_refused_and_not_shown(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = [
        line_of(lambda key=key: Config(**{"source": "a", "output": "b", "size": 0, key: url}))
        for key in LOCATIONS
    ]
    said += [
        line_of(lambda: Config(source=[url], output="b")),
        line_of(lambda: Config.stored({"source": url, "output": "b"})),
        line_of(lambda: prep.verify(url)),
        line_of(lambda: prep.mean_rgb(url)),
        line_of(lambda: prep.load(url)),
        line_of(lambda: prep.report_page(url)),
    ]
    commands = [
        ["run", "--source", url, "--output", "out"],
        ["plan", "--source", "photos", "--output", url],
        ["mean", "-i", url, "-o", "mean.json"],
        ["mean", "-i", "photos", "-o", url],
        ["verify", url],
        ["verify", "--repair", url],
        ["verify", "out", url],  # one too many, which click quotes
        ["report", url],
        ["labels", url, "-o", "labels.json"],
        ["labels", "photos", "-o", url],
        ["demo", "-o", url],
        ["cluster", "check", "--source", url],
        ["run", "-c", url],
        ["run", "--source", "a", "--output", "b", "--cluster", url],
        ["run", "--source", "a", "--output", "b", "--storage-options", f"@{url}"],
    ]
    for command in commands:
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 2, command
        (line,) = result.stderr.splitlines()
        said.append(result.stdout + line)
    assert [line for line in said if SECRET in line] == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (SIGNED[0], "give them as sas_token or account_key in storage_options"),
        (SIGNED[7], "give them as key, secret and token in storage_options"),
        (SIGNED[12], "give them as headers in storage_options (client_kwargs: headers)"),
        ("sftp://host/photos?depth=1", "sftp:// takes none; leave it out"),
        ("gs://bucket/photos?alt=media", "gs:// takes none; leave it out"),
        (f"sftp://me:pass/{SECRET}@host/photos", "needs a host"),
        (f"webdav://me:pass/{SECRET}@host/photos", "needs a host"),
        (f"https://me:pass/{SECRET}@host/labels.json", "is no port"),
        (f"https://me:{SECRET}@host/labels.json", "give what logs in as headers"),
        (f"abfs:/photos/o?sig={SECRET}", "two slashes after its protocol: abfs://"),
    ],
)
def test_what_is_to_be_done_about_it_is_said(url: str, why: str) -> None:
    said = line_of(lambda: Config(source="photos", output="out", label_map=url))
    assert why in said
    assert SECRET not in said


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket/what?/cats & dogs",
        "s3://bucket/session#1",
        "s3://bucket/a=b/author=me",
        "https://host/labels.json?version=3&author=me",
        "sftp://me@host:2222/photos/why?",
    ],
)
def test_names_that_look_a_little_like_a_query_are_taken(url: str) -> None:
    assert Config(source="photos", output="out", label_map=url).label_map == url


def test_text_is_shown_without_the_credentials_of_its_urls() -> None:
    text = f"copy sftp://me:{SECRET}@host/a to 'https://host/b?v=1&sig={SECRET}#x', a?b"
    assert hide_credentials(text) == "copy sftp://…@host/a to 'https://host/b?v=1&sig=…#x', a?b"
    assert hide_credentials("nothing: to, hide@all") == "nothing: to, hide@all"


@pytest.mark.parametrize("key", ["source", "output"])
def test_an_empty_path_is_refused(key: str) -> None:
    said = line_of(lambda: Config(**{"source": "a", "output": "b", key: ""}))
    assert said == f"{key}: got ''; expected {KEYS[key].allowed}"


def test_flags_and_files_are_understood_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_tree(tmp_path / "home/photos", {"train": {"cat": 2}})
    shown = CliRunner().invoke(main, ["plan", "--source", "~/photos", "--output", "$HOME/out"])
    assert shown.exit_code == 0, shown.stderr
    made = CliRunner().invoke(main, ["labels", "~/photos", "-o", "~/labels.json"])
    assert made.exit_code == 0, made.stderr
    assert json.loads((tmp_path / "home/labels.json").read_text()) == {"cat": 0}
    (tmp_path / "home/config.yaml").write_text("source: $HOME/photos\noutput: ~/out\n")
    shown = CliRunner().invoke(main, ["plan", "-c", "~/config.yaml"])
    assert shown.exit_code == 0, shown.stderr
    assert os.listdir(tmp_path) == ["home"]
