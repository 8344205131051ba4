"""AlexNet, narrow, trained on real photos in TensorFlow and in PyTorch, which see the same."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from PIL import Image

import prep
from tests.support.outputs import prepare
from tests.support.read_back import read_back

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytestmark = pytest.mark.slow

BATCH, EPOCHS, THIN, SEED = 32, 3, 8, 7
PAPER = {"crop": 227, "flip": True, "lighting": 0.1, "normalize": "mean"}
Batch = tuple[npt.NDArray[Any], npt.NDArray[np.int64]]


@pytest.fixture(scope="module")
def output(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photos, lossless, so that NumPy can compute the covariance from the records."""
    root = tmp_path_factory.mktemp("alexnet") / "shards"
    values = {"encoding": "png", "images_per_shard": 100}
    prepare(prep.Config(source=str(photos), output=str(root), **values))
    return root


def batches_of_tensorflow(output: Path, **augmentation: Any) -> Iterator[Batch]:
    dataset = prep.load(
        output, "train", shuffle=True, seed=SEED, batch=BATCH, epochs=1, **augmentation
    )
    yield from dataset.as_numpy_iterator()


def batches_of_torch(output: Path, **augmentation: Any) -> Iterator[Batch]:
    """Yield batches as TensorFlow has them: channels last."""
    for images, labels in torch_loader(output, **augmentation):
        yield images.permute(0, 2, 3, 1).numpy(), labels.numpy()


def torch_loader(output: Path, **augmentation: Any) -> Any:
    dataset = prep.torch.dataset(output, "train", seed=SEED, **augmentation)
    order = prep.torch.sampler(dataset, seed=SEED)
    return torch.utils.data.DataLoader(dataset, batch_size=BATCH, sampler=order)


@pytest.mark.parametrize("augmentation", [{}, {"crop": 227, "flip": True}], ids=["whole", "crop"])
def test_both_see_the_same_first_batch_to_the_bit(
    augmentation: dict[str, Any], output: Path
) -> None:
    images, labels = next(batches_of_tensorflow(output, **augmentation))
    theirs, others = next(batches_of_torch(output, **augmentation))
    side = augmentation.get("crop", 256)
    assert images.shape == theirs.shape == (BATCH, side, side, 3)
    assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
    assert np.array_equal(images, theirs)
    assert np.array_equal(labels, others)


def test_both_decode_jpegs_to_the_same_bits(photos: Path, tmp_path: Path) -> None:
    prepare(prep.Config(source=str(photos), output=str(tmp_path)))
    images, labels = next(batches_of_tensorflow(tmp_path))
    theirs, others = next(batches_of_torch(tmp_path))
    assert np.array_equal(images, theirs)
    assert np.array_equal(labels, others)


def test_augmented_batches_are_the_same_but_for_rounding(output: Path) -> None:
    for (images, _), (theirs, _) in zip(
        batches_of_tensorflow(output, **PAPER), batches_of_torch(output, **PAPER), strict=True
    ):
        assert images.dtype == theirs.dtype == np.float32
        assert np.abs(images - theirs).max() < 1e-3  # levels


