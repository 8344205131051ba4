"""Archives that are compressed as a whole, so that no image can be read without all before it.

On request, one is unpacked to a file that can be read in parts. A run keeps that in its output,
where all workers find it, and so do later runs and repairs. To list the images before there is an
output, or without one, it is unpacked to a temporary file, which goes when it is kept elsewhere, or
with this process.
"""

from __future__ import annotations

import atexit
import bz2
import contextlib
import gzip
import io
import lzma
import os
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

from prep.errors import SourceError
from prep.sources.archives.tars.tar_headers import BLOCK, has_checksum
from prep.sources.base import Kept
from prep.sources.naming import UnpackedArchive
from prep.storage.locate import locate
from prep.storage.location import FileChanged, Location, Stamp
from prep.text import quoted, reason_of

_PIECE = 1 << 20  # 1 MiB
# What a file begins with that is compressed as a whole, and what that is called.
_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!\x1a\x07": "RAR",
    b"\x1f\x9d": "compress",
    b"LZIP": "lzip",
    b"\x04\x22\x4d\x18": "LZ4",
}
_DEFLATE = 8  # The method in the header of zlib; see RFC 1950.
_STATE = ".prep"  # The folder in an output that has the manifest.
_HEAD = 4096
_DAMAGED = "it is truncated or damaged: get it again"
_BY_HAND = "unpack it, and give the folder"


def solid_kind(head: bytes) -> str | None:
    """Return what compresses a file as a whole, by its first bytes; None if nothing does.

    A gzip file counts only if it holds an archive: lists may be compressed, too.
    """
    kind = _compression_of(head)
    if kind == "zlib":  # No archive is; records may be.
        return None
    if kind == "gzip":
        begin = b""
        with contextlib.suppress(zlib.error):
            begin = zlib.decompressobj(wbits=31).decompress(head, BLOCK)
        is_tar = len(begin) == BLOCK and has_checksum(begin)
        return kind if is_tar or begin.startswith(b"PK") else None
    return kind


def _compression_of(head: bytes) -> str | None:
    """Return what compresses a file that begins so, whatever it holds."""
    is_zlib = len(head) > 1 and head[0] & 0x0F == _DEFLATE and int.from_bytes(head[:2]) % 31 == 0
    known = (name for magic, name in _MAGIC.items() if head.startswith(magic))
    return next(known, "zlib" if is_zlib else None)


def unpack_archive(
    archive: Location, kind: str, *, name: str, allowed: bool, output: str
) -> tuple[UnpackedArchive, Location]:
    """Return the file that an archive is unpacked to, and where it can be read from here.

    Args:
        archive: the archive.
        kind: what compresses it.
        name: its absolute path or URL.
        allowed: whether it may be unpacked.
        output: the output folder, where an earlier run may have kept the file.

    Raises:
        SourceError: it may not, or can't, be unpacked.
        StorageUnavailable: it is in a storage that does not answer.
    """
    if kind not in _OPENERS:
        raise SourceError(
            f"source: {quoted(name)} is compressed by {kind}, which is not read; {_BY_HAND}"
        )
    if not allowed:
        raise SourceError(
            f"source: {quoted(name)} is compressed as a whole ({kind}), so its images can't be "
            f"read in parts; {_BY_HAND}, or pass `unpack=True` to have it unpacked into the output"
        )
    with _refusing(archive):
        stamp = stamp_of_archive(archive)
    kept_name = _kept_name(name, stamp)
    kept = locate(output) / _STATE / kept_name
    with contextlib.suppress(OSError):
        if kept.is_file():
            return UnpackedArchive(name, kept_name, kept.file_size()), kept
    here = locate(_TEMPORARY.path(name, kept_name))
    return UnpackedArchive(name, kept_name, here.file_size()), here


def stamp_of_archive(archive: Location) -> Stamp:
    """Return the stamp of an archive; raise OSError if it can't be asked."""
    status = archive.patiently(archive.stat)
    return Stamp(status.st_size, status.st_mtime_ns)


def kept_archive(unpacked: UnpackedArchive) -> Kept:
    """Return the file that an output keeps of an archive."""
    pieces = _Pieces(unpacked.archive, unpacked.name)
    return Kept(name=unpacked.name, size=unpacked.size, pieces=pieces)


def path_of_unpacked(unpacked: UnpackedArchive, folder: Location | None) -> str:
    """Return where this process finds the file that an archive was unpacked to.

    Args:
        folder: where a run keeps it; without one, or before that, it is a temporary file.
    """
    if folder is not None and (folder.is_remote or (folder / unpacked.name).exists()):
        return str(folder / unpacked.name)
    return _TEMPORARY.path(unpacked.archive, unpacked.name)


