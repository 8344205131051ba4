"""Commands and code in README and docs do what the text says."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from prep.cli.main import main
from tests.support.clusters import run_prep
from tests.support.imagenet import downloads, write
from tests.support.pictures import write_tree

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OTHERS = [path for path in sorted(ROOT.glob("*.md")) if path not in PAGES]
# Commands with these can't be run here: they need other hosts, a storage, or outputs from before.
RECIPES = "where-your-images-are.md"  # Run by tests/test_recipes.py.
ELSEWHERE = ("://", "ssh", "slurm", "existing", "kubernetes", "demo", "shards-a")


@dataclass(frozen=True)
class Typed:
    """A line of a page that calls ``prep``."""

    page: Path
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page.name}: {shlex.join(self.words)}"


def blocks(page: Path, language: str) -> list[str]:
    """The contents of a page's blocks of code in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def typed(page: Path) -> list[Typed]:
    """The commands on a page that call ``prep``, in their order."""
    lines = "\n".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
    found = (shlex.split(line, comments=True) for line in lines)
    return [Typed(page, tuple(words[1:])) for words in found if words[:1] == ["prep"]]


COMMANDS = [command for page in PAGES for command in typed(page)]


def headings(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", page.read_text()):
        if "://" not in target:
            file = page.parent / target if target else page
            assert file.exists(), target
            assert not anchor or anchor in headings(file), f"{target}#{anchor}"


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_each_command_is_one(
    command: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Command, flags and values are understood; what comes of them is for the tests below."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(click.Command, "invoke", lambda _command, _context: "understood")
    assert main(list(command.words), standalone_mode=False) == "understood"


def test_the_pages_name_commands() -> None:
    assert len(COMMANDS) > 15
    assert {command.page.name for command in COMMANDS} >= {
        "README.md",
        "terminal.md",
        "clusters.md",
    }


def photos(folder: Path) -> None:
    """Make the photos that the pages start from, and ImageNet as it is downloaded."""
    write(folder / "imagenet", downloads())
    write_tree(folder / "photos", {"train": {"cat": 6, "dog": 4}, "val": {"cat": 2, "dog": 2}})
    write_tree(folder / "pool", {"cat": {}, "dog": {}})
    for name in ("cat", "dog"):
        shutil.copytree(folder / "photos/train" / name, folder / "pool" / name, dirs_exist_ok=True)


def typed_at(folder: Path, command: Typed) -> None:
    done = run_prep(*command.words, cwd=folder)
    assert done.returncode == 0, (str(command), done.stdout, done.stderr)


def test_the_readme_leads_from_photos_to_a_trained_batch(tmp_path: Path) -> None:
    photos(tmp_path)
    for command in typed(ROOT / "README.md"):
        typed_at(tmp_path, command)
    shutil.rmtree(tmp_path / "shards")
    code = "\n".join(
        [*blocks(ROOT / "README.md", "python"), "print('batches', len(list(dataset)))"]
    )
    script = tmp_path / "train.py"
    script.write_text("if __name__ == '__main__':\n" + textwrap.indent(code, "    "))
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "batches 1"


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [page for page in PAGES[1:] if typed(page) and page.name != RECIPES],
    ids=lambda page: page.name,
)
def test_the_commands_of_a_page_can_be_typed_in_their_order(page: Path, tmp_path: Path) -> None:
    photos(tmp_path)
    shutil.copy(ROOT / "cluster.yaml", tmp_path)
    commands = typed(page)
    if not any("init" in command.words for command in commands):  # Or else that writes it.
        (tmp_path / "config.yaml").write_text("source: photos\noutput: others\n")
    for command in commands:
        if not any(word in " ".join(command.words) for word in ELSEWHERE):
            typed_at(tmp_path, command)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_on_the_pages_compiles(page: Path) -> None:
    for code in blocks(page, "python"):
        compile(code, page.name, "exec")