def components(output: Path) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return eigenvalues and eigenvectors of the colours of all records, by NumPy, 0 to 1."""
    decoded = [
        np.asarray(Image.open(io.BytesIO(record.image))) for record in read_back(output, "train")
    ]
    samples = np.concatenate([image.reshape(-1, 3) for image in decoded]) / 255
    values, vectors = np.linalg.eigh(np.cov(samples.T, bias=True))
    return values, vectors


@pytest.mark.parametrize("batches", [batches_of_tensorflow, batches_of_torch])
def test_lighting_is_that_of_the_covariance_that_numpy_computes(
    batches: Callable[..., Iterator[Batch]], output: Path
) -> None:
    plain = np.concatenate([images for images, _ in batches(output)]).astype(np.float32)
    lit = np.concatenate([images for images, _ in batches(output, lighting=0.1)])
    shifts = (lit - plain).reshape(len(lit), -1, 3)
    assert np.ptp(shifts, axis=1).max() < 1e-3  # The same for each pixel of an image.
    values, vectors = components(output)
    # Section 4.1: each shift is the sum of p times λ times α. So α is found again.
    alphas = shifts.mean(axis=1) / 255 @ vectors / values
    n = len(alphas)
    assert np.abs(alphas.mean(axis=0)).max() < 4 * 0.1 / np.sqrt(n)
    assert alphas.std(axis=0) == pytest.approx([0.1] * 3, abs=4 * 0.1 / np.sqrt(2 * n))
    assert np.abs(np.corrcoef(alphas.T) - np.eye(3)).max() < 4 / np.sqrt(n)


def channels(full: int) -> int:
    return full // THIN


def test_it_learns_in_tensorflow(output: Path) -> None:
    tf.keras.utils.set_random_seed(SEED)
    layers = tf.keras.layers

    def conv(full: int, size: int, **more: Any) -> Any:
        return layers.Conv2D(channels(full), size, activation="relu", **more)

    classes = len(prep.open(output, "train").classes)
    model = tf.keras.Sequential(
        [
            layers.Input((227, 227, 3)),
            layers.Rescaling(1 / 64),
            *(conv(96, 11, strides=4), layers.MaxPool2D(3, 2)),
            *(conv(256, 5, padding="same"), layers.MaxPool2D(3, 2)),
            conv(384, 3, padding="same"),
            conv(384, 3, padding="same"),
            *(conv(256, 3, padding="same"), layers.MaxPool2D(3, 2), layers.Flatten()),
            *(layers.Dropout(0.5), layers.Dense(channels(4096), activation="relu")),
            *(layers.Dropout(0.5), layers.Dense(channels(4096), activation="relu")),
            layers.Dense(classes),
        ]
    )
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=tf.keras.optimizers.Adam(5e-4), loss=loss)
    train = prep.load(output, "train", shuffle=True, seed=SEED, batch=BATCH, **PAPER)
    losses = model.fit(train, epochs=EPOCHS, shuffle=False, verbose=0).history["loss"]
    print("TensorFlow:", *(f"{each:.3f}" for each in losses))
    assert losses[-1] < losses[0] - 0.1


def test_it_learns_in_torch(output: Path) -> None:
    torch.manual_seed(SEED)
    nn = torch.nn

    def conv(before: int, full: int, size: int, **more: Any) -> tuple[Any, Any]:
        return nn.Conv2d(before, channels(full), size, **more), nn.ReLU()

    c96, c256, c384, c4096 = map(channels, (96, 256, 384, 4096))
    loader = torch_loader(output, **PAPER)
    classes = len(prep.open(output, "train").classes)
    model = nn.Sequential(
        *(*conv(3, 96, 11, stride=4), nn.MaxPool2d(3, 2)),
        *(*conv(c96, 256, 5, padding=2), nn.MaxPool2d(3, 2)),
        *conv(c256, 384, 3, padding=1),
        *conv(c384, 384, 3, padding=1),
        *(*conv(c384, 256, 3, padding=1), nn.MaxPool2d(3, 2), nn.Flatten()),
        *(nn.Dropout(0.5), nn.Linear(c256 * 6 * 6, c4096), nn.ReLU()),
        *(nn.Dropout(0.5), nn.Linear(c4096, c4096), nn.ReLU()),
        nn.Linear(c4096, classes),
    )
    optimizer = torch.optim.Adam(model.parameters(), 5e-4)
    losses = []
    for _ in range(EPOCHS):
        found = []
        for images, labels in loader:
            loss = nn.functional.cross_entropy(model(images / 64), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        losses.append(float(np.mean(found)))
    print("PyTorch:", *(f"{each:.3f}" for each in losses))
    assert losses[-1] < losses[0] - 0.1
