"""Outputs that readers open, each kind prepared once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import prep
from tests.support.outputs import prepare
from tests.support.pictures import write_tree

MEAN = {"R": 120.5, "G": 116.25, "B": 104.0}


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images: 7 cats and 4 dogs to train on, 3 dogs to test with, and a file that is none."""
    tree = {"train": {"cat": 7, "dog": 4}, "val": {"dog": 3}}
    root = write_tree(tmp_path_factory.mktemp("labelled") / "source", tree)
    (root / "train/cat/broken.jpg").write_bytes(b"no image")
    return root


@pytest.fixture(scope="session")
def output_of(labelled: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Returns the function that prepares an output with some configuration."""
    made: dict[str, Path] = {}

    def prepared(**more: Any) -> Path:
        name = repr(sorted(more.items()))
        if name not in made:
            folder = tmp_path_factory.mktemp("made")
            if more.get("encoding") == "float32":
                gray = more.get("mode") == "gray"
                mean = dict.fromkeys(MEAN, 117.0) if gray else MEAN
                (folder / "mean.json").write_text(json.dumps(mean))
                more["mean_file"] = str(folder / "mean.json")
            values = {"size": 24, "images_per_shard": 4, **more}
            prepare(prep.Config(source=str(labelled), output=str(folder / "out"), **values))
            made[name] = folder / "out"
        return made[name]

    return prepared
