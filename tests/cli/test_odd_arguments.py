"""Odd arguments: a one-line error, exit code 2, and nothing written."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from prep.cli.main import main
from tests.support.pictures import write_tree

PLACES = ["--source", "photos", "--output", "out"]
BIG = b"9" * 5000
DEEP = b"[" * 200_000
AROUND = b'{"source": "photos", "output": "out", %s}'

# Files that are no configuration, label map, mean, options or cluster file, whichever is expected.
FILES = {
    "list.json": b"[1, 2]",
    "number.json": b"3",
    "null.json": b"null",
    "empty.json": b"",
    "binary.json": bytes(range(256)),
    "utf16.json": '{"source": "photos"}'.encode("utf-16"),
    "latin1.json": b'{"source": "caf\xe9"}',
    "twice.json": b'{"R": 1, "R": 2}',
    "deep.json": DEEP,
    "big.json": b'{"R": %s}' % BIG,
    "nan.json": b'{"R": NaN}',
    "half.json": b'{"R": ',
}
CONFIGS = {
    "nul.json": rb'{"source": "a\u0000b", "output": "out"}',
    "surrogate.json": rb'{"source": "\ud800", "output": "out"}',
    "key.json": rb'{"a\u0000\nb": 1}',
    "kinds.json": b'{"source": {"a": 1}, "output": ["x"]}',
    "numbers.json": b'{"source": 1, "output": 2.5}',
    "true.json": b'{"source": true, "output": false}',
    "word.json": AROUND % b'"size": "large"',
    "inf.json": AROUND % b'"max_aspect": 1e999',
    "big.json": AROUND % (b'"seed": %s' % BIG),
    "bits.json": AROUND % (b'"seed": %s' % BIG[:4000]),
    "options.json": AROUND % b'"storage_options": [1]',
    "splits.json": AROUND % b'"splits": [1, null]',
    "empty.yaml": b"",
    "list.yaml": b"- a\n- b",
    "word.yaml": b"photos",
    "binary.yaml": bytes(range(256)),
    "nul.yaml": b'source: "a\\0b"\noutput: out',
    "raw-nul.yaml": b"source: a\0b\noutput: out",
    "tabs.yaml": b"\tsource: a",
    "two.yaml": b"a: 1\n---\nb: 2",
    "date.yaml": b"source: 2020-01-01\noutput: out",
    "no-date.yaml": b"source: 2020-13-45",
    "bytes.yaml": b"source: !!binary aGVsbG8=\noutput: out",
    "keys.yaml": b".nan: 2\nsource: a",
    "nan.yaml": b"source: photos\noutput: out\nmax_refused: .nan",
    "null.yaml": b"source: ~\noutput: out",
    "labels.yaml": b"source: photos\noutput: out\nlabel_map: {1: 2}",
    "dates.yaml": b"source: photos\noutput: out\nlabel_map: {cat: 2020-01-01, dog: 1}",
    "deep.yaml": b"source: " + DEEP,
    "bad.toml": b"=",
    "deep.toml": b"source = " + DEEP,
    "nan.toml": b'source = "photos"\noutput = "out"\nmax_aspect = nan',
    "date.toml": b'source = 2020-01-01\noutput = "out"',
}
MEANS = {
    "words.json": b'{"R": "1", "G": "2", "B": "3"}',
    "big.json": b'{"R": 1e400, "G": 1, "B": 1}',
    "bits.json": b'{"R": %s, "G": 1, "B": 1}' % BIG[:4000],
    "true.json": b'{"R": true, "G": 1, "B": 1}',
}
LABELS = {
    "real.json": b'{"cat": 1e999, "dog": 1}',
    "bits.json": b'{"cat": %s, "dog": 1}' % BIG[:4000],
    "deeper.json": b'{"cat": {"a": 1}, "dog": 1}',
}
LOCAL = b"version: 1\nmodule: distributed\nclass: LocalCluster\n"
CLUSTERS = {
    "kinds.yaml": b'version: "1"\nmodule: 3\nclass: 4',
    "profiles.yaml": b"version: 1\nprofiles: 3",
    "profile.yaml": b"version: 1\nprofiles: {1: 3}",
    "numbered.yaml": b"version: 1\nprofiles: {1: {address: a}}",
    "inf.yaml": LOCAL + b"workers: .inf",
    "list.yaml": LOCAL + b"kwargs: [1]",
    "keys.yaml": LOCAL + b"kwargs: {1: 2}",
    "config.yaml": LOCAL + b"config: {1: 2}",
    "nul.yaml": b'version: 1\nmodule: distributed\nclass: "a\\0b"',
    "module.yaml": b'version: 1\nmodule: "distributed..x"\nclass: x',
    "scheduler.yaml": b"version: 1\nscheduler_file: photos",
    "scheduler-nul.yaml": b'version: 1\nscheduler_file: "a\\0b"',
    "date.yaml": b"version: 2020-01-01",
    "deep.yaml": b"version: " + DEEP,
}
# What is no path, no name and no number, or not the path of what is expected.
WORDS = ["", "\0", "a\0b", "x" * 300, "x/" * 3000, "$NOPE", "~nope/x", "://", "x://y", "file://"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory, in which nothing may be written."""
    monkeypatch.chdir(tmp_path)
    write_tree(tmp_path / "photos", {"train": {"cat": 1, "dog": 1}})
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "file").write_text("text")
    yield tmp_path
    assert not (tmp_path / "out").exists()


# Reprs of Python's bytes, text in lists and constants, numbers of errors, and names of its classes.
PYTHON = re.compile(
    r"[( ]b'|\['|\[Errno|\w(Error|Exception)\b|codec|object|\b(None|True|False)\b|\\\\"
)


