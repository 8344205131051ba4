"""``python -m bench``: measure, print, and keep."""

from __future__ import annotations

from pathlib import Path

import click

from bench.compare.lists import Scale, sections_of
from bench.compare.session import measure_sections, minutes_option
from bench.photos import photos_option

_QUICK = Scale(
    small=500,
    large=1_500,
    per_shard=50,
    few=250,
    many=750,
    few_of_peers=250,
    many_of_peers=750,
    rounds=1,
)


@click.command()
@photos_option
@click.option(
    "--against",
    type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path),
    help="Checkout of an earlier version, which takes turns with this one.",
)
@click.option("--peers", is_flag=True, help="Measure other programs, too (python -m bench.peers).")
@minutes_option
@click.option("--only", multiple=True, help="Part of a section's title; several may be given.")
@click.option("--quick", is_flag=True, help="Few images, one round: only shows that it works.")
def main(
    photos: Path | None,
    against: Path | None,
    peers: bool,
    minutes: float,
    only: tuple[str, ...],
    quick: bool,
) -> None:
    """Measure prep against the limit of the codecs and against the article's script."""
    sections = [
        section
        for section in sections_of(_QUICK if quick else Scale(), against, peers=peers)
        if not only or any(word.lower() in section.title.lower() for word in only)
    ]
    measure_sections("rates", sections, photos, minutes)


if __name__ == "__main__":
    main()
