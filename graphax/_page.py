"""The page that steps through an elimination: one HTML file that needs nothing else."""

from __future__ import annotations

import json
from typing import Any

from ._page_script import SCRIPT
from ._picture import LONG_EDGE, SCALE, Picture, clean, kind_of, stroke_of, structure_text
from .sparse import UnitEdges

_STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ground: #f3f4f6; --ink: #1d2430; --soft: #5b6472;
  --line: #d5d9e0; --accent: #0072b2; --now: #d4145a; --new: #00875f; --changed: #7b3fe4; }
@media (prefers-color-scheme: dark) { :root { --paper: #14181f; --ground: #0d1015; --ink: #e4e7ec;
  --soft: #9aa3b2; --line: #343b47; --accent: #56b4e9; --now: #ff5c93; --new: #2fd39b; --changed: #b594ff; } }
* { box-sizing: border-box; }
body { margin: 0; height: 100vh; height: 100dvh; color: var(--ink); background: var(--ground);
  display: grid; grid-template: auto minmax(0, 1fr) / minmax(0, 1fr) 23rem;
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", sans-serif; }
header { grid-column: 1 / -1; padding: .7rem 1.1rem .5rem; display: flex; flex-wrap: wrap; gap: .1rem 1rem;
  align-items: baseline; }
h1 { font-size: 1.1rem; margin: 0; } header p { margin: 0; color: var(--soft); }
#zoom { margin-left: auto; display: flex; gap: .25rem; }
#zoom button { min-height: 1.9rem; padding: .1rem .5rem; }
main { margin: 0 0 1rem 1rem; border: 1px solid var(--line); border-radius: 8px; background: var(--paper);
  min-height: 0; overflow: auto; }
#pane svg { display: block; margin: 0 auto; }
aside { overflow: auto; padding: 0 1rem 1rem; }
button, select { font: inherit; color: inherit; background: var(--paper); border: 1px solid var(--line);
  border-radius: 6px; padding: .3rem .5rem; min-width: 2.3rem; min-height: 2.2rem; cursor: pointer; }
button:hover:enabled { border-color: var(--accent); } button:disabled { opacity: .4; cursor: default; }
button svg { width: 1em; height: 1em; fill: currentColor; display: block; margin: auto; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
#buttons { display: flex; flex-wrap: wrap; gap: .3rem; align-items: center; }
#buttons label { margin-left: auto; color: var(--soft); font-size: .85rem; }
#slider { width: 100%; margin: .7rem 0 .2rem; accent-color: var(--accent); }
h2 { font-size: 1rem; margin: .5rem 0 .3rem; font-variant-numeric: tabular-nums; }
h2.minor { font-size: .8rem; color: var(--soft); font-weight: 600; margin: 1rem 0 .3rem; }
#equation { font: 12.5px/1.5 ui-monospace, Menlo, Consolas, monospace; background: var(--paper); margin: 0;
  border: 1px solid var(--line); border-radius: 6px; padding: .45rem .6rem; overflow-wrap: anywhere;
  min-height: 4.6rem; }
#equation span { display: block; color: var(--soft); }
dl { display: grid; grid-template-columns: 1fr auto; margin: .7rem 0 0; gap: .12rem .8rem; }
dt { color: var(--soft); } dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums; }
.total dd, dt.total { font-weight: 650; color: var(--ink); } dd.total { font-weight: 650; }
#chart { width: 100%; height: auto; display: block; cursor: pointer; overflow: visible; }
#chart text { font-size: 10.5px; fill: var(--soft); }
#chart path { fill: none; }
#chart .bars { stroke: var(--soft); opacity: .5; }
#chart .run { stroke: var(--accent); stroke-width: 1.8; }
#chart .axis { stroke: var(--line); }
#chart .marker { stroke: var(--now); stroke-width: 1.5; }
#chart .dot { fill: var(--now); }
ul.legend { list-style: none; margin: 0; padding: 0; font-size: .82rem;
  display: grid; grid-template-columns: 1fr 1fr; gap: .15rem .6rem; }
ul.legend svg { vertical-align: middle; margin-right: .45rem; }
.hint { color: var(--soft); font-size: .82rem; margin: .8rem 0 0; }
kbd { font: 11px ui-monospace, monospace; border: 1px solid var(--line); border-radius: 3px;
  padding: 0 .25rem; }
.graphax-drawing .node.gone { opacity: .16; }
.graphax-drawing .vertex { cursor: pointer; }
.graphax-drawing .now .box { stroke: var(--now); stroke-width: 4; }
.graphax-drawing .edge.leaving { stroke: var(--now); }
.graphax-drawing .edge.new { stroke: var(--new); }
.graphax-drawing .edge.changed { stroke: var(--changed); }
.scale { display: inline-block; width: 100px; height: 12px; vertical-align: middle; margin: 0 .4rem;
  border-radius: 2px; background: linear-gradient(90deg, SCALE); }
@media (max-width: 820px) {
  body { display: block; height: auto; }
  header { padding: .6rem .8rem .4rem; }
  main { margin: 0 .6rem; height: 62vh; }
  aside { padding: .6rem .8rem 1rem; }
}
""".replace("SCALE", ", ".join(SCALE))

_ZOOM = """<div id="zoom"><button id="out" aria-label="Smaller">−</button>
<button id="whole" aria-label="Show the whole graph, or as large as can be read">fit</button>
<button id="in" aria-label="Larger">+</button></div>"""

_ICONS = {
    "first": ("First step", "M2 2h2v12H2zM14 2v12L5 8z"),
    "back": ("One step back", "M12 2v12L3 8z"),
    "play": ("Play", "M3 2l11 6-11 6z"),
    "forward": ("One step forward", "M4 2v12l9-6z"),
    "last": ("Last step", "M12 2h2v12h-2zM2 2v12l9-6z"),
}


def page(picture: Picture, unit_edges: UnitEdges) -> str:
    """The page of a picture.

    Args:
        picture: the picture. Where it has no steps, the page shows it and no more.
        unit_edges: the convention of the costs, which the page names.
    """
    steps = picture.replay.steps
    panel = _controls(len(steps)) if steps else ""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Vertex elimination</title><style>{_STYLE}</style></head><body>
<header><h1>{"Vertex elimination" if steps else "Computational graph"}</h1>
<p>{clean(picture.caption)}</p>{_ZOOM}</header>
<main id="pane" tabindex="0" aria-label="the graph">{picture.svg(legend=False)}</main>
<aside>{panel}
{_legend(picture)}
<p class="hint">{_hint(bool(steps), unit_edges)}</p>
<noscript><p>The steps need JavaScript, which this page has switched off.</p></noscript></aside>
<script type="application/json" id="data">{embedded(_data(picture))}</script>
<script>{SCRIPT}</script></body></html>
"""


def embedded(data: Any) -> str:
    """Data as JSON that may stand in a script element, whatever its strings hold."""
    text = json.dumps(data, separators=(",", ":"))  # ASCII, so line separators are escaped already
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _data(picture: Picture) -> dict[str, Any]:
    """What the script works on; edges and changes as flat lists of source, target and structure."""
    layout, replay = picture.layout, picture.replay
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
            for structure in replay.table.structures
        ]
        if replay.steps
        else [],
        "edges": [item for edge, at in replay.edges.items() for item in (*edge, at)],
        "steps": [
            [step.vertex, step.mults, step.adds, [item for edge, at in step.changed for item in (*edge, at)]]
            for step in replay.steps
        ],
    }


