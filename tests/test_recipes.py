"""The recipes of docs/where-your-images-are.md: each is run, and what it is read as compared."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from prep.cli.main import main
from tests.support.recipes import make_sources

PAGE = Path(__file__).parents[1] / "docs" / "where-your-images-are.md"
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Recipe:
    """A command of the page, and what the page says that its source is read as, if it does."""

    words: tuple[str, ...]
    read_as: str | None

    def __str__(self) -> str:
        return shlex.join(self.words)


def recipes() -> list[Recipe]:
    """Return the commands of the page, in their order."""
    found: list[Recipe] = []
    new: list[Recipe] = []
    for kind, text in _BLOCK.findall(PAGE.read_text()):
        if kind == "sh":
            words = [tuple(shlex.split(line, comments=True)[1:]) for line in text.splitlines()]
            new = [Recipe(command, None) for command in words]
            found += new
        elif not kind:
            told = [line.removeprefix("read as").strip() for line in text.splitlines()]
            found[-len(new) :] = [
                Recipe(recipe.words, what) for recipe, what in zip(new, told, strict=True)
            ]
    return found


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sources and the configurations of the page."""
    folder = make_sources(tmp_path_factory.mktemp("recipes"))
    for kind, text in _BLOCK.findall(PAGE.read_text()):
        if kind == "yaml":
            name, _, _ = text.removeprefix("# ").partition("\n")
            (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("recipe", recipes(), ids=str)
def test_a_recipe_works_and_is_read_as_the_page_says(
    recipe: Recipe, sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sources)
    plans = recipe.words[0] == "plan"
    result = CliRunner().invoke(main, [*recipe.words, *(["--json"] if plans else [])])
    assert result.exit_code == 0, result.output
    if plans:
        report = json.loads(result.stdout.splitlines()[-1])["report"]
        assert report["images"] > 0
        assert report["read_as"].startswith(recipe.read_as or "")


def test_the_page_has_a_recipe_for_each_kind_of_source() -> None:
    headings = set(re.findall(r"^## (.+)$", PAGE.read_text(), re.MULTILINE))
    kinds = {"Class folders", "Archives", "ImageNet", "Lists", "Parquet and Arrow"}
    kinds |= {"Labels in names", "Several sources"}
    assert kinds <= headings
    for part in PAGE.read_text().split("\n## ")[1:]:
        if part.partition("\n")[0] in kinds:
            assert "```sh\n" in part
