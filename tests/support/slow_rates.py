"""The cost of slow links: ``python -m tests.support.slow_rates``, as root, on an idle machine.

Two clusters of three hosts, alike but for their links, write the same shards by turns. A rate is
that from the first shard begun to the last one ended.
"""

from __future__ import annotations

import contextlib
import shutil
import statistics
import tempfile
from pathlib import Path

import click

from tests.support.hosts import Network, network
from tests.support.pictures import link_photos, picture
from tests.support.services import dask_address, start_dask
from tests.support.shared_folder import adapt, receipts, run_on


@click.command()
@click.option("--delay", default=0.05, show_default=True, help="Seconds, for each packet.")
@click.option("--images", default=6000, show_default=True)
@click.option("--images-per-shard", default=100, show_default=True)
@click.option("--saturation", default="1.0", show_default=True, help="Dask's worker-saturation.")
@click.option("--rounds", default=4, show_default=True)
def main(delay: float, images: int, images_per_shard: int, saturation: str, rounds: int) -> None:
    """Prints the rate over slow links as a share of that over fast ones."""
    env = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_SATURATION": saturation}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        shares = []
        photos = link_photos(Path(folder), images, picture(400, 500)).parent.parent
        clusters = []
        for name, slow in (("fast", 0.0), ("slow", delay)):
            home = Path(folder, name)
            (home / "data").mkdir(parents=True)
            (home / "data/photos").symlink_to(photos)
            adapt(home)
            net = stack.enter_context(network(3, delays={1: slow, 2: slow}))
            start_dask(net, home, env)
            clusters.append((net, home))
        for number in range(rounds + 1):
            fast, slow = (rate(*cluster, images_per_shard) for cluster in clusters)
            if number:  # In the first round, the workers import and compile.
                shares.append(slow / fast)
                click.echo(f"fast {fast:.0f} images/s, slow {slow:.0f}: {shares[-1]:.3f}")
    click.echo(
        f"{delay * 1000:.0f} ms a packet, {images_per_shard} images a shard, saturation "
        f"{saturation}: {statistics.median(shares):.3f} of the rate "
        f"({min(shares):.3f} to {max(shares):.3f}, {rounds} rounds)"
    )


def rate(net: Network, home: Path, images_per_shard: int) -> float:
    """Images per second of one run."""
    output = home / "data/out"
    shutil.rmtree(output, ignore_errors=True)
    size = ["--images-per-shard", str(images_per_shard)]
    found = {"DASK_SCHEDULER_ADDRESS": dask_address(net)}
    run_on(net.hosts[0], home, "existing", *size, **found).succeeds(600)
    shards = receipts(output).values()
    ends = [shard["began"] + shard["seconds"] for shard in shards]
    written = sum(sum(shard["written"].values()) for shard in shards)
    return float(written / (max(ends) - min(shard["began"] for shard in shards)))


if __name__ == "__main__":
    main()
