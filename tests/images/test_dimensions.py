"""Sizes of source images, as in their files, whatever the decoder skips."""

from __future__ import annotations

import json
import math
import pickle
from pathlib import Path

import pytest
from distributed import Client
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import prep
from prep.images.dimensions import Dimensions
from prep.images.processor import ImageProcessor
from prep.output.journal import Journal
from prep.output.receipt import ShardReceipt, total_receipts
from prep.settings.image_settings import ImageSettings
from prep.shards.isolation.processors import IsolatedProcessor
from tests.support.pictures import image_file, jpeg, picture, write_tree


def turned(pixels: object, orientation: int) -> bytes:
    """A JPEG that is to be shown turned."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return jpeg(pixels, exif=exif)  # type: ignore[arg-type]


FILES = [
    (jpeg(picture(40, 60)), (60, 40)),
    (jpeg(picture(301, 403)), (403, 301)),  # shrunk by its decoder, by 8, to whole pixels
    (turned(picture(301, 403), 6), (301, 403)),  # on its side, and shrunk
    (turned(picture(40, 60), 3), (60, 40)),  # upside down
    (image_file(picture(20, 30), "PNG"), (30, 20)),
    (turned(picture(40, 60), 8), (40, 60)),
]


@pytest.mark.parametrize(("data", "size"), FILES)
def test_the_size_of_the_file_survives_decoding(data: bytes, size: tuple[int, int]) -> None:
    processed = ImageProcessor(ImageSettings(size=16))(data)
    assert (processed.width, processed.height) == size


def test_the_size_comes_back_from_an_isolated_process() -> None:
    processor = IsolatedProcessor(ImageSettings(size=16), 60)
    try:
        found = [processor(data)[2:4] for data, _ in FILES[:3]]
    finally:
        processor.close()
    assert found == [size for _, size in FILES[:3]]


SHAPES = st.dictionaries(
    st.tuples(st.integers(1, 70_000), st.integers(1, 70_000)), st.integers(1, 1000), max_size=8
)


@given(SHAPES, SHAPES, SHAPES)
def test_adding_up_does_not_depend_on_the_order(
    a: dict[tuple[int, int], int], b: dict[tuple[int, int], int], c: dict[tuple[int, int], int]
) -> None:
    x, y, z = map(Dimensions.of, (a, b, c))
    add = Dimensions.sum
    assert add([add([x, y]), z]) == add([x, add([y, z])]) == add([z, y, x])
    assert add([x, y, z]).images == sum((*a.values(), *b.values(), *c.values()))


@given(st.integers(1, 70_000), st.integers(1, 70_000))
def test_each_image_lies_in_its_bins(width: int, height: int) -> None:
    found = Dimensions.of({(width, height): 1})
    ((side, _),) = found.sides.items()
    ((aspect, _),) = found.aspects.items()
    assert 2 ** (side / 8) <= min(width, height) * (1 + 1e-9)
    assert min(width, height) < 2 ** ((side + 1) / 8) * (1 + 1e-9)
    assert abs(math.log2(width / height) - aspect / 16) <= 1 / 32 + 1e-9


def test_a_run_counts_its_images_in_its_receipts(tmp_path: Path, client: Client) -> None:
    names = (f"{number}.jpg" for number in range(len(FILES)))
    files = {name: data for name, (data, _) in zip(names, FILES, strict=True)}
    write_tree(tmp_path / "in", {"train": {"cat": {**files, "none.jpg": b"no image"}}})
    prep.run(prep.Config(source=tmp_path / "in", output=tmp_path / "out", size=16), client)
    journal = Journal(tmp_path / "out")
    stored = journal.stored_plan()
    assert stored is not None
    receipt = journal.receipts.of(stored.shards[0], stored.fingerprint.digest)
    assert receipt is not None
    shapes = {size: 0 for _, size in FILES}
    for _, size in FILES:
        shapes[size] += 1
    assert receipt.dimensions == Dimensions.of(shapes)
    assert total_receipts([receipt, receipt])["train"].dimensions.images == 2 * len(FILES)
    assert receipt.began > 1.7e9
    assert pickle.loads(pickle.dumps(receipt)) == receipt
    assert ShardReceipt.from_json(json.loads(json.dumps(receipt.to_json()))) == receipt


def test_a_receipt_from_before_they_were_noted_can_be_read(tmp_path: Path, client: Client) -> None:
    write_tree(tmp_path / "in", {"train": {"cat": 2}})
    config = prep.Config(source=tmp_path / "in", output=tmp_path / "out", size=16)
    prep.run(config, client)
    path = Journal(tmp_path / "out").layout.receipt("train", 0)
    old = json.loads(path.read_bytes())
    del old["began"], old["dimensions"]
    path.write_text(json.dumps(old))
    receipt = ShardReceipt.from_json(old)
    assert (receipt.began, receipt.dimensions) == (0.0, Dimensions())
    assert prep.run(config, client).images["written"] == 2
    assert json.loads(path.read_bytes()) == old  # It was not written again.
    assert prep.verify(tmp_path / "out", client).clean
