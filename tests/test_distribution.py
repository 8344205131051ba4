"""The name of the distribution, wherever a text says how to install it."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import prep.execution.preflight.software
from prep.settings.distribution import NAME, install_command, version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = set(PROJECT["optional-dependencies"])
# What is installed: this folder, or a name, with extras or without.
INSTALL = re.compile(r"pip install ((?:--\S+ |-e )*)['\"\\]*([\w./-]*)(?:\[([\w,\s'\"()]+)\])?")


def texts() -> list[Path]:
    listed = subprocess.run(
        [
            "git",
            "ls-files",
            "-z",
            "*.md",
            "*.py",
            "*.ipynb",
            "*.yaml",
            "*.toml",
            "Makefile",
            "deploy",
        ],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    names = listed.stdout.decode().split("\0")[:-1]
    if not names:
        pytest.skip("not in a checkout of git: its files can't be told from others")
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def installs() -> list[tuple[Path, str, list[str]]]:
    """Return the places where a text says what to install, and with which extras."""
    return [
        (path, found[2], re.findall(r"\w+", found[3] or ""))
        for path in texts()
        if path != Path(__file__)
        for found in INSTALL.finditer(path.read_text(errors="replace"))
    ]


def test_the_name_is_that_of_the_project() -> None:
    assert PROJECT["name"] == NAME
    assert version() == PROJECT["version"]
    assert f'version("{NAME}")' in inspect.getsource(
        prep.execution.preflight.software.describe_process
    )


def test_no_text_installs_the_package_of_somebody_else() -> None:
    found = installs()
    assert len(found) > 5
    foreign = [(str(path), name) for path, name, _ in found if name == "prep"]
    assert foreign == []


def test_each_extra_that_a_text_names_exists() -> None:
    named = {
        extra for _, name, extras in installs() if name in (".", "/build", NAME) for extra in extras
    }
    assert named
    assert named <= EXTRAS


def test_loading_without_tensorflow_says_what_to_install() -> None:
    code = "import sys; sys.modules['tensorflow'] = None; import prep; prep.load"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert last.endswith(
        f"needs TensorFlow, which is not installed: {install_command('tensorflow')}"
    )
