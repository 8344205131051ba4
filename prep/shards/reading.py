"""Read the images of a shard from their source, and tell a bad image from a source that is away."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Iterable

from prep.errors import RefusedImage
from prep.output.receipt import ShardReceipt, of_outcome
from prep.settings.image_settings import ImageSettings
from prep.sources.base import ImageEntry, Source, UnpacksTooLarge
from prep.sources.folders.names import UNREAD, extension_of
from prep.storage.retry import Retries, is_transient

_PAUSES = (0.1, 0.5, 2.0)  # seconds before an image is read again
# If so many images in a row can't be read, each after several attempts, the source is away.
_MOST_FAILED_IN_A_ROW = 5
# Of the largest allowed image, uncompressed, with 16 bits a sample and transparency; and metadata.
# No more is read: a file can claim to be larger than any memory.
_BYTES_PER_PIXEL = 8
_SPARE = 64 << 20  # 64 MiB


class ImageReader:
    """Reads images one after the other, and tells a bad file from a bad file server."""

    def __init__(self, settings: ImageSettings, retries: Retries, source: Source) -> None:
        self._largest = settings.max_pixels * _BYTES_PER_PIXEL + _SPARE
        self._retries = retries
        self._source = source
        self._failed_in_a_row = 0

    def read(self, entry: ImageEntry, fetch: Callable[[], bytes]) -> bytes:
        """Return the contents of an image file.

        Args:
            entry: the image.
            fetch: fetches it from the source; is called again if that may help.

        Raises:
            RefusedImage: it can't be read, or has changed since it was listed.
            OSError: many images in a row can't be read, which can't be their fault.
        """
        if entry.stamp.size > self._largest:
            raise RefusedImage(
                "too large", f"{entry.stamp.size:,} bytes; at most {self._largest:,} are read"
            )
        try:
            data = self._retries.call(
                lambda: self._source.unpack(entry, fetch(), self._largest), _PAUSES
            )
        except UnpacksTooLarge as error:
            raise RefusedImage("too large", str(error)) from None
        except OSError as error:
            away = is_transient(error) or _is_gone(error, entry)
            self._failed_in_a_row = self._failed_in_a_row + 1 if away else 0
            # A single file that can't be read at all does not mean that the source is away.
            most = 2 if self._retries.spent else _MOST_FAILED_IN_A_ROW
            if self._failed_in_a_row >= most:
                raise
            raise RefusedImage("unreadable", error.strerror or str(error)) from None
        self._failed_in_a_row = 0
        return data


def by_name(entry: ImageEntry, error: RefusedImage) -> RefusedImage:
    """Return why an image is refused, by its name if its bytes do not tell."""
    extension = extension_of(entry.raw_name)
    if error.reason != "not an image" or extension not in UNREAD:
        return error
    return RefusedImage("unsupported", f"{extension.decode().upper()}, which no decoder here reads")


def _is_gone(error: OSError, entry: ImageEntry) -> bool:
    """Return whether a listed image is no longer there: the source may be unmounted."""
    return error.errno in (errno.ENOENT, errno.ENOTDIR) and entry.stamp != (0, 0)


def is_settled(
    receipt: ShardReceipt, source: Source, entries: Callable[[], Iterable[ImageEntry]]
) -> bool:
    """Return False if an image can be read now that could not be read when a shard was written.

    Such a shard is written again.

    Args:
        receipt: of the shard.
        source: of its images.
        entries: lists its images; only called if one of them could not be read.
    """
    refused = of_outcome(receipt.findings, "refused")
    unread = {finding.path for finding in refused if finding.reason == "unreadable"}
    if not unread:
        return True
    return not any(_can_be_read(source, e) for e in entries() if e.name in unread)


def _can_be_read(source: Source, entry: ImageEntry) -> bool:
    try:
        deque(source.read_in_pieces(entry), maxlen=0)
    except OSError:
        return False
    return True
