"""JPEGs that have the size already, and are kept to the byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

import prep
from prep.errors import ConfigError
from prep.images.decoders.decode import decode
from prep.images.encoding.readback import ResultReader
from prep.images.processor import ImageProcessor, Processed
from prep.settings.image_settings import ImageSettings
from tests.support.jpegs import as_arithmetic_coded, planar_jpeg, without_huffman_tables
from tests.support.pictures import image_file, jpeg, picture, stored

SEEN = picture(32, 32)
FITTING = jpeg(SEEN, quality=40)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def processed(data: bytes, **options: Any) -> Processed:
    settings = {"size": 32, "keep_fitting": True, **options}
    return ImageProcessor(ImageSettings(**settings))(data)


KEPT: dict[str, tuple[bytes, dict[str, Any]]] = {
    "baseline": (FITTING, {}),
    "full chroma": (jpeg(SEEN, subsampling=0), {}),
    "progressive": (jpeg(SEEN, progressive=True), {}),
    "with Exif": (stored(SEEN, 1, "JPEG"), {}),
    "with a profile that is ignored": (jpeg(SEEN, icc_profile=SRGB), {}),
    "bytes after its end": (FITTING + bytes(100), {}),
    "gray, as asked for": (jpeg(np.array(Image.fromarray(SEEN).convert("L"))), {"mode": "gray"}),
    "padded": (FITTING, {"fit": "pad"}),
    "stretched": (FITTING, {"fit": "stretch"}),
    "as it is": (jpeg(picture(32, 50)), {"fit": "shorter"}),
    "smaller, never enlarged": (jpeg(picture(20, 20)), {"enlarge": "never"}),
}
ENCODED: dict[str, tuple[bytes, dict[str, Any]]] = {
    "not asked for": (FITTING, {"keep_fitting": False}),
    "wider": (jpeg(picture(32, 33)), {}),
    "smaller": (jpeg(picture(16, 16)), {}),
    "to be padded": (jpeg(picture(32, 30)), {"fit": "pad"}),
    "larger by a power of two": (jpeg(picture(64, 64)), {}),
    "turned": (stored(SEEN, 3, "JPEG"), {}),
    "turned by a quarter": (stored(SEEN, 6, "JPEG"), {}),
    "a profile to convert": (jpeg(SEEN, icc_profile=SRGB), {"icc": "convert"}),
    "gray, not asked for": (jpeg(np.array(Image.fromarray(SEEN).convert("L"))), {}),
    "colours, not asked for": (FITTING, {"mode": "gray"}),
    "CMYK": (image_file(Image.fromarray(SEEN).convert("CMYK"), "JPEG"), {}),
    "without its end": (FITTING[:-2], {}),
    "damaged and used": (FITTING[:-60], {"damaged": "keep"}),
    "an unusual sampling": (planar_jpeg(SEEN, (3, 1), (1, 1), (1, 1)), {}),
    "arithmetic coding": (as_arithmetic_coded(SEEN), {"mode": "gray", "size": 32}),
    "without Huffman tables": (without_huffman_tables(FITTING), {}),
    "zeros before its end": (FITTING[:-2] + bytes(9) + FITTING[-2:], {}),
    "another format": (image_file(SEEN, "PNG"), {}),
    "too much beside its pixels": (FITTING + bytes(60_000), {}),
}


@pytest.mark.parametrize("kind", KEPT)
def test_a_jpeg_that_fits_is_kept_to_the_byte(kind: str) -> None:
    data, options = KEPT[kind]
    found = processed(data, **options)
    assert found.image == data
    assert "kept" in found.kind.marks
    # The sums are those of what readers decode, and verify reads it.
    pixels = decode(data)
    assert found.stats.sums == tuple(pixels.sum((0, 1)).tolist())
    read = ResultReader(ImageSettings(**{"size": 32, "keep_fitting": True, **options}))
    assert np.array_equal(read.pixels(data), pixels)


@pytest.mark.parametrize("kind", ENCODED)
def test_all_others_are_encoded_as_ever(kind: str) -> None:
    data, options = ENCODED[kind]
    found = processed(data, **options)
    assert found.image == processed(data, **{**options, "keep_fitting": False}).image != data
    assert "kept" not in found.kind.marks


def test_only_jpegs_keep_jpegs(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"keep_fitting: got true.*; encoding is png; leave"):
        prep.Config(
            source=str(tmp_path), output=str(tmp_path / "o"), encoding="png", keep_fitting=True
        )
