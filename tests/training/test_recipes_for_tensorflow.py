"""Code of docs/training.md around prep.load: every record exactly once, and as the page says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import prep
from tests.support.outputs import prepare
from tests.support.pages import run_below
from tests.support.pictures import write_tree

PAGE = "training.md"
ALL = 11


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an output ``shards`` of 256 by 256 pixels, with 11 images to train on."""
    folder = tmp_path_factory.mktemp("pages")
    source = write_tree(folder / "photos", {"train": {"cat": 7, "dog": 4}, "val": {"dog": 3}})
    prepare(prep.Config(source=str(source), output=str(folder / "shards")))
    return folder


@pytest.fixture(autouse=True)
def _there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def shapes(dataset: Any) -> list[tuple[int, ...]]:
    return [image.shape for image, _ in dataset.as_numpy_iterator()]


def test_a_split_is_loaded_as_the_page_says() -> None:
    found = run_below(PAGE, "tf.data")
    assert shapes(found["train"]) == [(ALL, 256, 256, 3)]
    assert shapes(found["val"]) == [(3, 256, 256, 3)]


def test_hosts_share_a_split_as_the_page_says() -> None:
    found = run_below(PAGE, "Several hosts")
    assert shapes(found["host"]) == []  # 11 images are no full batch on each of 8 hosts.
    assert sum(len(labels) for _, labels in found["dataset"]) == ALL


def test_training_goes_on_as_the_page_says() -> None:
    found = run_below(PAGE, "Go on in the middle of an epoch")
    assert len(found["train"]) == -(-90 * ALL // 128)


def test_images_are_augmented_as_the_page_says() -> None:
    found = run_below(PAGE, "AlexNet's augmentation")
    assert shapes(found["train"]) == [(ALL, 227, 227, 3)]
    assert shapes(found["val"]) == [(3, 227, 227, 3)]
    assert shapes(found["test"]) == [(3, 10, 227, 227, 3)]
