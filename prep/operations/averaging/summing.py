"""Add up the images in files and in shards, on a worker."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np

from prep.errors import RecordError, RefusedImage
from prep.images.decoders.decode import Decoder
from prep.images.decoders.values import Decoded, Pixels
from prep.images.encoding.record_pixels import decode_record, make_decoder
from prep.images.geometry import Area, Everything, Needed, whole_area
from prep.images.stats import channel_sums, plain_sums
from prep.operations.averaging.image_sums import (
    GroupSums,
    ImageSums,
    Three,
    add_to,
    image_group,
)
from prep.operations.averaging.sampling import RandomDraw
from prep.output.receipt import ImageNote
from prep.shards.formats.base import every, format_of_file
from prep.shards.opened import known_settings
from prep.sources.prefetch import ReadAhead
from prep.storage.locate import locate, read_file
from prep.storage.urls import is_url
from prep.text import reason_of

# Sizes are not known before files are read. As many are read ahead as fit if all are as large.
_LARGE_IMAGE = 1 << 20  # 1 MiB
# Channels of images up to this size are split into memory that is kept.
_KEPT_PIXELS = 1 << 20
_EIGHTH = 8
# Smaller images are decoded in full: that takes little time, and few pixels would be left of them.
_LEAST_SHRUNK = 64  # pixels of the shorter side
# In each task, the first two approximated images and one of so many are decoded in full as well.
_CHECKED = 32

Decode = Callable[[Needed], Decoded]


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """How images are added up.

    Attributes:
        std: whether squares and products are added up as well.
        approximate: whether JPEGs are decoded at an eighth of their size.
        sample: which images of shards are looked at; None for all.
    """

    std: bool = True
    approximate: bool = False
    sample: RandomDraw | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """The work of one task: some files, all of one storage, and how to add their images up."""

    files: Sequence[str]
    method: Method = Method()


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The sums over some images, and those that could not be read.

    Attributes:
        sums: over all images that were read.
        refused: images that could not be read.
        seen: number of images that there are, of which a sample may be a part.
        approximated: over those images that were decoded at a fraction of their size.
        errors: of those that were decoded in full as well: approximate sums less the exact ones.
    """

    sums: ImageSums = ImageSums()
    refused: tuple[ImageNote, ...] = ()
    seen: int = 0
    approximated: ImageSums = ImageSums()
    errors: ImageSums = ImageSums()


def merge_parts(parts: Iterable[Part]) -> Part:
    """Add parts up."""
    parts = list(parts)
    return Part(
        sums=ImageSums.merge(part.sums for part in parts),
        refused=tuple(note for part in parts for note in part.refused),
        seen=sum(part.seen for part in parts),
        approximated=ImageSums.merge(part.approximated for part in parts),
        errors=ImageSums.merge(part.errors for part in parts),
    )


def sum_images(portion: Portion) -> Part:
    """Add up the channels of image files, all of one storage.

    Raises:
        StorageUnavailable: it does not answer; a mean of what else is there would be another one.
    """
    tally, decoder = _Tally(portion.method), _memory().decoder
    refused: list[ImageNote] = []
    storage = portion.files[0] if portion.files and is_url(portion.files[0]) else os.sep
    found = _found_here(portion.files)
    with ReadAhead(
        found, lambda file: read_file(file[1]), lambda _: _LARGE_IMAGE, storage
    ) as files:
        for (path, _), read in files:
            try:
                # No name is kept of the data: what is read next can take its memory.
                tally.add(partial(decoder.decode, _read_now(path, read)))
            except RefusedImage as error:
                refused.append(ImageNote(path=path, reason=error.reason, detail=error.detail[:200]))
            except OSError as error:
                locate(path).require_answer(error)
                refused.append(ImageNote(path=path, reason="unreadable", detail=reason_of(error)))
    return tally.part(len(portion.files), refused)


def sum_shards(portion: Portion) -> Part:
    """Add up the images in shards.

    Raises:
        RecordError: a file or a record in it is damaged, or can't be read.
        StorageUnavailable: a storage does not answer.
    """
    tally = _Tally(portion.method)
    return tally.part(sum(_add_shard(path, tally, portion.method) for path in portion.files))


def _read_now(path: str, read: Callable[[], bytes]) -> bytes:
    return locate(path).patiently(read) if is_url(path) else read()


