"""Kinds of values at the command line: how they are read, shown in help, and completed."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

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
        from prep.admission import parse_count

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
