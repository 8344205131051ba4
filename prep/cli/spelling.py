"""Messages as the command line says them, in errors and in warnings.

A message says what to do as a caller of this package would write it, between backquotes, as in
``pass `overwrite=True` ``. The command line turns that into its flag: ``pass --overwrite``.
"""

from __future__ import annotations

import re

#: Settings and functions with another name at the command line.
_FLAGS = {"trust": "trust-cluster-file"}
_COMMANDS = {"mean_rgb": "mean", "report_page": "report"}

_SETTING = re.compile(r"`(?:prep\.\w+\(…, )?([a-z_]+)(?:\.([a-z]+))?(?:=([^`]*?))?\)?`")
_FUNCTION = re.compile(r"`prep\.(\w+)`")


def as_flags(message: str) -> str:
    """Write settings and functions in a message as flags and commands.

    >>> as_flags("pass `overwrite=True`, or set `layout='splits'`; raise `max_refused`")
    'pass --overwrite, or set --layout splits; raise --max-refused'
    >>> as_flags("such as one made by `prep.mean_rgb`; pass `prep.cluster(…, trust=True)`")
    'such as one made by prep mean; pass --trust-cluster-file'
    >>> as_flags("pass `labels.from='leaf'`, or give `columns.label`")
    'pass --labels from=leaf, or give --columns label=…'
    """
    return _SETTING.sub(_flag, _FUNCTION.sub(_command, message))


def _command(found: re.Match[str]) -> str:
    return f"prep {_COMMANDS.get(found[1], found[1])}"


def _flag(found: re.Match[str]) -> str:
    name, part, value = found.groups()
    flag = f"--{_FLAGS.get(name, name).replace('_', '-')}"
    value = value and value.strip("\"'")
    if part is not None:
        return f"{flag} {part}={value or '…'}"
    return flag if value in (None, "True") else f"{flag} {value}"
