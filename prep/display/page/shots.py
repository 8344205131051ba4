"""Pictures in the page that enlarge when they are clicked, and name what they are of."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from urllib.parse import quote

from prep.display.page.facts import Facts
from prep.sources.registry import reopen_source
from prep.storage.urls import is_url
from prep.text import one_line


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A picture of an image.

    Attributes:
        name: the path of its file, relative to the source.
        note: what else there is to say of it: its class, its split.
        file: the address of that file, where the reader may look into the source; or empty.
        url: of the picture, which is in the page itself; empty where there is none.
    """

    name: str
    note: str
    file: str
    url: str


def make_shot(facts: Facts, path: str, note: str, jpeg: bytes | None) -> Shot:
    """A picture of the image at a path in the source.

    Args:
        jpeg: None where nothing of it can be shown.
    """
    return Shot(
        name=one_line(path),
        note=one_line(note),
        file=_address(facts, path),
        url=data_url(jpeg) if jpeg else "",
    )


def data_url(jpeg: bytes) -> str:
    """The address of a picture that is in the page itself."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


def _address(facts: Facts, path: str) -> str:
    """Where a browser on this machine finds the file, if the plan is its user's own."""
    source = reopen_source(facts.plan.source, facts.root)
    found = source.location(os.fsencode(path)) if facts.own else None
    return "" if found is None or is_url(found) else "file://" + quote(os.fsencode(found))
