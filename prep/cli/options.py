"""Options that several commands have, and what they hand to these."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, get_args

import click
from pydantic.fields import FieldInfo

from prep.admission import LOCATIONS, read_options
from prep.cli.parameters import Count, Path, Profile, Word
from prep.cli.places import either, positional
from prep.config import ARTICLE_KEYS, Config, allowed

Command = Callable[..., Any]
_SHORT = {"output": "-o"}
_METAVARS = {
    "storage_options": "JSON|@FILE",
    "splits": "NAME,NAME,…",
    "image_type": "EXTENSION",
    "background": "#RRGGBB",
}


def config_files_option(command: Command) -> Command:
    """``-c``, any number of times, handed to the command as ``config_files``."""
    return click.option(
        "-c",
        "--config",
        "config_files",
        type=Path(),
        metavar="FILE",
        multiple=True,
        help="JSON, YAML or TOML file with any of these keys. Flags win over it, and a second such "
        "file wins over the first.",
    )(command)


def config_options(command: Command) -> Command:
    """SOURCE and OUTPUT, ``-c``, and a flag for every key, under both of its names."""
    other_names = {name: key for key, name in ARTICLE_KEYS.items()}

    @positional("source")
    @positional("output")
    @config_files_option
    @functools.wraps(command)
    def wrapped(config_files: tuple[str, ...], **values: Any) -> Any:
        for name in ("source", "output"):
            values[name] = either(name, values.pop(f"{name}_argument"), values[name])
        given = {name: values.pop(name) for name in Config.model_fields}
        return command(config=config_of(config_files, given), **values)

    for name, field in reversed(Config.model_fields.items()):
        names = [f"--{key.replace('_', '-')}" for key in (name, other_names.get(name)) if key]
        names += [_SHORT[name]] if name in _SHORT else []
        default = "" if field.is_required() or field.default is None else f" [{field.default}]"
        text = f"{field.description}{default}"
        kind = _kind(name, field)
        wrapped = click.option(*names, name, type=kind, metavar=_metavar(name, kind), help=text)(
            wrapped
        )
    return wrapped


def config_of(files: tuple[str, ...], values: dict[str, Any]) -> Config:
    """Make a configuration of files and of what was given beside them.

    Raises:
        ConfigError: a file can't be read, or a value is not allowed.
    """
    given = {name: value for name, value in values.items() if value is not None}
    return Config.from_file(*files, **given) if files else Config(**given)


def _kind(name: str, field: FieldInfo) -> click.ParamType[Any]:
    """How a key's value is completed. The configuration checks it."""
    words = [word for word in _words(field.annotation) if word]
    if words:
        none = ["none"] if type(None) in get_args(field.annotation) else []
        return Word(none + words)
    return Path(folder=name in ("source", "output")) if name in LOCATIONS else click.UNPROCESSED


def _words(annotation: Any) -> Iterator[str]:
    """The words that a type allows, if it is of words."""
    for part in get_args(annotation):
        if isinstance(part, str):
            yield part
        else:
            yield from _words(part)


def _metavar(name: str, kind: click.ParamType[Any]) -> str:
    text = allowed(name)
    if isinstance(kind, Word):
        return f"[{'|'.join(kind.words)}]"
    if text.startswith("the path"):
        return "PATH" if name in ("source", "output") else "FILE"
    if text.startswith("a number"):
        return "FLOAT"
    return "N" if text.startswith("a whole number") else _METAVARS[name]


workers_option = click.option(
    "-j",
    "--workers",
    type=Count(min=1),
    metavar="N",
    help="Number of worker processes. [one per core]",
)


def cluster_options(command: Command) -> Command:
    """Which cluster to use, handed to the command as ``choice``."""

    @workers_option
    @click.option(
        "--cluster",
        "cluster_file",
        type=Path(),
        metavar="FILE",
        help="Cluster file to start or find a cluster by. [one worker per core of this machine]",
    )
    @click.option(
        "--profile", type=Profile(), metavar="NAME", help="Which of its profiles. [local]"
    )
    @click.option(
        "--trust-cluster-file",
        "trust",
        is_flag=True,
        help="Start classes of any package that FILE names: that runs their code.",
    )
    @click.option(
        "--dashboard",
        is_flag=True,
        help="Use a Dask cluster, which has a dashboard, however few images there are.",
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
        from prep.cluster_choice import ClusterChoice

        choice = ClusterChoice(
            file=cluster_file,
            profile=profile,
            workers=workers,
            trust=trust,
            dashboard=dashboard,
        )
        return command(choice=choice, **values)

    return wrapped


storage_option = click.option(
    "--storage-options",
    "storage_options",
    metavar="JSON|@FILE",
    callback=lambda _context, _option, value: read_options(value),
    help="Options of the storage, where that is a URL. They are kept secret.",
)
