"""The other programs, as contenders."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import click

from bench.compare.contenders import Contender
from bench.compare.records import (
    count_chunks,
    count_mds,
    count_records_of_ray,
    count_tars,
    count_tfrecords,
)
from bench.peers.environments import NotInstalled, interpreter_for


class Peer(NamedTuple):
    """A program.

    Attributes:
        name: what it is called in tables.
        script: its module in ``programs``.
        requirements: its file of requirements, without an extension; None if it runs in the
            environment of ``prep``.
        count: returns the number of images in its output.
    """

    name: str
    script: str
    requirements: str | None
    count: Callable[[Path], int] = count_tfrecords

    def contender(self) -> Contender:
        """Return what is measured; install what it needs first.

        Raises:
            NotInstalled: that can't be installed.
        """
        python = interpreter_for(self.requirements) if self.requirements else sys.executable
        module = f"bench.peers.programs.{self.script}"
        words = ("-m", module, "{source}", "{output}", "{per_shard}")
        return Contender(name=self.name, command=(str(python), *words), count=self.count)


ARTICLE = Peer("the article's script", "article", None)
PEERS = (
    ARTICLE,
    Peer("tf.data", "tf_data", None),
    Peer("LitData", "litdata", "litdata", count_chunks),
    Peer("MosaicML Streaming", "mds", "mds", count_mds),
    Peer("Dask Bag", "dask_bag", None),
    Peer("img2dataset", "img2dataset", "img2dataset", count_tars),
    Peer("Ray Data", "ray_data", "ray_data", count_records_of_ray),
)


def installed_peers(words: tuple[str, ...]) -> Iterator[Contender]:
    """Return all programs that can be installed, and tell why others can't.

    Args:
        words: parts of the names of those that are wanted; all, if there are none.
    """
    for peer in PEERS:
        if words and not any(word.lower() in peer.name.lower() for word in words):
            continue
        try:
            yield peer.contender()
        except NotInstalled as error:
            click.echo(f"{peer.name} is left out: {error}")
