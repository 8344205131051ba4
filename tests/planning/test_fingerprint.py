"""Keys that decide the bytes, and runs that notice a change of any of them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import prep
from prep.config.model import Config
from prep.errors import OutputConflict
from prep.output.conflicts import require_room
from prep.output.journal import Journal
from prep.settings.image_settings import ImageSettings
from prep.settings.keys import KEYS, fingerprint_part
from tests.support.pictures import jpeg, picture, write_tree
from tests.support.tars import tar_of

TREE = {"train": {"cat": 3, "dog": 3}, "val": {"cat": 2, "dog": 2}}

LIST = {"source": "list.csv", "images": "photos"}

# For each key another value, relative to the folder that holds photos, others, mean.json and so on;
# and where that takes it, what else is configured before and after.
CHANGES: dict[str, tuple[Any, dict[str, Any]]] = {
    "source": ("others", {}),
    "output": ("elsewhere", {}),
    "label_map": ("labels.json", {}),
    "storage_options": ({"output": {"anon": True}}, {}),
    "splits": (["val"], {}),
    "layout": ("splits", {}),
    "on_stray": ("skip", {}),
    "columns": ({"label": "kind"}, LIST),
    "images": ("others", LIST),
    "extension": ("png", {**LIST, "source": "stems.csv", "extension": "jpg"}),
    "on_missing": ("skip", LIST),
    "unlabelled": ("keep", {**LIST, "source": "partly.csv"}),
    "target": ("multi", {}),
    "exclude": (["train/cat/one.jpg"], {}),
    "labels": ({"include": ["cat"]}, {}),
    "label_offset": (1, {"source": "numbered.tar"}),
    "first_label": (1, {}),
    "split": ({"test": 1}, {}),
    "subset": ({"per_class": 2}, {}),
    "unpack": (True, {}),
    "image_type": ("png", {}),
    "size": ("224x256", {}),
    "fit": ("pad", {}),
    "enlarge": ("never", {}),
    "geometry": ("torchvision", {}),
    "mode": ("gray", {}),
    "quality": (80, {}),
    "keep_fitting": (True, {}),
    "images_per_shard": (4, {}),
    "shard_count": (2, {}),
    "format": ("webdataset", {}),
    "record": ("tf-slim", {}),
    "features": (["filename"], {}),
    "compression": ("GZIP", {}),
    "seed": (1, {}),
    "interpolation": ("linear", {}),
    "encoding": ("raw", {}),
    "mean_file": ("mean-2.json", {"encoding": "float32", "mean_file": "mean.json"}),
    "on_bad_image": ("fail", {}),
    "max_refused": (0.5, {}),
    "damaged": ("keep", {}),
    "max_pixels": (1_000_000, {}),
    "max_aspect": (20.0, {}),
    "min_size": (2, {}),
    "background": ("#000000", {}),
    "icc": ("convert", {}),
    "depth": (12, {}),
    "image_timeout": (30.0, {}),
    "duplicates": ("drop", {}),
    "near_duplicates": ("drop", {}),
    "leaks": ("fail", {}),
    "check": ("digest", {}),
}
SEEN_IN = {key: fingerprint_part(key) for key in Config.model_fields}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    same = jpeg(np.zeros((8, 8, 3), np.uint8))
    for source in ("photos", "others"):
        write_tree(tmp_path / source, TREE)
        (tmp_path / source / "train/cat/one.jpg").write_bytes(same)
        (tmp_path / source / "train/cat/one.png").write_bytes(same)
        (tmp_path / source / "train/cat/two.jpg").write_bytes(same)
        (tmp_path / source / "train/cat/three.png").write_bytes(same)
        for quality in (94, 95):
            alike = jpeg(picture(64, 64), quality=quality)
            (tmp_path / source / f"train/cat/alike-{quality}.jpg").write_bytes(alike)
    (tmp_path / "list.csv").write_text(
        "image,label,kind\ntrain/cat/one.jpg,cat,pet\ntrain/cat/two.jpg,dog,pet\n"
    )
    (tmp_path / "stems.csv").write_text("image,label\ntrain/cat/one,cat\n")
    (tmp_path / "partly.csv").write_text(
        "image,label,split\ntrain/cat/one.jpg,cat,train\ntrain/cat/two.jpg,,test\n"
    )
    (tmp_path / "numbered.tar").write_bytes(tar_of({"0.jpg": same, "0.cls": b"1"}))
    (tmp_path / "labels.json").write_text('{"cat": 7, "dog": 8}')
    (tmp_path / "mean.json").write_text('{"R": 1, "G": 2, "B": 3}')
    (tmp_path / "mean-2.json").write_text('{"R": 1, "G": 2, "B": 4}')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def test_a_changed_value_of_each_key_is_known_here() -> None:
    assert set(CHANGES) == set(Config.model_fields)


def test_each_key_is_said_to_decide_the_bytes_or_not_to() -> None:
    for key in KEYS.values():
        assert isinstance(key.decides_bytes, bool)


@pytest.mark.parametrize("key", [key for key, part in SEEN_IN.items() if part])
def test_a_key_that_decides_the_bytes_is_seen_by_the_next_run(key: str, home: Path) -> None:
    value, around = CHANGES[key]
    begun = Config(**{"source": "photos", "output": "shards", **around})
    journal = Journal(begun.output)
    journal.begin(prep.plan(begun))
    require_room(journal, prep.plan(begun))
    changed = prep.plan(Config(**{**begun.model_dump(), key: value}))
    with pytest.raises(OutputConflict, match="already holds a different run") as error:
        require_room(journal, changed)
    assert f"{SEEN_IN[key]}: " in str(error.value)


@pytest.mark.parametrize("key", [key for key, part in SEEN_IN.items() if not part])
def test_a_key_that_does_not_decide_the_bytes_continues_what_was_begun(
    key: str, home: Path
) -> None:
    value, around = CHANGES[key]
    begun = Config(**{"source": "photos", "output": "shards", **around})
    journal = Journal(begun.output)
    journal.begin(prep.plan(begun))
    changed = Config(**{**begun.model_dump(), key: value})
    assert changed != begun or key == "storage_options"  # Which paths have no use for.
    require_room(journal, prep.plan(changed))


def test_what_a_file_of_the_configuration_holds_decides_too(home: Path) -> None:
    config = Config(source="photos", output="shards", label_map="labels.json")
    journal = Journal(config.output)
    journal.begin(prep.plan(config))
    (home / "labels.json").write_text('{"cat": 8, "dog": 7}')
    with pytest.raises(OutputConflict, match="label map: "):
        require_room(journal, prep.plan(config))


def test_each_setting_of_an_image_decides_its_bytes() -> None:
    settings = {field.name for field in dataclasses.fields(ImageSettings)}
    assert settings <= {part for part in SEEN_IN.values() if part}
    assert settings - {"mean"} <= set(Config.model_fields)


def test_the_parts_are_those_of_outputs_that_were_begun_before(home: Path) -> None:
    made = prep.plan(Config(source="photos", output="shards"))
    assert made.fingerprint.parts["partition"] == "even"
    parts = dict(made.with_partition("filled").fingerprint.parts)
    assert {name: part for name, part in parts.items() if not name.startswith("version of ")} == {
        "size": 256,
        "quality": 90,
        "compression": None,
        "seed": 0,
        "interpolation": "bilinear",
        "encoding": "jpeg",
        "damaged": "refuse",
        "max_pixels": 100_000_000,
        "max_aspect": 500.0,
        "min_size": 1,
        "background": "#ffffff",
        "icc": "ignore",
        "images_per_shard": 32,
        "mean": None,
        "splits": ["train", "val"],
        "label map": "aa58fde9c156c1c18a0e36528aa73665",  # {"cat": 0, "dog": 1}
        "images": parts["images"],
    }
    assert json.loads(json.dumps(parts)) == parts
