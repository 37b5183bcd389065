"""The page that steps through an elimination: one HTML file that needs nothing else."""

from __future__ import annotations

import json
from string import Template
from typing import Any

from ._edges import LONG_EDGE, explained, kind_of, stroke_of, structure_text
from ._picture import SCALE, Picture
from ._text import clean, shipped

_ICONS = {
    "first": ("First step", "M2 2h2v12H2zM14 2v12L5 8z"),
    "back": ("One step back", "M12 2v12L3 8z"),
    "play": ("Play", "M3 2l11 6-11 6z"),
    "forward": ("One step forward", "M4 2v12l9-6z"),
    "last": ("Last step", "M12 2h2v12h-2zM2 2v12l9-6z"),
}


def page(picture: Picture) -> str:
    """The page of a picture. Where it has no steps, the page shows it and no more."""
    steps = picture.history.steps
    return Template(shipped("page.html")).substitute(
        style=Template(shipped("page.css")).substitute(scale=", ".join(SCALE)),
        heading="Vertex elimination" if steps else "Computational graph",
        caption=clean(picture.caption),
        picture=picture.svg(legend=False),
        panel=_controls(len(steps)) if steps else "",
        legend=_legend(picture),
        hint=_hint(bool(steps), picture.graph.is_counted),
        data=embedded(_data(picture)),
        script=shipped("page.js"),
    )


def embedded(data: Any) -> str:
    """Data as JSON that may stand in a script element, whatever its strings hold."""
    text = json.dumps(data, separators=(",", ":"))  # ASCII, so line separators are escaped already
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _data(picture: Picture) -> dict[str, Any]:
    """What the script works on; edges and changes as flat lists of source, target and structure."""
    layout, history = picture.layout, picture.history
    return {
        "nodes": [
            [number, *layout.centre[number], node.width, node.name, node.equation, node.source]
            for number, node in picture.nodes.items()
        ],
        "outputs": sorted(picture.graph.output_vertices),
        "width": layout.width,
        "long": LONG_EDGE,
        "structures": [
            [*stroke_of(structure), int(kind_of(structure)), structure_text(structure)]
            for structure in history.table.structures
        ]
        if history.steps
        else [],
        "edges": [item for edge, at in history.edges.items() for item in (*edge, at)],
        "steps": [
            [step.vertex, step.mults, step.adds, [item for edge, at in step.changed for item in (*edge, at)]]
            for step in history.steps
        ],
    }


def _controls(count: int) -> str:
    """Buttons, slider and figures.

    At position 0 the page shows the graph as it was; at position p of n step p, the edges that it joins
    beside what comes of them; at position n + 1 the result.
    """
    buttons = "".join(
        f'<button id="{name}" aria-label="{label}" title="{label}">'
        f'<svg viewBox="0 0 16 16" aria-hidden="true"><path d="{path}"/></svg></button>'
        for name, (label, path) in _ICONS.items()
    )
    speeds = "".join(
        f'<option value="{speed}"{" selected" if speed == 2 else ""}>{speed}/s</option>'
        for speed in (1, 2, 5, 10, 30)
    )
    rows = "".join(
        f'<dt class="{name}">{label}</dt><dd class="{name}" id="{name}"></dd>'
        for name, label in (
            ("mults", "multiplications of this step"),
            ("adds", "additions of this step"),
            ("joins", "edges joined, in × out"),
            ("fills", "new edges (fill-in)"),
            ("changes", "edges with a new structure"),
            ("running", "multiplications so far"),
            ("total", "multiplications of the order"),
        )
    )
    return f"""<div id="buttons">{buttons}<label>speed <select id="speed">{speeds}</select></label></div>
<input type="range" id="slider" min="0" max="{count + 1}" value="0" aria-label="Step">
<h2 id="step" aria-live="polite"></h2><p id="equation"></p><dl>{rows}</dl>
<h2 class="minor">cost per step (bars), running cost (line)</h2>
<svg id="chart" viewBox="0 0 336 128" role="img" aria-label="Multiplications per step and so far"></svg>"""


def _legend(picture: Picture) -> str:
    history = picture.history
    used = {*history.edges.values(), *(at for step in history.steps for _, at in step.changed)}
    items = [_item(*line) for line in explained(history.table.structures[at] for at in used)]
    if history.steps:
        items += [
            _item("edge leaving", "joined in this step"),
            _item("edge new", "new edge"),
            _item("edge changed", "new structure"),
        ]
    shades = '<p class="hint">goes first<span class="scale"></span>last</p>' if history.steps else ""
    return f'<h2 class="minor">edges</h2><ul class="legend">{"".join(items)}</ul>{shades}'


def _item(classes: str, name: str) -> str:
    return (
        '<li><svg class="graphax-drawing" width="30" height="10" aria-hidden="true">'
        f'<path class="{classes}" stroke-width="2.6" d="M0 5H30"/></svg>{name}</li>'
    )


def _hint(steps: bool, counted: bool) -> str:
    about = (
        "Inputs (round, negative numbers) stand at the top, outputs (double frame) at the bottom or where "
        "others read them. Wider edges hold more numbers. Point at anything to read about it."
    )
    if not steps:
        return about
    convention = (
        "Costs count products with unit edges, as published tables do."
        if counted
        else "Costs are those executed: products with unit edges are free."
    )
    keys = (
        "<kbd>←</kbd> <kbd>→</kbd> step, <kbd>Home</kbd> <kbd>End</kbd>, <kbd>space</kbd> plays; "
        "a click on a vertex goes to its step."
    )
    return f"{about} {convention} {keys}"
