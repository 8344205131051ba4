"""Types of values, and paths that are given as an argument or as a flag."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from prep.errors import ConfigError
from prep.text import quoted, some

if TYPE_CHECKING:
    Kind = click.ParamType[str]
else:
    Kind = click.ParamType  # It takes no parameters in all versions of click.


class Path(Kind):
    """A path or a URL, which the command checks itself; a shell completes it as a path."""

    name = "path"

    def __init__(self, *, folder: bool = False) -> None:
        self._completed_as = "dir" if folder else "file"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Leave it to the shell."""
        return [CompletionItem(incomplete, type=self._completed_as)]


class Word(Kind):
    """One of several words, which the configuration checks itself."""

    name = "word"

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(words)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer the words that begin so."""
        return [CompletionItem(word) for word in self.words if word.startswith(incomplete)]


class Count(click.IntRange):
    """A whole number, which may be written as 1e6 or 1M."""

    name = "count"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the number."""
        from prep.storage.arguments import parse_count

        number: int = super().convert(parse_count(value), param, ctx)
        return number


class Profile(Kind):
    """A profile of the cluster file that is named before it."""

    name = "profile"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer the profiles of the file, if it can be read."""
        from prep.parsing import parse_yaml, read_text

        names: Sequence[Any] = ()
        with contextlib.suppress(OSError, ValueError, AttributeError, TypeError):
            names = list(parse_yaml(read_text(ctx.params["cluster_file"]))["profiles"])
        return [CompletionItem(str(name)) for name in names if str(name).startswith(incomplete)]


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


def one_or_several(flags: Sequence[str]) -> Any:
    """Return the value of a flag that may be given several times: one, a list, or None."""
    return list(flags) if len(flags) > 1 else next(iter(flags), None)


def either(name: str, argument: str | None, flag: Any) -> Any:
    """Return what was given, in one way or the other.

    Raises:
        ConfigError: it was given in both, and differently.
    """
    if argument is not None and flag is not None and argument != flag:
        given = flag if isinstance(flag, list) else [flag]
        raise ConfigError(
            f"{name}: given twice: {quoted(argument)}, and {some([*map(quoted, given)])} with "
            f"--{name}; keep one of them"
        )
    return argument if flag is None else flag
