"""The cost of watching a run: ``python -m bench.watching``.

The same images are written on the same cluster, by turns watched by nobody (workers tell nothing,
the client only waits), and with everything on: live counters, progress, and the page of the
dashboard open in a browser. The browser runs at the lowest priority, as if it had a machine of its
own. Each rate is that from the first task to the last.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import psutil
from distributed import Client

import prep
from bench.photos import collect_originals, link_set, photos_option
from bench.settings import DATA, SCRATCH
from prep.display.displays import display_for
from prep.execution.dask import DaskExecutor
from prep.execution.writing import write_shards
from prep.monitoring.events import emitting
from prep.operations.running.work import Commits, Run, write_missing
from prep.output.journal import Journal
from prep.planning.plan import RunPlan
from prep.shards.writer import RunRef

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """One way of writing all images.

    Attributes:
        images_per_second: of all workers together.
        core: processor time of the process with client and scheduler, as a share of one core.
    """

    images_per_second: float
    core: float


def measure(source: Path, output: Path, client: Client, *, watched: bool) -> Cost:
    """Writes all images of ``source``, once."""
    shutil.rmtree(output, ignore_errors=True)
    config = prep.Config(source=str(source), output=str(output), interpolation="linear")
    plan = prep.plan(config)
    journal = Journal(output)
    journal.begin(plan)
    client.run(_tell if watched else _tell_nothing)
    own = psutil.Process()
    before, started = sum(own.cpu_times()[:2]), time.perf_counter()
    if watched:
        with emitting(display_for("preparing", progress=True)) as events:
            run = Run(
                plan=plan,
                journal=journal,
                receipts=(),
                missing=plan.shards,
                events=events,
                commits=Commits(events, journal, ()),
                began=started,
            )
            write_missing(run, DaskExecutor(client))
    else:
        write_shards(plan.shards, _run_ref(plan, output), DaskExecutor(client))
    seconds = time.perf_counter() - started
    return Cost(
        images_per_second=plan.images / seconds,
        core=(sum(own.cpu_times()[:2]) - before) / seconds,
    )


def _run_ref(plan: RunPlan, output: Path) -> RunRef:
    return RunRef(output=str(output), digest=plan.fingerprint.digest, run=os.urandom(8).hex())


# These run in the workers, and so find the counters there.
def _tell_nothing() -> None:
    from prep.monitoring.counters import COUNTERS

    COUNTERS.snapshot = dict  # type: ignore[method-assign, assignment]


def _tell() -> None:
    from prep.monitoring.counters import COUNTERS

    vars(COUNTERS).pop("snapshot", None)


@contextlib.contextmanager
def open_page(address: str) -> Iterator[None]:
    """A browser that shows a page."""
    program = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if program is None:
        raise click.ClickException(f"no browser: expected one of {', '.join(_BROWSERS)}")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        flags = [*_FLAGS, f"--user-data-dir={profile}", "--remote-debugging-port=0"]
        browser = subprocess.Popen(
            ["nice", "-n", "19", program, *flags, address],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        # Linux shares processors out among sessions first, and among their processes then.
        with contextlib.suppress(OSError):
            Path(f"/proc/{browser.pid}/autogroup").write_text("19")
        try:
            time.sleep(5)  # It loads.
            yield
        finally:
            os.killpg(browser.pid, 15)
            browser.wait()


@click.command()
@photos_option
@click.option("--images", type=click.IntRange(min=100), default=20_000, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=4, show_default=True)
@click.option("--browser/--no-browser", default=True, show_default=True)
def main(photos: Path | None, images: int, rounds: int, browser: bool) -> None:
    """Measure what watching costs."""
    source = link_set(collect_originals(photos, DATA), DATA, images)
    ratios, cores = [], []
    with prep.cluster() as client:
        page = client.dashboard_link.removesuffix("status") + "prep"
        measure(source, SCRATCH, client, watched=False)  # Warms up.
        for number in range(rounds):
            costs: dict[bool, Cost] = {}
            for watched in (False, True) if number % 2 else (True, False):
                with open_page(page) if watched and browser else contextlib.nullcontext():
                    costs[watched] = measure(source, SCRATCH, client, watched=watched)
            ratios.append(costs[True].images_per_second / costs[False].images_per_second)
            cores.append(costs[True].core - costs[False].core)
            click.echo(
                json.dumps({str(k): [c.images_per_second, c.core] for k, c in costs.items()})
            )
    shutil.rmtree(SCRATCH, ignore_errors=True)
    click.echo(
        f"{images:,} images, {rounds} rounds: watched, the rate is {statistics.median(ratios):.3f} "
        f"of what it is unwatched ({min(ratios):.3f} to {max(ratios):.3f}); client and scheduler "
        f"take {statistics.median(cores):.1%} of a core more ({min(cores):.1%} to {max(cores):.1%})"
    )


if __name__ == "__main__":
    main()
