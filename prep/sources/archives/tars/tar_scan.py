"""Reads the headers of a tar file one after another, and skips all contents."""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn, ParamSpec, TypeVar
from zlib import adler32

from google_crc32c import value as crc32c

from prep.errors import SourceError
from prep.sources.archives.archive_bytes import Read
from prep.sources.archives.members import LONGEST_NAME
from prep.sources.archives.tars.tar_headers import (
    BLOCK,
    EXTENSIONS,
    FILES,
    FOLDER,
    LARGEST_EXTENSION,
    LINK,
    SYMLINK,
    ZEROS,
    has_checksum,
    parse_header,
    pax_records,
    size_in,
    text_in,
)
from prep.sources.folders.ignored import Passed
from prep.text import quoted

_PIECE = 1 << 20  # 1 MiB
_DAMAGED = "the archive is damaged; get it again"
_FILE = ord("0")
_ENDS = b"\0 "  # of a number
_SPARSE, _CONTINUED = b"SM"
_WITHOUT_CONTENTS = {**dict.fromkeys(b"34", "device"), ord("6"): "named pipe"}
# GNU's names of a folder's contents, and label; attributes of Solaris.
_KNOWN = frozenset(b"DVAE")
_OF_MEMBERS = frozenset((b"path", b"linkpath", b"size"))
_LONGEST_NAME = 100  # bytes, in a header
# Bytes that are read where a header is preceded by an extended one and its contents.
_WITH_EXTENSION = 4 * BLOCK

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(slots=True)
class RawMembers:
    """Files and links of a tar file, in their order, as they are written.

    Attributes:
        names: of files and links.
        offsets: where the contents of a file begin; of a link, -1 - its position in ``links``.
        sizes: bytes of the contents; 0 of a link.
        checksums: CRC-32C of the header before the contents; 0 of a link.
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


def scan(read: Read, begin: int, end: int, shown: str) -> RawMembers:
    """Return the members of the tar file that lies at ``begin`` to ``end``.

    Args:
        read: reads the archive.
        begin: where it begins, in bytes.
        end: where it ends.
        shown: its name in messages.

    Raises:
        SourceError: it is damaged, truncated, or has sparse members or those of other volumes.
        OSError: it can't be read.
    """
    return _Scan(read, begin, end, shown).members()


class _Scan:
    """The chain of headers of one tar file, as far as it was read."""

    def __init__(self, read: Read, begin: int, end: int, shown: str) -> None:
        self._read = read
        self._begin, self._end = begin, end
        self._shown = shown
        self._found = RawMembers()
        # What other headers tell of all members, and of the next.
        self._of_all: Mapping[bytes, bytes] = {}
        self._told: Mapping[bytes, bytes] = self._of_all
        self._ended = False

    def members(self) -> RawMembers:
        """Return all of them."""
        # A plain file passes this loop alone, as a million of them do.
        read, found, last = self._read, self._found, self._end - BLOCK
        names, offsets, sizes, checksums = found.names, found.offsets, found.sizes, found.checksums
        told, path, sized = self._told, None, False
        at = base = self._begin
        piece, ahead = b"", BLOCK
        while at <= last:
            if at - base + BLOCK > len(piece):
                piece, base = read(ahead, at), at
            header = piece[at - base : at - base + BLOCK]
            try:
                if header[156] == _FILE and header[135] in _ENDS and not header[345] and not sized:
                    size, checksum = int(header[124:135], 8), int(header[148:154], 8)
                    name = path or header[: header.find(0)]
                    # The lower half of Adler-32 is 1 and the sum of the bytes. In the checksum of a
                    # header, its own eight bytes count as blanks.
                    if (
                        checksum - 255 == adler32(header[156:], adler32(header[:148])) & 0xFFFF
                        and 0 <= size <= last - at
                        and (0 < len(name) <= _LONGEST_NAME or path)
                    ):
                        names.append(name)
                        offsets.append(at + BLOCK)
                        sizes.append(size)
                        checksums.append(crc32c(header))
                        at += BLOCK + (size + BLOCK - 1 & -BLOCK)
                        if told is not self._of_all:
                            told = self._of_all
                            path, sized = told.get(b"path"), b"size" in told
                        continue
            except (ValueError, IndexError):  # Other numbers than octal ones, or half a header.
                pass
            self._told = told
            at = self._other(at, header, piece[at - base + BLOCK :])
            told = self._told
            path, sized = told.get(b"path"), b"size" in told
            if told is not self._of_all:
                ahead = _WITH_EXTENSION
        if not self._ended:
            self._refuse_unmarked(at)
        return found

    def _other(self, at: int, header: bytes, after: bytes) -> int:
        """Take any header; return where the next one is.

        Args:
            at: where it is.
            header: its 512 bytes, unless the archive ends before.
            after: what is known of the bytes after it.
        """
        if header == ZEROS and self._told is self._of_all:
            self._require_nothing_after(at + BLOCK)
            self._ended = True
            return self._end
        self._require_header(at, header)
        begin = at + BLOCK
        if header[156] not in EXTENSIONS:
            told, self._told = self._told, self._of_all
            return begin + self._take(begin, header, told)
        size = self._parsed(size_in, header)
        if size > LARGEST_EXTENSION:
            self._fail(f"an extended header of {size:,} bytes after {self._last}: {_DAMAGED}")
        self._extend(header[156], after[:size] if size <= len(after) else self._read(size, begin))
        return begin + (size + BLOCK - 1 & -BLOCK)

    def _extend(self, kind: int, data: bytes) -> None:
        """Keep what an extended header tells."""
        self._tell(kind, data)
        name = self._told.get(b"path", b"")
        if len(name) > LONGEST_NAME:
            self._fail(
                f"the name {quoted(os.fsdecode(name))} has {len(name):,} bytes; expected at most "
                f"{LONGEST_NAME:,}; give it another in the archive"
            )

    def _tell(self, kind: int, data: bytes) -> None:
        if kind in b"LK":
            told = b"path" if kind == ord("L") else b"linkpath"
            self._told = {**self._told, told: text_in(data)}
            return
        if b"path=" not in data and b"size=" not in data and b"GNU.sparse." not in data:
            if kind != ord("g"):
                self._told = {**self._told}
            return
        records = self._parsed(pax_records, data)
        if any(key.startswith(b"GNU.sparse.") for key in records):
            self._refuse_sparse(records.get(b"GNU.sparse.name") or records.get(b"path", b""))
        known = {key: text_in(records[key]) for key in _OF_MEMBERS & records.keys()}
        if kind == ord("g"):
            pending = self._told is not self._of_all
            self._of_all = {**self._of_all, **known}
            self._told = {**self._told, **known} if pending else self._of_all
        else:
            self._told = {**self._told, **known}

    def _take(self, begin: int, header: bytes, told: Mapping[bytes, bytes]) -> int:
        """Take a member; return how many bytes its contents take."""
        kind, name, size, link = self._parsed(parse_header, header, told)
        if kind in (LINK, SYMLINK):  # Their contents are those of another, whatever their size.
            self._found.add(name, -1 - len(self._found.links), 0, 0)
            self._found.links.append((link, kind == SYMLINK))
            return 0
        if kind == FOLDER:
            return 0
        if kind in _WITHOUT_CONTENTS:
            self._found.passed.note(_WITHOUT_CONTENTS[kind], name)
            return 0
        if kind == _SPARSE:
            self._refuse_sparse(name)
        if kind == _CONTINUED:
            self._fail(
                f"{quoted(os.fsdecode(name))} begins in another volume; join the volumes to one "
                "archive first"
            )
        if begin + size > self._end:
            self._fail(
                f"is truncated: it ends at byte {self._end - self._begin:,} within "
                f"{quoted(os.fsdecode(name))}, which goes on to {begin + size - self._begin:,}, "
                f"and its last whole member is {self._last}; get it again"
            )
        if kind in FILES:
            self._found.add(name, begin, size, crc32c(header))
        elif kind not in _KNOWN:
            self._found.passed.note("member of an unknown type", name)
        return size + BLOCK - 1 & -BLOCK

    def _parsed(self, parse: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
        """Return what is parsed from a header; raise SourceError if it is malformed."""
        try:
            return parse(*given, **named)
        except ValueError as error:
            self._fail(f"{error} in a header after {self._last}: {_DAMAGED}")

    def _require_header(self, at: int, header: bytes) -> None:
        if len(header) < BLOCK:
            self._refuse_unmarked(at)
        if not has_checksum(header):
            if at == self._begin:
                self._fail("is no tar file, or a damaged one: no header at its beginning")
            self._fail(
                f"no tar header at byte {at - self._begin:,}, after {self._last}: {_DAMAGED}"
            )

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
                    "one; unpack it with tar --ignore-zeros -xf"
                )
            at += len(piece)

    def _refuse_unmarked(self, at: int) -> NoReturn:
        """Raise SourceError for an archive without the mark of its end.

        Python and GNU's tar take one that ends with a whole member, though it may lack others.
        """
        told = (
            f"is truncated: it ends at byte {self._end - self._begin:,} without the mark of its "
            f"end, and its last whole member is {self._last}; get it again"
        )
        if at == self._end and not self._begin:
            told += ", or, if nothing is missing, add the mark: truncate -s +1024"
        self._fail(told)

    def _refuse_sparse(self, name: bytes) -> NoReturn:
        self._fail(
            f"{quoted(os.fsdecode(name))} is sparse, so its bytes do not lie in one piece; unpack "
            "the archive, or make it anew without holes"
        )

    def _fail(self, told: str) -> NoReturn:
        joint = " " if told.startswith(("is ", "ends ")) else ": "
        raise SourceError(f"source: {quoted(self._shown)}{joint}{told}")

    @property
    def _last(self) -> str:
        """The last whole member, in words."""
        names = self._found.names
        return quoted(os.fsdecode(names[-1])) if names else "the beginning"
