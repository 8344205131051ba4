"""Paths that a command takes as an argument or as a flag, whichever one likes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from prep.cli.parameters import Path
from prep.errors import ConfigError
from prep.text import quoted

if TYPE_CHECKING:
    from prep.config import Config

Command = Callable[..., Any]


def place(
    name: str, *flags: str, help: str, expected: str, folder: bool = True, needed: bool = True
) -> Callable[[Command], Command]:
    """Let a command take a path as an argument or as a flag, handed to it as ``name``.

    Args:
        flags: what the flag is called; by default ``--name``.
        expected: what it is to be, for the error where it is missing.
        folder: whether it is the path of a folder.
        needed: whether the command can't do without.
    """

    def decorate(command: Command) -> Command:
        @positional(name, folder=folder)
        @click.option(
            *(flags or (f"--{name}",)),
            f"{name}_flag",
            type=Path(folder=folder),
            metavar="PATH" if folder else "FILE",
            help=help,
        )
        @functools.wraps(command)
        def wrapped(**values: Any) -> Any:
            given = either(name, values.pop(f"{name}_argument"), values.pop(f"{name}_flag"))
            if given is None and needed:
                raise ConfigError(f"{name}: missing; expected {expected}")
            return command(**{name: given}, **values)

        return wrapped

    return decorate


def positional(name: str, *, folder: bool = True) -> Callable[[Command], Command]:
    """Let a command take an argument that may be absent, handed to it as ``name_argument``."""
    return click.argument(
        f"{name}_argument",
        metavar=f"[{name.upper()}]",
        required=False,
        type=Path(folder=folder),
    )


def either(name: str, argument: str | None, flag: str | None) -> str | None:
    """Return what was given, in one way or the other.

    Raises:
        ConfigError: it was given in both, and differently.
    """
    if argument is not None and flag is not None and argument != flag:
        raise ConfigError(
            f"{name}: given twice: {quoted(argument)}, and {quoted(flag)} with --{name}; "
            "keep one of them"
        )
    return argument if flag is None else flag


def require_source(config: Config) -> None:
    """Raise SourceError where there is no such folder, before all that takes long to load.

    A storage is asked only once, by the work itself.
    """
    from prep.catalog import require_folder
    from prep.locations import is_url

    if not is_url(config.source):
        require_folder(config.source)
