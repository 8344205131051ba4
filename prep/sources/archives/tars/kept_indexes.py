"""Indexes of tar files that were made before, in this process or another one of this user.

A storage can take minutes to give the index of a large tar file, for the headers lie all over it.
So that of one in a storage is also kept in the user's cache folder: ``prep plan`` and ``prep run``
make it once.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from collections import Counter, OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from prep.parsing import parse_json
from prep.sources.archives.members import Members
from prep.sources.folders.ignored import Passed

# Members of all indexes that a process keeps.
_MOST_MEMBERS = 2_000_000
# Files in the cache folder, and the form that they have.
_MOST_FILES = 32
_FORM = 1
_ABOUT = b"about"
_KIND = "tar-indexes"

Key = tuple[object, ...]


class KeptIndexes:
    """The indexes that were made last, by what tells one version of a file from another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._indexes: OrderedDict[Key, Members] = OrderedDict()

    def get(self, key: Key, *, stored: bool) -> Members | None:
        """Return an index; None if it is not kept.

        Args:
            stored: whether it may be in the cache folder.
        """
        with self._lock:
            if key in self._indexes:
                self._indexes.move_to_end(key)
                return self._indexes[key]
        found = _load(key) if stored else None
        if found is not None:
            self.put(key, found, stored=False)
        return found

    def put(self, key: Key, index: Members, *, stored: bool) -> None:
        """Keep an index.

        Args:
            stored: whether to keep it in the cache folder, too.
        """
        with self._lock:
            self._indexes[key] = index
            while sum(map(len, self._indexes.values())) > _MOST_MEMBERS:
                self._indexes.popitem(last=False)
        if stored:
            with contextlib.suppress(OSError):  # No home, a full disk: it is made again next time.
                store_in_cache(cache_path(_KIND, key), _to_bytes(index))

    def forget(self) -> None:
        """Forget what this process keeps; the cache folder stays."""
        with self._lock:
            self._indexes.clear()


def cache_folder(kind: str = _KIND) -> Path:
    """Return the folder for files of a kind; see the XDG Base Directory Specification."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(home) / "prep" / kind


def cache_path(kind: str, key: Key) -> Path:
    """Return the file of a kind that is kept for a key."""
    name = hashlib.sha256(repr((_FORM, *key)).encode(errors="surrogateescape")).hexdigest()
    return cache_folder(kind) / f"{name}.arrow"


def store_in_cache(path: Path, data: bytes) -> None:
    """Write a file of the cache folder whole, and remove the oldest of too many of its kind."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
    temporary.write_bytes(hashlib.sha256(data).digest() + data)
    temporary.replace(path)
    others = sorted(path.parent.glob("*.arrow"), key=lambda other: other.stat().st_mtime)
    for other in others[:-_MOST_FILES]:
        other.unlink(missing_ok=True)


def load_from_cache(path: Path) -> bytes | None:
    """Return what was stored; None if it is not there, or not whole."""
    try:
        stored = path.read_bytes()
    except OSError:
        return None
    digest, data = stored[:32], stored[32:]
    return data if hashlib.sha256(data).digest() == digest else None


def _load(key: Key) -> Members | None:
    """Return an index from the cache folder; None if it is not there, or not whole."""
    data = load_from_cache(cache_path(_KIND, key))
    try:
        return None if data is None else _of_bytes(data)
    except (ValueError, KeyError, pa.ArrowException):
        return None


def _to_bytes(index: Members) -> bytes:
    table = pa.table(
        {
            "name": pa.array(index.names, pa.large_binary()),
            "offset": index.offsets,
            "size": index.sizes,
            "mark": index.marks,
            "how": index.hows,
        },
        metadata={_ABOUT: json.dumps(_about(index))},
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _of_bytes(data: bytes) -> Members:
    table = pa.ipc.open_file(pa.BufferReader(data)).read_all()
    about: Mapping[str, Any] = parse_json((table.schema.metadata or {})[_ABOUT])
    offsets, sizes, marks, hows = (
        np.asarray(table[name].to_numpy()) for name in ("offset", "size", "mark", "how")
    )
    return Members(
        names=table["name"].to_pylist(),
        offsets=offsets,
        sizes=sizes,
        marks=marks,
        hows=hows,
        passed=Passed(
            counts=Counter(about["counts"]),
            examples=dict(about["examples"]),
            extensions=Counter(about["extensions"]),
        ),
        outside=tuple(map(os.fsencode, about["outside"])),
    )


def _about(index: Members) -> dict[str, Any]:
    passed = index.passed
    return {
        "counts": passed.counts,
        "examples": passed.examples,
        "extensions": passed.extensions,
        "outside": [os.fsdecode(name) for name in index.outside],
    }
