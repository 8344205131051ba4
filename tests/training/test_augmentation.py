"""Crops, flips, lighting and normalisation, against NumPy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

import prep
from prep.errors import SourceError, UsageError
from prep.training.augmentation import corner, draw
from prep.training.colour_stats import colour_statistics

OutputOf = Callable[..., Path]
Pixels = npt.NDArray[Any]
RAW = {"encoding": "raw"}
ALL = 11


def arrays(output: Path, split: str = "train", **how: Any) -> list[Pixels]:
    return [image for image, _ in prep.load(output, split, **how).as_numpy_iterator()]


# What is drawn


def test_draws_depend_on_seed_and_position_alone() -> None:
    whole = draw(3, np.arange(1000))
    for part in (slice(0, 1), slice(1, 700), slice(700, 1000)):
        again = draw(3, np.arange(1000)[part])
        assert all(np.array_equal(a[part], b) for a, b in zip(whole, again, strict=True))
    other = draw(4, np.arange(1000))
    assert not any(np.array_equal(a, b) for a, b in zip(whole, other, strict=True))


def test_draws_are_spread_as_they_should_be() -> None:
    number = 60_000
    drawn = draw(0, np.arange(number))
    rows = corner(drawn.places[:, 0], 256, 227)
    columns = corner(drawn.places[:, 1], 256, 227)
    for counts in (np.bincount(rows, minlength=30), np.bincount(columns, minlength=30)):
        assert len(counts) == 30
        # Each place is expected 2,000 times; that is 6 standard deviations.
        assert np.abs(counts - number / 30).max() < 270
    assert abs(drawn.flips.mean() - 0.5) < 0.013
    assert np.abs(drawn.lights.mean(0)).max() < 0.025
    assert np.abs(drawn.lights.std(0) - 1).max() < 0.02
    together = np.column_stack([rows, columns, drawn.flips, drawn.lights])
    correlations = np.corrcoef(together, rowvar=False) - np.eye(together.shape[1])
    assert np.abs(correlations).max() < 0.025
    following = np.corrcoef(drawn.lights[:-1, 0], drawn.lights[1:, 0])
    assert abs(following[0, 1]) < 0.025


# What is done to images


def test_images_are_cropped_and_mirrored_where_it_was_drawn(output_of: OutputOf) -> None:
    output = output_of(**RAW)
    whole = arrays(output, shuffle=True, seed=9, epochs=2)
    found = arrays(output, shuffle=True, seed=9, epochs=2, crop=(17, 20), flip=True)
    drawn = draw(9, np.arange(2 * ALL))
    assert len({image.tobytes() for image in found}) == 2 * ALL  # Other ones each epoch.
    assert set(drawn.flips) == {True, False}
    for image, crop, place, flip in zip(whole, found, drawn.places, drawn.flips, strict=True):
        row, column = corner(place[0], 24, 17), corner(place[1], 24, 20)
        expected = image[row : row + 17, column : column + 20]
        assert np.array_equal(crop, expected[:, ::-1] if flip else expected)


def test_hosts_draw_for_an_image_what_one_host_draws(output_of: OutputOf) -> None:
    output = output_of(**RAW)
    how = {"shuffle": True, "epochs": 2, "crop": 20, "flip": True, "lighting": 0.1, "batch": 2}
    one = np.concatenate(arrays(output, **how))
    parts = [np.concatenate(arrays(output, **how, hosts=2, host=host, start=4)) for host in (0, 1)]
    assert np.array_equal(one[4::2], parts[0])
    assert np.array_equal(one[5::2], parts[1])


def test_crops_of_images_in_order_are_of_the_centre(output_of: OutputOf) -> None:
    output = output_of(**RAW)
    whole = arrays(output)
    for how in ({}, {"hosts": 1, "start": 0, "epochs": 1}):
        found = arrays(output, crop=19, **how)
        assert all(
            np.array_equal(crop, image[2:21, 2:21])
            for image, crop in zip(whole, found, strict=True)
        )
    # Both can be asked for.
    at_random = np.array(arrays(output, crop=19, crop_at="random"))
    assert not np.array_equal(at_random, np.array(arrays(output, crop=19)))
    shuffled = arrays(output, crop=19, crop_at="centre", shuffle=True)
    assert sorted(crop.tobytes() for crop in shuffled) == sorted(
        image[2:21, 2:21].tobytes() for image in whole
    )


def test_ten_crops_are_of_the_corners_and_the_centre_and_mirrored(output_of: OutputOf) -> None:
    output = output_of(**RAW)
    dataset = prep.load(output, crop=20, ten_crop=True, batch=4)
    assert dataset.element_spec[0] == tf.TensorSpec((None, 10, 20, 20, 3), tf.uint8)
    found = np.concatenate([images for images, _ in dataset.as_numpy_iterator()])
    corners = [(0, 0), (0, 4), (4, 0), (4, 4), (2, 2)]
    for image, ten in zip(arrays(output), found, strict=True):
        five = [image[row : row + 20, column : column + 20] for row, column in corners]
        assert np.array_equal(ten, [*five, *(crop[:, ::-1] for crop in five)])


@pytest.mark.parametrize("batch", [None, 4])
@pytest.mark.parametrize("encoding", ["raw", "float32"])
def test_the_mean_of_the_training_images_is_subtracted(
    encoding: str, batch: int | None, output_of: OutputOf
) -> None:
    output = output_of(encoding=encoding)
    whole = np.array(arrays(output_of(**RAW), "val"), np.float64)
    statistics = colour_statistics(output)
    mean, std = (np.array(values) for values in (statistics.mean, statistics.std))
    for normalize, expected in (("mean", whole - mean), ("mean_std", (whole - mean) / std)):
        found = arrays(output, "val", normalize=normalize, batch=batch)
        found = np.concatenate(found) if batch else np.array(found)
        assert found.dtype == np.float32
        assert np.abs(found - expected).max() < 1e-3


def test_gray_images_are_normalised_too(output_of: OutputOf) -> None:
    output = output_of(mode="gray", **RAW)
    whole = np.array(arrays(output), np.float64)
    found = np.array(arrays(output, normalize="mean_std"))
    assert found.shape == (ALL, 24, 24, 1)
    assert np.abs(found - (whole - whole.mean()) / whole.std()).max() < 1e-3
    with pytest.raises(UsageError, match="lighting: expected RGB images, found gray"):
        prep.load(output, lighting=0.1)


@pytest.mark.parametrize("batch", [None, 3])
def test_light_changes_along_the_principal_components(
    batch: int | None, output_of: OutputOf
) -> None:
    """The article's formula with NumPy's covariance: [p₁ p₂ p₃][α₁λ₁ α₂λ₂ α₃λ₃]ᵀ, for 0 to 1."""
    output = output_of(**RAW)
    whole = np.array(arrays(output), np.float64)
    covariance = np.cov(whole.reshape(-1, 3) / 255, rowvar=False, bias=True)
    eigenvalues, eigenvectors = np.linalg.eigh(covariance)  # ascending
    found = arrays(output, lighting=0.1, epochs=1, batch=batch)
    changes = (np.concatenate(found) if batch else np.array(found)) - whole
    assert np.abs(changes - changes[:, :1, :1]).max() < 1e-3  # one for all pixels of an image
    alphas = changes[:, 0, 0] / 255 @ eigenvectors[:, ::-1] / eigenvalues[::-1]
    drawn = 0.1 * draw(0, np.arange(ALL)).lights
    # An eigenvector may point either way.
    assert np.abs(np.abs(alphas) - np.abs(drawn)).max() < 1e-3
    signs = np.sign(alphas * drawn)
    assert (signs == signs[0]).all()


def test_images_that_differ_in_size_need_a_crop_to_be_in_a_batch(output_of: OutputOf) -> None:
    output = output_of(fit="shorter", size=16)
    with pytest.raises(UsageError, match=r"batch: expected images of one size.*add crop"):
        prep.load(output, batch=4)
    shapes = {image.shape for image in arrays(output)}
    assert len(shapes) > 1
    for shuffle in (False, True):
        dataset = prep.load(output, batch=4, crop=16, shuffle=shuffle)
        assert dataset.element_spec[0].shape == (None, 16, 16, 3)
        assert sum(len(images) for images, _ in dataset) == ALL
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="crop: expected images of at least 20"
    ):
        list(prep.load(output, crop=20))


# Labels


def test_labels_become_vectors(output_of: OutputOf) -> None:
    label_map = {"cat": 0, "dog": 3}
    for batch in (None, 2):
        dataset = prep.load(output_of(label_map=label_map), "val", one_hot=True, batch=batch)
        labels = [label for _, label in dataset.as_numpy_iterator()]
        found = np.concatenate(labels) if batch else np.array(labels)
        assert found.dtype == np.float32
        assert found.tolist() == [[0, 0, 0, 1]] * 3
    vectors = output_of(label_map={"cat": [0, 0, 1], "dog": [1, 0, 0]})
    dataset = prep.load(vectors, "val", one_hot=True)
    assert dataset.element_spec[1] == tf.TensorSpec((3,), tf.float32)
    assert [label.tolist() for _, label in dataset.as_numpy_iterator()] == [[1, 0, 0]] * 3


# What can't be asked for


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"crop": 25}, "crop: expected at most 24x24, as images are, found 25x25"),
        ({"crop": 0}, r"crop: expected a side or \(height, width\), found 0"),
        ({"crop": 20, "crop_at": "corner"}, "crop_at: expected random or centre, found 'corner'"),
        ({"normalize": "std"}, "normalize: expected mean or mean_std, found 'std'"),
        ({"normalize": True}, "normalize: expected mean or mean_std, found true"),
        ({"flip": 0.5}, "flip: expected True or False, found 0.5"),
        ({"lighting": 10}, "lighting: expected 0 to 1, such as 0.1, found 10"),
        ({"lighting": True}, "lighting: expected 0 to 1, such as 0.1, found true"),
        ({"ten_crop": True}, "ten_crop: expected the size of the ten crops; add crop=227"),
        ({"ten_crop": True, "crop": 20, "flip": True}, "ten_crop: expected nothing random"),
        ({"ten_crop": True, "crop": 20, "shuffle": True}, "ten_crop: expected nothing random"),
        ({"crop_at": "random"}, "crop_at: expected a crop; add crop=227"),
    ],
)
def test_nonsense_is_refused(how: dict[str, Any], told: str, output_of: OutputOf) -> None:
    with pytest.raises(UsageError, match=told) as caught:
        prep.load(output_of(**RAW), **how)
    assert "\n" not in str(caught.value)


def test_an_output_without_statistics_says_so(output_of: OutputOf) -> None:
    output = output_of(**RAW, seed=2)
    (output / "mean_rgb.json").rename(output / "moved")
    try:
        with pytest.raises(SourceError, match=r"mean_rgb\.json"):
            prep.load(output, normalize="mean")
        assert len(list(prep.load(output))) == ALL
    finally:
        (output / "moved").rename(output / "mean_rgb.json")
