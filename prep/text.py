"""Numbers and names, for people to read."""

from __future__ import annotations

import difflib
import importlib
import os
from collections.abc import Iterable, Mapping, Sequence

_NAMED = 5
_SENTENCE = 3  # spaces that a text has, to be understood without the type of its error
_MOST_BITS = 1024  # of a number that is shown: Python refuses to write very long ones
_UNITS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "B"))


class Displayable:
    """Show itself in a notebook. The HTML is made by ``prep.display``, loaded when asked for."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        html: str = importlib.import_module("prep.display.objects").html_of(self)
        return html


def counted(number: int, noun: str) -> str:
    """A number and what it counts.

    >>> counted(1, "shard"), counted(2000, "image"), counted(2, "class")
    ('1 shard', '2,000 images', '2 classes')
    """
    plural = "" if number == 1 else "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{plural}"


def some(names: Sequence[str], separator: str = ", ") -> str:
    """The first of them, and how many there are beside.

    >>> some(["a", "b"]), some([str(i) for i in range(2000)])
    ('a, b', '0, 1, 2, 3, 4 and 1,995 more')
    """
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return separator.join(names[:_NAMED]) + more


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """What to say of a name that is not known: which one may be meant, or else which there are.

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
    """Which known name may be meant by one that is not.

    >>> nearest("ouptut", ["source", "output"]), nearest("colour", ["source", "output"])
    ('output', None)
    """
    like = {each.lower().replace("-", "_"): each for each in known}
    near = difflib.get_close_matches(str(name).lower().replace("-", "_"), like, n=1)
    return like[near[0]] if near else None


def brief(value: object, most: int = 200) -> str:
    """A value as text, but not all of it if it is long.

    >>> brief([1, 2]), brief("abcdef", 3)
    ('[1, 2]', 'abc…')
    """
    text = str(value)
    return text if len(text) <= most else f"{text[:most]}…"


def quoted(text: str | os.PathLike[str], most: int = 120) -> str:
    r"""Put what a user typed, or a name that was found, in quotes, on one line and not too long.

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
    """Show a value as a person would type it, whatever type it has here.

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
    """What kind of value it is, where it is not to be shown itself.

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
        case _:
            return f"a {type(value).__name__}"


def unit_of(size: float) -> tuple[float, str]:
    """The unit that suits a size, given in bytes: how many bytes it is, and its name.

    >>> unit_of(25_000), unit_of(999_960), unit_of(0)
    ((1000.0, 'kB'), (1000000.0, 'MB'), (1, 'B'))
    """
    return next((unit for unit in _UNITS if round(size / unit[0], 1) >= 1), _UNITS[-1])


def size_text(size: float) -> str:
    """A size, given in bytes.

    >>> size_text(512), size_text(2_500_000), size_text(25e9), size_text(1.4e12)
    ('512 B', '2.5 MB', '25.0 GB', '1.4 TB')
    """
    divisor, name = unit_of(size)
    return f"{size / divisor:,.{0 if divisor == 1 else 1}f} {name}"


def rate(per_second: float) -> str:
    """How many a second, and a fraction where there are few.

    >>> rate(1234.5), rate(0.42)
    ('1,234', '0.42')
    """
    return f"{per_second:,.0f}" if per_second >= 10 else f"{per_second:.2g}"


def measured(seconds: float) -> str:
    """A time that was measured, in the unit that suits it.

    >>> measured(2.14), measured(600)
    ('2.1 s', '10 min')
    """
    return f"{seconds:.1f} s" if seconds < 90 else duration(seconds)


def duration(seconds: float) -> str:
    """A time, given in seconds, in the unit that suits it.

    >>> duration(12), duration(600), duration(7200)
    ('12 s', '10 min', '2.0 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def triple(values: Mapping[str, float] | None) -> str:
    """Three channels in a row.

    >>> triple({"R": 1, "G": 2, "B": 3})
    'R 1.000  G 2.000  B 3.000'
    """
    return "none" if values is None else "  ".join(f"{k} {v:.3f}" for k, v in values.items())


def reason_of(error: BaseException) -> str:
    """What went wrong with a file, in one line: what the system says, without its number.

    >>> reason_of(FileNotFoundError(2, "No such file or directory", "photos"))
    'No such file or directory'
    """
    said = error.strerror if isinstance(error, OSError) else None
    return one_line(" ".join((said or str(error) or type(error).__name__).split()))


def failure(error: BaseException) -> str:
    """What went wrong, for a message about something else, of which it is the cause.

    >>> failure(IsADirectoryError(21, "Is a directory", "out/a"))
    "Is a directory: 'out/a'"
    >>> failure(ZeroDivisionError("by zero"))
    'ZeroDivisionError: by zero'
    """
    if type(error).__module__ == "prep.errors":  # They say all that there is to say.
        return one_line(str(error))
    if isinstance(error, OSError):
        return reason_and_file(error)
    return sentence_of(error)


def sentence_of(error: BaseException) -> str:
    """What a library says, with the type of its error where it says too little without.

    >>> sentence_of(ValueError("unable to find the file")), sentence_of(KeyError("size"))
    ('unable to find the file', "KeyError: 'size'")
    """
    told = reason_of(error)
    return told if told.count(" ") >= _SENTENCE else f"{type(error).__name__}: {told}"


def opening(data: bytes) -> str:
    """How a file begins: as text, if it is some, or as hexadecimal bytes.

    >>> opening(b"<!doctype html><html>"), opening(bytes(9))
    ("begins with the text '<!doctype html>'", 'begins with the bytes 00 00 00 00 00 00 00 00')
    """
    head = data[:15]
    if head.isascii() and head.decode().isprintable():
        return f"begins with the text {quoted(head.decode())}"
    return f"begins with the bytes {head[:8].hex(' ')}"


def reason_and_file(error: Exception) -> str:
    """The same, with the file or URL, where the system says which.

    >>> reason_and_file(FileNotFoundError(2, "No such file or directory", b"photos"))
    "No such file or directory: 'photos'"
    """
    name = error.filename if isinstance(error, OSError) else None
    path = os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else None
    return reason_of(error) + (f": {quoted(path)}" if path else "")


def distinct_lines(names: Iterable[str]) -> list[str]:
    r"""Each name on one line, and no two alike, though two names may look alike.

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
    r"""File names may hold line breaks, control characters and broken text; a terminal must not.

    >>> print(one_line("two" + chr(10) + "lines"))
    two\nlines
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
