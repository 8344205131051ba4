"""Find the files that a mean is to be of."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterable, Sequence

from prep.errors import SourceError
from prep.shards.formats.base import shards_among
from prep.sources.folders.names import EXTENSIONS
from prep.storage.locate import absolute, locate
from prep.storage.urls import is_url
from prep.text import quoted, reason_and_file

# How many images a shard holds is not known before it is read. By size it is guessed: a JPEG of the
# default side takes about so many bytes. In a storage it is by number: by default, up to so many.
_BYTES_PER_RECORD = 20_000
_IMAGES_PER_SHARD = 1000


def find_all(inputs: Iterable[str], tfrecord: bool | None) -> list[str]:
    """Return the files that all of ``inputs`` stand for, each once, under sorted absolute paths.

    Raises:
        SourceError: one of them stands for none.
        StorageUnavailable: they are in a storage that does not answer.
    """
    # Workers may have other working directories, and patterns may overlap. Sorted, for which images
    # are decoded twice for an approximate mean must not depend on the order of inputs.
    return sorted({absolute(file) for each in inputs for file in find_files(each, tfrecord)})


def find_files(inputs: str, tfrecord: bool | None) -> list[str]:
    """Return the files that ``inputs`` stands for, by name.

    Raises:
        SourceError: there are none.
        StorageUnavailable: they are in a storage that does not answer.
    """
    if is_url(inputs):
        candidates = _files_below(inputs)
    elif os.path.isdir(inputs):
        candidates = [
            os.path.join(folder, name)
            for folder, _, names in os.walk(inputs)
            for name in names
            if not name.startswith(".")
        ]
    elif os.path.exists(inputs):  # Its name may well look like a pattern.
        return [inputs]
    else:
        return _some(
            sorted(p for p in glob.iglob(inputs, recursive=True) if os.path.isfile(p)), inputs
        )
    images = sorted(path for path in candidates if _is_image_name(path))
    shards = shards_among(candidates)
    return _some(shards if tfrecord or (tfrecord is None and not images) else images, inputs)


def _files_below(url: str) -> list[str]:
    place = locate(url)
    try:
        found = [str(path) for path in place.files_below() if not path.name.startswith(".")]
        absent = None if found else place.absent_bucket()
    except OSError as error:
        place.require_answer(error, "input: can't be listed")
        raise SourceError(f"input: can't be listed: {reason_and_file(error)}") from None
    if absent:
        raise SourceError(f"input: {quoted(url)}: {absent} does not exist; expected a bucket")
    return found


def images_in_shards(files: Sequence[str]) -> int:
    """Guess how many images shards hold, without reading them."""
    if any(is_url(file) for file in files):
        return len(files) * _IMAGES_PER_SHARD
    with contextlib.suppress(OSError):  # Whoever reads it will say so.
        return sum(map(os.path.getsize, files)) // _BYTES_PER_RECORD
    return 0


def _is_image_name(path: str) -> bool:
    return os.fsencode(path).rpartition(b".")[2].lower() in EXTENSIONS


def _some(files: list[str], inputs: str) -> list[str]:
    if not files:
        raise SourceError(
            f"input: nothing found for {quoted(inputs)}; expected a folder, a file, or a quoted "
            "glob pattern of images or shards"
        )
    return files
