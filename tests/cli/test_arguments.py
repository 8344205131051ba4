"""Arguments, flags, files, counts and completion of commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from click.shell_completion import BashComplete, CompletionItem
from click.testing import CliRunner, Result
from distributed import Client

import prep
from prep.cli.main import COMMANDS, main
from prep.settings.choices import Layout
from tests.support.pictures import write_tree

TREE = {"train": {"cat": 3, "dog": 2}, "val": {"cat": 1}}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with photos in it."""
    monkeypatch.chdir(tmp_path)
    write_tree(tmp_path / "photos", TREE)
    return tmp_path


def asked(monkeypatch: pytest.MonkeyPatch, function: str, *arguments: str) -> dict[str, Any]:
    """Return the arguments that a command hands to a function, which is not called."""
    seen: dict[str, Any] = {}

    class Asked(Exception):
        pass

    def stand_in(*values: Any, **named: Any) -> None:
        seen.update(named, values=values)
        raise Asked

    monkeypatch.setattr(function, stand_in)
    result = CliRunner().invoke(main, list(arguments))
    assert isinstance(result.exception, Asked), result.output
    return seen


def refused(*arguments: str) -> str:
    """The line that a command ends with."""
    result: Result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1
    return result.stderr.removesuffix("\n")


@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_pattern_that_a_shell_has_expanded_is_not_taken_for_source_and_output(
    command: str, home: Path
) -> None:
    folder = "give the folder, not a pattern of what is in it"
    told = refused(command, "photos/train", "photos/val", "out")
    assert "unexpected extra argument (out)" in told
    assert folder in told
    before = sorted(home.rglob("*"))
    told = refused(command, "photos/train", "photos/val")  # As of photos/*
    assert "'photos/val', beside the source, has a folder 'cat', too" in told
    assert sorted(home.rglob("*")) == before
    assert folder not in refused(command, "--nonsense")


def test_each_command_is_listed_with_the_first_line_of_its_help() -> None:
    context = main.make_context("prep", [], resilient_parsing=True)
    told = {name: main.get_command(context, name) for name in main.list_commands(context)}
    assert {
        name: command.help.partition("\n")[0] if command and command.help else ""
        for name, command in told.items()
    } == {name: known.help for name, known in COMMANDS.items()}


@pytest.mark.parametrize(
    "arguments",
    [
        ["photos", "out"],
        ["photos", "--output", "out"],
        ["--source", "photos", "-o", "out"],
        ["photos", "out", "--source", "photos"],  # twice, but the same
        ["--image-folder", "photos", "--record-path", "out"],
        ["-c", "config.json", "photos"],  # an argument wins over a file, as a flag does
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("command", ["run", "plan"])
def test_source_and_output_are_arguments_or_flags(
    command: str, arguments: list[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "config.json").write_text('{"source": "elsewhere", "output": "out"}')
    function = "prep.run" if command == "run" else "prep.operations.outlook.look_ahead"
    config = asked(monkeypatch, function, command, *arguments)["values"][0]
    assert (config.source, config.output) == ("photos", "out")


def test_other_commands_take_them_alike(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments in (["out"], ["-o", "out"], ["--output", "out"]):
        for command, function in (
            ("verify", "prep.verify"),
            ("report", "prep.display.page.page.report_page"),
        ):
            assert asked(monkeypatch, function, command, *arguments)["values"][0] == "out"
    monkeypatch.undo()
    os.chdir(home)
    for number, arguments in enumerate(
        (["photos", "0.json"], ["--source", "photos", "-o", "1.json"])
    ):
        assert CliRunner().invoke(main, ["labels", *arguments]).exit_code == 0
        assert json.loads((home / f"{number}.json").read_text()) == {"cat": 0, "dog": 1}


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "photos", "out", "--source", "pictures"],
        ["plan", "photos", "--image-folder", "pictures", "-o", "out"],
        ["labels", "photos", "--source", "pictures", "-o", "labels.json"],
        ["cluster", "check", "photos", "--source", "pictures"],
    ],
    ids=" ".join,
)
def test_a_place_given_twice_and_differently_is_an_error(arguments: list[str]) -> None:
    assert refused(*arguments) == (
        "prep: source: given twice: 'photos', and 'pictures' with --source; keep one of them"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "photos"], "output: missing; expected the path of a folder, or a URL"),
        (["verify"], "output: missing; expected the folder, or the URL, that prep run has written"),
        (["labels", "photos"], "output: missing; expected the path of a JSON file to write"),
        (["mean", "-o", "mean.json"], "input: missing; expected a folder, files or a pattern"),
        (
            ["mean", "photos"],
            "output: missing; expected the path of a JSON file to write, after -o",
        ),
        (
            ["mean", "photos/train", "photos/val"],
            "input: got 2 paths and no JSON file to write; name it after -o, as in prep mean "
            "'photos/*/*' -o mean.json",
        ),
    ],
    ids=str,
)
def test_a_missing_place_is_named(arguments: list[str], said: str) -> None:
    assert refused(*arguments) == f"prep: {said}"


