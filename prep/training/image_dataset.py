"""A split of an output as a sequence of images and labels, without TensorFlow."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, SupportsIndex, overload

import numpy as np
import numpy.typing as npt

from prep.settings.image_settings import ImageSettings
from prep.shards.formats.base import Record
from prep.text import counted
from prep.training.dataset_parts import choose
from prep.training.opened_records import OpenedRecords
from prep.training.opened_split import one_hot_length
from prep.training.shard_access.record_reader import Numbers

Image = npt.NDArray[Any]
Label = Any


def open(
    output: str | os.PathLike[str],
    split: str = "train",
    *,
    storage_options: Mapping[str, Any] | None = None,
    cache: str | os.PathLike[str] | None = None,
    decode: bool = True,
) -> ImageDataset:
    """Open a split of an output as a sequence of images and labels, without TensorFlow.

    Args:
        output: an output folder, or its URL.
        split: name of the split.
        storage_options: options of the storage, for URLs; see :class:`prep.Config`.
        cache: a folder on a disk of this machine. Each shard is fetched there whole when it is
            first needed, once for all processes, and read there from then on. Without it, parts of
            shards are read where they are.
        decode: return arrays; if False, the bytes of images as they are stored.

    Raises:
        SourceError: there is no finished run there, it has no such split, or its shards are
            compressed.
        PrepError: its plan is damaged, or can't be read.

    ::

        images = prep.open("shards", "train")
        image, label = images[0]
    """
    return ImageDataset(OpenedRecords(output, split, storage_options, cache), decode=decode)


class ImageDataset(Sequence[tuple[Any, Any]]):
    """The images and labels of a split, or of a part of it; see :func:`prep.open`.

    ``images[i]`` is ``(image, label)``. The image is uint8 of shape (height, width, 3), RGB; with
    one channel if the output is gray; float32 with the mean subtracted if its encoding is float32;
    and bytes with ``decode=False``. The label is an int64 scalar, or what else the labels of the
    output are: see :attr:`labels`. ``images[10:20]`` is the dataset of these ten. Each record's
    checksums are checked when it is read.

    It may be used by many threads, be pickled, and be forked: what is pickled is the path of the
    output, its options of storages, and which part of the split it is.

    Attributes:
        output: path or URL of the output.
        split: name of the split.
        ids: which records of the split it has, in order: int64 (n,).
    """

    def __init__(
        self, contents: OpenedRecords, ids: Numbers | None = None, *, decode: bool = True
    ) -> None:
        self._contents = contents
        self._decode = decode
        self.output = contents.output
        self.split = contents.split
        self.ids = np.arange(len(contents), dtype=np.int64) if ids is None else ids

    def __repr__(self) -> str:
        return (
            f"<ImageDataset: {counted(len(self), 'image')} of {counted(len(self.classes), 'class')}"
            f", split {self.split!r} of {self.output}>"
        )

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: SupportsIndex) -> tuple[Image | bytes, Label]: ...
    @overload
    def __getitem__(self, index: slice) -> ImageDataset: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        if isinstance(index, slice):
            return self.subset(ids=np.arange(len(self))[index])
        return self._element(self.read(index))

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Image | bytes, Label]]:
        """Return several elements, which are read together; PyTorch's DataLoader calls it."""
        return [self._element(record) for record in self.read_many(indices)]

    def __iter__(self) -> Iterator[tuple[Image | bytes, Label]]:
        step = self._contents.read_together
        for start in range(0, len(self), step):
            records = self.read_many(range(start, min(start + step, len(self))))
            yield from map(self._element, records)

    def __reduce__(self) -> Any:
        whole = len(self.ids) == len(self._contents) and bool(np.all(np.diff(self.ids) == 1))
        return ImageDataset._of, (self._contents, None if whole else self.ids, self._decode)

    @classmethod
    def _of(cls, contents: OpenedRecords, ids: Numbers | None, decode: bool) -> ImageDataset:
        return cls(contents, ids, decode=decode)

    def read(self, index: SupportsIndex) -> Record:
        """Return the record of an image, not decoded; see :meth:`read_many`."""
        return self.read_many([operator.index(index)])[0]

    def read_many(self, indices: Sequence[int] | Numbers) -> list[Record]:
        """Return records, not decoded, in the order of the indices.

        Records that lie together are read at once. In a storage, many reads run at the same time.

        Args:
            indices: positions in this dataset, in any order; negative ones count from its end.

        Returns:
            The image and the label of each: bytes, and a tuple of numbers as the record has it.

        Raises:
            IndexError: there is no such image.
            TypeError: an index is no whole number.
            RecordError: a record is damaged.
            SourceError: a shard is gone, or has another size than when the output was opened.
            StorageUnavailable: a storage does not answer.
        """
        asked = np.asarray(indices)
        if asked.size and not np.issubdtype(asked.dtype, np.integer):
            raise TypeError(f"images: expected whole numbers, found {asked.dtype}")
        asked = asked.astype(np.int64)
        beyond = (asked < -len(self)) | (asked >= len(self))
        if beyond.any():
            raise IndexError(f"image {asked[beyond][0]:,}: there are {len(self):,}, counted from 0")
        return self._contents.read(self.ids[asked])

    @property
    def labels(self) -> npt.NDArray[Any]:
        """The labels of all images, as elements have them: int64 or float32 (n, *label_shape)."""
        return self._contents.labels_of(self.ids)

    @property
    def class_rows(self) -> Numbers:
        """The class of each image as its position in the output's list of classes: int64 (n,)."""
        return self._contents.class_rows[self.ids]

    @property
    def one_hot_length(self) -> int:
        """The length of one-hot labels, whatever the records have; UsageError if not of classes."""
        return one_hot_length(self._contents.plan)

    @property
    def shard_sizes(self) -> list[int]:
        """How many images follow each other in one shard, from the first image to the last."""
        return self._contents.shard_sizes_of(self.ids)

    @property
    def names(self) -> list[str]:
        """The path of the source of each image, relative to the source of the output."""
        return self._contents.names_of(self.ids)

    @property
    def classes(self) -> Mapping[int, str]:
        """The names of the classes, by number; of one-hot labels, by the position of the 1."""
        return self._contents.classes

    @property
    def settings(self) -> ImageSettings:
        """The settings that the images were prepared with: size, mode, encoding, mean."""
        return self._contents.plan.settings

    @property
    def label_shape(self) -> tuple[int, ...]:
        """The shape of one label: () for a number."""
        return self._contents.plan.label_form.shape

    def subset(
        self,
        *,
        classes: Sequence[str | int] | None = None,
        fraction: float | None = None,
        ids: Sequence[int] | Numbers | None = None,
        seed: int = 0,
    ) -> ImageDataset:
        """Return a part of this dataset, which reads the same shards.

        If several are given, each holds for what the one before has left, in the order of the
        arguments below.

        Args:
            ids: positions in this dataset, in the order that the part is to have.
            classes: names or numbers of classes.
            fraction: of each class, from 0 to 1, rounded, but at least one image. The same seed
                gives the same images, and a larger fraction has those of a smaller one.
            seed: decides which images ``fraction`` keeps.

        Raises:
            SourceError: there is no such class or image, or no such fraction.
        """
        chosen = choose(self.class_rows, self._rows_of(classes), fraction, ids, seed)
        return ImageDataset(self._contents, self.ids[chosen], decode=self._decode)

    def _rows_of(self, classes: Sequence[str | int] | None) -> list[int] | None:
        return None if classes is None else self._contents.rows_of(classes)

    def _element(self, record: Record) -> tuple[Image | bytes, Label]:
        return self._contents.element(record, decode=self._decode)
