"""A virtual environment for each of the other programs, made where it is missing.

They lie beside the packages of the environment that this runs in, and are made anew when their
requirements change.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path

REQUIREMENTS = Path(__file__).parent / "requirements"
ENVIRONMENTS = Path(sys.prefix) / "peers"
_MADE_FROM = "made-from.txt"


class NotInstalled(Exception):
    """An environment can't be made, and why."""


def interpreter_for(name: str) -> Path:
    """Return the interpreter of an environment, which is made first if need be.

    Args:
        name: of the file of requirements, without its extension.

    Raises:
        NotInstalled: pip did not install them.
    """
    requirements = REQUIREMENTS / f"{name}.txt"
    folder = ENVIRONMENTS / name
    python, made_from = folder / "bin" / "python", folder / _MADE_FROM
    wanted = f"{sys.version}\n{requirements.read_text()}"
    if not made_from.exists() or made_from.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        _install(python, requirements)
        made_from.write_text(wanted)
    return python


def _install(python: Path, requirements: Path) -> None:
    command = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [python, *command, "--requirement", requirements], capture_output=True, text=True
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise NotInstalled(f"its packages can't be installed: {last}")
