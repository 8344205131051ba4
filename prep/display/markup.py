"""Jinja2 templates, and the values that those of a notebook's cell are filled with."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from prep.text import one_line

_TEMPLATES = Path(__file__).parent / "templates"
_CHART_WIDTH, _CHART_HEIGHT = 320, 48  # pixels


def render(name: str, /, **values: Any) -> str:
    """Return the template ``NAME.html.j2``, filled in.

    All text is escaped, and unprintable characters in it too: names come from outside.
    """
    return environment().get_template(f"{name}.html.j2").render(values)


@cache
def environment() -> Environment:
    """Return the environment of all templates in this room."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        finalize=_printable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Bokeh describes a model where it comes first, and refers to it by its id after that.
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}
    environment.filters["thousands"] = lambda number: f"{number:,}"
    environment.filters["python"] = repr
    environment.filters["breakable"] = breakable
    environment.filters["hex_colour"] = hex_colour
    return environment


def _printable(value: object) -> object:
    return value if isinstance(value, Markup | int | float) else one_line(str(value))


def breakable(text: str) -> Markup:
    """Return text that may wrap between the parts of a file name.

    >>> breakable("cats/big_cat.jpg")
    Markup('cats/<wbr>big_<wbr>cat.jpg')
    """
    escaped = str(escape(one_line(text)))
    return Markup(re.sub(r"([/_-])(?=\w\w)|(?<=[a-z])(?=[A-Z])", r"\1<wbr>", escaped))


class Curve(NamedTuple):
    """A small chart over time: its label, and its path in an SVG of this size."""

    label: str
    path: str
    width: int = _CHART_WIDTH
    height: int = _CHART_HEIGHT


def curve(seconds: Sequence[float], values: Sequence[float | None], title: str) -> Curve | None:
    """Return a chart of values over time, with gaps where a value is None.

    Args:
        seconds: the time of each value, rising.
        title: what is measured, with its unit, such as ``images/s``.

    Returns:
        None if fewer than two values are known.
    """
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return None
    highest, length = max(known), max(seconds[-1] - seconds[0], 1e-9)
    steps, pen = [], "M"
    for second, value in zip(seconds, values, strict=True):
        if value is None:
            pen = "M"
            continue
        x = _CHART_WIDTH * (second - seconds[0]) / length
        y = _CHART_HEIGHT * (1 - max(value, 0) / max(highest, 1e-9))
        steps.append(f"{pen}{x:.1f} {y:.1f}")
        pen = "L"
    return Curve(f"{title}: at most {highest:,.0f}, over {length:,.0f} s", "".join(steps))


def hex_colour(rgb: Mapping[str, float]) -> str:
    """Return a colour in CSS.

    Args:
        rgb: 0 to 255 by channel; clipped to that range.

    >>> hex_colour({"R": 122.6, "G": 300, "B": 9})
    '#7bff09'
    """
    return "#" + "".join(f"{round(min(max(rgb[c], 0), 255)):02x}" for c in "RGB")
