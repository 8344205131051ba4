"""Read a split with the package ``tfrecord``: ``python -m … OUTPUT SPLIT WORKERS``.

It is a process of its own, because the package declares the messages of TensorFlow again, which
protobuf refuses where TensorFlow is loaded.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from tfrecord.torch.dataset import MultiTFRecordDataset
from torch.utils.data import DataLoader


def main(output: Path, split: str, workers: int) -> None:
    """Print the digest of each image, and its label."""
    shards = [path.stem for path in (output / "index" / split).iterdir()]
    dataset = MultiTFRecordDataset(
        str(output / split / "{}.tfrecord"),
        str(output / "index" / split / "{}.idx"),
        dict.fromkeys(shards, 1.0),
        {"image_raw": "byte", "label": "int"},
        infinite=False,
    )
    for record in DataLoader(dataset, batch_size=None, num_workers=workers):
        print(hashlib.sha256(record["image_raw"]).hexdigest(), *record["label"].tolist())


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
