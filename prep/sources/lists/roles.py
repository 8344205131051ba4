"""The roles of a list's columns: image, label, split and group, as they are given or guessed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from prep.errors import ConfigError
from prep.settings.choices import COLUMN_ROLES
from prep.sources.folders.names import EXTENSIONS, role_of
from prep.sources.lists.list_table import ListTable
from prep.text import nearest, quoted, some

#: A regular expression for the end of the name of an image; its case does not matter.
IMAGE_NAME = rf"\.(?:{'|'.join(sorted(name.decode() for name in EXTENSIONS))})"
_IMAGE = re.compile(rf"{IMAGE_NAME}\s*", re.IGNORECASE)

_WEB = re.compile(r"\s*(?:https?|ftp)://", re.IGNORECASE)
# Of an image of 8 x 8 pixels, the smallest that are handed around so.
_MANY_NUMBERS = 64
_PIXELS = re.compile(r"\s*\d+(?:[ ,;]\d+){63,}\s*")
#: What to do about a list of pixels.
PIXELS = "write them to files of images, or pass them from Python as arrays"

#: What stands for a zero in a column of ones and minus ones.
MINUS_ONES = frozenset(["-1", "-1.0"])
_FLAGS = frozenset(["", "0", "1", "0.0", "1.0", "0.00", "1.00", "true", "false"])
# Names of columns, without case and anything but letters and digits. Of those in one line, a list
# is expected to have one; those of an earlier line are better.
_NAMES: Mapping[str, Sequence[str]] = {
    "image": (
        "path paths filepath filepaths file filename filenames imagepath imgpath imagefile "
        "imagefilename imagefilepath relativepath relpath",
        "image images img imgs imagename imgname picture photo",
        "imageid imgid id idcode isicid imageindex key uid",
    ),
    "label": (
        "label labels class classes category target",
        "classname labelname categoryname",
        "dx diagnosis species breed variety y findinglabels scientificname tag choice",
        "classid labelid categoryid classindex classlabel",
    ),
    "split": ("split set subset partition phase", "dataset datasplit usage"),
    "group": ("group groupid patient patientid subject subjectid lesionid",),
}


def plain_name(name: str) -> str:
    """Return the name of a column without case and signs.

    >>> plain_name("Image_ID "), plain_name("file_name")
    ('imageid', 'filename')
    """
    return re.sub(r"[\W_]", "", name).lower()


def is_role(name: str, *roles: str) -> bool:
    """Return whether a column is named like one that has a role, or one of these roles."""
    lines = (names for role in roles or _NAMES for names in _NAMES[role])
    return any(plain_name(name) in names.split() for names in lines)


def columns_of_labels(given: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the columns that a configuration names for labels.

    >>> columns_of_labels({"label": "tags"}), columns_of_labels({"image": "path"})
    (('tags',), ())
    """
    names = given.get("label", ())
    return (names,) if isinstance(names, str) else tuple(names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """The positions of the columns that have a role.

    Attributes:
        image: of the paths of images.
        label: of the labels, or of a column for each class, with ones and zeros; empty if none is
            known.
        split, group: None if there is none.
        rest: of all other columns.
    """

    image: int
    label: tuple[int, ...] = ()
    split: int | None = None
    group: int | None = None
    rest: tuple[int, ...] = ()

    def as_columns(self, table: ListTable) -> dict[str, str | tuple[str, ...]]:
        """Return the roles as ``columns`` of a configuration names them.

        Of a list whose format says which column is which, that is none.
        """
        if table.fixed or not table.headed or len(set(table.columns)) < len(table.columns):
            return {}
        optional = {"split": self.split, "group": self.group}
        positions = {
            "image": (self.image,),
            "label": self.label,
            **{role: (at,) for role, at in optional.items() if at is not None},
        }
        names = {role: tuple(table.columns[at] for at in of) for role, of in positions.items()}
        return {role: of[0] if len(of) == 1 else of for role, of in names.items() if of}


def find_roles(table: ListTable, given: Mapping[str, Any], *, labels: bool) -> Roles:
    """Return the roles of columns: those that are given, and the others by their names.

    Args:
        given: names of columns, by role.
        labels: whether labels are to be taken from columns.

    Raises:
        ConfigError: a column that is given does not exist.
        SourceError: there is none for the images, or two fit.
    """
    found: dict[str, tuple[int, ...]] = {}
    for role, names in {**table.fixed, **given}.items():
        chosen = [names] if isinstance(names, str) else names
        found[role] = tuple(_position(table, role, name) for name in chosen)
    for role in COLUMN_ROLES:
        if role not in found and (role != "label" or labels):
            found[role] = _guess(table, role, {at for used in found.values() for at in used})
    rest = _rest(table, found)
    if not found["image"]:
        if table.unusable:
            raise table.error(
                f"column {_told(table.unusable)} holds neither text nor numbers; expected paths of "
                "images; write the images to files, and their paths to the list"
            )
        raise table.error(_describe_no_images(table))
    if labels and not found["label"] and len(rest) == 1 and not table.headed:
        found["label"], rest = rest, ()
    return Roles(
        image=found["image"][0],
        label=found.get("label", ()) if labels else (),
        split=next(iter(found["split"]), None),
        group=next(iter(found["group"]), None),
        rest=rest,
    )


def _describe_no_images(table: ListTable) -> str:
    told = _told(table.columns)
    if hold_pixels(table.sample):
        return f"seems to hold pixels (columns: {told}); {PIXELS}"
    rows = table.sample
    web = [
        at for at in range(len(table.columns)) if rows and all(is_on_the_web(r[at]) for r in rows)
    ]
    if web:
        return (
            f"column {quoted(table.columns[web[0]])} names images on the web, which are not "
            "downloaded; get them first, with img2dataset, say, and name the column of their files "
            f"with `columns.image`; columns found: {told}"
        )
    return (
        f"no column is known to hold the images; columns found: {told}; name them with "
        "`columns.image`"
    )


def is_on_the_web(value: str) -> bool:
    """Return whether a value is an address that a browser opens.

    >>> is_on_the_web("https://host/a.jpg"), is_on_the_web("s3://bucket/a.jpg")
    (True, False)
    """
    return _WEB.match(value) is not None


def hold_pixels(rows: Sequence[Sequence[str]]) -> bool:
    """Return whether rows hold the pixels of images themselves, in columns or in one text.

    >>> hold_pixels([["7", *["0"] * 784]]), hold_pixels([["0", "70 80 " * 50]])
    (True, True)
    >>> hold_pixels([["a.jpg", "1", "0"]])
    False
    """
    numbers = [sum(map(str.isdecimal, row)) for row in rows]
    return bool(rows) and (
        min(numbers) >= _MANY_NUMBERS or all(any(map(_PIXELS.fullmatch, row)) for row in rows)
    )


def _rest(table: ListTable, found: Mapping[str, Iterable[int]]) -> tuple[int, ...]:
    used = {at for positions in found.values() for at in positions}
    # A column without a name is the index that pandas writes.
    return tuple(at for at, name in enumerate(table.columns) if at not in used and name)


def _position(table: ListTable, role: str, name: str) -> int:
    positions = [at for at, column in enumerate(table.columns) if column == name]
    if len(positions) == 1:
        return positions[0]
    if positions:
        raise ConfigError(
            f"columns.{role}: {quoted(table.name)} has {len(positions)} columns {quoted(name)}; "
            "rename one of them"
        )
    if name.isdecimal() and 0 < int(name) <= len(table.columns):
        return int(name) - 1
    near = nearest(name, table.columns)
    told = f"did you mean {quoted(near)}? " if near else ""
    raise ConfigError(
        f"columns.{role}: got {quoted(name)}, which is no column; {told}columns found in "
        f"{quoted(table.name)}: {_told(table.columns)}"
    )


def _told(columns: Sequence[str]) -> str:
    return some([*map(quoted, columns)]) if len(columns) > 30 else ", ".join(map(quoted, columns))


def _guess(table: ListTable, role: str, used: set[int]) -> tuple[int, ...]:
    """Return the column that has a role, by its name, or by what is in it.

    Raises:
        SourceError: two fit.
    """
    for number, names in enumerate(_NAMES[role]):
        fit = [
            at
            for at, name in enumerate(table.columns)
            if at not in used
            and plain_name(name) in names.split()
            and (role != "split" or not number)
        ]
        if role == "split" and number:
            fit = [at for at, name in enumerate(table.columns) if plain_name(name) in names.split()]
            fit = [at for at in fit if _are_splits(table, at)]
        if len(fit) > 1:
            told = " and ".join(quoted(table.columns[at]) for at in fit)
            raise table.error(
                f"columns {told} may both hold the {role}s; name one of them with "
                f"`columns`, such as {role}={quoted(table.columns[fit[0]])}"
            )
        if fit:
            return (fit[0],)
    return _guess_by_values(table, role, used)


def _guess_by_values(table: ListTable, role: str, used: set[int]) -> tuple[int, ...]:
    if role == "image":
        fit = [at for at in range(len(table.columns)) if _are_images(table, at)]
        if not fit and len(table.columns) == 1 and not table.unusable:
            fit = [0]
        if not fit and not table.headed and len(table.columns) == 2:
            fit = [0]
        return (fit[0],) if len(fit) == 1 else ()
    if role == "split" and not table.headed:
        fit = [at for at in range(len(table.columns)) if at not in used and _are_splits(table, at)]
        return (fit[0],) if len(fit) == 1 and len(table.columns) > 2 else ()
    return ()


def _are_images(table: ListTable, at: int) -> bool:
    rows = table.sample
    return bool(rows) and all(_IMAGE.search(row[at][-12:]) for row in rows)


def _are_splits(table: ListTable, at: int) -> bool:
    rows = table.sample
    return bool(rows) and all(role_of(row[at]) for row in rows)


def are_images_and_labels(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Return whether columns are named for images and labels, or hold ones and zeros for these."""
    images = [at for at, name in enumerate(columns) if is_role(name, "image")]
    if not images or not rows:
        return False
    rest = [at for at in range(len(columns)) if at not in images]
    if any(is_role(columns[at], "label") for at in rest):
        return True
    flags = [at for at in rest if not is_role(columns[at])]
    return len(flags) > 1 and show_flags(rows, flags)


def show_flags(
    rows: Sequence[Sequence[str]], positions: Sequence[int], more: Set[str] = frozenset()
) -> bool:
    """Return whether columns hold nothing but ones and zeros, or ``more``, in the first rows."""
    flags = _FLAGS | more
    return all(row[at].strip().lower() in flags for row in rows for at in positions)
