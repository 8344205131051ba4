"""Options that several commands share."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from prep.cli.parameters import Count, Path, Profile, Word, either, one_or_several, positional
from prep.settings.key import REQUIRED, Key
from prep.settings.keys import ARTICLE_KEYS, KEYS

if TYPE_CHECKING:
    from prep.config.model import Config


Command = Callable[..., Any]
_SHORT = {"output": "-o"}
_METAVARS = {
    "storage_options": "JSON|@FILE",
    "splits": "NAME,NAME,…",
    "image_type": "EXTENSION",
    "extension": "EXTENSION",
    "columns": "NAME=COLUMN,…",
    "labels": "KEY=VALUE,…|JSON",
    "split": "NAME=SHARE,…|JSON",
    "subset": "KEY=VALUE,…|JSON",
    "background": "#RRGGBB",
    "size": "N|HEIGHTxWIDTH",
}


def config_files_option(command: Command) -> Command:
    """Add ``-c``, any number of times, and hand it to the command as ``config_files``."""
    return click.option(
        "-c",
        "--config",
        "config_files",
        type=Path(),
        metavar="FILE",
        multiple=True,
        help="JSON, YAML or TOML file with any of these settings. Flags win over it. If given "
        "twice, the second file wins.",
    )(command)


def config_options(command: Command) -> Command:
    """Add SOURCE and OUTPUT, ``-c``, and a flag for every key, under both of its names."""

    @positional("source")
    @positional("output")
    @config_files_option
    @functools.wraps(command)
    def wrapped(config_files: tuple[str, ...], **values: Any) -> Any:
        values["source"] = one_or_several(values["source"])
        for name in ("source", "output"):
            values[name] = either(name, values.pop(f"{name}_argument"), values[name])
        given = {name: values.pop(name) for name in KEYS}
        return command(config=config_of(config_files, given), **values)

    return key_options(*KEYS)(wrapped)


def key_options(*keys: str) -> Callable[[Command], Command]:
    """Add a flag for each of some keys, under both of its names."""
    other_names = {name: key for key, name in ARTICLE_KEYS.items()}

    def decorate(command: Command) -> Command:
        for name in reversed(keys):
            key = KEYS[name]
            known = (name, other_names.get(name))
            flags = [f"--{each.replace('_', '-')}" for each in known if each]
            flags += [_SHORT[name]] if name in _SHORT else []
            if isinstance(key.default, bool):
                flags = [f"{flag}/{flag.replace('--', '--no-', 1)}" for flag in flags]
            default = "" if key.default in (REQUIRED, None, False) else f" [{key.default}]"
            text = f"{key.help}{default}"
            command = click.option(*flags, name, help=text, **_form(name, key))(command)
        return command

    return decorate


def config_of(files: tuple[str, ...], values: dict[str, Any]) -> Config:
    """Make a configuration of files and of what was given beside them.

    Raises:
        ConfigError: a file can't be read, or a value is not allowed.
    """
    from prep.config.model import Config

    given = {name: value for name, value in values.items() if value is not None}
    return Config.from_file(*files, **given) if files else Config(**given)


def _form(name: str, key: Key) -> dict[str, Any]:
    """Return what click is told of the values of a key."""
    if isinstance(key.default, bool):
        return {"is_flag": True, "default": None}
    kind = _kind(name, key)
    return {"type": kind, "metavar": _metavar(name, kind), "multiple": name == "source"}


def _kind(name: str, key: Key) -> click.ParamType[Any]:
    """Return the type that completes a key. The configuration checks its value."""
    if key.words:
        return Word(key.words)
    if not key.allowed.startswith("the path"):
        return click.UNPROCESSED
    return Path(folder=name in ("source", "output", "images"))


def _metavar(name: str, kind: click.ParamType[Any]) -> str:
    text = KEYS[name].allowed
    if isinstance(kind, Word):
        return f"[{'|'.join(kind.words)}]"
    if text.startswith("the path"):
        return "PATH" if name in ("source", "output", "images") else "FILE"
    if text.startswith("a number"):
        return "FLOAT"
    if name in _METAVARS:
        return _METAVARS[name]
    return "N"


workers_option = click.option(
    "-j",
    "--workers",
    type=Count(min=1),
    metavar="N",
    help="Number of worker processes. [one per core]",
)


def growth_options(command: Command) -> Command:
    """Add the options of an output that grows, handed to the command as ``append``, ``compact``."""
    append = click.option(
        "--append",
        is_flag=True,
        help="Add images that are new in SOURCE to what OUTPUT holds, in new shards; labels, "
        "splits and shards that are there stay.",
    )
    compact = click.option(
        "--compact",
        is_flag=True,
        help="As --append; and write shards again whose images are gone or have changed.",
    )
    return append(compact(command))


def cluster_options(command: Command) -> Command:
    """Add the options of a cluster, and hand them to the command as ``choice``."""

    @workers_option
    @click.option(
        "--cluster",
        "cluster_file",
        type=Path(),
        metavar="FILE",
        help="Cluster file: which cluster to start or use. [one worker per core of this machine]",
    )
    @click.option(
        "--profile", type=Profile(), metavar="NAME", help="Profile of the cluster file. [local]"
    )
    @click.option(
        "--trust-cluster-file",
        "trust",
        is_flag=True,
        help="Let the cluster file start classes of any package. This runs their code.",
    )
    @click.option(
        "--dashboard",
        is_flag=True,
        help="Use a Dask cluster, which has a dashboard, even for few images.",
    )
    @functools.wraps(command)
    def wrapped(
        workers: int | None,
        cluster_file: str | None,
        profile: str | None,
        trust: bool,
        dashboard: bool,
        **values: Any,
    ) -> Any:
        from prep.execution.clusters.choice import ClusterChoice

        choice = ClusterChoice(
            file=cluster_file,
            profile=profile,
            workers=workers,
            trust=trust,
            dashboard=dashboard,
        )
        return command(choice=choice, **values)

    return wrapped


def _read_options(_context: click.Context, _option: click.Parameter, value: Any) -> Any:
    from prep.storage.arguments import read_options

    return read_options(value)


storage_option = click.option(
    "--storage-options",
    "storage_options",
    metavar="JSON|@FILE",
    callback=_read_options,
    help="Options of the storage, for URLs. They are kept secret.",
)


def trust_option(help: str) -> Callable[[Command], Command]:
    """Add ``--trust-plan``, and hand it on as ``trust_plan``: without it, a terminal is asked.

    Args:
        help: what is asked.
    """

    def decorate(command: Command) -> Command:
        @click.option(
            "--trust-plan/--no-trust-plan",
            default=None,
            help=f"{help} [yes if the plan belongs to you; else prep asks]",
        )
        @functools.wraps(command)
        def wrapped(trust_plan: bool | None, **values: Any) -> Any:
            at_terminal = sys.stdin is not None and sys.stdin.isatty()
            ask = trust_plan is None and at_terminal
            return command(trust_plan=_ask if ask else trust_plan, **values)

        return wrapped

    return decorate


def _ask(told: str) -> bool:
    click.echo(f"prep: {told}", err=True)
    return click.confirm("Read it?", err=True)