def require_one_line(*arguments: str) -> None:
    there = sorted(os.listdir())
    result = CliRunner().invoke(main, list(arguments))
    told = [argument[:40] for argument in arguments], result.stderr
    assert isinstance(result.exception, SystemExit), (told, result.exception)
    assert result.exit_code == 2, told
    *log, line = result.stderr.splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\d preparing: ", each) for each in log), told
    assert line.startswith("prep: "), told
    assert len(line) < 2100
    assert not PYTHON.search(line), told
    assert sorted(os.listdir()) == there, told


def written(home: Path, files: dict[str, bytes]) -> list[str]:
    for name, data in files.items():
        (home / name).write_bytes(data)
    return [*files, *(["folder.json", "absent.json"] if "list.json" in files else [])]


def test_files_that_are_something_else(home: Path) -> None:
    for name in written(home, FILES):
        require_one_line("plan", "-c", name)
        require_one_line("plan", *PLACES, "--label-map", name)
        require_one_line("plan", *PLACES, "--encoding", "float32", "--mean-file", name)
        require_one_line("run", *PLACES, "--cluster", name)
        if name not in ("twice.json",):
            require_one_line("verify", name)
            require_one_line("report", name)
        if name != "big.json":
            require_one_line("plan", *PLACES, "--storage-options", f"@{name}")


def test_configurations_that_say_something_else(home: Path) -> None:
    for name in written(home, CONFIGS):
        require_one_line("plan", "-c", name)


def test_means_and_label_maps_that_say_something_else(home: Path) -> None:
    for name in written(home, MEANS):
        require_one_line("plan", *PLACES, "--encoding", "float32", "--mean-file", name)
    for name in written(home, LABELS):
        require_one_line("plan", *PLACES, "--label-map", name)


def test_cluster_files_that_say_something_else(home: Path) -> None:
    for name in written(home, CLUSTERS):
        require_one_line("run", *PLACES, "--cluster", name)
        require_one_line("cluster", "check", "--cluster", name)


@pytest.mark.parametrize("word", WORDS, ids=lambda word: repr(word[:9]))
def test_words_that_are_no_path(word: str, home: Path) -> None:
    for flag in ("--source", "--output", "--label-map"):
        require_one_line("plan", *PLACES, flag, word)
    require_one_line("plan", *PLACES, "--encoding", "float32", "--mean-file", word)
    require_one_line("plan", "-c", word)
    require_one_line("plan", *PLACES, "--storage-options", f"@{word}")
    require_one_line("run", *PLACES, "--cluster", word)
    require_one_line("cluster", "check", "-c", word)
    require_one_line("verify", word)
    require_one_line("merge", "photos", word, "-o", "out")
    require_one_line("report", word)
    require_one_line("labels", word, "-o", "labels.json")
    require_one_line("labels", "photos", "-o", word)
    require_one_line("mean", "-i", word, "-o", "mean.json")
    require_one_line("mean", "-i", "photos", "-o", word)
    require_one_line("demo", "-o", word)


@pytest.mark.parametrize("number", ["", "\0", "nan", "inf", "-1", "1e999", "0x10", "9" * 5000])
def test_words_that_are_no_number(number: str, home: Path) -> None:
    for flag in ("--size", "--max-refused", "--max-aspect", "--seed", "--image-timeout"):
        require_one_line("plan", *PLACES, flag, number)
    require_one_line("plan", *PLACES, "--workers", number)
    require_one_line("demo", "-o", "made", "--images", number)


@pytest.mark.parametrize(
    "arguments",
    [
        ["labels", "file", "-o", "labels.json"],  # a file where a folder is expected
        ["plan", "--source", "file", "--output", "out"],
        ["verify", "file"],
        ["run", "--source", "photos", "--output", "file"],
        ["run", "--source", "photos", "--output", "file/below"],
        ["run", "--source", "photos", "--output", "/dev/null"],
        ["demo", "-o", "file"],
        ["labels", "photos", "-o", "photos"],  # a folder where a file is expected
        ["labels", "photos", "-o", "/"],
        ["mean", "-i", "photos", "-o", "file/below.json"],
        ["plan", "--source", "/proc/self/fd", "--output", "out"],  # which changes as it is listed
        ["plan", "--source", "\udcff", "--output", "out"],  # no UTF-8
        ["plan", "--source", "photos", "--output", "\udcff"],
        ["plan", *PLACES, "--splits", "train,,"],
        ["plan", *PLACES, "--splits", "a\0b"],
        ["plan", *PLACES, "--image-type", "\udcff/\0"],
        ["plan", *PLACES, "--storage-options", "{"],
        ["run", *PLACES, "--profile", "\0" * 5000],
        ["\0"],
        ["new\nline"],
    ],
    ids=str,
)
def test_what_is_something_else_than_expected(arguments: list[str], home: Path) -> None:
    require_one_line(*arguments)


def test_a_name_that_is_no_utf_8_is_shown_as_it_can_be(home: Path) -> None:
    made = CliRunner().invoke(main, ["labels", "photos", "-o", "labels\udcff.json"])
    assert made.exit_code == 0, made.stderr
    assert made.stdout == "2 classes, written to labels\\udcff.json\n"
    assert Path("labels\udcff.json").exists()


def test_a_file_with_a_byte_order_mark_is_read(home: Path) -> None:
    (home / "bom.json").write_bytes(b'\xef\xbb\xbf{"source": "photos", "output": "out"}')
    assert CliRunner().invoke(main, ["plan", "-c", "bom.json"]).exit_code == 0
