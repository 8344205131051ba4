"""Reads the headers of a tar file one after another, and skips all contents."""

from __future__ import annotations

import os
from array import array
from dataclasses import dataclass, field
from typing import NoReturn
from zlib import adler32, crc32

from prep.errors import SourceError
from prep.sources.archives.archive_bytes import Reader
from prep.sources.archives.tar_headers import (
    BLOCK,
    EXTENSIONS,
    FILES,
    FOLDER,
    LARGEST_EXTENSION,
    LINK,
    SYMLINK,
    ZEROS,
    TarHeader,
    has_checksum,
    parse_header,
    pax_records,
    text_in,
)
from prep.sources.folders.ignored import Passed
from prep.text import quoted

_PIECE = 1 << 20  # 1 MiB
_DAMAGED = "the archive is damaged, so get it again"
_ENDS = (b"\0", b" ")
_SPARSE, _CONTINUED = b"SM"
_WITHOUT_CONTENTS = {**dict.fromkeys(b"34", "device"), ord("6"): "named pipe"}
# GNU's names of a folder's contents, and label; attributes of Solaris.
_KNOWN = frozenset(b"DVAE")
_OF_MEMBERS = frozenset((b"path", b"linkpath", b"size"))


@dataclass(slots=True)
class RawMembers:
    """Files and links of a tar file, in their order, as they are written.

    Attributes:
        names: of files and links.
        offsets: where the contents of a file begin; of a link, -1 - its position in ``links``.
        sizes: bytes of the contents; 0 of a link.
        checksums: CRC-32 of the header before the contents; 0 of a link.
        links: what each link refers to, and whether it is symbolic.
        passed: other members.
    """

    names: list[bytes] = field(default_factory=list)
    offsets: array[int] = field(default_factory=lambda: array("q"))
    sizes: array[int] = field(default_factory=lambda: array("q"))
    checksums: array[int] = field(default_factory=lambda: array("q"))
    links: list[tuple[bytes, bool]] = field(default_factory=list)
    passed: Passed = field(default_factory=Passed)

    def add(self, name: bytes, offset: int, size: int, checksum: int) -> None:
        """Add a file or a link."""
        self.names.append(name)
        self.offsets.append(offset)
        self.sizes.append(size)
        self.checksums.append(checksum)


def scan(reader: Reader, begin: int, end: int, shown: str) -> RawMembers:
    """Return the members of the tar file that lies at ``begin`` to ``end``.

    Args:
        reader: of the archive.
        begin: where it begins, in bytes.
        end: where it ends.
        shown: its name in messages.

    Raises:
        SourceError: it is damaged, truncated, or has sparse members or those of other volumes.
        OSError: it can't be read.
    """
    return _Scan(reader, begin, end, shown).members()


