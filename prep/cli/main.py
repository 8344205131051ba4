"""The group of commands. Each is loaded, with what it needs, when it is called."""

from __future__ import annotations

import importlib
from typing import NamedTuple

import click
from click.shell_completion import CompletionItem

from prep.cli.exits import Errors
from prep.settings.distribution import NAME


class Known(NamedTuple):
    """A command: the module below ``cli.commands`` that has it, and the first line of its help."""

    module: str
    help: str


# To list them loads none.
COMMANDS = {
    "cluster": Known("cluster", "Check a cluster."),
    "demo": Known("demo", "Make a small set of photos, a few of them broken, and prepare it."),
    "export": Known(
        "outputs.export", "Export OUTPUT to another format, without decoding its images."
    ),
    "find": Known(
        "outputs.find",
        "Find images of OUTPUT by NAME: what became of them, and where their records are.",
    ),
    "index": Known(
        "outputs.index", "Write the files that tell readers what is in the shards of OUTPUT."
    ),
    "init": Known(
        "sources.init", "Write a configuration for SOURCE, with every setting explained."
    ),
    "labels": Known(
        "sources.labels", "Write a label map that numbers the classes of SOURCE by name."
    ),
    "mean": Known(
        "mean",
        "Compute the mean RGB of images, or of the images in shards, with std and covariance.",
    ),
    "merge": Known("outputs.merge", "Merge complete outputs of equal settings into a new one."),
    "plan": Known(
        "sources.plan", "Show what a run would do, and what it would find in OUTPUT; write nothing."
    ),
    "report": Known("outputs.report", "Make OUTPUT/report.html again, and print its path."),
    "run": Known("run", "Write shards, mean RGB and a report."),
    "split": Known(
        "sources.split", "Show the splits of SOURCE, and the balance of classes in each."
    ),
    "show": Known(
        "outputs.show",
        "Show record N of SHARD, or of a split of OUTPUT: label, class, picture and source.",
    ),
    "verify": Known("outputs.verify", "Read all of OUTPUT again, and list what is wrong with it."),
}


class Commands(Errors):
    """A group whose commands are functions of the same name in modules of that name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"prep.cli.commands.{COMMANDS[cmd_name].module}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the name of a command, or else an option."""
        names = [
            CompletionItem(name, help=known.help)
            for name, known in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, known.help) for name, known in COMMANDS.items()])


@click.group("prep", cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name=NAME, prog_name="prep")
def main() -> None:
    """Turn labelled images into shards for training and their mean RGB, on every core.

    \b
    prep demo                  see it work on a small made-up set
    prep plan photos shards    show what a run would do
    prep run photos shards     do it

    
    To complete commands, options and files with TAB, add to ~/.bashrc
    (docs/terminal.md has it for zsh and fish, too):
        eval "$(_PREP_COMPLETE=bash_source prep)"
    """  # noqa: D301 - the escape is for click, which then keeps the lines as they are
