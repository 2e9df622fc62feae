"""Tables for notebooks: what `_repr_html_` of models, parameters, traces and reports is made of."""

import html
from collections.abc import Iterable, Sequence


def table(
    caption: str, header: Sequence[str], rows: Iterable[Sequence[object]], open_rows: int = 30
) -> str:
    """Return a table as HTML; every text is escaped.

    header:    the names of the columns; the first column is set left, in the font of code
    open_rows: a table with more rows than that can be unfolded
    """
    rows = list(rows)
    lines = ["<table>", _row("th", header), *(_row("td", row) for row in rows), "</table>"]
    title = html.escape(caption)
    if len(rows) > open_rows:
        return f"<details><summary>{title}</summary>{''.join(lines)}</details>"
    return f"<p>{title}</p>{''.join(lines)}"


def _row(tag, cells):
    first, *others = (html.escape(str(cell)) for cell in cells)
    left = f'<{tag} style="text-align:left"><code>{first}</code></{tag}>'
    return f"<tr>{left}{''.join(f'<{tag}>{cell}</{tag}>' for cell in others)}</tr>"
