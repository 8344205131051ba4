"""The classes of ImageNet: synsets of WordNet, called by their ids (``n01440764``)."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from prep.errors import SourceError
from prep.settings.distribution import install_command
from prep.text import counted, quoted, sentence_of

#: The id of a synset: a noun of WordNet 3.0, by its offset there.
WNID = re.compile(r"n[0-9]{8}")
_MAP_LINE = re.compile(r"(n\d{8})\s+(\d{1,9})\s+(\S+)", re.ASCII)
_WORDS_LINE = re.compile(r"(n[0-9]{8})\s+(\S.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Synsets:
    """The classes that a file names.

    Attributes:
        file: the file, for messages.
        words: the names for people, by wnid: ``"tench, Tinca tinca"``.
        ids: the wnid, by ILSVRC2012_ID (from 1, in another order than by wnid); empty if the file
            does not tell it.
    """

    file: str
    words: Mapping[str, str]
    ids: Mapping[int, str] = field(default_factory=dict)


def parse_map(file: str, text: str) -> Synsets:
    """Read ``map_clsloc.txt``: a wnid, an ILSVRC2012_ID and a name in each line.

    Raises:
        SourceError: a line is none, or an id is given twice.
    """
    words: dict[str, str] = {}
    ids: dict[int, str] = {}
    for number, line in lines_of(text):
        match = _MAP_LINE.fullmatch(line)
        if match is None:
            raise SourceError(
                f"source: {quoted(file)}, line {number}: found {quoted(line, 60)}; expected a "
                "wnid, a number and a name, such as 'n02119789 1 kit_fox'"
            )
        _add(words, match[1], match[3].replace("_", " "), file, number)
        _add(ids, int(match[2]), match[1], file, number)
    return Synsets(file=file, words=_required(words, file), ids=ids)


def parse_words(file: str, text: str) -> Synsets:
    """Read ``LOC_synset_mapping.txt`` or ``synset_words.txt``: a wnid and names in each line.

    Raises:
        SourceError: a line is none, or a wnid is given twice.
    """
    words: dict[str, str] = {}
    for number, line in lines_of(text):
        match = _WORDS_LINE.fullmatch(line)
        if match is None:
            raise SourceError(
                f"source: {quoted(file)}, line {number}: found {quoted(line, 60)}; expected a wnid "
                "and names, such as 'n01440764 tench, Tinca tinca'"
            )
        _add(words, match[1], match[2], file, number)
    return Synsets(file=file, words=_required(words, file))


def parse_meta(file: str, data: bytes) -> Synsets:
    """Read ``meta.mat`` of a devkit: its leaves, for inner nodes of the hierarchy are no classes.

    Raises:
        SourceError: SciPy is not installed, or it is no such file.
    """
    try:
        from scipy.io import loadmat
    except ImportError:
        raise SourceError(
            f"source: {quoted(file)} numbers the classes of the validation labels, and SciPy, "
            f"which reads it, is not installed; install it with: {install_command('imagenet')}, or "
            "put map_clsloc.txt of a later devkit beside it"
        ) from None
    try:
        rows: Any = loadmat(io.BytesIO(data), squeeze_me=True)["synsets"].reshape(-1)
        leaves = [row for row in rows if not int(row["num_children"])]
        ids = {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in leaves}
        words = {str(row["WNID"]): str(row["words"]) for row in leaves}
    except Exception as error:  # SciPy raises anything on a damaged file.
        raise SourceError(
            f"source: {quoted(file)} can't be read: {sentence_of(error)}; expected the meta.mat of "
            "an ImageNet devkit"
        ) from None
    if not (len(ids) == len(words) == len(leaves) > 0 and all(map(WNID.fullmatch, words))):
        raise SourceError(
            f"source: {quoted(file)} has {counted(len(leaves), 'synset')} without children, with "
            f"{counted(len(words), 'wnid')} and {counted(len(ids), 'number')}; expected one of "
            "each for each class"
        )
    return Synsets(file=file, words=words, ids=ids)


def lines_of(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of a text that are not empty, stripped, with their numbers from 1."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield number, line.strip()


def _add(found: dict[Any, str], key: Any, value: str, file: str, line: int) -> None:
    if key in found:
        raise SourceError(
            f"source: {quoted(file)}, line {line}: {key} is given twice; expected each once"
        )
    found[key] = value


def _required(words: dict[str, str], file: str) -> dict[str, str]:
    if not words:
        raise SourceError(f"source: {quoted(file)} is empty; expected a class in each line")
    return words
