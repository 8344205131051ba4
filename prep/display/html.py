"""Plain data → HTML that shows itself in a notebook, in light and dark, without any script.

Everything that comes from outside (file names, labels, errors) goes through :func:`text`. What must
be seen where styles are stripped, as in an untrusted notebook, is said in words beside its picture.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping, Sequence

from prep.text import one_line

_MOST_ROWS = 20  # of what may be long
_SHORT = 24  # characters that are not broken into several lines
_CHART_WIDTH, _CHART_HEIGHT = 320, 48  # pixels

# JupyterLab's themes set --jp-*, VS Code's --vscode-*; elsewhere the browser's preference decides.
# The background is painted too: the page's own may be of the other kind.
STYLE = """<style>
.prep{--ink:var(--jp-content-font-color1,var(--vscode-editor-foreground,#1f2328));
--soft:var(--jp-content-font-color2,var(--vscode-descriptionForeground,#59636e));
--paper:var(--jp-layout-color1,var(--vscode-editor-background,#fff));
--line:var(--jp-border-color2,var(--vscode-panel-border,#d8dee4));
--fill:var(--jp-brand-color1,var(--vscode-progressBar-background,#0969da));
--good:var(--jp-success-color1,#1a7f37);--bad:var(--jp-error-color1,#cf222e);
color:var(--ink);background:var(--paper);border:1px solid var(--line);border-radius:6px;
padding:10px 14px;margin:2px 0;width:100%;max-width:720px;box-sizing:border-box;
container-type:inline-size;
font:13px/1.45 var(--jp-ui-font-family,system-ui,sans-serif);font-variant-numeric:tabular-nums}
@media(prefers-color-scheme:dark){.prep{
--ink:var(--jp-content-font-color1,var(--vscode-editor-foreground,#e6edf3));
--soft:var(--jp-content-font-color2,var(--vscode-descriptionForeground,#9198a1));
--paper:var(--jp-layout-color1,var(--vscode-editor-background,#151b23));
--line:var(--jp-border-color2,var(--vscode-panel-border,#3d444d));
--fill:var(--jp-brand-color1,var(--vscode-progressBar-background,#4493f8));
--good:var(--jp-success-color1,#3fb950);--bad:var(--jp-error-color1,#f85149)}}
.prep-x{overflow-x:auto;margin:6px 0 0;background:/* a shadow where there is more to the right */
linear-gradient(90deg,transparent,var(--paper) 60%) 100% 0/32px 100% no-repeat local,
linear-gradient(270deg,var(--line),transparent) 100% 0/14px 100% no-repeat scroll}
.prep table.prep-t{border-collapse:collapse;margin:0;width:auto;font-size:13px;color:inherit;
border:0;table-layout:auto}
.prep .prep-t td,.prep .prep-t th{text-align:left;vertical-align:top;padding:2px 14px 2px 0;
border:0;background:none;white-space:normal;max-width:none;overflow-wrap:anywhere}
.prep .prep-t tr:nth-child(n){background:none;border:0}
.prep .prep-t th{font-weight:600;color:var(--soft);white-space:nowrap;overflow-wrap:normal}
.prep .prep-t .prep-w{white-space:nowrap;overflow-wrap:normal}
.prep .prep-t .prep-n{text-align:right;white-space:nowrap}
.prep .prep-t td.prep-b{width:min(300px,40vw);min-width:60px;vertical-align:middle}
.prep .prep-h{display:flex;justify-content:space-between;gap:16px;align-items:baseline}
.prep-h b{font-size:14px;overflow-wrap:anywhere}
.prep-h span{text-align:right}.prep-s{color:var(--soft)}
.prep-good{color:var(--good)}.prep-bad{color:var(--bad);overflow-wrap:anywhere}
.prep-track{background:var(--line)!important;border-radius:4px;overflow:hidden}
.prep-track div{background:var(--fill)!important}
.prep-track div.prep-lost{background:var(--bad)!important;min-width:2px}
.prep-p{margin-top:6px;overflow-wrap:anywhere}
.prep-p a{color:var(--jp-content-link-color,var(--fill))}
.prep figure{display:inline-block;margin:6px 8px 0 0;text-align:center;vertical-align:top;
max-width:104px;overflow-wrap:anywhere;font-size:12px}
.prep figure img{display:block;width:96px;height:96px;object-fit:cover;border-radius:4px}
.prep h4.prep-c{margin:12px 0 0;padding:0;font-weight:600;font-size:13px;line-height:1.45;
font-family:inherit;color:inherit}
.prep svg{display:block;color:var(--fill);overflow:visible;margin:6px 0 2px;
border-bottom:1px solid var(--line)}
.prep details{margin-top:6px}.prep summary{color:var(--soft);cursor:pointer}
@container(max-width:420px){.prep .prep-t td,.prep .prep-t th{padding-right:8px}
.prep .prep-h{display:block}.prep .prep-h b,.prep .prep-h span{display:block;text-align:left}
.prep .prep-d tr,.prep .prep-d td:last-child{display:block;text-align:left}
.prep .prep-t.prep-d th,.prep .prep-d td.prep-w{display:inline-block}}
</style>"""


def text(value: object) -> str:
    r"""Anything as a line of text that is no HTML.

    >>> text("<b>&" + chr(10))
    '&lt;b&gt;&amp;\\n'
    """
    return html.escape(one_line(str(value)))


def panel(*parts: str) -> str:
    """The frame around all that is shown."""
    return f'<div class="prep">{STYLE}{"".join(parts)}</div>'


def heading(title: str, state: str = "", kind: str = "s") -> str:
    """A line with a title, and a ``state`` at its end.

    Args:
        kind: how the state is meant: ``s`` (neither), ``good`` or ``bad``.
    """
    return (
        f'<div class="prep-h"><b>{text(title)}</b> <span class="prep-{kind}">{text(state)}</span>'
        "</div>"
    )


def section(title: str) -> str:
    return f'<h4 class="prep-c">{text(title)}</h4>'


def folded(title: str, *parts: str) -> str:
    """What is seen once somebody asks for it, by its title."""
    return f"<details><summary>{text(title)}</summary>{''.join(parts)}</details>"


def line(*parts: object, kind: str = "") -> str:
    """A line of text, of parts with dots between them; see :func:`heading` for its ``kind``."""
    shown = " · ".join(text(part) for part in parts if part)
    return f'<div class="prep-p{f" prep-{kind}" if kind else ""}">{shown}</div>' if shown else ""


def links(addresses: Mapping[str, str]) -> str:
    """A line of links, each an address under its name."""
    anchors = (
        f'{text(name)} <a href="{text(address)}" target="_blank" rel="noopener">{text(address)}</a>'
        for name, address in addresses.items()
    )
    shown = " · ".join(anchors)
    return f'<div class="prep-p prep-s">{shown}</div>' if shown else ""


def place(name: str, path: str, address: str | None) -> str:
    """A line with where a file is: a link where there is an address that leads to it."""
    shown = text(path)
    if address is not None:
        shown = f'<a href="{text(address)}" target="_blank" rel="noopener">{shown}</a>'
    return f'<div class="prep-p prep-s">{text(name)} {shown}</div>'


def pairs(rows: Iterable[tuple[str, str]]) -> str:
    """Names and their values."""
    return _table("".join(f"<tr><th>{text(n)}</th><td>{text(v)}</td></tr>" for n, v in rows))


def described(rows: Iterable[tuple[str, str, str]]) -> str:
    """Names, their values, and what they are for: below them where there is little room."""
    body = (f"<tr><th>{text(n)}</th>{_cell(v)}<td>{text(d)}</td></tr>" for n, v, d in rows)
    return _table("".join(body), "prep-d")


def _table(rows: str, kind: str = "") -> str:
    """A table that scrolls where it is wider than what it is in."""
    return f'<div class="prep-x"><table class="prep-t {kind}">{rows}</table></div>'


def table(titles: Sequence[str], rows: Sequence[Sequence[object]], most: int = _MOST_ROWS) -> str:
    """A table; numbers are right-aligned, and of the rows ``most`` are shown."""
    numeric = [isinstance(value, int) for value in rows[-1]] if rows else [False] * len(titles)
    head = "".join(
        f"<th{' class=prep-n' if right else ''}>{text(title)}</th>"
        for title, right in zip(titles, numeric, strict=True)
    )
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows[:most])
    more = f"… and {len(rows) - most:,} more" if len(rows) > most else ""
    return _table(f"<tr>{head}</tr>{body}") + line(more, kind="s")


def _cell(value: object) -> str:
    if isinstance(value, int):
        return f'<td class="prep-n">{value:,}</td>'
    kept_whole = ' class="prep-w"' if len(str(value)) <= _SHORT else ""
    return f"<td{kept_whole}>{text(value)}</td>"


def bar(share: float, lost: float = 0.0) -> str:
    """A bar that is full to ``share``, 0 to 1, of which the last part is ``lost``."""
    full = min(max(share, 0.0), 1.0)
    red = min(max(lost, 0.0), full)
    return (
        '<div class="prep-track" style="background:#d8dee4;height:8px;display:flex">'
        f'<div style="background:#0969da;width:{100 * (full - red):.1f}%"></div>'
        + (
            f'<div class="prep-lost" style="background:#cf222e;width:{100 * red:.1f}%"></div>'
            if red
            else ""
        )
        + "</div>"
    )


def bars(counts: Mapping[str, int]) -> str:
    """A histogram: a bar for each name, the longest for the largest; the largest, if many."""
    largest = max(counts.values(), default=0)
    shown = sorted(counts, key=lambda name: -counts[name])[:_MOST_ROWS]
    body = "".join(
        f'<tr>{_cell(name)}<td class="prep-b">{bar(counts[name] / max(largest, 1))}</td>'
        f'<td class="prep-n">{counts[name]:,}</td></tr>'
        for name in sorted(shown)
    )
    rest = [n for name, n in counts.items() if name not in set(shown)]
    more = f"and {len(rest):,} smaller ones with {sum(rest):,}" if rest else ""
    return _table(body) + line(more, kind="s")


def split_bars(splits: Mapping[str, tuple[int, int, int]]) -> str:
    """How far each split is: a bar with ``(done, planned, refused)``; the last are of the first."""
    body = "".join(
        f'<tr>{_cell(name)}<td class="prep-b">'
        f"{bar(done / max(planned, 1), refused / max(planned, 1))}</td>"
        f'<td class="prep-n">{done:,} of {planned:,}</td>'
        f'<td class="prep-n">{int(100 * done / max(planned, 1))}%</td>'
        f'<td class="prep-w prep-bad">{f"{refused:,} refused" if refused else ""}</td></tr>'
        for name, (done, planned, refused) in splits.items()
    )
    return _table(body)


def swatch(mean: Mapping[str, float] | None, std: Mapping[str, float] | None) -> str:
    """The mean as a patch of its colour, and both in numbers; nothing without images."""
    if mean is None:
        return ""
    colour = "#" + "".join(f"{round(min(max(mean[c], 0), 255)):02x}" for c in ("R", "G", "B"))
    spread = f", std {_numbers(std)}" if std is not None else ""
    return (
        '<div class="prep-p"><span style="background:' + colour + ";border:1px solid #888;"
        'border-radius:3px;display:inline-block;width:14px;height:14px;vertical-align:-3px"></span>'
        f" mean RGB {_numbers(mean)}{spread}</div>"
    )


def _numbers(values: Mapping[str, float]) -> str:
    return " / ".join(f"{values[c]:.1f}" for c in ("R", "G", "B"))


def sparkline(seconds: Sequence[float], values: Sequence[float | None], title: str) -> str:
    """A small curve over time; gaps where a value is None.

    Args:
        seconds: when each value was measured, rising; as many as there are ``values``.
        title: what the curve is, with its unit, such as ``images/s``. Its highest value is named.
    """
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return ""
    highest, length = max(known), max(seconds[-1] - seconds[0], 1e-9)
    points = [
        None
        if value is None
        else (
            _CHART_WIDTH * (second - seconds[0]) / length,
            _CHART_HEIGHT * (1 - max(value, 0) / max(highest, 1e-9)),
        )
        for second, value in zip(seconds, values, strict=True)
    ]
    label = f"{text(title)}: at most {highest:,.0f}, over {length:,.0f} s"
    return (
        f'<div class="prep-p prep-s">{label}</div>'
        f'<svg width="{_CHART_WIDTH}" height="{_CHART_HEIGHT}" role="img" aria-label="{label}" '
        f'viewBox="0 0 {_CHART_WIDTH} {_CHART_HEIGHT}"><path d="{_path(points)}" fill="none" '
        'stroke="currentColor" stroke-width="1.5" stroke-linejoin="round"/></svg>'
    )


def _path(points: Iterable[tuple[float, float] | None]) -> str:
    steps, pen = [], "M"
    for point in points:
        if point is None:
            pen = "M"
            continue
        steps.append(f"{pen}{point[0]:.1f} {point[1]:.1f}")
        pen = "L"
    return "".join(steps)


def contact_sheet(images: Iterable[tuple[str, bytes]]) -> str:
    """Images beside each other, each with the name of its class.

    Args:
        images: class and JPEG file of each. They become a part of the page, so should be small.
    """
    return "".join(
        f'<figure><img alt="{text(name)}" src="data:image/jpeg;base64,'
        f'{base64.b64encode(data).decode()}" width="96" height="96">'
        f"<figcaption>{text(name)}</figcaption></figure>"
        for name, data in images
    )


def class_table(
    counts: Mapping[str, Mapping[str, int]], labels: Mapping[str, object] | None = None
) -> str:
    """Images by class, with a column for each split; the largest classes, if many.

    Args:
        counts: images by split and class.
        labels: of each class, where they are to be shown.
    """
    totals: dict[str, int] = {}
    for classes in counts.values():
        for name, number in classes.items():
            totals[name] = totals.get(name, 0) + number
    if len(counts) > 1:
        counts = {**counts, "in all": totals}
    largest = sorted(totals, key=lambda name: -totals[name])
    rows: list[list[object]] = [
        [name, *([] if labels is None else [labels.get(name, "none")])]
        + [classes.get(name, 0) for classes in counts.values()]
        for name in sorted(largest[:_MOST_ROWS])
    ]
    blank = [] if labels is None else [""]
    if hidden := largest[_MOST_ROWS:]:
        rest = (sum(classes.get(name, 0) for name in hidden) for classes in counts.values())
        rows.append([f"{len(hidden):,} smaller classes", *blank, *rest])
    rows.append(["images", *blank, *(sum(classes.values()) for classes in counts.values())])
    titles = ["class", *([] if labels is None else ["label"]), *counts]
    return table(titles, rows, most=len(rows))