def test_workers_have_a_letter(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = asked(monkeypatch, "prep.run", "run", "photos", "out", "-j", "3")
    assert seen["cluster"].workers == 3
    for command, *arguments in (
        ["verify", "out"],
        ["mean", "photos", "-o", "mean.json"],
        ["plan", "photos", "out"],
        ["cluster", "check"],
        ["demo"],
    ):
        assert "Missing" in refused(command, *arguments, "-j") or "requires an argument" in refused(
            command, *arguments, "-j"
        )


# Many paths


def test_a_pattern_that_the_shell_has_expanded_is_taken(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = sorted(str(path.relative_to(home)) for path in home.glob("photos/*/*/*.jpg"))
    assert len(paths) == 6
    for arguments in (["-i", *paths, "-o", "m.json"], ["-o", "m.json", *paths]):
        seen = asked(monkeypatch, "prep.mean_rgb", "mean", *arguments)
        assert seen["values"][0] == tuple(paths)


def test_the_mean_of_several_inputs_is_that_of_all_their_images(home: Path, client: Client) -> None:
    both = prep.mean_rgb(["photos/train", home / "photos/val", "photos/*/cat/*"], client)
    assert both == prep.mean_rgb("photos", client)
    assert both.images == 6


def test_no_message_repeats_all_of_a_long_argument(home: Path) -> None:
    long = "photos/" + "x" * 200
    for arguments in (
        ["run", "photos", "out", *[f"photos/{n:04}.jpg" for n in range(1600)]],
        ["plan", long, "out"],
        ["plan", "photos", "out", "--size", "9" * 5000],
        ["plan", "photos", "out", "--label-map", long],
        ["plan", "photos", "out", "--splits", long],
        ["labels", "photos", "-o", f"{long}/labels.json"],
        ["verify", long],
        ["x" * 3000],
        ["plan", "--" + "x" * 3000],
        ["plan", "photos", "out", "--workers", "x" * 3000],
    ):
        assert len(refused(*arguments)) < 450, arguments[0]


# Counts


@pytest.mark.parametrize(
    ("written", "number"),
    [("1e8", 10**8), ("100M", 10**8), ("1.5k", 1500), ("2G", 2 * 10**9), ("64", 64), (" 7 ", 7)],
)
def test_counts_may_be_written_shortly(
    written: str, number: int, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = asked(
        monkeypatch,
        "prep.operations.outlook.look_ahead",
        "plan",
        "photos",
        "out",
        "--max-pixels",
        written,
    )["values"][0]
    assert config.max_pixels == number
    (home / "config.yaml").write_text(f"source: a\noutput: b\nmax_pixels: '{written}'")
    assert prep.Config.from_file("config.yaml").max_pixels == number


@pytest.mark.parametrize("written", ["1.5", "1e-3", "100MB", "M", "1e999", "0.0001k", "-1k"])
def test_what_is_no_count_is_refused_as_it_was_written(written: str) -> None:
    assert refused("plan", "photos", "out", "--max-pixels", written) == (
        f"prep: max_pixels: got '{written}'; expected a whole number of at least 1"
    )


def test_a_second_configuration_wins_over_the_first(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "a.yaml").write_text("source: photos\noutput: out\nsize: 64\nquality: 70")
    (home / "b.json").write_text('{"crop_size": 32, "seed": 5}')
    config = asked(
        monkeypatch,
        "prep.operations.outlook.look_ahead",
        "plan",
        "-c",
        "a.yaml",
        "-c",
        "b.json",
        "--seed",
        "6",
    )["values"][0]
    assert (config.size, config.quality, config.seed, config.source) == (32, 70, 6, "photos")


# Writing a file


def test_a_file_that_can_not_be_written_is_told_before_the_work_with_the_reason(home: Path) -> None:
    for command in (["mean", "photos", "-o"], ["labels", "photos", "-o"]):
        assert refused(*command, "no/such/mean.json") == (
            "prep: output: can't write 'no/such/mean.json': the folder 'no/such' does not exist"
        )
        assert not (home / "no").exists()
        assert refused(*command, "/proc/mean.json").startswith(
            "prep: output: can't write '/proc/mean.json': "
        )
        assert refused(*command, "photos") == (
            "prep: output: 'photos' is a folder; expected the path of a file"
        )
        assert refused(*command, "photos/train/cat/0000.jpg/mean.json").endswith(
            ": Not a directory"
        )


# Help and completion


def test_help_shows_choices_and_kinds_of_numbers() -> None:
    told = CliRunner().invoke(main, ["run", "--help"]).stdout
    for shown in (
        "--interpolation [bilinear|bicubic|area|linear|cubic|lanczos]",
        "[none|GZIP|ZLIB]",
        f"--layout [{'|'.join(get_args(Layout))}]",
        "--max-refused FLOAT",
        "--unpack / --no-unpack  ",
        "--columns NAME=COLUMN,…",
        "--max-aspect FLOAT",
        "--quality, --image-quality N",
        "--background #RRGGBB",
        "-j, --workers N",
        "-c, --config FILE",
    ):
        assert shown in told
    assert " VALUE" not in told


def test_a_group_without_a_command_shows_its_help() -> None:
    for command in ([], ["cluster"]):
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 2
        assert "Commands:\n" in result.output
        assert r"\n" not in result.output


def completed(*words: str) -> list[CompletionItem]:
    *before, last = words
    return BashComplete(main, {}, "prep", "_PREP_COMPLETE").get_completions(before, last)


def values(*words: str) -> list[str]:
    return [item.value for item in completed(*words)]


def test_commands_choices_and_profiles_are_completed(home: Path) -> None:
    assert values("re") == ["report"]
    assert values("run", "--interp") == ["--interpolation"]
    assert values("run", "--interpolation", "l") == ["linear", "lanczos"]
    assert values("run", "--compression", "") == ["none", "GZIP", "ZLIB"]
    assert values("labels", "--layout", "a") == ["auto", "archive", "arrow"]
    (home / "cluster.yaml").write_text("profiles:\n  local: {}\n  large: {}\n  slurm: {}\n")
    assert values("run", "--cluster", "cluster.yaml", "--profile", "l") == ["local", "large"]
    assert values("run", "--cluster", "absent.yaml", "--profile", "l") == []


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["run", "ph"], "dir"),
        (["run", "photos", "ou"], "dir"),
        (["run", "--source", "ph"], "dir"),
        (["run", "-c", "co"], "file"),
        (["run", "--label-map", "la"], "file"),
        (["mean", "-i", "ph"], "file"),
        (["mean", "ph"], "file"),
        (["verify", "sh"], "dir"),
        (["cluster", "check", "--cluster", "cl"], "file"),
    ],
    ids=str,
)
def test_paths_are_left_to_the_shell(words: list[str], kind: str) -> None:
    assert [(item.value, item.type) for item in completed(*words)] == [(words[-1], kind)]


