"""Code of docs/readers.md around prep.open: every record exactly once, as it is in the shards."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import prep
from tests.support.outputs import prepare
from tests.support.pages import code_below, run_below
from tests.support.pictures import write_tree

PAGE = "readers.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an output ``shards``, in which 11 images of two classes are for training."""
    folder = tmp_path_factory.mktemp("pages")
    source = write_tree(folder / "photos", {"train": {"cat": 7, "dog": 4}, "val": {"dog": 3}})
    values = {"size": 24, "images_per_shard": 4}
    prepare(prep.Config(source=str(source), output=str(folder / "shards"), **values))
    return folder


@pytest.fixture(autouse=True)
def _there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def counted(elements: Any) -> list[tuple[bytes, int]]:
    """Samples and label of each element, sorted: the same however they are ordered."""
    return sorted((np.asarray(image).tobytes(), int(label)) for image, label in elements)


def expected(folder: Path) -> list[tuple[bytes, int]]:
    """The same of the records, decoded by Pillow."""
    records = prep.open(folder / "shards", "train", decode=False)
    return counted((Image.open(io.BytesIO(data)), label) for data, label in records)


def test_a_split_is_opened_as_the_page_says(folder: Path) -> None:
    found = run_below("training.md", "Open it anywhere")
    assert counted(found["images"]) == expected(folder)


@pytest.mark.slow
def test_grain_reads_every_record_once(folder: Path) -> None:
    pytest.importorskip("grain", reason="grain is not installed")
    # Its workers are processes, which import the script anew.
    body = code_below(PAGE, "Grain") + (
        "pairs = [(numpy.array(picture, subok=False), label) for pictures, labels in loader"
        " for picture, label in zip(pictures, labels.tolist())]\n"
        "pathlib.Path('pairs').write_bytes(pickle.dumps(pairs))\n"
    )
    (folder / "with_grain.py").write_text(
        "import numpy, pathlib, pickle\nfrom absl import app\n\n\ndef main(_):\n"
        f"{textwrap.indent(body, '    ')}\n\nif __name__ == '__main__':\n    app.run(main)\n"
    )
    done = subprocess.run([sys.executable, "with_grain.py"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert counted(pickle.loads((folder / "pairs").read_bytes())) == expected(folder)


@pytest.mark.slow
@pytest.mark.parametrize("hosts", [1, 3])
def test_grain_goes_on_at_a_position_in_the_order_of_all_readers(folder: Path, hosts: int) -> None:
    pytest.importorskip("grain", reason="grain is not installed")
    names = run_below(PAGE, "Grain", last=True)
    images, order = names["images"], names["order"]
    expected = [images[order.at(position)][0].tobytes() for position in range(22)]
    code = code_below(PAGE, "Grain", last=True)
    for start in (0, 5):
        found: list[bytes | None] = [None] * (22 - start)
        for host in range(hosts):
            told = code.replace("start, host, hosts, epochs = 0, 0, 1, 2", "epochs = 2")
            names = {"start": start, "host": host, "hosts": hosts}
            exec(told, names)
            batches: Any = names["dataset"]
            found[host::hosts] = [i.tobytes() for b in batches.to_iter_dataset() for i in b[0]]
        assert found == expected[start:]


@pytest.mark.slow
def test_hugging_face_reads_every_record_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    names = run_below(PAGE, "Hugging Face")
    dataset = names["dataset"]
    assert dataset.features["label"].names == ["cat", "dog"]
    found = [(element["image"], element["label"]) for element in dataset]
    assert counted(found) == expected(folder)
    stored = dataset.cast_column("image", datasets.Image(decode=False))
    records = prep.open(folder / "shards", decode=False)
    assert [element["image"]["bytes"] for element in stored] == [data for data, _ in records]
    streamed = names["stream"].cast_column("image", datasets.Image(decode=False))
    order = prep.Order(records, seed=1, epochs=2, start=5)
    assert [element["image"]["bytes"] for element in streamed] == [records[n][0] for n in order]


@pytest.mark.slow
def test_keras_reads_every_record_once_an_epoch_in_another_order(folder: Path) -> None:
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    batches = run_below(PAGE, "Keras")["batches"]
    assert len(batches) == 3
    epochs = []
    for _ in range(2):
        read = [batches[step] for step in range(len(batches))]
        epochs.append(
            [pair for images, labels in read for pair in zip(images, labels, strict=True)]
        )
        batches.on_epoch_end()
    assert counted(epochs[0]) == counted(epochs[1]) == expected(folder)
    first, second = ([image.tobytes() for image, _ in epoch] for epoch in epochs)
    assert first != second
    # From any batch on, the sequence is the same.
    for position in (4, 11, 15):
        resumed = type(batches)(batches.images, 4, start=position)
        read = [*resumed[0][0]] if len(resumed) == 1 else [*resumed[0][0], *resumed[1][0]]
        wanted = (first + second)[position : position + len(read)]
        assert [image.tobytes() for image in read] == wanted
    model = keras.Sequential(
        [keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    dogs = keras.metrics.MeanMetricWrapper(lambda labels, _: labels, name="dogs")
    model.compile("sgd", loss, metrics=[dogs])
    history = model.fit(batches, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert history["dogs"] == pytest.approx([4 / 11] * 2)
