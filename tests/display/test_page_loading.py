"""The lines of the page that open an output in other frameworks: which there are, and that they do.

Those of ``prep.load`` and of TensorFlow alone are run by tests/display/test_page.py.
"""

from __future__ import annotations

import html
import io
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import prep
from tests.support.outputs import prepare
from tests.support.pictures import jpeg, picture, write_tree
from tests.support.read_back import read_back

_DETAILS = re.compile(r"<summary>([^<]*)</summary>.*?<code>(.*?)</code></pre>", re.DOTALL)
OPEN = "One image after the other, or in any order, as NumPy arrays"
TORCH, TFDS, DALI = "With PyTorch", "With TensorFlow Datasets", "With NVIDIA DALI"
PLAIN, TAR = (
    "The same without prep, with TensorFlow alone",
    "The same without prep, with WebDataset",
)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = {"train": {"cat": 4, "dog": 3}, "val": {"dog": 2}}
    return write_tree(tmp_path_factory.mktemp("loading") / "source", tree)


def blocks(source: Path, output: Path, **settings: Any) -> dict[str, str]:
    """Prepare an output, and return the code of its page by what it is said to be for."""
    values = {"size": 24, "images_per_shard": 3, **settings}
    prepare(prep.Config(source=str(source), output=str(output), **values))
    page = prep.report_page(output).read_text(encoding="utf-8")
    return {title: html.unescape(code) for title, code in _DETAILS.findall(page)}


def run(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(code, names)
    return names


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {OPEN, TORCH, TFDS, DALI}),
        ({"encoding": "raw"}, {OPEN, TORCH, TFDS}),
        ({"compression": "GZIP"}, set()),
        ({"format": "webdataset"}, {OPEN, TORCH}),
    ],
    ids=lambda value: "-".join(value.values()) if isinstance(value, dict) else None,
)
def test_there_are_lines_for_each_reader_that_can_open_the_output(
    settings: dict[str, Any], expected: set[str], source: Path, tmp_path: Path
) -> None:
    found = blocks(source, tmp_path / "out", **settings)
    assert {title for title in found if "without prep" not in title} == expected
    if OPEN in found:
        names = run(found[OPEN])
        assert (len(names["images"]), names["image"].shape) == (7, (24, 24, 3))


def test_there_are_no_lines_for_files_that_are_not_there(source: Path, tmp_path: Path) -> None:
    blocks(source, tmp_path / "out")
    (tmp_path / "out/dataset_info.json").unlink()
    page = prep.report_page(tmp_path / "out").read_text(encoding="utf-8")
    assert TFDS not in page
    assert DALI in page


LABELS: dict[str, list[Any]] = {
    "multi": [["cat", "dog"], ["eel"], ["dog"]],
    "value": [0.5, -3, 7.25],
    "soft": [[0.25, 0.5, 0.25], [1, 0, 0], [0, 0.5, 0.5]],
}


@pytest.mark.parametrize("format", ["tfrecord", "webdataset"])
@pytest.mark.parametrize("target", LABELS)
def test_lines_without_prep_read_labels_of_any_form(
    target: str, format: str, tmp_path: Path
) -> None:
    rows = []
    for number, label in enumerate(LABELS[target]):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg(picture(24, 24, number)))
        rows.append(json.dumps({"path": f"{number}.jpg", "label": label}))
    (tmp_path / "list.jsonl").write_text("\n".join(rows))
    keys = {} if target == "value" else {"label_map": {"cat": 0, "dog": 1, "eel": 2}}
    code = blocks(tmp_path / "list.jsonl", tmp_path / "out", target=target, format=format, **keys)
    assert DALI not in code
    found = run(code[PLAIN if format == "tfrecord" else TAR])["dataset"]
    expected = list(prep.load(tmp_path / "out").as_numpy_iterator())
    for (_, label), (_, wanted) in zip(found, expected, strict=True):
        if target == "multi" and format == "webdataset":  # It has the numbers of the classes.
            label = np.isin(np.arange(3), label)
        assert np.array_equal(label, wanted)


@pytest.mark.slow
def test_pytorch_opens_the_output(source: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    names = run(blocks(source, tmp_path / "it's here")[TORCH])
    ((images, labels),) = names["loader"]
    found = {
        image.permute(1, 2, 0).numpy().tobytes(): int(n)
        for image, n in zip(images, labels, strict=True)
    }
    expected = prep.load(tmp_path / "it's here", "train").as_numpy_iterator()
    assert found == {image.tobytes(): label for image, label in expected}


@pytest.mark.slow
def test_tfds_opens_the_output(source: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow_datasets")
    names = run(blocks(source, tmp_path / "it's here")[TFDS])
    found = [(image.tobytes(), label) for image, label in names["dataset"].as_numpy_iterator()]
    expected = prep.load(tmp_path / "it's here", "train").as_numpy_iterator()
    assert Counter(label for _, label in found) == Counter(label for _, label in expected)
    assert len(set(found)) == 7


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["rgb", "gray"])
def test_dali_opens_the_output(mode: str, source: Path, tmp_path: Path) -> None:
    pytest.importorskip("nvidia.dali")
    code = blocks(source, tmp_path / "it's here", mode=mode)[DALI]
    names = run(code.replace("batch_size=128", "batch_size=7"))
    images = [np.squeeze(names["images"].at(i)).astype(int) for i in range(7)]
    labels = np.ravel([names["labels"].at(i) for i in range(7)])
    records = read_back(tmp_path / "it's here", "train")
    written = [np.asarray(Image.open(io.BytesIO(record.image)), int) for record in records]
    seen = set()
    for image, label in zip(images, labels, strict=True):
        off = [np.abs(image - pixels).mean() for pixels in written]
        seen.add(nearest := int(np.argmin(off)))
        assert off[nearest] < 1.5
        assert label == records[nearest].label[0]
    assert len(seen) == 7
