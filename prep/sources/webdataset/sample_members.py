"""The samples in tar files of WebDataset: the members whose names differ in their extension alone.

The name up to the first dot after the last slash is the key of a sample, and what follows the dot
names the part: ``set/0001.seg.png`` is the part ``seg.png`` of the sample ``set/0001``.

Format: https://github.com/webdataset/webdataset
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prep.errors import ConfigError, SourceError
from prep.sources.folders.ignored import Passed
from prep.sources.folders.names import EXTENSIONS, plain_extension
from prep.text import quoted, some, unknown

Parts = Counter[bytes]


@dataclass(frozen=True, kw_only=True)
class SampleMembers:
    """The samples of one tar file that have an image, in the order of their images.

    Attributes:
        images: the position of the member with the image of each.
        others: for each of the parts that were asked for, the position of its member; -1 without.
    """

    images: Sequence[int]
    others: Sequence[Sequence[int]]


def key_and_part(name: bytes) -> tuple[bytes, bytes]:
    """Return the key of a sample, and which part of it a member is, in lower case.

    >>> key_and_part(b"sub.dir/0001.seg.PNG")
    (b'sub.dir/0001', b'seg.png')
    """
    folder, slash, base = name.rpartition(b"/")
    stem, _, part = base.partition(b".")
    return folder + slash + stem, part.lower()


def is_hidden(name: bytes) -> bool:
    """Return whether a member is hidden, such as those that macOS adds."""
    return name.startswith(b".") or b"/." in name or name.startswith(b"__MACOSX/")


def is_image_part(part: bytes) -> bool:
    """Return whether a part is named like an image."""
    return part.rpartition(b".")[2] in EXTENSIONS


def parts_in(names: Iterable[bytes]) -> Parts:
    """Count the members of each part."""
    return Counter(key_and_part(name)[1] for name in names if not is_hidden(name))


def image_parts(parts: Parts, given: str | None, image_type: str | None) -> frozenset[bytes]:
    """Return the parts that are the images of samples.

    Args:
        parts: all that there are.
        given: the part that the configuration names.
        image_type: the only extension of images that is wanted.

    Raises:
        ConfigError: there is no such part.
        SourceError: there are none, or several that may be meant.
    """
    known = [os.fsdecode(part) for part in parts]
    if given is not None:
        part = os.fsencode(given.lower())
        if part not in parts:
            raise ConfigError(f"columns.image: {quoted(given)}: {unknown('part', given, known)}")
        return frozenset([part])
    images = [part for part in parts if is_image_part(part)]
    if image_type is not None:
        extension = os.fsencode(plain_extension(image_type).lower())
        images = [part for part in parts if part.rpartition(b".")[2] == extension]
    plain = frozenset(part for part in images if b"." not in part)
    if plain or len(images) == 1:
        return plain or frozenset(images)
    if images:
        told = some([quoted(os.fsdecode(part)) for part in images])
        raise SourceError(
            f"source: samples have several images, {told}; name the part that is meant with "
            "`columns.image`"
        )
    raise SourceError(
        f"source: no sample has an image; expected members such as 0001.jpg, found those called "
        f"{some([f'*.{name}' for name in known]) or 'nothing'}"
    )


def members_of_samples(
    names: Sequence[bytes],
    images: frozenset[bytes],
    wanted: Sequence[bytes],
    passed: Passed,
    shown: str,
) -> SampleMembers:
    """Group the members of a tar file, in whatever order they lie, into samples.

    Args:
        names: of the members.
        images: the parts that are images.
        wanted: other parts to find.
        passed: counts samples without an image, and other images of samples.
        shown: the path of the tar file, for messages.

    Raises:
        SourceError: a sample has two images.
    """
    found: dict[bytes, int] = {}
    others: dict[bytes, dict[bytes, int]] = {part: {} for part in wanted}
    named: dict[bytes, bytes] = {}
    for row, name in enumerate(names):
        if is_hidden(name):
            passed.note("hidden", name)
            continue
        key, part = key_and_part(name)
        if part not in images:
            named[key] = name
            if part in others:
                others[part][key] = row
            elif is_image_part(part):
                passed.note("other image of a sample", name)
        elif key in found:
            pair = " and ".join(quoted(os.fsdecode(names[at])) for at in (found[key], row))
            raise SourceError(
                f"source: {quoted(shown)} has two images of one sample, {pair}; name the part "
                "that is meant with `columns.image`"
            )
        else:
            found[key] = row
    for key in named.keys() - found.keys():
        passed.note("sample without an image", named[key])
    return SampleMembers(
        images=[*found.values()],
        others=[[others[part].get(key, -1) for key in found] for part in wanted],
    )
