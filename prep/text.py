"""Numbers, names and errors as text for people."""

from __future__ import annotations

import difflib
import importlib
import os
from collections.abc import Iterable, Mapping, Sequence

#: Names that an error about a source gives, for all of them may have to be looked at.
MANY = 20
_NAMED = 5
_SENTENCE = 3  # spaces in a message that is clear without the type of its error
_MOST_BITS = 1024  # of an integer that is shown: Python refuses to format very long ones
_UNITS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "B"))


class Displayable:
    """Show itself in a notebook. The HTML is made by ``prep.display``, loaded when asked for."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        html: str = importlib.import_module("prep.display.objects").html_of(self)
        return html


def counted(number: int, noun: str) -> str:
    """Return a number with its noun in the singular or plural.

    >>> counted(1, "shard"), counted(2000, "image"), counted(2, "class")
    ('1 shard', '2,000 images', '2 classes')
    """
    plural = "" if number == 1 else "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{plural}"


def some(
    names: Sequence[str], separator: str = ", ", *, most: int = _NAMED, total: int | None = None
) -> str:
    """Join the first few names, with the number of the others.

    Args:
        names: at least the first ``most``.
        separator: between them.
        most: how many are given.
        total: the number of all names, if ``names`` are not all.

    >>> some(["a", "b"]), some([str(i) for i in range(2000)])
    ('a, b', '0, 1, 2, 3, 4 and 1,995 more')
    """
    others = (len(names) if total is None else total) - most
    more = f" and {others:,} more" if others > 0 else ""
    return separator.join(names[:most]) + more


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """Return the message for an unknown name: the nearest known one, or the list of them.

    >>> unknown("key", "ouptut", ["source", "output"])
    "unknown key; did you mean 'output'?"
    >>> unknown("key", "colour", ["source", "output"])
    'unknown key; there are source, output'
    """
    names = list(known)
    near = nearest(name, names)
    told = f"did you mean {quoted(near)}?" if near else f"there are {some(names)}"
    return f"unknown {kind}; {told}"


def nearest(name: object, known: Iterable[str]) -> str | None:
    """Return the known name nearest to an unknown one; None if none is near.

    >>> nearest("ouptut", ["source", "output"]), nearest("colour", ["source", "output"])
    ('output', None)
    """
    like = {each.lower().replace("-", "_"): each for each in known}
    near = difflib.get_close_matches(str(name).lower().replace("-", "_"), like, n=1)
    return like[near[0]] if near else None


def brief(value: object, most: int = 200) -> str:
    """Return a value as text, abbreviated.

    >>> brief([1, 2]), brief("abcdef", 3)
    ('[1, 2]', 'abc…')
    """
    text = str(value)
    return text if len(text) <= most else f"{text[:most]}…"


def quoted(text: str | os.PathLike[str], most: int = 120) -> str:
    r"""Put a name or a user's input in quotes, on one line, abbreviated in the middle.

    >>> print(quoted("photos"), quoted("it's"), quoted("a" + chr(10)), quoted("x" * 30, 9))
    'photos' "it's" 'a\n' 'xxxx…xxxx'
    """
    line = one_line(os.fspath(text))
    if len(line) > most:
        half = (most - 1) // 2
        line = f"{line[:half]}…{line[-half:]}"
    mark = '"' if "'" in line and '"' not in line else "'"
    return f"{mark}{line}{mark}"


def shown(value: object, most: int = 120) -> str:
    """Return a value as a person would type it.

    >>> shown("photos"), shown(None), shown(True), shown(0.5), shown(b"photos")
    ("'photos'", 'nothing', 'true', '0.5', "'photos'")
    >>> shown(["a", "b"]), shown({"size": 1}), shown([])
    ('[a, b]', 'a mapping', 'an empty list')
    """
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case str() | bytes() | os.PathLike():
            return quoted(os.fsdecode(value), most)
        case list() | tuple() | set() | frozenset():
            names = [one_line(v) if isinstance(v, str) else shown(v, most) for v in value]
            return f"[{some(names)}]" if names else "an empty list"
        case int() if value.bit_length() > _MOST_BITS:
            return "a very large number"
        case int() | float():
            return brief(value, most)
        case _:
            return kind_of(value)


def kind_of(value: object) -> str:
    """Return the kind of a value in words.

    >>> kind_of([1]), kind_of({}), kind_of(1.5), kind_of(None), kind_of(range(1))
    ('a list', 'a mapping', 'a number', 'nothing', 'a range')
    """
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list() | tuple():
            return "a list"
        case Mapping():
            return "a mapping"
        case bytes() | bytearray():
            return "bytes"
        case _:
            name = type(value).__name__
            return f"{'an' if name[:1] in 'AEIOUaeiou' else 'a'} {name}"


def unit_of(size: float) -> tuple[float, str]:
    """Return the unit for a size in bytes: (bytes per unit, name).

    >>> unit_of(25_000), unit_of(999_960), unit_of(0)
    ((1000.0, 'kB'), (1000000.0, 'MB'), (1, 'B'))
    """
    return next((unit for unit in _UNITS if round(size / unit[0], 1) >= 1), _UNITS[-1])


def size_text(size: float) -> str:
    """Format a size in bytes.

    >>> size_text(512), size_text(2_500_000), size_text(25e9), size_text(1.4e12)
    ('512 B', '2.5 MB', '25.0 GB', '1.4 TB')
    """
    divisor, name = unit_of(size)
    return f"{size / divisor:,.{0 if divisor == 1 else 1}f} {name}"


def rate(per_second: float) -> str:
    """Format a rate per second.

    >>> rate(1234.5), rate(0.42)
    ('1,234', '0.42')
    """
    return f"{per_second:,.0f}" if per_second >= 10 else f"{per_second:.2g}"


def measured(seconds: float) -> str:
    """Format a measured time, in seconds, to a tenth if it is short.

    >>> measured(2.14), measured(600)
    ('2.1 s', '10 min')
    """
    return f"{seconds:.1f} s" if seconds < 90 else duration(seconds)


def duration(seconds: float) -> str:
    """Format a duration, in seconds.

    >>> duration(12), duration(600), duration(7200)
    ('12 s', '10 min', '2.0 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def triple(values: Mapping[str, float] | None, decimals: int = 3) -> str:
    """Format the values of three channels in a row.

    >>> triple({"R": 1, "G": 2, "B": 3})
    'R 1.000  G 2.000  B 3.000'
    """
    if values is None:
        return "none"
    return "  ".join(f"{name} {value:.{decimals}f}" for name, value in values.items())


def reason_of(error: BaseException) -> str:
    """Return an error's message in one line, without the number of an OSError.

    >>> reason_of(FileNotFoundError(2, "No such file or directory", "photos"))
    'No such file or directory'
    """
    said = error.strerror if isinstance(error, OSError) else None
    return one_line(" ".join((said or str(error) or type(error).__name__).split()))


def failure(error: BaseException) -> str:
    """Return an error in one line, as the cause within another message.

    >>> failure(IsADirectoryError(21, "Is a directory", "out/a"))
    "Is a directory: 'out/a'"
    >>> failure(ZeroDivisionError("by zero"))
    'ZeroDivisionError: by zero'
    """
    if type(error).__module__ == "prep.errors":  # Its messages are complete.
        return one_line(str(error))
    if isinstance(error, OSError):
        return reason_and_file(error)
    return sentence_of(error)


def sentence_of(error: BaseException) -> str:
    """Return a library's message, with the type of the error if the message is short.

    >>> sentence_of(ValueError("unable to find the file")), sentence_of(KeyError("size"))
    ('unable to find the file', "KeyError: 'size'")
    """
    told = reason_of(error)
    return told if told.count(" ") >= _SENTENCE else f"{type(error).__name__}: {told}"


def opening(data: bytes) -> str:
    """Describe the first bytes of a file, as text or in hexadecimal.

    >>> opening(b"<!doctype html><html>"), opening(bytes(9))
    ("begins with the text '<!doctype html>'", 'begins with the bytes 00 00 00 00 00 00 00 00')
    """
    head = data[:15]
    if head.isascii() and head.decode().isprintable():
        return f"begins with the text {quoted(head.decode())}"
    return f"begins with the bytes {head[:8].hex(' ')}"


def reason_and_file(error: Exception) -> str:
    """Return an error's message in one line, with the file or URL of an OSError.

    >>> reason_and_file(FileNotFoundError(2, "No such file or directory", b"photos"))
    "No such file or directory: 'photos'"
    """
    name = error.filename if isinstance(error, OSError) else None
    path = os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else None
    return reason_of(error) + (f": {quoted(path)}" if path else "")


def distinct_lines(names: Iterable[str]) -> list[str]:
    r"""Return each name on one line, with numbers added to those that would look alike.

    >>> print(*distinct_lines(["a" + chr(10), "a\\n", "b"]), sep=", ")
    a\n, a\n (2), b
    """
    found: dict[str, None] = {}
    for name in map(one_line, names):
        number, unique = 2, name
        while unique in found:
            number, unique = number + 1, f"{name} ({number})"
        found[unique] = None
    return list(found)


def one_line(text: str) -> str:
    r"""Escape line breaks, control characters and broken text, which file names may hold.

    >>> print(one_line("two" + chr(10) + "lines"))
    two\nlines
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