def _add_shard(path: str, tally: _Tally, method: Method) -> int:
    """Add up the images of a shard, or a sample of them; return how many it has."""
    settings, decoder = known_settings(path), make_decoder()
    wanted = every if method.sample is None else method.sample.of_shard(path).draws
    format, number = format_of_file(path), 0
    try:
        with locate(path).open_regular() as file:
            for record in format.scan(file, wanted=wanted):
                if record is not None:
                    image = format.parse(record).image
                    tally.add(partial(decode_record, image, settings, decoder))
                number += 1
    except RecordError as error:
        raise RecordError(f"{path}: record {number}: {error}") from None
    except OSError as error:
        locate(path).require_answer(error)
        raise RecordError(f"{path}: can't be read: {reason_of(error)}") from None
    return number


def _found_here(files: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each path with the one under which this host sees it."""
    folders: dict[str, str] = {}
    for path in files:
        if is_url(path):
            yield path, path
            continue
        folder, name = os.path.split(path)
        if folder not in folders:
            folders[folder] = str(locate(folder))
        yield path, os.path.join(folders[folder], name)


class _Eighth:
    """What the mean of a JPEG needs: an eighth of each side, made of DC coefficients."""

    def factor(self, height: int, width: int, orientation: int) -> int:
        return _EIGHTH if min(height, width) >= _LEAST_SHRUNK else 1

    def area(self, height: int, width: int, orientation: int) -> Area:
        return whole_area(height, width)


class _Memory(threading.local):
    """Memory of a thread, which is kept from task to task: mapping and zeroing pages takes time."""

    def __init__(self) -> None:
        self.decoder = Decoder()
        self._planes = np.empty(3 * _KEPT_PIXELS, np.uint8)

    def planes(self, pixels: Pixels) -> list[Pixels] | None:
        """Return an array for each channel of an image; None if it is large or gray."""
        height, width, channels = pixels.shape
        size = height * width
        if channels != 3 or size > _KEPT_PIXELS:
            return None
        # Side by side: the less memory there is between them, the more of it is in the cache.
        return [*self._planes[: 3 * size].reshape(3, height, width)]


@cache
def _memory() -> _Memory:
    return _Memory()


class _Tally:
    """Adds up images one after the other."""

    def __init__(self, method: Method) -> None:
        self._method = method
        self._needed: Needed = _Eighth() if method.approximate else Everything()
        self._squares = method.std and not method.approximate
        self._number = 0  # of approximated images
        self._sums: dict[int, GroupSums] = {}
        self._approximated: dict[int, GroupSums] = {}
        self._errors: dict[int, GroupSums] = {}

    def add(self, decode: Decode) -> None:
        """Add an image.

        Args:
            decode: decodes it, as far as is needed.
        """
        decoded = decode(self._needed)
        pixels = decoded.height * decoded.width
        if self._squares:
            add_to(self._sums, pixels, self._with_squares(decoded.pixels))
            return
        sums = scaled_sums(decoded)
        if decoded.factor != 1:
            self._check(decode, pixels, sums)
        add_to(self._sums, pixels, image_group(sums))

    def _check(self, decode: Decode, pixels: int, sums: Three) -> None:
        """Count an approximated image, and decode some of them in full as well."""
        if self._number < 2 or self._number % _CHECKED == 0:
            exact = plain_sums(decode(Everything()).pixels)
            add_to(self._errors, pixels, image_group(_less(sums, exact)))
        add_to(self._approximated, pixels, image_group(sums))
        self._number += 1

    def part(self, seen: int, refused: Iterable[ImageNote] = ()) -> Part:
        """Return the sums.

        Args:
            seen: how many images there are.
            refused: images that could not be read.
        """
        return Part(
            sums=ImageSums(by_pixels=self._sums),
            refused=tuple(refused),
            seen=seen,
            approximated=ImageSums(by_pixels=self._approximated),
            errors=ImageSums(by_pixels=self._errors),
        )

    def _with_squares(self, pixels: Pixels) -> GroupSums:
        stats = channel_sums(pixels, _memory().planes(pixels))
        assert stats.products is not None
        return image_group(stats.sums, (*stats.squares, *stats.products))


def scaled_sums(decoded: Decoded) -> Three:
    """Return the sums over an image at full size, of pixels that may each stand for several.

    A pixel of a shrunk image stands for ``factor`` rows and columns; one at the lower or right edge
    for as many as there are.
    """
    pixels, factor = decoded.pixels, decoded.factor
    sums = plain_sums(pixels)
    if factor == 1:
        return sums
    rows, columns, _ = pixels.shape
    below, beyond = factor * rows - decoded.height, factor * columns - decoded.width
    edges = (
        (factor * factor, sums),
        (-below * factor, plain_sums(pixels[-1:])),
        (-beyond * factor, plain_sums(pixels[:, -1:])),
        (below * beyond, plain_sums(pixels[-1:, -1:])),
    )
    r, g, b = (sum(times * part[channel] for times, part in edges) for channel in range(3))
    return r, g, b


def _less(a: Three, b: Three) -> Three:
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]
