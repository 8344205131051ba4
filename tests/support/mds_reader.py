"""Read a split with MosaicML's Streaming: ``python -m … FOLDER SPLIT`` prints a line a sample.

It is a process of its own, because the library is installed without the packages for text,
compression and other storages that it imports, and that this reading does not use. Empty modules
stand in for them.
"""

from __future__ import annotations

import hashlib
import importlib.abc
import importlib.machinery
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

UNUSED = (
    "transformers",
    "snappy",
    "cramjam",
    "brotli",
    "zstd",
    "azure",
    "oci",
    "boto3",
    "catalogue",
    "torchvision",
)


class _Base:
    """Stands in for a class that others inherit from."""

    def __init__(self, *args: Any, **more: Any) -> None:
        pass

    def register(self, *args: Any, **more: Any) -> None:
        """Do nothing."""


class _StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds these packages, as modules that hold whatever is asked for."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name.partition(".")[0] not in UNUSED:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module: Any = MagicMock(name=spec.name)
        module.__path__, module.__spec__ = [], spec
        module.Registry = module.VisionDataset = _Base
        module.check_exists = lambda *_: False
        return module  # type: ignore[no-any-return]

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing."""


def main(folder: Path, split: str) -> None:
    """Print digest of the image, label, class and name of each sample."""
    sys.meta_path.insert(0, _StandIns())
    from streaming import LocalDataset, Stream, StreamingDataset

    stored = LocalDataset(str(folder), split)
    stream = Stream(remote=str(folder), local=tempfile.mkdtemp(), split=split)
    streamed = StreamingDataset(streams=[stream], shuffle=True, batch_size=1)
    assert len(stored) == streamed.size
    names = {sample["name"] for sample in streamed}
    assert names == {stored[number]["name"] for number in range(len(stored))}
    for number in range(len(stored)):
        sample = stored[number]
        image = sample["image"]
        shard, row = stored.spanner[number]
        reader = stored.shards[shard]
        assert image.size if hasattr(image, "size") else image  # It is decoded.
        print(hashlib.sha256(_stored(reader, row)).hexdigest(), sample["label"], sample["class"])


def _stored(reader: Any, row: int) -> bytes:
    """Return the bytes of an image in a shard, as they are before decoding."""
    encodings, reader.column_encodings = reader.column_encodings, ["bytes"] * 4
    try:
        found: bytes = reader[row]["image"]
        return found
    finally:
        reader.column_encodings = encodings


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