class _Scan:
    def __init__(self, reader: Reader, begin: int, end: int, shown: str) -> None:
        self._block, self._read = reader
        self._begin, self._end = begin, end
        self._shown = shown
        self._found = RawMembers()
        self._of_all: dict[bytes, bytes] = {}  # What global headers tell of all members.
        self._ended = False

    def members(self) -> RawMembers:
        """Return all of them."""
        # A plain file passes this loop alone, as a million of them do.
        block, end = self._block, self._end
        names, offsets, sizes, checksums = (
            self._found.names.append,
            self._found.offsets.append,
            self._found.sizes.append,
            self._found.checksums.append,
        )
        at, last = self._begin, end - BLOCK
        while at <= last:
            header = block(at)
            if header[156:157] == b"0" and header[135:136] in _ENDS and header[345:346] == b"\0":
                length = header.find(0)
                try:
                    size, told = int(header[124:135], 8), int(header[148:154], 8)
                except ValueError:
                    size = told = -1
                # The lower half of Adler-32 is 1 and the sum of the bytes. In a header's checksum,
                # its own eight bytes count as blanks.
                if (
                    size >= 0
                    and 0 < length <= 100
                    and told - 255 == adler32(header[156:], adler32(header[:148])) & 0xFFFF
                    and at + BLOCK + size <= end
                    and not self._of_all
                ):
                    names(header[:length])
                    offsets(at + BLOCK)
                    sizes(size)
                    checksums(crc32(header))
                    at += BLOCK + (size + BLOCK - 1 & -BLOCK)
                    continue
            at = self._other(at, header)
        if not self._ended:
            self._fail(
                f"ends at byte {end - self._begin:,} without the mark of its end, after "
                f"{self._last}: it is truncated, so get it again (or, if nothing is missing, add "
                "the mark with `truncate -s +1024`)"
            )
        return self._found

    def _other(self, at: int, header: bytes) -> int:
        """Take a header that is no plain file's, with all that belong to its member.

        Returns:
            where the next header is.
        """
        if header == ZEROS:
            self._require_nothing_after(at + BLOCK)
            self._ended = True
            return self._end
        told = dict(self._of_all)
        while True:
            self._require_header(at, header)
            if header[156] not in EXTENSIONS:
                return self._member(at, header, told)
            size = self._parsed(header, {}).size
            padded = size + BLOCK - 1 & -BLOCK
            if size > LARGEST_EXTENSION:
                self._fail(f"an extended header of {size:,} bytes after {self._last}: {_DAMAGED}")
            data = self._read(padded + BLOCK, at + BLOCK)
            self._extend(told, header[156], data[:size])
            at += BLOCK + padded
            header = data[padded:] if at + BLOCK <= self._end else b""

    def _extend(self, told: dict[bytes, bytes], kind: int, data: bytes) -> None:
        """Keep what an extended header tells."""
        if kind in b"LK":
            told[b"path" if kind == ord("L") else b"linkpath"] = text_in(data)
            return
        try:
            records = pax_records(data)
        except ValueError as error:
            self._fail(f"{error} after {self._last}: {_DAMAGED}")
        if any(key.startswith(b"GNU.sparse.") for key in records):
            self._refuse_sparse(records.get(b"GNU.sparse.name") or records.get(b"path", b""))
        known = {key: records[key] for key in _OF_MEMBERS & records.keys()}
        told.update(known)
        if kind == ord("g"):
            self._of_all.update(known)

    def _member(self, at: int, header: bytes, told: dict[bytes, bytes]) -> int:
        kind, name, size, link = self._parsed(header, told)
        begin = at + BLOCK
        if kind in (LINK, SYMLINK):  # Their contents are those of another, whatever their size.
            self._found.add(name, -1 - len(self._found.links), 0, 0)
            self._found.links.append((link, kind == SYMLINK))
            return begin
        if kind == FOLDER:
            return begin
        if kind in _WITHOUT_CONTENTS:
            self._found.passed.note(_WITHOUT_CONTENTS[kind], name)
            return begin
        if kind == _SPARSE:
            self._refuse_sparse(name)
        if kind == _CONTINUED:
            self._fail(
                f"{quoted(os.fsdecode(name))} begins in another volume; join the volumes to one "
                "archive first"
            )
        if begin + size > self._end:
            self._fail(
                f"ends at byte {self._end - self._begin:,} within {quoted(os.fsdecode(name))}, "
                f"which goes on to {begin + size - self._begin:,}: it is truncated, so get it "
                f"again; the last whole member is {self._last}"
            )
        if kind in FILES:
            self._found.add(name, begin, size, crc32(header))
        elif kind not in _KNOWN:
            self._found.passed.note("member of an unknown type", name)
        return begin + (size + BLOCK - 1 & -BLOCK)

    def _parsed(self, header: bytes, told: dict[bytes, bytes]) -> TarHeader:
        try:
            return parse_header(header, told)
        except ValueError as error:
            self._fail(f"{error} in a header after {self._last}: {_DAMAGED}")

    def _require_header(self, at: int, header: bytes) -> None:
        if len(header) < BLOCK:
            self._fail(
                f"ends at byte {self._end - self._begin:,} within a header: it is truncated, so "
                f"get it again; the last whole member is {self._last}"
            )
        if not has_checksum(header):
            found = "no tar header" if at > self._begin else "no tar file: no header"
            self._fail(f"{found} at byte {at - self._begin:,}, after {self._last}: {_DAMAGED}")

    def _require_nothing_after(self, at: int) -> None:
        """Raise SourceError unless all is zero from a position on.

        Programs stop at the first block of zeros. It may be a hole in a damaged file, or the end of
        the first of several tar files in one.
        """
        mark = at - BLOCK - self._begin
        while at < self._end:
            piece = self._read(min(_PIECE, self._end - at), at)
            rest = piece.lstrip(b"\0")
            if rest or not piece:
                self._fail(
                    f"ends at byte {mark:,}, after {self._last}, but there is more at byte "
                    f"{at + len(piece) - len(rest) - self._begin:,}: it is damaged, or several in "
                    "one; unpack it with `tar --ignore-zeros -xf`"
                )
            at += len(piece)

    def _refuse_sparse(self, name: bytes) -> NoReturn:
        self._fail(
            f"{quoted(os.fsdecode(name))} is sparse, so its bytes do not lie in one piece; unpack "
            "the archive, or make it without `--sparse`"
        )

    def _fail(self, told: str) -> NoReturn:
        raise SourceError(f"source: {quoted(self._shown)}: {told}")

    @property
    def _last(self) -> str:
        """The last whole member, in words."""
        names = self._found.names
        return quoted(os.fsdecode(names[-1])) if names else "the beginning"
