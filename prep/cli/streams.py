"""Standard output and error where they can't take every character."""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Mapping
from typing import TextIO

_ERRORS = "prep.plain"
# Replacements of characters in our own texts; all others are escaped.
_PLAIN = {
    "·": "-",
    "×": "x",
    "→": "->",
    "←": "<-",
    "…": "...",
    "±": "+/-",
    "≥": ">=",
    "≤": "<=",
    "–": "-",
    "—": "-",
    "“": '"',
    "”": '"',
    "‘": "'",
    "’": "'",
    "µ": "u",
}


def plain(error: UnicodeError) -> tuple[str | bytes, int]:
    r"""Replace what an encoding lacks: a handler for :func:`codecs.register_error`.

    >>> codecs.register_error("prep.plain", plain)
    >>> "3 × 4 · a → b … é".encode("ascii", "prep.plain").decode()
    '3 x 4 - a -> b ... \\xe9'
    """
    if not isinstance(error, UnicodeEncodeError):
        return codecs.strict_errors(error)
    lacking = error.object[error.start : error.end]
    return "".join(_PLAIN.get(c) or ascii(c)[1:-1] for c in lacking), error.end


def fit_streams(environ: Mapping[str, str] = os.environ) -> None:
    """Make both streams write what they can't encode in plain characters.

    ``LC_ALL=C`` asks for ASCII; Python writes UTF-8 then. Names in what other programs read stay as
    they are.
    """
    codecs.register_error(_ERRORS, plain)
    ascii_only = environ.get("LC_ALL") in ("C", "POSIX") and "PYTHONIOENCODING" not in environ
    for stream, for_people in ((sys.stdout, _is_terminal(sys.stdout)), (sys.stderr, True)):
        if isinstance(stream, io.TextIOWrapper):
            asked = "ascii" if ascii_only and for_people else None
            encoding = codecs.lookup(asked or stream.encoding).name
            if encoding != "utf-8":
                stream.reconfigure(encoding=asked, errors=_ERRORS)


def drop_output() -> None:
    """Discard what is still to be written to standard output, where that can't be done."""
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), sys.stdout.fileno())


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()
