"""The reader of the article that prep began with, as docs/readers.md has it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import prep
from tests.support.outputs import prepare
from tests.support.pages import code_below
from tests.support.pictures import write_tree


@pytest.mark.parametrize("compression", [None, "GZIP"])
def test_it_opens_shards_and_their_mean_is_subtracted(
    compression: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_tree(tmp_path / "photos", {"train": {"cat": 5, "dog": 3}})
    options = {"size": 32, "images_per_shard": 3, "compression": compression}
    prepare(prep.Config(source=str(source), output=str(tmp_path / "shards"), **options))
    monkeypatch.chdir(tmp_path)
    code = code_below("readers.md", "The article's reader")
    assert code.count('"GZIP"') == 1
    names: dict[str, tf.data.Dataset] = {}
    exec(code if compression else code.replace('"GZIP"', '""'), names)
    images, labels = zip(*names["dataset"].as_numpy_iterator(), strict=True)
    assert sorted(labels) == [0] * 5 + [1] * 3
    assert images[0].dtype == np.float32
    # What is left of the mean is what JPEG has lost.
    assert np.abs(np.mean(images, axis=(0, 1, 2))).max() < 0.1
    ours = prep.load("shards", "train").map(lambda image, label: tf.cast(image, tf.float32))
    mean = [prep.RunReport.read("shards").mean[channel] for channel in "RGB"]  # type: ignore[index]
    expected = sorted((image - np.float32(mean)).tobytes() for image in ours.as_numpy_iterator())
    assert sorted(image.tobytes() for image in images) == expected
