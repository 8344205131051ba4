"""The lines of the page that open an output in other frameworks: which there are, and that they do.

Those of ``prep.load`` and of TensorFlow alone are run by tests/display/test_page.py.
"""

from __future__ import annotations

import html
import io
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import prep
from tests.support.outputs import prepare
from tests.support.pictures import write_tree
from tests.support.read_back import read_back

_DETAILS = re.compile(r"<summary>([^<]*)</summary>.*?<code>(.*?)</code></pre>", re.DOTALL)
OPEN = "One image after the other, or in any order, as NumPy arrays"
TFDS, DALI = "With TensorFlow Datasets", "With NVIDIA DALI"


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
        ({}, {OPEN, TFDS, DALI}),
        ({"encoding": "raw"}, {OPEN, TFDS}),
        ({"compression": "GZIP"}, set()),
        ({"format": "webdataset"}, {OPEN}),
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
