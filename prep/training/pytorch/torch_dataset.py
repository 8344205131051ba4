"""A split of an output as a map-style dataset of tensors: ``prep.torch.dataset``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from prep.training.augmentation import Augmentation, Draws, draw
from prep.training.channel_shift import ChannelShift, channel_shift
from prep.training.image_dataset import ImageDataset
from prep.training.image_dataset import open as open_images
from prep.training.orders.permutation import key
from prep.training.orders.sequence import integer
from prep.training.pytorch.drawn import Drawn
from prep.training.pytorch.tensors import Transform, cropped_tensor, shifted

_TRANSFORM = 0x7472616E73  # What seeds of transforms are made for.


def dataset(
    output: str | os.PathLike[str],
    split: str = "train",
    *,
    storage_options: Mapping[str, Any] | None = None,
    cache: str | os.PathLike[str] | None = None,
    seed: int = 0,
    crop: int | tuple[int, int] | None = None,
    crop_at: str | None = None,
    flip: bool = False,
    lighting: float = 0.0,
    ten_crop: bool = False,
    transform: Transform | None = None,
    normalize: str | None = None,
    one_hot: bool = False,
) -> TorchImages:
    """Open a split of an output as a PyTorch dataset of ``(image, label)``.

    ``image`` is a uint8 tensor of shape (channels, height, width), RGB, decoded by the accurate
    transform; float32 with ``normalize`` or ``lighting``, or if the output has encoding float32.
    ``label`` is an int, or a tensor if labels are vectors.

    What is drawn at random for an image depends on ``seed`` and its position in the order of
    :func:`prep.torch.sampler`: a run that is resumed draws the same, with any number of workers and
    ranks. With another sampler, torch's random generator decides.

    Args:
        output: an output folder, or its URL.
        split: name of the split.
        storage_options: options of the storage, for URLs; see :class:`prep.Config`.
        cache: a folder that whole shards of a storage are copied to; see :func:`prep.open`.
        seed: of crops, flips, lighting and ``transform``.
        crop: a side, or (height, width): the part of each image to keep.
        crop_at: ``"random"``, or ``"centre"``; by default random with ``flip`` or ``lighting``.
        flip: mirror every other image, at random.
        lighting: standard deviation of AlexNet's change of light along the principal components of
            the colours (its section 4.1: 0.1).
        ten_crop: ten crops of each image, in its corners and its centre, and mirrored: shape
            (10, channels, height, width). For testing.
        transform: a function of the tensor that returns one, such as a transform of torchvision
            v2; called after crop and flip, and before lighting and normalize. What it draws by
            torch's random generator depends on seed and position, too.
        normalize: ``"mean"`` to subtract the mean of the training images, ``"mean_std"`` to also
            divide by their standard deviation.
        one_hot: labels are float32 vectors, one number for each class.

    Raises:
        SourceError: there is no finished run there, it has no such split, its shards are
            compressed, or it has no statistics for ``normalize`` or ``lighting``.
        UsageError: an argument is out of range, or does not go with another one or these images.
        PrepError: its plan is damaged, or can't be read.
    """
    images = open_images(output, split, storage_options=storage_options, cache=cache)
    augmentation = Augmentation.read(
        images.settings,
        crop=crop,
        crop_at=crop_at or ("random" if crop is not None and (flip or lighting) else "centre"),
        flip=flip,
        lighting=lighting,
        ten_crop=ten_crop,
        normalize=normalize,
    )
    making = _Making(
        seed=integer("seed", seed),
        augmentation=augmentation,
        transform=transform,
        shift=channel_shift(images.settings, images.output, augmentation),
        classes=images.one_hot_length if one_hot else None,
    )
    return TorchImages(images, making)


@dataclass(frozen=True, kw_only=True)
class _Making:
    """How tensors are made of images.

    Attributes:
        seed: of all that is drawn at random.
        augmentation: the changes to each image.
        transform: called on each; None for nothing.
        shift: the arithmetic on channels; None for none.
        classes: the length of one-hot labels; None to leave labels as they are.
    """

    seed: int
    augmentation: Augmentation
    transform: Transform | None = None
    shift: ChannelShift | None = None
    classes: int | None = None

    def tensors(self, images: Sequence[npt.NDArray[Any]], indices: Sequence[int]) -> list[Any]:
        """Return the tensor of each image."""
        if not (self.augmentation.is_random or self.transform):
            return [self._tensor(image, _NOTHING, 0) for image in images]
        positions = _positions(indices)
        draws = draw(self.seed, positions)
        if self.transform is None:
            return [self._tensor(image, draws, number) for number, image in enumerate(images)]
        seeds = key(self.seed, _TRANSFORM, positions) >> np.uint64(1)
        tensors, state = [], torch.get_rng_state()
        try:
            for number, image in enumerate(images):
                torch.default_generator.manual_seed(int(seeds[number]))
                tensors.append(self._tensor(image, draws, number))
        finally:
            torch.set_rng_state(state)
        return tensors

    def _tensor(self, image: npt.NDArray[Any], draws: Draws, number: int) -> torch.Tensor:
        tensor = cropped_tensor(image, self.augmentation, draws, number)
        if self.transform is not None:
            tensor = self.transform(tensor)
        if self.shift is None:
            return tensor
        return shifted(tensor, self.shift, draws.lights[number])

    def label(self, label: Any) -> int | torch.Tensor:
        """Return a label as loaders collate it."""
        if self.classes is not None:
            vector = torch.zeros(self.classes)
            if np.ndim(label):
                vector[:] = torch.from_numpy(np.asarray(label))
            elif label >= 0:  # Images without a label have none.
                vector[int(label)] = 1
            return vector
        if np.ndim(label) or not isinstance(label, np.integer):
            return torch.as_tensor(label)
        return int(label)


_NOTHING = Draws(
    places=np.zeros((1, 2), np.int64),
    flips=np.zeros(1, np.bool_),
    lights=np.zeros((1, 3), np.float32),
)


def _positions(indices: Sequence[int]) -> npt.NDArray[np.int64]:
    """Return the positions of images in their order; where it is not known, random ones."""
    if all(isinstance(index, Drawn) for index in indices):
        return np.array([index.position for index in indices], np.int64)  # type: ignore[attr-defined]
    random: npt.NDArray[np.int64] = torch.randint(1 << 62, (len(indices),)).numpy()
    return random


class TorchImages(Dataset[tuple[torch.Tensor, Any]]):
    """The images and labels of a split, or of a part of it, as tensors; see :func:`dataset`.

    It may be pickled, forked and used by any number of workers.

    Attributes:
        images: the same images as arrays; see :func:`prep.open`.
    """

    def __init__(self, images: ImageDataset, making: _Making) -> None:
        self.images = images
        self._making = making

    def __repr__(self) -> str:
        """Return what it holds, in short."""
        return f"<TorchImages of {self.images!r}>"

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, Any]:
        """Return an image and its label."""
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[torch.Tensor, Any]]:
        """Return several images and their labels, which are read together; loaders call it."""
        found = self.images.__getitems__(indices)
        arrays = [cast("npt.NDArray[Any]", image) for image, _ in found]
        tensors = self._making.tensors(arrays, indices)
        labels = [self._making.label(label) for _, label in found]
        return [*zip(tensors, labels, strict=True)]

    @property
    def labels(self) -> npt.NDArray[Any]:
        """The labels of all images; see :attr:`prep.training.image_dataset.ImageDataset.labels`."""
        return self.images.labels

    @property
    def class_rows(self) -> npt.NDArray[np.int64]:
        """The class of each image as its position in the output's list of classes: int64 (n,)."""
        return self.images.class_rows

    @property
    def classes(self) -> Mapping[int, str]:
        """The names of the classes, by number; of one-hot labels, by the position of the 1."""
        return self.images.classes

    @property
    def shard_sizes(self) -> list[int]:
        """How many images follow each other in one shard, from the first image to the last."""
        return self.images.shard_sizes

    def subset(self, **which: Any) -> TorchImages:
        """Return a part of this dataset; see ``subset`` of the dataset of :func:`prep.open`."""
        return TorchImages(self.images.subset(**which), self._making)
