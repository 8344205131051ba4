"""WebDataset as a layout: tar files with the label of each image in a member beside it."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator

from prep.sources.base import Catalog, Wanted
from prep.sources.folders.names import extension_of
from prep.sources.layouts.base import Place
from prep.sources.layouts.shard_files import first_shard, holds_images
from prep.sources.webdataset.sample_members import is_hidden, is_image_part, key_and_part
from prep.text import quoted

# Members of a tar file that are looked at.
_GLANCE = 64
# A name that ends with the number of a shard.
_NUMBERED = re.compile(r"(.*[-_.])?\d+")
_COMPRESSED = (b".tar.gz", b".tgz", b".tar.zst", b".tar.xz", b".tar.bz2")


class WebDatasetLayout:
    """Shards of WebDataset: a tar file of samples, or a folder of such files."""

    title = "WebDataset"
    keys = ("columns", "label_offset")

    def recognizes(self, place: Place) -> str | None:
        """Return what shows that a tar file has images with their labels beside them."""
        if not place.is_folder:
            return _samples_in(place)
        first = first_shard(place, is_tar_name)
        found = None if first is None else _samples_in(first, among_others=True)
        return None if found is None or holds_images(place) else found

    def catalog(self, place: Place, wanted: Wanted) -> Catalog:
        from prep.sources.webdataset.webdataset_catalog import catalog_of_tars

        return catalog_of_tars(place, wanted)


def is_tar_name(name: bytes) -> bool:
    """Return whether a file is named like a tar file."""
    return extension_of(name) == b"tar"


def is_tar_shard(name: bytes) -> bool:
    """Return whether a file is named like a tar file, be it compressed as a whole."""
    return is_tar_name(name) or name.lower().endswith(_COMPRESSED)


def _samples_in(place: Place, *, among_others: bool = False) -> str | None:
    """Return the first sample with a label that a tar file begins with, in words.

    A ``.cls`` is a label. A ``.json`` or ``.txt`` may be anything in an archive of class folders;
    it counts where images lie in no folder, and the name of the file is no class.

    Args:
        among_others: whether other files lie beside it, so that its name may be a class.
    """
    from prep.sources.archives.archive_layout import archive_kind

    if archive_kind(place.head) != "tar":
        return None
    stem = os.path.basename(place.name).partition(".")[0]
    may_be_class = among_others and _NUMBERED.fullmatch(stem) is None
    seen: dict[bytes, set[bytes]] = {}
    for name in itertools.islice(_first_members(place), _GLANCE):
        if is_hidden(name):
            continue
        key, part = key_and_part(name)
        parts = seen.setdefault(key, set())
        parts.add(part)
        labels = {b"cls"} if may_be_class or b"/" in name else {b"cls", b"json", b"txt"}
        if labels & parts and any(map(is_image_part, parts)):
            return f"by the label beside {quoted(os.fsdecode(key))}"
    return None


def _first_members(place: Place) -> Iterator[bytes]:
    """Yield the names of files in a tar file, up to what can't be read; that is told later."""
    import tarfile  # It takes a while to load.

    try:
        with place.location.open_regular() as file, tarfile.open(fileobj=file) as tar:
            while (member := tar.next()) is not None:
                if member.isfile():
                    yield os.fsencode(member.name.removeprefix("./"))
    except (OSError, EOFError, ValueError, tarfile.TarError):
        return
