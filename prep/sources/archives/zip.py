"""The index of a zip file."""

from __future__ import annotations

import re
import stat
import struct
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from prep.sources.archives.members import (
    BROKEN,
    LINK_OUT,
    LINK_TO_FOLDER,
    MOST_LINKS,
    REPLACED,
    Members,
    folders_above,
    marks_of,
    path_within,
)
from prep.sources.archives.zips.central_directory import ArchiveReader, find_directory
from prep.sources.archives.zips.zip_reading import inflate, require_checksum
from prep.sources.archives.zips.zip_records import (
    DESCRIPTOR,
    ENCRYPTED,
    MACOS,
    UNIX,
    Numbers,
    Records,
)
from prep.sources.base import HOWS
from prep.sources.folders.ignored import Passed
from prep.storage.location import Location

_LOCAL = struct.Struct("<4s5H3L2H")  # The local header of a member, without its name.
_LOCAL_MARK = b"PK\3\4"
_STORED, _DEFLATED = 0, 8  # Methods.
_METHODS = {1: "Shrink", 6: "Implode", 9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard"}
_METHODS |= {95: "XZ", 98: "PPMd", 99: "AES"}
_FILE, _FOLDER, _LINK, _SPECIAL = range(4)
_LONGEST_TARGET = 4096  # bytes
_REMEDY = "unpack it, and give the folder"
_UNTIDY = re.compile(rb"^\.{0,2}/|//|/\.{0,2}(/|$)|^\.{0,2}$")


def index_zip(archive: Location) -> Members:
    """Return the index of a zip file.

    It is made of the directory at its end, which tells everything but the lengths of the local
    headers, after which the contents come. They follow from where the next headers are: of all that
    leave the same space, one is read.

    Raises:
        SourceError: it is damaged, truncated, or holds what can't be read.
        StorageUnavailable: it is in a storage that does not answer.
    """
    file = ArchiveReader(archive)
    directory = find_directory(file)
    try:
        records = Records(directory)
        kinds = _kinds(records)
        _require_readable(records, kinds)
        offsets = _data_offsets(file, records, directory.start)
        return _members(file, records, kinds, offsets)
    except ValueError as error:
        raise file.refused(str(error)) from None


def _kinds(records: Records) -> npt.NDArray[np.uint8]:
    """Return what each member is: ``_FILE``, ``_FOLDER``, ``_LINK`` or ``_SPECIAL``."""
    has_mode = np.isin(records.systems, (UNIX, MACOS))
    formats = np.where(has_mode, records.attributes >> 16, 0) & stat.S_IFMT(0xFFFF)
    kinds = np.full(len(records.names), _SPECIAL, np.uint8)
    kinds[np.isin(formats, (0, stat.S_IFREG))] = _FILE
    kinds[formats == stat.S_IFLNK] = _LINK
    kinds[formats == stat.S_IFDIR] = _FOLDER
    kinds[[name.endswith(b"/") for name in records.names]] = _FOLDER
    return kinds


def _require_readable(records: Records, kinds: npt.NDArray[np.uint8]) -> None:
    """Raise ValueError, in words, if a member can't be read."""
    holds = (kinds == _FILE) | (kinds == _LINK)
    stored = records.methods == _STORED

    def first(which: npt.NDArray[np.bool_]) -> int | None:
        return int(which.argmax()) if which.any() else None

    if (number := first(holds & (records.flags & ENCRYPTED > 0))) is not None:
        raise ValueError(f"has encrypted files, such as {records.quoted(number)}; {_REMEDY}")
    if (number := first(holds & ~stored & (records.methods != _DEFLATED))) is not None:
        code = int(records.methods[number])
        raise ValueError(
            f"has files compressed by {_METHODS.get(code, f'method {code}')}, such as "
            f"{records.quoted(number)}; expected stored or deflated ones; {_REMEDY}"
        )
    if (number := first(holds & stored & (records.packed != records.sizes))) is not None:
        raise ValueError(
            f"is damaged: {records.quoted(number)} is stored, but has "
            f"{records.packed[number]:,} bytes of {records.sizes[number]:,}"
        )
    if (number := first((kinds == _FOLDER) & (records.sizes > 0))) is not None:
        raise ValueError(f"is damaged: the folder {records.quoted(number)} has contents")


def _data_offsets(file: ArchiveReader, records: Records, end: int) -> Numbers:
    """Return where the contents of each member begin; raise ValueError, in words, if some overlap.

    Args:
        end: where the last contents end, and the directory begins.
    """
    headers = records.headers
    order = np.argsort(headers, kind="stable")
    following = np.empty_like(headers)
    following[order] = np.append(headers[order], end)[1:]
    names = headers + _LOCAL.size + records.name_lengths
    # Up to the next header, there is an extra field of unknown length, often none, and perhaps
    # a record after the contents.
    spaces = following - names - records.packed
    _require_room(records, spaces)
    has_record = records.flags.astype(np.int64) // DESCRIPTOR & 1
    alike = (spaces << 17) + (records.extra_lengths << 1) + has_record
    _, samples, groups = np.unique(alike, return_index=True, return_inverse=True)
    read = file.read_each([(start, _LOCAL.size) for start in headers[samples].tolist()])
    extras = np.empty(len(samples), np.int64)
    for position, (number, header) in enumerate(zip(samples.tolist(), read, strict=True)):
        mark, *_, name, extra = _LOCAL.unpack(header)
        if mark != _LOCAL_MARK:
            raise ValueError(
                f"is damaged: the header of {records.quoted(number)} is not at byte "
                f"{headers[number]:,}, where its directory says"
            )
        extras[position] = name + extra - records.name_lengths[number]
    starts: Numbers = names + extras[groups]
    _require_room(records, following - starts - records.packed)
    return starts


def _require_room(records: Records, spaces: Numbers) -> None:
    if (spaces < 0).any():
        name = records.quoted(int(np.argmax(spaces < 0)))
        raise ValueError(f"is damaged: {name} overlaps what comes after it")


def _members(
    file: ArchiveReader, records: Records, kinds: npt.NDArray[np.uint8], offsets: Numbers
) -> Members:
    """Return the files, and the links to files; each name stands for the last that has it."""
    passed, outside = Passed(), list[bytes]()
    last = dict[bytes, int]()
    for number, (name, kind) in enumerate(zip(records.names, kinds.tobytes(), strict=True)):
        if kind == _FOLDER:
            continue
        path = path_within(name) if _UNTIDY.search(name) else name
        if path is None:
            outside.append(name)
        elif kind == _SPECIAL or not path:
            passed.note("no regular file", path)
        else:
            if path in last:
                passed.note(REPLACED, path)
            last[path] = number
    links = {path: number for path, number in last.items() if kinds[number] == _LINK}
    if links:
        targets = _targets(file, records, [*links.values()], offsets)
        _follow(dict(zip(links, targets, strict=True)), last, passed)
    names = sorted(last, key=last.__getitem__) if passed.counts else [*last]
    chosen = np.fromiter(map(last.__getitem__, names), np.int64, len(names))
    deflated = records.methods[chosen] == _DEFLATED
    return Members(
        names=names,
        offsets=offsets[chosen],
        sizes=records.packed[chosen],
        marks=marks_of(records.checksums[chosen], file.stamp),
        hows=np.where(deflated, HOWS.index("deflate"), HOWS.index("bytes")).astype(np.uint8),
        passed=passed,
        outside=tuple(outside),
    )


def _follow(targets: Mapping[bytes, bytes], last: dict[bytes, int], passed: Passed) -> None:
    """Put the file in place of each link that leads to one; pass over other links."""
    leads = {link: _place_of(link, target) for link, target in targets.items()}
    files = {path: number for path, number in last.items() if path not in targets}
    folders = folders_above(files)
    for link in leads:
        place, seen = leads[link], {link}
        while place in leads and place not in seen and len(seen) < MOST_LINKS:
            seen.add(place)
            place = leads[place]
        if place in files:
            last[link] = files[place]
            continue
        del last[link]
        if place is None:
            passed.note(LINK_OUT, link)
        else:
            passed.note(LINK_TO_FOLDER if place in folders else BROKEN, link)


def _place_of(link: bytes, target: bytes) -> bytes | None:
    """Return the path in the archive that a link names; None if it leads out."""
    beside = link.rpartition(b"/")[0]
    return None if target.startswith(b"/") else path_within(beside + b"/" + target)


def _targets(
    file: ArchiveReader, records: Records, links: Sequence[int], offsets: Numbers
) -> list[bytes]:
    """Return the paths that links name, which are their contents."""
    long = next((number for number in links if records.packed[number] > _LONGEST_TARGET), None)
    if long is not None:
        raise ValueError(f"is damaged: the link {records.quoted(long)} names no path")
    read = file.read_each([(int(offsets[number]), int(records.packed[number])) for number in links])
    targets = []
    for number, data in zip(links, read, strict=True):
        is_deflated = records.methods[number] == _DEFLATED
        try:
            target = inflate(data, _LONGEST_TARGET) if is_deflated else data
            require_checksum(target, int(records.checksums[number]))
        except OSError:
            raise ValueError(
                f"is damaged: the link {records.quoted(number)} can't be read"
            ) from None
        targets.append(target)
    return targets
