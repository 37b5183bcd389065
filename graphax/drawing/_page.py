"""The page that steps through eliminations: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from string import Template
from typing import Any

from ._edges import LONG_DASHES, explained, form_of, kind_of, structure_text, width_of
from ._history import Step
from ._picture import LIGHT_UP_TO, SCALE, Picture
from ._text import clean, embedded, shipped

_SCRIPTS = ("elimination.js", "pane.js", "page.js")
_ICONS = {
    "first": ("First step", "M2 2h2v12H2zM14 2v12L5 8z"),
    "back": ("One step back", "M12 2v12L3 8z"),
    "play": ("Play", "M3 2l11 6-11 6z"),
    "forward": ("One step forward", "M4 2v12l9-6z"),
    "last": ("Last step", "M12 2h2v12h-2zM2 2v12l9-6z"),
}
_FIGURES = {
    "mults": "multiplications",
    "adds": "additions",
    "joins": "edges joined",
    "fills": "new edges (fill-in)",
    "changes": "new structures",
    "running": "multiplications so far",
    "total": "multiplications in all",
}


def page(pictures: Sequence[Picture]) -> str:
    """The page of pictures of one graph in different orders. Without steps it shows the graph alone.

    Args:
        pictures: one, or two that stand side by side; their histories share a table of structures.
    """
    first = pictures[0]
    steps = first.history.steps
    names = [picture.order_caption for picture in pictures]
    return Template(shipped("page.html")).substitute(
        style=Template(shipped("page.css")).substitute(scale=", ".join(SCALE)),
        kind="two" if len(pictures) > 1 else "one",
        heading="Vertex elimination" if steps else "Computational graph",
        caption=clean(first.caption if len(pictures) == 1 else first.graph_caption),
        panes="".join(_pane(at, name if len(names) > 1 else "") for at, name in enumerate(names)),
        panel=_controls(len(steps), len(names)) if steps else "",
        legend=_legend(pictures),
        hint=_hint(bool(steps), first.graph.is_counted),
        data=embedded(_data(pictures)),
        script="\n".join(map(shipped, _SCRIPTS)),
    )


def _data(pictures: Sequence[Picture]) -> dict[str, Any]:
    """What the scripts work on; edges and changes as flat lists of source, target and structure."""
    first = pictures[0]
    layout, history = first.layout, first.history
    lines: dict[tuple[str, str], int] = {}
    for node in first.nodes.values():
        if node.place:
            lines.setdefault((node.place, node.code), len(lines))
    return {
        "nodes": [
            [
                number,
                *layout.centre[number],
                node.width,
                node.name,
                node.label,
                node.equation,
                lines.get((node.place, node.code), -1),
                ", ".join(node.roles),
            ]
            for number, node in first.nodes.items()
        ],
        "lines": list(lines),
        "outputs": sorted(first.graph.output_vertices),
        "width": layout.width,
        "height": round(layout.height, 1),
        "long": LONG_DASHES,
        "scale": SCALE,
        "light": LIGHT_UP_TO,
        "structures": [
            [
                (kind := kind_of(structure)).name.lower(),
                form_of(structure).value,
                width_of(structure),
                int(kind),
                structure_text(structure),
            ]
            for structure in history.table.structures
        ],
        "edges": [item for edge, at in history.edges.items() for item in (*edge, at)],
        "routes": [
            [round(value, 1) for point in layout.route[edge] for value in point] for edge in history.edges
        ],
        "sides": [[_step(step) for step in picture.history.steps] for picture in pictures],
    }


def _step(step: Step) -> list[Any]:
    changed = [item for edge, at in step.changed for item in (*edge, at)]
    return [step.vertex, step.mults, step.adds, changed]


def _pane(at: int, name: str) -> str:
    heading = f"<h2>{clean(name)}</h2>" if name else ""
    return (
        f'<div class="pane" id="pane{at}">{heading}<div class="sheet"><canvas></canvas><div class="scroller" '
        f'tabindex="0" role="img" aria-label="the graph, {clean(name) or "alone"}">'
        '<div class="room"></div></div></div></div>'
    )


def _controls(count: int, sides: int) -> str:
    """Buttons, slider and figures: a column for every order, and one for their difference."""
    buttons = "".join(
        f'<button id="{name}" aria-label="{label}" title="{label}">'
        f'<svg viewBox="0 0 16 16" aria-hidden="true"><path d="{path}"/></svg></button>'
        for name, (label, path) in _ICONS.items()
    )
    speeds = "".join(
        f'<option value="{speed}"{" selected" if speed == 2 else ""}>{speed}/s</option>'
        for speed in (1, 2, 5, 10, 30)
    )
    abouts = "".join(
        f'<div class="about about{side}" id="vertex{side}"><b></b><code></code><span class="code"></span>'
        '<span class="place"></span></div>'
        for side in range(sides)
    )
    columns = [str(side) for side in range(sides)] + (["d"] if sides > 1 else [])
    rows = "".join(
        f'<tr class="{name}"><th scope="row">{label}</th>'
        + "".join(f'<td id="{name}{column}"></td>' for column in columns)
        + "</tr>"
        for name, label in _FIGURES.items()
    )
    head = (
        '<thead><tr><td></td><th class="side side0" scope="col">first</th>'
        '<th class="side side1" scope="col">second</th><th scope="col">difference</th></tr></thead>'
        if sides > 1
        else ""
    )
    minor = "running cost" if sides > 1 else "cost per step (bars), running cost (line)"
    return f"""<div id="buttons">{buttons}<label>speed <select id="speed">{speeds}</select></label></div>
<input type="range" id="slider" min="0" max="{count + 1}" value="0" aria-label="Step">
<h2><span id="step" aria-live="polite"></span><a id="link" href="#step=0">link</a></h2>
{abouts}<table>{head}<tbody>{rows}</tbody></table>
<h2 class="minor">{minor}</h2>
<svg id="chart" viewBox="0 0 336 128" role="img" aria-label="Multiplications per step and so far"></svg>"""


def _legend(pictures: Sequence[Picture]) -> str:
    history = pictures[0].history
    used = {
        *history.edges.values(),
        *(at for picture in pictures for step in picture.history.steps for _, at in step.changed),
    }
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
        '<li><svg width="30" height="10" aria-hidden="true">'
        f'<path class="{classes}" stroke-width="2.6" d="M0 5H30"/></svg>{name}</li>'
    )


def _hint(steps: bool, counted: bool) -> str:
    about = (
        "Inputs (round, negative numbers) stand at the top, outputs (double frame) at the bottom or where "
        "others read them. Wider edges hold more numbers. Point at anything, or touch it, to read about it."
    )
    if not steps:
        return about
    convention = (
        "Costs count products with unit edges, as published tables do."
        if counted
        else "Costs are those executed: products with unit edges are free."
    )
    keys = (
        "<kbd>←</kbd> <kbd>→</kbd> step, <kbd>Home</kbd> <kbd>End</kbd>, <kbd>space</kbd> plays, "
        "<kbd>+</kbd> <kbd>−</kbd> <kbd>0</kbd> size; a click on a vertex goes to its step."
    )
    return f"{about} {convention} {keys}"
