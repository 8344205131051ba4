"""From the names in a list to files: which file each row means."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from prep.sources.columns import joined
from prep.sources.lists.image_files import NAMES, ImageFiles
from prep.sources.lists.list_table import ListTable
from prep.sources.lists.roles import IMAGE_NAME, is_on_the_web
from prep.text import counted, one_line, quoted

_EXTENSION = r"\.[^./]*$"
_IMAGE = rf"(?i){IMAGE_NAME}$"
# Parts that name no file, and what begins an absolute path or a URL, on Windows too.
_NO_WAY = r"(^|[/\\])\.\.([/\\]|$)|^[/\\]|^[A-Za-z]:[/\\]|^[A-Za-z][A-Za-z0-9+._-]*://|\x00"
_NO_WAY_OF_URL = r"(?i)(^|/|%2f|%5c)(\.|%2e){1,2}(/|%2f|%5c|$)|%00"


@dataclass(slots=True, kw_only=True)
class Resolved:
    """The files that the rows of a list mean.

    Attributes:
        names: of the files, relative to the place of the images; null where there is none.
        told: how names were understood that are not those of files, in words.
    """

    names: pa.Array
    told: list[str] = field(default_factory=list)

    @property
    def missing(self) -> npt.NDArray[np.int64]:
        """The rows whose file is not there."""
        return np.flatnonzero(self.names.is_null().to_numpy(zero_copy_only=False))


def require_inside(table: ListTable, names: pa.Array, root: str, *, absolute: bool) -> pa.Array:
    """Return the names of a list relative to the place of its images.

    Args:
        names: as they are written.
        root: the path or URL of that place.
        absolute: whether the user has named it, so that absolute names below it are in it.

    Raises:
        SourceError: a name is empty, or leads elsewhere (``..``, an absolute path, a URL).
    """
    prefix = root.rstrip("/") + "/"
    if absolute:
        below = pc.starts_with(names, prefix)
        names = pc.if_else(below, pc.utf8_slice_codeunits(names, len(prefix)), names)
    empty = np.flatnonzero(pc.equal(pc.utf8_trim_whitespace(names), "").to_numpy(False))
    if len(empty):
        raise table.error(
            f"{counted(len(empty), 'row')} without the name of an image: "
            f"{table.named(empty.tolist())}; fill it in, or take the rows out"
        )
    pattern = f"{_NO_WAY}|{_NO_WAY_OF_URL}" if "://" in root else _NO_WAY
    leaving = np.flatnonzero(pc.match_substring_regex(names, pattern).to_numpy(False))
    if len(leaving):
        values = names.take(pa.array(leaving)).to_pylist()
        remedy = (
            "what lies on the web is not downloaded: get the images first, with img2dataset, say, "
            "and list their files"
            if all(map(is_on_the_web, values))
            else "write them so, or name the folder that they are in with `images`"
        )
        raise table.error(
            f"got {counted(len(leaving), 'path')} outside {quoted(root)}: "
            f"{table.named(leaving.tolist(), values)}; expected paths below it: {remedy}"
        )
    if pc.any(pc.match_substring_regex(names, r"(^|/)\.?/|(^|/)\.$|/$")).as_py():
        names = pc.replace_substring_regex(names, r"(^|/)(\.?/)+", r"\1")
    return names.cast(pa.large_string()).cast(NAMES)


def resolve(
    table: ListTable, names: pa.Array, files: ImageFiles, extension: str | None
) -> Resolved:
    """Find the files that rows mean: by their names as they are, or else by what is near to them.

    Args:
        names: from :func:`require_inside`.
        extension: what names lack, if anything; if it is not known, it is looked for.

    Raises:
        SourceError: a name without an extension or a folder fits two files.
    """
    if extension is not None:
        names = _with_extension(names, extension)
    found = pc.if_else(pc.is_in(names, value_set=files.near(names)), names, pa.scalar(None, NAMES))
    resolved = Resolved(names=found)
    search = _Search(table, files, names, resolved)
    for step in (search.rewritten, search.by_stem, search.below):
        if len(resolved.missing):
            step()
    return resolved


def _with_extension(names: pa.Array, extension: str) -> pa.Array:
    ending = "." + extension.removeprefix("*").removeprefix(".")
    has = pc.match_substring_regex(names, rf"(?i){re.escape(ending)}$")
    return pc.if_else(has, names, joined(b"", names, ending.encode()))


@dataclass(frozen=True)
class _Search:
    """The search for the files of names that are there under no such name."""

    table: ListTable
    files: ImageFiles
    names: pa.Array
    resolved: Resolved

    def rewritten(self) -> None:
        """Find names with the backslashes of Windows, blanks around them, or other accents."""
        for told, rewrite in _REWRITES.items():
            rows = self.resolved.missing
            if len(rows):
                there = self.names.take(pa.array(rows)).to_pylist()
                other = pa.array([_rewritten(name, rewrite) for name in there], NAMES)
                self._take(rows, other, told)

    def by_stem(self) -> None:
        """Find names that lack the extension."""
        rows, wanted = self._missing(without_extension=True)
        if len(rows):
            near = self.files.near(wanted)
            images = near.filter(pc.match_substring_regex(near, _IMAGE))
            stems = pc.replace_substring_regex(images, _EXTENSION, "")
            found = self._only(rows, wanted, stems, images)
            extensions = sorted(_extensions_of(found))
            self._note(rows, found, f"names lack the extension ({', '.join(extensions)})")

    def below(self) -> None:
        """Find names without a folder in the folders below."""
        rows, wanted = self._missing(without_folder=True)
        if not len(rows):
            return
        images = self.files.everywhere()
        leaves = pc.replace_substring_regex(images, "^.*/", "")
        found = self._only(rows, wanted, leaves, images)
        stems = pc.replace_substring_regex(leaves, _EXTENSION, "")
        bare = pc.and_(found.is_null(), pc.invert(pc.match_substring_regex(wanted, _IMAGE)))
        at = np.flatnonzero(bare.to_numpy(False))
        if len(at):
            others = self._only(rows[at], wanted.take(pa.array(at)), stems, images)
            found = pc.replace_with_mask(found, bare, others)
        folders = pc.unique(pc.replace_substring_regex(found.drop_null(), "/?[^/]*$", ""))
        told = ", ".join(sorted(quoted(os.fsdecode(f)) for f in folders.to_pylist()[:5]))
        self._note(rows, found, f"found by name in {told}")

    def _missing(
        self, *, without_extension: bool = False, without_folder: bool = False
    ) -> tuple[npt.NDArray[np.int64], pa.Array]:
        """Return the rows whose files are not found, of a kind, and their names."""
        rows = self.resolved.missing
        names = self.names.take(pa.array(rows))
        kept = np.ones(len(rows), bool)
        if without_extension:
            kept &= ~pc.match_substring_regex(names, _IMAGE).to_numpy(False)
        if without_folder:
            kept &= ~pc.match_substring(names, "/").to_numpy(False)
        return rows[kept], names.filter(pa.array(kept))

    def _only(
        self,
        rows: npt.NDArray[np.int64],
        wanted: pa.Array,
        keys: pa.Array,
        images: pa.Array,
    ) -> pa.Array:
        """Return the image with a key, for each one wanted, or null; raise SourceError for two."""
        counts = pc.value_counts(keys)
        twice = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
        unclear = np.flatnonzero(pc.is_in(wanted, value_set=twice).to_numpy(False))
        if len(unclear):
            values = [os.fsdecode(v) for v in wanted.take(pa.array(unclear)).to_pylist()]
            fit = images.filter(pc.equal(keys, wanted[int(unclear[0])])).to_pylist()
            one, other = (os.fsdecode(name) for name in sorted(fit)[:2])
            apart = os.path.dirname(one) != os.path.dirname(other)
            remedy = "the folder of the images as `images`" if apart else "`extension`"
            raise self.table.error(
                f"{counted(len(unclear), 'image')} may be one of several files: "
                f"{self.table.named(rows[unclear].tolist(), values)}; {quoted(one)} and "
                f"{quoted(other)} fit the first; write paths with folder and extension, or pass "
                f"{remedy}"
            )
        return images.take(pc.index_in(wanted, value_set=keys))

    def _take(self, rows: npt.NDArray[np.int64], names: pa.Array, told: str) -> None:
        """Take other names of files for some rows, where there are such files."""
        there = pc.is_in(names, value_set=self.files.near(names.drop_null()))
        found = pc.if_else(there, names, pa.scalar(None, NAMES))
        self._note(rows, found, told)

    def _note(self, rows: npt.NDArray[np.int64], found: pa.Array, told: str) -> None:
        if found.null_count == len(found):
            return
        mask = np.zeros(len(self.names), bool)
        mask[rows] = True
        self.resolved.names = pc.replace_with_mask(self.resolved.names, pa.array(mask), found)
        self.resolved.told.append(told)


def _extensions_of(names: pa.Array) -> set[str]:
    found = pc.unique(pc.replace_substring_regex(names.drop_null(), r"^.*\.", ""))
    return {os.fsdecode(name) for name in found.to_pylist()}


_REWRITES: dict[str, Callable[[str], str]] = {
    "backslashes as slashes": lambda name: re.sub(r"^(\./)+", "", name.replace("\\", "/")),
    "names without the blanks around them": str.strip,
    "accents in one character": lambda name: unicodedata.normalize("NFC", name),
    "accents as characters of their own": lambda name: unicodedata.normalize("NFD", name),
}


def _rewritten(name: bytes, rewrite: Callable[[str], str]) -> bytes | None:
    """Return another form of a name; None if it has none."""
    other = rewrite(name.decode()).encode()
    return None if other == name else other


def hint_for(names: Sequence[bytes], files: ImageFiles, root: str) -> str:
    """Return what may be wrong with names of which no file is there, in words; or nothing.

    Args:
        names: as the list has them, without an extension that was given apart.
        root: the folder, archive or storage that they are relative to.
    """
    near = files.near(pa.array(names, NAMES))
    lower = {name.lower(): name for name in near.to_pylist()[:100_000]}
    for name in names:
        if (there := lower.get(name.lower())) is not None:
            shown = quoted(os.fsdecode(there))
            if there == name:  # Otherwise it would have been found.
                return f"; there is {shown}, to which no `extension` needs to be added"
            return f"; there is {shown}, in another case"
    folder = os.path.basename(root.rstrip("/"))
    if folder and all(name.startswith(os.fsencode(folder) + b"/") for name in names):
        return f"; the names begin with '{one_line(folder)}/' themselves, so the folder above fits"
    return ""
