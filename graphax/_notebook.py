"""What notebooks show of an object: facts and tables as HTML, styled in place, legible on light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_CELL = "padding:.1em .8em;text-align:left;vertical-align:top;border:0;background:none"


def facts(title: str, rows: Sequence[tuple[str, object]], picture: str = "") -> str:
    """A title, and what is told about something, line by line.

    Args:
        title: text.
        rows: the names of facts, and these as text.
        picture: HTML that stands beside them.
    """
    body = "".join(
        f'<tr style="background:none"><th style="{_CELL};font-weight:normal;opacity:.7">{escape(name)}</th>'
        f'<td style="{_CELL};overflow-wrap:anywhere">{escape(str(fact))}</td></tr>'
        for name, fact in rows
    )
    beside = f'<div style="flex:0 0 12rem;max-width:100%">{picture}</div>' if picture else ""
    return (
        f'<div style="display:flex;flex-wrap:wrap;gap:1rem;align-items:flex-start">{beside}'
        f'<div style="flex:1 1 18rem;min-width:0"><b>{escape(title)}</b>'
        f'<table style="margin:.3em 0"><tbody>{body}</tbody></table></div></div>'
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of text under a head."""

    def line(tag: str, cells: Sequence[str]) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(line("td", row) for row in rows)
    return f"<table><thead>{line('th', head)}</thead><tbody>{body}</tbody></table>"