def test_completion_works_as_the_help_says() -> None:
    """In a process, as a shell asks for it."""

    def answer(**variables: str) -> str:
        command = [sys.executable, "-m", "prep"]
        environment = {**os.environ, **variables}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return done.stdout

    assert "_PREP_COMPLETE=bash_source prep" in CliRunner().invoke(main, ["-h"]).stdout
    assert "complete -o nosort -F" in answer(_PREP_COMPLETE="bash_source")
    asked = answer(_PREP_COMPLETE="bash_complete", COMP_WORDS="prep ru", COMP_CWORD="1")
    assert asked.split() == ["plain,run"]


@pytest.mark.parametrize(
    ("arguments", "source"),
    [
        (["--source", "photos", "--source", "more"], {None: ["photos", "more"]}),
        (
            ["--source", '{"train": ["photos"], "val": "more"}'],
            {"train": ["photos"], "val": ["more"]},
        ),
        (['["photos", "more"]'], {None: ["photos", "more"]}),
    ],
    ids=str,
)
def test_several_sources_are_flags_or_json(
    arguments: list[str],
    source: dict[str | None, list[str]],
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_tree(home / "more", TREE)
    config = asked(
        monkeypatch, "prep.operations.outlook.look_ahead", "plan", *arguments, "-o", "out"
    )["values"][0]
    expected = [(split, str(home / path)) for split, paths in source.items() for path in paths]
    assert list(config.source.parts) == expected
    assert "source: given twice: 'photos', and 'more', 'photos' with --source" in refused(
        "plan", "photos", "--source", "more", "--source", "photos", "-o", "out"
    )


def test_labels_and_columns_are_flags_of_prep_labels_too(home: Path) -> None:
    (home / "list.csv").write_text(
        "file,dx\nphotos/train/cat/0000.jpg,nv\nphotos/train/cat/0001.jpg,mel\n"
    )
    flags = ["--columns", "image=file,label=dx", "--labels", '{"rename": {"nv": "a"}}']
    result = CliRunner().invoke(main, ["labels", "list.csv", "labels.json", *flags])
    assert result.exit_code == 0, result.output
    assert json.loads((home / "labels.json").read_text()) == {"a": 0, "mel": 1}
