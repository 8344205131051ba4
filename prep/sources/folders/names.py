"""Conventions for the names of files and folders: images, splits, classes and system files."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal

#: Of files that are read.
READ = frozenset(
    b"jpg jpeg jpe jfif mpo png apng webp gif bmp dib tif tiff btf ppm pgm pbm pnm tga "
    b"jp2 j2k jpf jpx j2c jpc avif avifs".split()
)
#: Of files that are images for sure and are refused, unless they are what is read by their bytes.
#: Not those that may be something else: hdr (headers of ENVI), raw, ai, djvu.
UNREAD = frozenset(
    b"heic heif hif heics heifs pam pfm jxl jxr wdp hdp bpg flif qoi psd psb xcf exr dds "
    b"ico cur icns svg svgz eps pcx ras sgi xpm wmf emf mng jng fits dcm dicom "
    b"cr2 cr3 crw nef nrw arw srf sr2 srw dng orf rw2 raf pef x3f mrw erf kdc dcr 3fr iiq".split()
)
EXTENSIONS = READ | UNREAD

#: In a source, the file that says which number each class has.
LABEL_MAP = "label_map.json"
#: Names that systems and servers put among files of others.
SYSTEM_FOLDERS = frozenset(b"__MACOSX @eaDir #recycle lost+found $RECYCLE.BIN".split())
# Of a link with such a name, nobody expects that it leads to a folder.
_DOCUMENTS = frozenset(
    b"csv tsv json jsonl ndjson txt md rst xml html htm pdf yaml yml toml parquet xlsx "
    b"py ipynb sh log zip tar tgz gz bz2 xz 7z rar".split()
)
_TABLES = frozenset(b"csv tsv jsonl ndjson xlsx parquet mat".split())
_LISTS = re.compile(
    rb"(?:.*(?:label|annot|class|train|val|test|list|meta|image).*)\.(?:json|txt)", re.IGNORECASE
)
_PICTURES = r"images?|imgs?|jpegimages|jpe?gs?|png|tiff?|.+[_ -]images[_ -]part"
_ANNOTATIONS = (
    r"masks|labels?|annotations?|segmentations?|trimaps"
    r"|gt|xmls|segmentationclass|segmentationobject|groundtruth|bboxes"
)
_CONTAINERS = re.compile(rf"({_PICTURES}|{_ANNOTATIONS})[0-9_ -]*", re.IGNORECASE)
_OF_ANNOTATIONS = re.compile(rf"({_ANNOTATIONS})[0-9_ -]*", re.IGNORECASE)
# What Kaggle puts beside a list: the form of an answer, not the truth.
_SAMPLE = re.compile(r"sample.?submission", re.IGNORECASE)


def extension_of(name: bytes) -> bytes:
    """Return what comes after the last dot of a name, in lower case; nothing without a dot."""
    _, dot, extension = name.rpartition(b".")
    return extension.lower() if dot else b""


def plain_extension(image_type: str) -> str:
    """Return an extension without the pattern before it.

    >>> plain_extension("*.jpeg"), plain_extension(".JPEG"), plain_extension("JPEG")
    ('jpeg', 'JPEG', 'JPEG')
    """
    return image_type.removeprefix("*").removeprefix(".")


def is_document(name: bytes) -> bool:
    """Return whether this is the name of a file that is neither an image nor a folder."""
    return extension_of(name) in _DOCUMENTS


def is_list(name: bytes) -> bool:
    """Return whether a file may be a list of labels."""
    if name == LABEL_MAP.encode():
        return False
    return is_table(name) or _LISTS.fullmatch(name) is not None


def is_table(name: bytes) -> bool:
    """Return whether a file is named as a table that a list of images may be."""
    return extension_of(name) in _TABLES


def is_container(name: str) -> bool:
    """Return whether a folder is named for what it holds, as no class is.

    >>> is_container("JPEGImages"), is_container("HAM10000_images_part_1"), is_container("mask")
    (True, True, False)
    """
    return _CONTAINERS.fullmatch(name) is not None


def holds_annotations(name: str) -> bool:
    """Return whether a folder is named for what describes images, such as masks.

    >>> holds_annotations("annotations"), holds_annotations("JPEGImages")
    (True, False)
    """
    return _OF_ANNOTATIONS.fullmatch(name) is not None


def is_sample(name: str) -> bool:
    """Return whether a list is named as the form of an answer, with made-up labels.

    >>> is_sample("sample_submission.csv"), is_sample("train.csv")
    (True, False)
    """
    return _SAMPLE.search(name) is not None


def alike(classes: Iterable[str]) -> list[list[str]]:
    """Group classes whose names differ in nothing but case, or in how their letters are encoded.

    >>> alike(["dog", "cat", "Dog"])
    [['Dog', 'dog']]
    """
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for name in classes:
        groups[unicodedata.normalize("NFC", name).casefold()].append(name)
    return [sorted(group) for group in groups.values() if len(group) > 1]


_LABEL_AND_NUMBER = re.compile(r"(?P<label>[^/]*[^/\d._ -])(?P<separator>[._ -]?)\d+\.\w+")


def label_pattern(names: Iterable[str]) -> str | None:
    r"""Return a regular expression for labels that file names seem to begin with.

    >>> label_pattern(["cat.0.jpg", "cat.1.jpg", "dog.0.jpg", "dog.1.jpg", "2.jpg"])
    '(?P<label>[^/]+)\\.\\d+\\.\\w+$'
    >>> label_pattern(["IMG_0001.jpg", "IMG_0002.jpg"])
    """
    found = [match for name in names if (match := _LABEL_AND_NUMBER.fullmatch(name))]
    labels = {match["label"] for match in found}
    separators = {match["separator"] for match in found}
    if not 1 < len(labels) <= len(found) // 2 or len(separators) > 1 or "" in separators:
        return None
    (separator,) = separators
    return rf"(?P<label>[^/]+){re.escape(separator)}\d+\.\w+$"


FolderLayout = Literal["auto", "classes", "splits"]
Role = Literal["train", "validation", "test", "other"]

_WORDS: dict[str, Role] = {
    **dict.fromkeys(("train", "training", "trn", "trainval", "trainset"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "minival", "valset"), "validation"),
    **dict.fromkeys(("test", "testing", "tst", "eval", "evaluation", "testset"), "test"),
    **dict.fromkeys(("holdout", "heldout"), "test"),
    **dict.fromkeys(("extra", "fold", "query", "gallery", "unlabeled", "unlabelled"), "other"),
}
# Of words that are hardly ever the name of a class: "valid" and "dev" may well be one.
_PLAIN = re.compile(
    r"(train|training|trn|trainval|val|validation|test|testing|tst)"
    r"([ _-]?(\d+|[a-z]|set|images|imgs|data|split))?",
    re.IGNORECASE,
)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_WORD = re.compile(r"[a-z]+")


def role_of(split: str) -> Role | None:
    """Return the role of a split by its first or last word; None if it is no usual name.

    >>> role_of("Training"), role_of("val2017"), role_of("seg_test"), role_of("animals")
    ('train', 'validation', 'test', None)
    """
    return _role_and_rest(split)[0]


def _role_and_rest(name: str) -> tuple[Role | None, tuple[str, ...]]:
    """Return the role of a split, and the other words of its name."""
    words = tuple(_WORD.findall(_CAMEL.sub(" ", name).lower()))
    if words and words[0] in _WORDS:
        return _WORDS[words[0]], words[1:]
    if words and words[-1] in _WORDS:
        return _WORDS[words[-1]], words[:-1]
    return None, words


def is_plainly_a_split(name: str) -> bool:
    """Return whether a folder is so plainly named as a split that it is hardly a class.

    >>> is_plainly_a_split("test1"), is_plainly_a_split("bullet_train"), is_plainly_a_split("val")
    (True, False, True)
    """
    return _PLAIN.fullmatch(name) is not None


def named_like_splits(names: Sequence[str]) -> list[str]:
    """Find the folders that are hardly classes by what they, or two of them, are called.

    >>> named_like_splits(["cars_test", "cars_train"]), named_like_splits(["cat", "test1"])
    (['cars_test', 'cars_train'], ['test1'])
    >>> named_like_splits(["bullet_train", "test_tube"])
    []
    """
    roles: defaultdict[tuple[str, ...], set[Role]] = defaultdict(set)
    for name in names:
        role, rest = _role_and_rest(name)
        roles[rest] |= {role} if role and role != "other" else set()
    return [
        name
        for name in names
        if is_plainly_a_split(name) or (role_of(name) and len(roles[_role_and_rest(name)[1]]) > 1)
    ]


def training_splits(splits: Iterable[str]) -> tuple[str, ...]:
    """Choose the splits whose images are trained on, which a mean is to be of.

    That called ``train`` in any case; else those named like it; else all that are not named like
    a validation or a test split; else all.

    >>> training_splits(["Test", "Training"]), training_splits(["a", "b", "val"])
    (('Training',), ('a', 'b'))
    """
    splits = tuple(splits)
    exact = tuple(name for name in splits if name.lower() == "train")
    named = tuple(name for name in splits if role_of(name) == "train")
    kept = tuple(name for name in splits if role_of(name) not in ("validation", "test"))
    return exact or named or kept or splits
