"""The ``prep`` command; also reachable as ``dask prep``.

What takes long to load is loaded by the command that needs it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from prep.admission import Stored, admit, typed
from prep.cli_errors import Commands
from prep.cli_options import cluster_options, config_options, storage_option, workers_option
from prep.config import Config
from prep.errors import ConfigError, PrepError
from prep.locations import is_url
from prep.splits import Layout, OnStray
from prep.text import counted, one_line, reason_and_file, reason_of

if TYPE_CHECKING:
    from prep.clusters import ClusterChoice

_JOIN_WITHIN = 60.0  # seconds for workers to join before a cluster is looked at


def _at_a_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _ask(told: str) -> bool:
    click.echo(f"prep: {told}", err=True)
    return click.confirm("Go on?", err=True)


@click.group("prep", cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="prep", prog_name="prep")
def main() -> None:
    """Labelled images to TFRecord shards and the mean RGB, on every core.

    \b
    prep demo                                     see it work on a small made-up set
    prep plan --source photos --output shards     what would be done
    prep run --source photos --output shards      do it
    """  # noqa: D301 - the escape is for click, which then keeps the lines as they are


@main.command()
@config_options
@cluster_options
@click.option("--overwrite", is_flag=True, help="Replace what an earlier run has put in OUTPUT.")
def run(config: Config, choice: ClusterChoice, overwrite: bool) -> None:
    """Write shards, mean RGB and a report.

    A run that was stopped goes on where it was when the same command is given again.
    """
    from prep import runs
    from prep.terminal import print_report

    report = runs.run(config, overwrite=overwrite, cluster=choice, progress=True)
    print_report(report)


@main.command()
@config_options
@workers_option
def plan(config: Config, workers: int | None) -> None:
    """Show what a run would do; write nothing."""
    from prep import plans
    from prep.estimate import estimate
    from prep.terminal import print_plan

    made = plans.plan(config)
    print_plan(made, estimate(made, workers))


@main.command()
@click.option(
    "-i",
    "--image_dir",
    "--image-dir",
    "inputs",
    required=True,
    metavar="GLOB|DIR",
    help="Images or shards: a folder, or a quoted pattern (** for any depth).",
)
@click.option(
    "-o",
    "--output_file_name",
    "--output",
    "output",
    required=True,
    metavar="FILE",
    help="JSON file to write.",
)
@click.option(
    "-tf",
    "--use_tfrecord",
    "--use-tfrecord",
    "tfrecord",
    type=bool,
    default=None,
    is_flag=False,
    flag_value=True,
    metavar="BOOL",
    help="Whether the input is TFRecord shards. [whether it is named so]",
)
@click.option(
    "--weight",
    type=click.Choice(["image", "pixel"]),
    default="image",
    show_default=True,
    help="What weighs the same: each image, or each pixel.",
)
@cluster_options
@storage_option
def mean(
    inputs: str,
    output: str,
    tfrecord: bool | None,
    weight: str,
    choice: ClusterChoice,
    storage_options: Mapping[str, Any] | None,
) -> None:
    """Compute the mean RGB of images, or of the images in shards."""
    from prep import means
    from prep.terminal import print_mean

    file = _writable(output)
    report = means.mean_rgb(
        inputs,
        weight=weight,  # type: ignore[arg-type]
        tfrecord=tfrecord,
        cluster=choice,
        progress=True,
        storage_options=storage_options,
    )
    _write_json(file, report.to_json())
    print_mean(report, str(file))


@main.command()
@click.argument("output", metavar="OUTPUT")
@click.option("--repair", is_flag=True, help="Write broken shards again, and remake what is wrong.")
@click.option(
    "--trust-plan/--no-trust-plan",
    default=None,
    help="Whether a repair may read the source that OUTPUT's plan names. "
    "[if the plan belongs to you; else it asks]",
)
@cluster_options
@storage_option
def verify(
    output: str,
    repair: bool,
    trust_plan: bool | None,
    choice: ClusterChoice,
    storage_options: Mapping[str, Any] | None,
) -> None:
    """Read all of OUTPUT again, and name what is not as it should be.

    Exits with 0 if there is nothing (any more), and with 1 if there is.
    """
    from prep import verification
    from prep.terminal import print_verification

    report = verification.verify(
        output,
        repair=repair,
        trust_plan=_ask if trust_plan is None and _at_a_terminal() else trust_plan,
        cluster=choice,
        progress=True,
        storage_options=storage_options,
    )
    print_verification(report)
    if not report.clean:
        sys.exit(PrepError.exit_code)


@main.group("cluster")
def cluster_commands() -> None:
    """Look at a cluster."""


@cluster_commands.command()
@cluster_options
@click.option("-c", "--config", "config_file", metavar="FILE", help="As of prep run.")
@click.option("--source", metavar="PATH", help="The folder of images.")
@click.option("--output", metavar="PATH", help="The folder for the shards.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@storage_option
def check(
    choice: ClusterChoice,
    config_file: str | None,
    source: str | None,
    output: str | None,
    as_json: bool,
    storage_options: Mapping[str, Any] | None,
) -> None:
    """Find out whether a cluster can do the work, and what to do about it if not.

    All workers are asked for their versions and set-up; one of each host reads an image of SOURCE,
    and writes a file to OUTPUT, which is removed again.

    Exits with 0 if a run would not fail for what the cluster lacks, and with 1 if it would.
    """
    from prep import checks
    from prep.clusters import opened
    from prep.locations import absolute
    from prep.terminal import print_cluster_check

    given = {"source": source, "output": output, "storage_options": storage_options}
    given = {key: value for key, value in given.items() if value is not None}
    if config_file is None:
        config = Config(**{"source": os.curdir, "output": os.curdir, **given})
    else:
        config = Config.from_file(config_file, **given)
    config.grant()
    whole = config_file is not None
    readable = checks.samples_of(config.source) if whole or "source" in given else []
    writable = absolute(config.output) if whole or "output" in given else None
    with opened(choice) as client:
        wanted = choice.workers or choice.spec().workers or 1
        checks.await_workers(client, wanted, _JOIN_WITHIN)
        found = checks.check_cluster(client, readable=readable, writable=writable, workers=wanted)
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2))
    else:
        print_cluster_check(found)
    if found.errors:
        sys.exit(PrepError.exit_code)


@main.command()
@click.argument("output", metavar="OUTPUT")
@storage_option
def report(output: str, storage_options: Mapping[str, Any] | None) -> None:
    """Make OUTPUT/report.html anew, and print its path.

    A run makes it, too; this is for an output that is not finished, or was made before there was
    such a page.
    """
    from prep import webpage

    try:
        page = webpage.report_page(output, storage_options)
    except OSError as error:
        raise PrepError(f"can't write the page: {reason_and_file(error)}") from None
    click.echo(str(page))


@main.command()
@click.argument("source", metavar="SOURCE")
@click.option("-o", "--output", required=True, metavar="FILE", help="JSON file to write.")
@click.option(
    "--layout", type=click.Choice(get_args(Layout)), default="auto", help="As of prep run."
)
@click.option(
    "--on-stray", type=click.Choice(get_args(OnStray)), default="fail", help="As of prep run."
)
def labels(source: str, output: str, layout: Layout, on_stray: OnStray) -> None:
    """Number the classes of SOURCE by name, and write the label map."""
    from prep.catalog import scan_folders
    from prep.labels import LabelMap

    file = _writable(output)
    catalog = scan_folders(admit("source", source, None), layout=layout, on_stray=on_stray)
    label_map = LabelMap.build(catalog.classes)
    _write_json(file, label_map.to_json())
    click.echo(f"{counted(len(label_map.numbers), 'class')}, written to {one_line(str(file))}")


@main.command()
@click.option(
    "-o",
    "--output",
    default="demo",
    show_default=True,
    metavar="DIR",
    help="Folder for the images and the shards.",
)
@click.option(
    "--images",
    type=click.IntRange(min=30),
    default=600,
    show_default=True,
    metavar="N",
    help="How many images to make.",
)
@workers_option
def demo(output: str, images: int, workers: int | None) -> None:
    """Make a small set of photos, a few of them broken, and prepare it."""
    from prep import demo as demonstration
    from prep import runs
    from prep.terminal import print_report

    root = _local(output)
    demonstration.require_free(root)
    source = root / "images"
    click.echo(f"making {images} images in {source} …")
    demonstration.make_images(source, images)
    config = Config(source=Stored(source), output=Stored(root / "shards"), images_per_shard=50)
    report = runs.run(config, workers=workers, overwrite=True, progress=True)
    print_report(report)
    click.echo(demonstration.where_to_look(root))


def _local(output: str) -> Path:
    """Return the path that OUTPUT means; raise ConfigError where it is a URL."""
    path = typed("output", output)
    if is_url(path):
        raise ConfigError(f"output: got {path!r}; expected a path on this machine")
    return Path(path)


def _writable(output: str) -> Path:
    """Return the path that OUTPUT means; raise ConfigError if no file can be written there."""
    path = _local(output)
    folder = next((parent for parent in path.absolute().parents if parent.exists()), path)
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ConfigError(f"output: can't write {os.fspath(path)!r}; expected the path of a file")
    return path


def _write_json(path: Path, value: Any) -> None:
    from prep import storage

    try:
        storage.publish_json(path, value, within=path.parent)
    except OSError as error:
        raise ConfigError(f"output: can't write {os.fspath(path)!r}: {reason_of(error)}") from None
