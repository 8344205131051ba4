"""Tar files of all kinds: by Python's tarfile, and header by header."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

END = bytes(1024)


def block(
    name: bytes,
    data: bytes = b"",
    *,
    kind: bytes = b"0",
    link: bytes = b"",
    size: bytes | None = None,
    magic: bytes = b"ustar\x0000",
    prefix: bytes = b"",
    mark: bytes = b"",
) -> bytes:
    """Return a header, and the contents after it, as they lie in a tar file.

    Args:
        size: the field of 12 bytes, if it is not the octal number of ``data``.
        magic: the field of 8 bytes and what follows; ``b""`` as before ustar.
        prefix: of the name, or whatever else lies in that field.
        mark: of star, at the end.
    """
    header = bytearray(512)
    for at, value in (
        (0, name),
        (100, b"0000644\x000000000\x000000000\x00"),
        (124, b"%011o\x00" % len(data) if size is None else size),
        (136, b"14000000000\x00"),
        (148, b"        "),
        (156, kind),
        (157, link),
        (257, magic),
        (345, prefix),
        (508, mark),
    ):
        header[at : at + len(value)] = value
    header[148:156] = b"%06o\x00 " % sum(header)
    return bytes(header) + data + bytes(-len(data) % 512)


def pax(records: Mapping[str, bytes], kind: bytes = b"x") -> bytes:
    """Return an extended header of pax."""
    data = b""
    for key, value in records.items():
        record = b" %s=%s\n" % (key.encode(), value)
        length = len(record) + 1
        while len(str(length)) + len(record) != length:
            length += 1
        data += b"%d%s" % (length, record)
    return block(b"PaxHeaders/x", data, kind=kind)


def tar_of(members: Mapping[str, bytes], format: int = tarfile.GNU_FORMAT) -> bytes:
    """Return a tar file, as Python makes it."""
    file = io.BytesIO()
    with tarfile.open(None, "w", file, format=format) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            info.mtime = 1_300_000_000.25 if format == tarfile.PAX_FORMAT else 1_300_000_000
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


def written(path: Path, *pieces: bytes, end: bytes = END) -> Path:
    """Write pieces of a tar file, with the mark of its end."""
    path.write_bytes(b"".join(pieces) + end)
    return path


def as_tarfile_reads(archive: Path | bytes, prefix: str = "") -> dict[str, bytes]:
    """Return the contents of all files in a tar file, and in those in it."""
    file = io.BytesIO(archive) if isinstance(archive, bytes) else None
    found: dict[str, bytes] = {}
    with tarfile.open(None if file else archive, "r:", file) as tar:  # type: ignore[arg-type]
        for member in tar:
            name = os.path.normpath(member.name).lstrip("/")
            if member.isdir() or name.startswith(".."):
                continue
            opened = tar.extractfile(member)
            assert opened is not None
            data = opened.read()
            if name.endswith(".tar"):
                found |= as_tarfile_reads(data, f"{prefix}{name}/")
            else:
                found[prefix + name] = data
    return found


def joined(pieces: Iterable[bytes]) -> bytes:
    """Return a tar file of pieces, with the mark of its end."""
    return b"".join(pieces) + END
