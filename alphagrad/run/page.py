"""The report of a run: one HTML page that needs nothing else."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from graphax.files import write_atomically

from .plain import plain

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; } td, th { padding: .2rem .8rem; border-bottom: 1px solid #ccc; }
td + td, th + th { text-align: right; } pre { overflow-x: auto; background: #f6f6f6; padding: .6rem; }
img { max-width: 100%; } code { word-break: break-word; }
"""


class Cells(NamedTuple):
    """A table with its heading, the names of its columns first, and what is to be said below it."""

    heading: str
    rows: Sequence[Sequence[str]]
    remarks: Sequence[str]


class Picture(NamedTuple):
    """A picture with its heading, as PNG."""

    heading: str
    description: str
    png: bytes


class Text(NamedTuple):
    """Text with its heading: lines as they are, or else one that is broken where the page ends."""

    heading: str
    text: str
    lines: bool = True


Section = Cells | Picture | Text


def write_page(path: Path, title: str, sections: Sequence[Section]) -> None:
    """Write a page, atomically.

    Args:
        path: the file.
        title: what was learned or searched for.
        sections: one below the other.
    """
    body = "\n".join(f"<h2>{_escaped(section.heading)}</h2>\n{_html(section)}" for section in sections)
    name = _escaped(title)
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{name}</title><style>{_STYLE}</style></head><body>
<h1>{name}</h1>
{body}
</body></html>
"""
    write_atomically(path, page)


def _html(section: Section) -> str:
    if isinstance(section, Picture):
        data = base64.b64encode(section.png).decode()
        return f'<img alt="{_escaped(section.description)}" src="data:image/png;base64,{data}">'
    if isinstance(section, Text):
        text = _escaped(section.text)
        return f"<pre>{text}</pre>" if section.lines else f"<p><code>{text}</code></p>"
    head = "".join(f"<th>{_escaped(name)}</th>" for name in section.rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{_escaped(cell)}</td>" for cell in row) + "</tr>" for row in section.rows[1:]
    )
    remarks = "".join(f"\n<p>{_escaped(remark)}</p>" for remark in section.remarks)
    return f"<table><tr>{head}</tr>{body}</table>{remarks}"


def _escaped(text: str) -> str:
    return escape(plain(text, keep="\n\t"))


def figure(quantity: str, over: str = "seconds") -> tuple[Any, Any]:
    """An empty figure and its axes, named for what is shown over what."""
    from matplotlib.figure import Figure  # a second, which only reports need

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(over)
    axes.set_ylabel(quantity)
    return figure, axes


def picture(heading: str, description: str, figure: Any) -> Picture:
    """A figure as a part of a page."""
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=110)
    return Picture(heading, description, png.getvalue())
