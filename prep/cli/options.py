"""Options that several commands have, and what they hand to these."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from prep.admission import read_options
from prep.config import ARTICLE_KEYS, Config, allowed

Command = Callable[..., Any]


def config_options(command: Command) -> Command:
    """``-c`` and a flag for every key of the configuration, under both of its names."""
    other_names = {name: key for key, name in ARTICLE_KEYS.items()}

    @click.option(
        "-c",
        "--config",
        "config_file",
        metavar="FILE",
        help="JSON, YAML or TOML file with any of these keys. Flags win over it.",
    )
    @functools.wraps(command)
    def wrapped(config_file: str | None, **values: Any) -> Any:
        given = {name: values.pop(name) for name in Config.model_fields}
        given = {name: value for name, value in given.items() if value is not None}
        config = Config.from_file(config_file, **given) if config_file else Config(**given)
        return command(config=config, **values)

    for name, field in reversed(Config.model_fields.items()):
        names = [f"--{key.replace('_', '-')}" for key in (name, other_names.get(name)) if key]
        default = "" if field.is_required() or field.default is None else f" [{field.default}]"
        text = f"{field.description}{default}"
        wrapped = click.option(*names, name, metavar=_metavar(name), help=text)(wrapped)
    return wrapped


def _metavar(name: str) -> str:
    text = allowed(name)
    if name == "storage_options":
        return "JSON|@FILE"
    if text.startswith("the path"):
        return "PATH"
    return "N" if text.startswith(("a whole number", "a number")) else "VALUE"


workers_option = click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Number of worker processes. [one per core]",
)


def cluster_options(command: Command) -> Command:
    """Which cluster to use, handed to the command as ``choice``."""

    @workers_option
    @click.option(
        "--cluster",
        "cluster_file",
        metavar="FILE",
        help="Cluster file to start or find a cluster by. [one worker per core of this machine]",
    )
    @click.option("--profile", metavar="NAME", help="Which of its profiles. [local]")
    @click.option(
        "--trust-cluster-file",
        "trust",
        is_flag=True,
        help="Start classes of any package that FILE names: that runs their code.",
    )
    @functools.wraps(command)
    def wrapped(
        workers: int | None,
        cluster_file: str | None,
        profile: str | None,
        trust: bool,
        **values: Any,
    ) -> Any:
        from prep.clusters import ClusterChoice

        choice = ClusterChoice(file=cluster_file, profile=profile, workers=workers, trust=trust)
        return command(choice=choice, **values)

    return wrapped


storage_option = click.option(
    "--storage-options",
    "storage_options",
    metavar="JSON|@FILE",
    callback=lambda _context, _option, value: read_options(value),
    help="Options of the storage, where that is a URL. They are kept secret.",
)
