"""Tables for notebooks: what `_repr_html_` of models, parameters, traces and reports is made of."""

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
    title = _escaped(caption)
    if len(rows) > open_rows:
        return f"<details><summary>{title}</summary>{''.join(lines)}</details>"
    return f"<p>{title}</p>{''.join(lines)}"


def listing(lines: Iterable[str]) -> str:
    """Return a list as HTML; every text is escaped."""
    return f"<ul>{''.join(f'<li>{_escaped(line)}</li>' for line in lines)}</ul>"


def _row(tag, cells):
    first, *others = map(_escaped, cells)
    left = f'<{tag} style="text-align:left"><code>{first}</code></{tag}>'
    return f"<tr>{left}{''.join(f'<{tag}>{cell}</{tag}>' for cell in others)}</tr>"


def _escaped(value):
    import html  # here, as only notebooks need it

    return html.escape(str(value))
