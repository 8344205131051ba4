"""Environment variables in text."""

from __future__ import annotations

import re
from collections.abc import Mapping

_VARIABLE = re.compile(r"\$(?:\$|\{(?:(?P<name>[A-Za-z_]\w*)(?::-(?P<default>[^}]*))?\})?)")


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replaces ``${NAME}`` and ``${NAME:-default}``, once, and ``$$`` by a dollar.

    The default stands in for a variable that is not set, or is empty.

    Raises:
        ValueError: a variable is not set and has no default, or this is neither.

    >>> expand("${HOME}/${SET:-photos}, $$5", {"HOME": "/home/me"})
    '/home/me/photos, $5'
    """

    def replaced(match: re.Match[str]) -> str:
        name, default = match["name"], match["default"]
        if match[0] == "$$":
            return "$"
        if name is None:
            if match[0] == "${":
                raise ValueError(
                    f"got {text!r}; expected ${{NAME}} or ${{NAME:-default}}, or $$ for a dollar"
                )
            return match[0]
        if default is not None:
            return variables.get(name) or default
        if name not in variables:
            raise ValueError(
                f"the environment variable {name} is not set; set it, or give a default: "
                f"${{{name}:-…}}"
            )
        return variables[name]

    return _VARIABLE.sub(replaced, text)