def _controls(count: int) -> str:
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
    replay = picture.replay
    used = {*replay.edges.values(), *(at for step in replay.steps for _, at in step.changed)}
    lines = list(picture.legend_items(replay.table.structures[at] for at in used))
    items = [_item(classes, name) for classes, name in lines]
    if replay.steps:
        items += [
            _item("edge leaving", "joined in this step"),
            _item("edge new", "new edge"),
            _item("edge changed", "new structure"),
        ]
    shades = '<p class="hint">goes first<span class="scale"></span>last</p>' if replay.steps else ""
    return f'<h2 class="minor">edges</h2><ul class="legend">{"".join(items)}</ul>{shades}'


def _item(classes: str, name: str) -> str:
    return (
        '<li><svg class="graphax-drawing" width="30" height="10" aria-hidden="true">'
        f'<path class="{classes}" stroke-width="2.6" d="M0 5H30"/></svg>{name}</li>'
    )


def _hint(steps: bool, unit_edges: UnitEdges) -> str:
    about = (
        "Inputs (round, negative numbers) stand at the top, outputs (double frame) at the bottom or where "
        "others read them. Wider edges hold more numbers. Point at anything to read about it."
    )
    if not steps:
        return about
    convention = {
        "free": "Costs are those executed: products with unit edges are free.",
        "counted": "Costs count products with unit edges, as published tables do.",
    }[unit_edges]
    keys = (
        "<kbd>←</kbd> <kbd>→</kbd> step, <kbd>Home</kbd> <kbd>End</kbd>, <kbd>space</kbd> plays; "
        "a click on a vertex goes to its step."
    )
    return f"{about} {convention} {keys}"
