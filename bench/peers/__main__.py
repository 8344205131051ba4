"""``python -m bench.peers``: other programs and ``prep``, in turns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from bench.compare.lists import Scale, peer_rates
from bench.compare.session import measure_sections, minutes_option
from bench.photos import photos_option


@click.command()
@photos_option
@minutes_option
@click.option("--small", type=click.IntRange(min=100), default=2_000, show_default=True)
@click.option("--large", type=click.IntRange(min=200), default=8_000, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--images-per-shard", type=click.IntRange(min=1), default=250, show_default=True)
@click.option("--only", multiple=True, help="Part of a program's name; several may be given.")
def main(
    photos: Path | None,
    minutes: float,
    small: int,
    large: int,
    rounds: int,
    images_per_shard: int,
    only: tuple[str, ...],
) -> None:
    """Measure other programs that prepare images, and prep, against the limit of the codecs."""
    if large <= small:
        raise click.UsageError(f"--large: got {large}; expected more than --small, {small}")
    scale = Scale(few_of_peers=small, many_of_peers=large, per_shard=images_per_shard)
    section = replace(peer_rates(scale, only), rounds=rounds)
    measure_sections("peers", [section], photos, minutes)


if __name__ == "__main__":
    main()
