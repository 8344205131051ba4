"""Remedies in messages: keywords in Python, flags at the command line."""

from __future__ import annotations

import ast
import inspect
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import prep
from prep.cli.main import main
from prep.cli.spelling import as_flags
from prep.cli.talk import talk_options
from prep.errors import OutputConflict
from tests.support.pictures import write_tree

PACKAGE = Path(prep.__file__).parent
SPAN = re.compile(r"`[^`]+`")
#: Those who talk to the command line alone, or hold style sheets and pages.
TERMINAL = {"cli", "display", "dashboard"}
#: Flags of other programs, which are so called wherever one is.
OTHERS = re.compile(
    r"dask (scheduler|worker)|start one worker per core|start it without|wget|zip -s|tar --"
)


def messages() -> Iterator[tuple[str, str]]:
    """(module, text) of each text that is no docstring; with blanks for what is put in."""
    for path in sorted(PACKAGE.rglob("*.py")):
        module = path.relative_to(PACKAGE)
        if TERMINAL & {*module.parts}:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        inner, documents = set[ast.AST](), set[ast.AST]()
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr):
                documents.add(node.value)
            if isinstance(node, ast.JoinedStr):
                inner |= set(ast.walk(node)) - {node}
        for node in ast.walk(tree):
            if node in inner or node in documents:
                continue
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield str(module), node.value
            elif isinstance(node, ast.JoinedStr):
                yield (
                    str(module),
                    "".join(
                        getattr(part, "value", "") if isinstance(part, ast.Constant) else " "
                        for part in node.values
                    ),
                )


def flags() -> set[str]:
    """All flags and commands of the command line."""
    found = set[str]()
    commands: list[tuple[str, click.Command]] = [("prep", main)]
    for name, command in commands:
        found |= {name, *(opt for param in command.params for opt in param.opts)}
        if isinstance(command, click.Group):
            context = click.Context(command)
            for part in command.list_commands(context):
                inside = command.get_command(context, part)
                assert inside is not None
                commands.append((f"{name} {part}", inside))
    return found


def settings() -> set[str]:
    """All names of settings of public functions, and all keys."""
    public = (
        getattr(prep, name)
        for name in ("cluster", "mean_rgb", "merge", "plan", "run", "start", "verify")
    )
    return {name for each in public for name in inspect.signature(each).parameters} | set(
        prep.Config.model_fields
    )


def test_messages_name_no_flags_of_ours() -> None:
    named = [(module, text) for module, text in messages() if re.search(r"(?<![\w-])--[a-z]", text)]
    terminal = [(m, t) for m, t in named if not OTHERS.search(t) and not t.startswith("--repair ")]
    assert terminal == []
    assert len(named) > 3  # Those of other programs, and what a table at the terminal says.


def test_settings_in_messages_are_there_in_python_and_at_the_command_line() -> None:
    spans = {span for _, text in messages() for span in SPAN.findall(text)}
    assert len(spans) >= 10
    known, names = flags(), settings()
    for span in spans:
        shown = as_flags(span)
        assert shown.startswith("prep ") or shown.split()[0] in known, span
        called = re.fullmatch(r"`prep\.(\w+)`", span)
        setting = re.fullmatch(r"`(?:prep\.\w+\(…, )?(\w+)(\.[a-z]+)?(=.*?)?\)?`", span)
        assert called or setting, span
        if called:
            assert called[1] in prep.__all__
            assert shown in known
        elif setting:
            assert setting[1] in names, span


def test_the_same_error_speaks_to_each_in_their_words(tmp_path: Path) -> None:
    source = write_tree(tmp_path / "source", {"train": {"cat": 1}})
    output = tmp_path / "out"
    output.mkdir()
    (output / "report.json").write_text("{}")
    with pytest.raises(OutputConflict) as caught:
        prep.run(prep.Config(source=source, output=output))
    assert "; pass `overwrite=True` to replace it, or " in str(caught.value)
    done = CliRunner().invoke(main, ["run", "--source", str(source), "--output", str(output)])
    assert done.exit_code == 2
    assert "; pass --overwrite to replace it, or " in done.stderr
    assert "`" not in done.stderr


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_warnings_name_flags_too(options: list[str]) -> None:
    @click.command()
    @talk_options
    def command(talk: object) -> None:
        logging.getLogger("prep").warning("prep: pass `compact=True` to write them again")

    assert "pass --compact to write" in CliRunner().invoke(command, options).output
