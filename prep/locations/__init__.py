"""Where a path or URL leads, from this process, and how what is there is opened."""

from prep.locations.access import Access, Mounts, absolute, access, grant, locate
from prep.locations.options import split_options
from prep.locations.remote import RemotePath, Status
from prep.locations.urls import (
    Bare,
    hide_credentials,
    is_url,
    lacks_slash,
    local_path,
    require_supported,
    without_credentials,
)
from prep.locations.waiting import answering_within, asking_in_threads, in_a_hurry

__all__ = [
    "Access",
    "Bare",
    "Mounts",
    "RemotePath",
    "Status",
    "absolute",
    "access",
    "answering_within",
    "asking_in_threads",
    "grant",
    "hide_credentials",
    "in_a_hurry",
    "is_url",
    "lacks_slash",
    "local_path",
    "locate",
    "require_supported",
    "split_options",
    "without_credentials",
]
