"""Outputs whose labels are several classes, a value, or a number for each class."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import prep
from tests.support.outputs import prepare
from tests.support.pictures import jpeg, picture

CLASSES = ["cat", "dog", "eel"]
#: Labels of four images, by target.
TARGETS: dict[str, list[Any]] = {
    "multi": [["cat", "dog"], ["eel"], [], ["dog", "cat", "eel"]],
    "value": [0.1, -3, 1e20, 0.25],
    "soft": [[0.1, 0.2, 0.7], [1, 0, 0], [0.5, 0.5, 0], [0, 0, 1]],
}


def prepared_targets(folder: Path, target: str, **more: Any) -> Path:
    """Prepare four images with labels of a target, in one split, and return the output."""
    source = folder / "labelled"
    source.mkdir()
    rows = []
    for number, label in enumerate(TARGETS[target]):
        (source / f"{number}.jpg").write_bytes(jpeg(picture(20, 20, number)))
        rows.append(json.dumps({"path": f"{number}.jpg", "label": label}))
    (source / "list.jsonl").write_text("\n".join(rows))
    if target != "value":
        more["label_map"] = {name: number for number, name in enumerate(CLASSES)}
    if target == "multi":
        more["unlabelled"] = "keep"
    settings = {"size": 16, "images_per_shard": 2, "target": target, **more}
    output = folder / "targets"
    prepare(prep.Config(source=str(source / "list.jsonl"), output=str(output), **settings))
    return output