def _kept_name(name: str, archive: Stamp) -> str:
    import xxhash  # It is not needed otherwise.

    identity = f"{name}\0{archive.size}\0{archive.mtime}"
    return f"images-{xxhash.xxh3_128_hexdigest(os.fsencode(identity))}.bin"


class _Temporary:
    """The temporary files of this process, by the name that an output keeps them under."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._paths: dict[str, str] = {}

    def path(self, archive: str, name: str) -> str:
        """Return the path of the file that an archive is unpacked to; unpack it if need be."""
        with self._lock:
            known = self.known(name)
            if known is None:
                known = self._paths[name] = _unpacked(locate(archive))
            return known

    def known(self, name: str) -> str | None:
        """Return the path of a file that is there: whoever tidies up may have removed it."""
        path = self._paths.get(name)
        return path if path is not None and os.path.exists(path) else None

    def discard(self, name: str) -> None:
        with self._lock, contextlib.suppress(KeyError, FileNotFoundError):
            os.unlink(self._paths.pop(name))

    def discard_all(self) -> None:
        for name in [*self._paths]:
            self.discard(name)


_TEMPORARY = _Temporary()
atexit.register(_TEMPORARY.discard_all)


def _unpacked(archive: Location) -> str:
    """Unpack an archive to a new temporary file; return its path."""
    with tempfile.NamedTemporaryFile(prefix="prep-unpacked-", delete=False) as file:
        try:
            for piece in _decompressed(archive):
                file.write(piece)
            file.flush()
        except OSError as error:
            os.unlink(file.name)
            folder = quoted(tempfile.gettempdir())
            raise SourceError(
                f"source: can't unpack {quoted(str(archive))} to {folder}: {reason_of(error)}; "
                "make room there, or set TMPDIR to another folder"
            ) from None
        except BaseException:
            os.unlink(file.name)
            raise
    return file.name


@dataclass(frozen=True, slots=True)
class _Pieces:
    """The contents of a file that an archive is unpacked to; they can be read several times.

    The temporary file is removed once they have been: they are kept elsewhere then.
    """

    archive: str
    name: str

    def __iter__(self) -> Iterator[bytes]:
        path = _TEMPORARY.known(self.name)
        if path is None:
            yield from _decompressed(locate(self.archive))
            return
        with open(path, "rb") as file:
            while piece := file.read(_PIECE):
                yield piece
        _TEMPORARY.discard(self.name)


def _decompressed(archive: Location) -> Iterator[bytes]:
    """Yield the contents of a file that is compressed as a whole.

    Raises:
        SourceError: it is damaged, truncated, or can't be read.
        StorageUnavailable: it is in a storage that does not answer.
    """
    with _refusing(archive), archive.open_regular() as packed:
        kind = _compression_of(packed.peek(_HEAD)[:_HEAD])
        if kind is None or kind not in _OPENERS:
            raise FileChanged("it has changed since it was listed")
        with _OPENERS[kind](packed) as contents:
            while piece := contents.read(_PIECE):
                yield piece


@contextlib.contextmanager
def _refusing(archive: Location) -> Iterator[None]:
    """Raise SourceError if an archive can't be read in the block, or not be decompressed."""
    what = f"source: can't unpack {quoted(str(archive))}"
    try:
        yield
    except (EOFError, zlib.error, lzma.LZMAError) as error:
        raise SourceError(f"{what}: {reason_of(error)}; {_DAMAGED}") from None
    except OSError as error:
        archive.require_answer(error, what)
        damaged = error.errno is None and not isinstance(error, FileChanged)
        raise SourceError(
            f"{what}: {reason_of(error)}" + (f"; {_DAMAGED}" if damaged else "")
        ) from None


class _Zlib(io.RawIOBase):
    """Reads a file that is compressed by zlib; raise EOFError if it is cut off."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._inflate = zlib.decompressobj()

    def read(self, size: int = _PIECE, /) -> bytes:
        """Return the next bytes; none at the end."""
        found = b""
        while not found and not self._inflate.eof:
            packed = self._inflate.unconsumed_tail or self._file.read(size)
            found = self._inflate.decompress(packed, size)
            if not packed and not found and not self._inflate.eof:
                raise EOFError("it ends before its end was marked")
        return found


def _zstandard(file: IO[bytes]) -> Any:
    import pyarrow as pa  # It takes a while to load.

    return pa.input_stream(file, compression="zstd")


# What opens a compressed file for reading, by what compresses it.
_OPENERS: Mapping[str, Callable[[IO[bytes]], Any]] = {
    "zlib": _Zlib,
    "gzip": lambda file: gzip.GzipFile(fileobj=file),
    "bzip2": bz2.BZ2File,
    "xz": lzma.LZMAFile,
    "Zstandard": _zstandard,
}
