"""Environment variables in text."""

from __future__ import annotations

import re
from collections.abc import Mapping

_NAME = r"[A-Za-z_]\w*"
_VARIABLE = re.compile(
    rf"\$\$|\$\{{(?:(?P<name>{_NAME})(?::-(?P<default>[^}}]*))?\}})?|\$(?P<bare>{_NAME})"
)


def expand(text: str, variables: Mapping[str, str], *, bare: bool = False) -> str:
    """Replace ``${NAME}`` and ``${NAME:-default}``, once, and ``$$`` by a dollar.

    The default stands in for a variable that is not set, or is empty. Any other dollar stays.

    Args:
        bare: whether to replace ``$NAME`` as well.

    Raises:
        ValueError: a variable is not set and has no default, or this is neither.

    >>> expand("${HOME}/${SET:-photos}, $$5", {"HOME": "/home/me"})
    '/home/me/photos, $5'
    >>> expand("$DATA/photos, $5", {"DATA": "/data"}, bare=True)
    '/data/photos, $5'
    """

    def replaced(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        if match["bare"] and not bare:
            return match[0]
        if match[0] == "${":
            raise ValueError(
                f"got {text!r}; expected ${{NAME}} or ${{NAME:-default}}, or $$ for a dollar"
            )
        name, default = match["name"] or match["bare"], match["default"]
        if default is not None:
            return variables.get(name) or default
        if name not in variables:
            raise ValueError(
                f"the environment variable {name} is not set; set it, or give a default: "
                f"${{{name}:-…}}"
            )
        return variables[name]

    return _VARIABLE.sub(replaced, text)
