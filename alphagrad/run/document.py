"""HTML documents of runs: one file each, light and dark, with all that they need inside."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

from graphax.drawing import embedded as as_json

from .plain import plain

#: Of the pages that are written today: one that says another is made again.
GENERATOR = "alphagrad report 1"
_TOGGLE = (
    '<button id="theme" type="button" aria-label="Light or dark" title="Light or dark">'
    '<svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">'
    '<circle cx="8" cy="8" r="6.5" fill="none" stroke="currentColor" stroke-width="1.5"/>'
    '<path d="M8 1.5a6.5 6.5 0 0 1 0 13z" fill="currentColor"/></svg></button>'
)


def document(title: str, header: str, body: str, scripts: Sequence[str], data: Any = None) -> str:
    """An HTML page that needs no other file and no network.

    Args:
        title: its name, as text.
        header: HTML of what stands at the top.
        body: HTML of all else.
        scripts: the names of files that ship beside this one.
        data: what the scripts find in the element `data`, as JSON.
    """
    styles = "\n".join(map(shipped, ("uplot/uPlot.min.css", "page.css")))
    code = "\n".join(f"<script>{shipped(name)}</script>" for name in scripts)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="generator" content="{GENERATOR}"><title>{escaped(title)}</title>
<style>{styles}</style></head><body>
<header><div>{header}</div>{_TOGGLE}</header>
<main>
{body}
</main>
{embedded(data, "data")}
{code}
</body></html>
"""


@cache
def shipped(name: str) -> str:
    """The text of a file that ships in this folder."""
    return files("alphagrad.run").joinpath(name).read_text(encoding="utf-8").strip()


def escaped(text: str) -> str:
    """A text of others, as it may stand between tags and in quotes."""
    return escape(plain(text, keep="\n\t"))


def embedded(data: Any, name: str) -> str:
    """An element of this name with data as JSON, whatever texts are in it."""
    return f'<script type="application/json" id="{name}">{as_json(data)}</script>'


def section(heading: str, body: str, folded: bool = False) -> str:
    """A part of a page with its heading; a folded one is opened by a click on it."""
    if folded:
        return f"<details><summary><h2>{escaped(heading)}</h2></summary>\n{body}\n</details>"
    return f"<section>\n<h2>{escaped(heading)}</h2>\n{body}\n</section>"


def code(text: str, what: str, wraps: bool = False) -> str:
    """Lines to be copied.

    Args:
        text: the lines.
        what: they are, for the button.
        wraps: whether they are broken where the page ends.
    """
    lines = '<pre class="wraps"' if wraps else "<pre"
    return (
        '<div class="code">'
        f'<button type="button" class="copy" aria-label="Copy {escaped(what)}">Copy</button>'
        f'{lines} tabindex="0"><code>{escaped(text)}</code></pre></div>'
    )


def pairs(names: Sequence[tuple[str, str]]) -> str:
    """Names and what they stand for, side by side; what stands for nothing is left out."""
    rows = (f"<div><dt>{escaped(name)}</dt><dd>{escaped(text)}</dd></div>" for name, text in names if text)
    return f'<dl class="pairs">{"".join(rows)}</dl>'
