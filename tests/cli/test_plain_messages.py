"""Messages to users are in plain English: no reprs, error numbers or type names."""

from __future__ import annotations

import contextlib
import csv
import errno
import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import pytest
from click.testing import CliRunner
from distributed import Client

import prep
from prep.cli.main import main
from prep.errors import OutputConflict, PrepError, ShardError
from prep.execution import interrupts
from prep.execution.dask import DaskExecutor
from prep.execution.writing import write_shards
from prep.output.journal import Journal
from prep.shards.writer import RunRef, write_shard
from prep.text import quoted, shown
from tests.support.pictures import jpeg, picture, write_tree

PYTHON = re.compile(
    r"\bb'|\['|\[\]|\{'|\[Errno|\w(?:Error|Exception)\b"
    r"|\b(?:None|True|False|NoneType|str|dict|int|float|tuple)\b"
)


def require_plain(text: str) -> str:
    assert text.strip()
    assert not PYTHON.search(text), text
    return text


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with photos in it."""
    monkeypatch.chdir(tmp_path)
    write_tree(tmp_path / "photos", {"train": {"cat": 3, "dog": 2}, "val": {"cat": 1}})
    return tmp_path


MISTAKES = [
    "source: null\noutput: out",
    "source: [photos, photos]\noutput: out",
    "source: [photos, 3]\noutput: out",
    "source: {train: null}\noutput: out",
    "source: {../up: photos}\noutput: out",
    "source: photos\noutput: 2020-01-01",
    "source: photos\noutput: out\nsize: [1]",
    "source: photos\noutput: out\nsize: null",
    "source: photos\noutput: out\nsize: true",
    "source: photos\noutput: out\nsplits: {a: 1}",
    'source: photos\noutput: out\nsplits: ["", a]',
    "source: photos\noutput: out\nsplits: [train, train]",
    'source: photos\noutput: out\nsplits: [dev, "te\\nst"]',
    "source: photos\noutput: out\nduplicates: false",
    "source: photos\noutput: out\nlabel_map: {cat: null, dog: 1}",
    "source: photos\noutput: out\nlabel_map: {cat: [1, 1], dog: [0, 1]}",
    "source: photos\noutput: out\nlabel_map: [cat, dog]",
    "source: photos\noutput: out\nlabel_map: {cat: 0}",
    "source: photos\noutput: out\nstorage_options: 3",
    "source: photos\noutput: out\nstorage_options: {source: null}",
    "source: photos\noutput: out\nimage_type: [jpg, png]",
    "source: photos\noutput: out\nmax_refused: {}",
    "source: photos/train/cat/0000.jpg\noutput: out",
    "source: photos\noutput: photos",
    'source: "photos\\0"\noutput: out',
    "- photos",
    "source: photos\nsource: photos",
]


@pytest.mark.parametrize("text", MISTAKES)
def test_mistakes_in_a_configuration_are_told_plainly(text: str, home: Path) -> None:
    (home / "config.yaml").write_text(text)
    result = CliRunner().invoke(main, ["plan", "-c", "config.yaml"])
    assert result.exit_code == 2, result.output
    require_plain(result.stderr)


@pytest.mark.parametrize(
    "text",
    [
        "address: null",
        "class: [1]",
        "class: LocalCluster\nmodule: null",
        "class: LocalCluster\nmodule: dask.distributed\nkwargs: {n_workers: [2]}",
        "class: NoSuch\nmodule: dask.distributed",
        "address: tcp://a:1\nadapt: {maximum: null}",
        "profiles: []",
        "profiles: {local: null}",
        "address: tcp://a:1\nconfig: {distributed.comm.timeouts.connect: [1]}",
    ],
)
def test_mistakes_in_a_cluster_file_are_told_plainly(text: str, home: Path) -> None:
    (home / "cluster.yaml").write_text(f"version: 1\n{text}\n")
    result = CliRunner().invoke(main, ["cluster", "check", "--cluster", "cluster.yaml"])
    assert result.exit_code in (1, 2), result.output
    require_plain(result.stderr)


# What an image holds


def test_the_table_of_refused_images_tells_plainly_what_is_in_them(home: Path) -> None:
    whole = jpeg(picture(40, 60))
    at = whole.index(b"\xff\xc0") + 5
    files = {
        "web.jpg": b"<!doctype html><html>",
        "noise.jpg": bytes(range(200, 256)),
        "empty.jpg": b"",
        "flat.jpg": whole[:at] + b"\0\0" + whole[at + 2 :],
        "cut.jpg": whole[:300],
        "chunk.webp": b"RIFF\x10\0\0\0WEBP\xff\0\1\2" + bytes(40),
        "cut.png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        "cut.gif": b"GIF89a\1\0",
        "cut.tif": b"II*\0\xff\0\0\0",
        "cut.bmp": b"BM" + bytes(10),
        "cut.jp2": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(9),
        "cut.avif": b"\0\0\0\x20ftypavif" + bytes(9),
    }
    write_tree(home / "photos", {"train": {"cat": files}})
    config = prep.Config(source="photos", output="out", size=16, max_refused=1.0)
    prep.run(config)
    with (home / "out/refused.csv").open() as file:
        rows = {Path(row["path"]).name: row["detail"] for row in csv.DictReader(file)}
    assert rows.keys() == files.keys()
    for detail in rows.values():
        require_plain(detail)
    assert rows["web.jpg"] == "begins with the text '<!doctype html>'"
    assert rows["noise.jpg"] == "begins with the bytes c8 c9 ca cb cc cd ce cf"
    assert rows["flat.jpg"] == "the JPEG's header says 60 × 0 pixels"


# What is in the way


def begin(home: Path) -> tuple[prep.RunPlan, RunRef]:
    made = prep.plan(prep.Config(source="photos", output=str(home / "out"), size=16))
    Journal(made.config.output).begin(made)
    return made, RunRef(output=made.config.output, digest=made.fingerprint.digest, run="1")


def test_a_folder_in_the_place_of_a_file_is_named_with_what_to_do(home: Path) -> None:
    (home / "out/report.json").mkdir(parents=True)
    with pytest.raises(OutputConflict) as error:
        prep.run(prep.Config(source="photos", output="out"))
    assert require_plain(str(error.value)).endswith(
        "report.json is in the way, and was not made by this run; remove that folder, or choose "
        "another output"
    )


def test_a_file_in_the_place_of_a_folder_is_named(home: Path) -> None:
    (home / "out").mkdir()
    (home / "out/.prep").touch()
    with pytest.raises(PrepError) as error:
        prep.run(prep.Config(source="photos", output="out"))
    assert ".prep is a file; " in require_plain(str(error.value))


def test_shards_that_failed_are_told_with_what_the_system_said(home: Path, client: Client) -> None:
    made, run = begin(home)

    def write(shard: prep.planning.shards.ShardSpec, ref: RunRef) -> NoReturn:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), b"/out/train")

    with pytest.raises(ShardError) as error:
        write_shards(made.shards, run, DaskExecutor(client), write=write)
    assert require_plain(str(error.value)).startswith(
        "2 shards failed: train/0, val/0 (Is a directory: '/out/train')"
    )


def test_a_report_that_can_not_be_written_says_what_to_remove(home: Path) -> None:
    made, run = begin(home)
    for shard in made.shards:
        write_shard(shard, run)
    (home / "out/mean_rgb.json").mkdir()
    with pytest.raises(PrepError) as error:
        prep.run(made.config)
    said = require_plain(str(error.value))
    assert "remove" in said
    assert "make room" not in said


# A plan that is damaged


@pytest.mark.parametrize(
    "change",
    [
        lambda plan: None,
        lambda plan: [],
        lambda plan: plan | {"format": [1]},
        lambda plan: plan | {"digest": None},
        lambda plan: plan | {"images": {"train": None}},
        lambda plan: plan | {"classes": [None]},
        lambda plan: plan | {"images_per_shard": True},
        lambda plan: plan | {"config": plan["config"] | {"size": None}},
        lambda plan: plan | {"labels": {"cat": None}},
        lambda plan: plan | {"compression": ["GZIP"]},
        lambda plan: plan | {"settings": plan["settings"] | {"interpolation": None}},
        lambda plan: plan | {"more": 1},
    ],
)
def test_a_damaged_plan_is_told_plainly(home: Path, change: Callable[..., object]) -> None:
    begin(home)
    path = home / "out/.prep/plan.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    result = CliRunner().invoke(main, ["report", "out"])
    assert result.exit_code == 1, result.output
    require_plain(result.stderr)


# Values


def test_values_are_shown_as_one_types_them() -> None:
    assert [shown(value) for value in (None, True, 2, 0.5, "a", Path("b"), b"c\xff")] == [
        *("nothing", "true", "2", "0.5", "'a'", "'b'"),
        r"'c\udcff'",
    ]
    assert shown(["train", None, 3]) == "[train, nothing, 3]"
    assert shown({"a": None}) == "a mapping"
    assert shown(10**5000) == "a very large number"
    assert len(quoted("x" * 10**6)) <= 122


def test_ctrl_c_that_a_library_makes_an_error_of_is_told_as_a_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As Python itself does it where a class is made, and others where they are imported."""

    def load(name: str) -> NoReturn:
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        raise RuntimeError("Error calling __set_name__ on 'Field' instance")

    monkeypatch.setattr(interrupts, "_stopped_by", None)
    monkeypatch.setattr("prep.cli.main.importlib", SimpleNamespace(import_module=load))
    done = CliRunner().invoke(main, ["run"])
    assert (done.output, done.exit_code) == ("prep: stopped\n", 130)
