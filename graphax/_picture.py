"""A graph as an SVG picture: layered, with edges by structure and vertices by when they are eliminated."""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape

from ._graph import ComputationalGraph
from ._layout import ROW, Layout, Point, lay_out
from ._nodes import Node, nodes_of, shortened
from ._numbering import Edge
from ._replay import Replay
from .sparse import Kind, Structure

# Viridis from its bright to its dark end: even steps to every eye, in print too.
SCALE = (
    "#fde725", "#bddf26", "#7ad151", "#44bf70", "#22a884", "#21918c",
    "#2a788e", "#355f8d", "#414487", "#482475", "#440154",
)  # fmt: skip
_LIGHT_UP_TO = 0.45  # black letters up to here on the scale, white ones after

_KIND_NAMES = {
    Kind.UNIT: "unit (±1)",
    Kind.CONSTANT: "constant",
    Kind.COPY: "copy",
    Kind.VALUE: "value",
}

LONG_EDGE = 10_000.0  # from this length on edges are drawn solid: browsers choke on a million dashes

STYLE = """
.graphax-drawing { font-family: system-ui, -apple-system, "Segoe UI", sans-serif; }
.graphax-drawing .paper { fill: #ffffff; }
.graphax-drawing text { fill: #1d2430; font-size: 11px; }
.graphax-drawing .caption { font-size: 13px; font-weight: 600; }
.graphax-drawing .edge { fill: none; }
.graphax-drawing .unit { stroke: #8b919c; }
.graphax-drawing .constant { stroke: #cc8400; }
.graphax-drawing .copy { stroke: #b58cab; }
.graphax-drawing .value { stroke: #0072b2; }
.graphax-drawing .sample { stroke: #1d2430; }
.graphax-drawing .tied { stroke-dasharray: 7 3; }
.graphax-drawing .sum { stroke-dasharray: 2 2.5; }
.graphax-drawing .long { stroke-dasharray: none; }
.graphax-drawing .box { fill: #eef0f3; stroke: #4b5563; stroke-width: 1; }
.graphax-drawing .input .box { fill: #ffffff; stroke-width: 2; }
.graphax-drawing .frame { fill: none; stroke: #1d2430; stroke-width: 1.6; }
.graphax-drawing .node text { text-anchor: middle; }
.graphax-drawing .node .number { font-size: 11.5px; font-weight: 700; }
.graphax-drawing .node .name { font-size: 9px; }
.graphax-drawing .early text { fill: #10141a; }
.graphax-drawing .late text { fill: #ffffff; }
@media (prefers-color-scheme: dark) {
  .graphax-drawing .paper { fill: #14181f; }
  .graphax-drawing text { fill: #e4e7ec; }
  .graphax-drawing .unit { stroke: #7d8593; }
  .graphax-drawing .constant { stroke: #e6a532; }
  .graphax-drawing .copy { stroke: #c9a0bf; }
  .graphax-drawing .value { stroke: #56b4e9; }
  .graphax-drawing .sample { stroke: #e4e7ec; }
  .graphax-drawing .box { fill: #2a303a; stroke: #aab2bf; }
  .graphax-drawing .input .box { fill: #14181f; }
  .graphax-drawing .frame { stroke: #e4e7ec; }
}
"""


class Form(enum.Enum):
    """How the entries of a Jacobian hang together."""

    DENSE = "dense"  # every entry is there, and a value holds each; scalars too
    TIED = "tied"  # some entries are zero by structure, or share a number
    SUM = "sum"  # of several terms


_FORM_NAMES = {
    Form.DENSE: "dense or scalar",
    Form.TIED: "diagonal or tied",
    Form.SUM: "sum of terms",
}


def kind_of(structure: Structure) -> Kind:
    """What the nonzeros hold; of a sum what the term that holds most does."""
    return max(term.kind for term in structure.terms)


def form_of(structure: Structure) -> Form:
    """How the entries hang together."""
    term, *others = structure.terms
    if others:
        return Form.SUM
    digits = [digit for dim in (*term.out, *term.in_) for digit in dim]
    labels = [label for digit in digits for label in digit.labels]
    full = all(digit.covers(term.sizes) for digit in digits) and len(labels) == len(set(labels))
    own = not term.has_value or len(term.axes) == len(term.sizes)
    return Form.DENSE if full and own else Form.TIED


def stroke_of(structure: Structure) -> tuple[str, float]:
    """The style classes and the width of an edge."""
    width = min(6.0, 1.3 + 0.35 * math.log2(max(structure.numbers, 1)))
    return f"edge {kind_of(structure).name.lower()} {form_of(structure).value}", round(width, 2)


def structure_text(structure: Structure) -> str:
    """A structure and how many numbers it holds, in two lines."""
    return f"{shortened(str(structure))}\nholds {amount(structure.numbers, 'number')}"


def amount(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def clean(text: str) -> str:
    """Text as it may stand in XML and HTML, between tags or in quotes."""
    return escape(re.sub(r"[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text))


@dataclass(frozen=True)
class Picture:
    """All that a picture of a graph shows.

    Attributes:
        graph: the graph.
        replay: of the order; its steps are empty where only the graph is drawn.
        caption: what the picture shows, in a line.
    """

    graph: ComputationalGraph
    replay: Replay
    caption: str

    @cached_property
    def nodes(self) -> dict[int, Node]:
        return nodes_of(self.graph)

    @cached_property
    def layout(self) -> Layout:
        widths = {number: node.width + 8.0 * node.is_output for number, node in self.nodes.items()}
        return lay_out(widths, self.graph.edges, self.graph.inputs)

    @cached_property
    def turn(self) -> dict[int, int]:
        """When a vertex goes: 0 first."""
        return {step.vertex: at for at, step in enumerate(self.replay.steps)}

    def svg(self, legend: bool = True) -> str:
        """The picture.

        Args:
            legend: whether caption and legend stand above the graph.
        """
        width = max(self.layout.width, 32.0 + 7.4 * len(self.caption) if legend else 120.0)
        head, top = self._legend(width) if legend else ("", 0.0)
        height = top + max(self.layout.height, 60.0)
        left = (width - self.layout.width) / 2
        label = clean(self.caption)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="graphax-drawing" role="img" '
            f'aria-label="{label}" width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}">'
            f'<style>{STYLE}</style><rect class="paper" width="100%" height="100%" rx="6"/>{head}'
            f'<g transform="translate({left:g} {top:g})"><g class="edges">{self._edges}</g>'
            f'<g class="nodes">{self._nodes}</g></g></svg>'
        )

    @cached_property
    def _edges(self) -> str:
        structures = self.replay.table.structures
        held = self.replay.edges
        # What holds nothing is drawn first, so that it covers nothing.
        ranked = sorted(held, key=lambda edge: (kind_of(structures[held[edge]]), edge))
        return "\n".join(
            edge_element(edge, structures[held[edge]], self.layout.route[edge]) for edge in ranked
        )

    @cached_property
    def _nodes(self) -> str:
        return "\n".join(self._node(node) for node in self.nodes.values())

    def _node(self, node: Node) -> str:
        x, y = self.layout.centre[node.number]
        classes = ["node", "input" if node.number < 0 else "vertex"]
        if node.is_output:
            classes.append("output")
        fill = ""
        if node.number in self.turn:
            shade = self.turn[node.number] / max(len(self.turn) - 1, 1)
            classes.append("early" if shade <= _LIGHT_UP_TO else "late")
            fill = f' style="fill:{colour(shade)}"'
        width, radius = node.width, ROW / 2 if node.number < 0 else 5
        parts = [
            f'<g class="{" ".join(classes)}" data-node="{node.number}">'
            f"<title>{clean(self._about(node))}</title>",
        ]
        if node.is_output:
            parts.append(_box("frame", x, y, width + 7, ROW + 7, radius + 3.5))
        parts.append(_box("box", x, y, width, ROW, radius, fill))
        parts.append(
            f'<text class="number" x="{x:g}" y="{y - 2.5:g}">{str(node.number).replace("-", "−")}</text>'
        )
        parts.append(f'<text class="name" x="{x:g}" y="{y + 9.5:g}">{clean(node.label)}</text></g>')
        return "".join(parts)

    def _about(self, node: Node) -> str:
        """The tooltip of a node."""
        what = f"vertex {node.number}: {node.name}" if node.number > 0 else f"node {node.number}"
        lines = [", ".join((what, *node.roles)), node.equation, node.source]
        if node.number in self.turn:
            at = self.turn[node.number]
            step = self.replay.steps[at]
            lines.append(
                f"goes in step {at + 1} of {len(self.replay.steps)}: "
                f"{amount(step.mults, 'multiplication')}, {amount(step.adds, 'addition')}"
            )
        return "\n".join(line for line in lines if line)

    def legend_items(self, structures: Iterable[Structure]) -> list[tuple[str, str]]:
        """The style classes that the edges of these structures need explained, with their names."""
        seen = list(structures)
        kinds = sorted({kind_of(structure) for structure in seen})
        forms = [form for form in Form if form in {form_of(structure) for structure in seen}]
        items = [(f"edge {kind.name.lower()}", _KIND_NAMES[kind]) for kind in kinds]
        if forms != [Form.DENSE]:
            items += [(f"edge sample {form.value}", _FORM_NAMES[form]) for form in forms]
        return items

    def _legend(self, width: float) -> tuple[str, float]:
        """The legend, and its height."""
        structures = self.replay.table.structures
        items = [
            (
                44.0,
                f'<path class="{classes}" stroke-width="2.4" d="M0 0H30"/><text x="36" y="4">{name}</text>',
                name,
            )
            for classes, name in self.legend_items(structures[at] for at in self.replay.edges.values())
        ]
        if any(structures[at].numbers > 1 for at in self.replay.edges.values()):
            items.append((4.0, '<text y="4">wider: more numbers</text>', "wider: more numbers"))
        items.append((44.0, f'{_sample("input")}<text x="36" y="4">input</text>', "input"))
        if any(node.is_output for node in self.nodes.values()):
            items.append((44.0, f'{_sample("output")}<text x="36" y="4">output</text>', "output"))
        if self.turn:
            end = 58.0 + 9.0 * len(SCALE) + 6.0
            bar = f'<text y="4">goes first</text>{_bar(58.0)}<text x="{end:g}" y="4">last</text>'
            items.append((end, bar, "last"))
        parts = [f'<text class="caption" x="16" y="26">{clean(self.caption)}</text>']
        x, y = 16.0, 48.0
        for mark, body, name in items:
            length = mark + 5.8 * len(name) + 16.0
            if x > 16.0 and x + length > width:
                x, y = 16.0, y + 22.0
            parts.append(f'<g transform="translate({x:g} {y:g})">{body}</g>')
            x += length
        return "".join(parts), y + 14.0


def edge_element(edge: Edge, structure: Structure, route: Sequence[Point]) -> str:
    """A path with its tooltip."""
    classes, width = stroke_of(structure)
    if route[-1][1] - route[0][1] > LONG_EDGE:
        classes += " long"
    source, target = edge
    title = clean(f"edge {source} → {target}\n{structure_text(structure)}")
    return (
        f'<path class="{classes}" data-edge="{source},{target}" stroke-width="{width:g}" d="{curve(route)}">'
        f"<title>{title}</title></path>"
    )


def curve(route: Sequence[Point]) -> str:
    """A path through points from top to bottom that is vertical at each of them."""
    (x, y), *rest = route
    path = [f"M{x:g} {y:g}"]
    for to_x, to_y in rest:
        if to_x == x:
            path.append(f"V{to_y:g}")
        else:
            middle = (y + to_y) / 2
            path.append(f"C{x:g} {middle:g} {to_x:g} {middle:g} {to_x:g} {to_y:g}")
        x, y = to_x, to_y
    return "".join(path)


def colour(shade: float) -> str:
    """The colour of a number between 0 and 1."""
    at = min(max(shade, 0.0), 1.0) * (len(SCALE) - 1)
    low = min(int(at), len(SCALE) - 2)
    mixed = (
        round(a + (b - a) * (at - low)) for a, b in zip(_rgb(SCALE[low]), _rgb(SCALE[low + 1]), strict=True)
    )
    return "#" + "".join(f"{part:02x}" for part in mixed)


def _rgb(code: str) -> tuple[int, ...]:
    return tuple(int(code[at : at + 2], 16) for at in (1, 3, 5))


def _box(classes: str, x: float, y: float, width: float, height: float, radius: float, more: str = "") -> str:
    return (
        f'<rect class="{classes}"{more} x="{x - width / 2:g}" y="{y - height / 2:g}" '
        f'width="{width:g}" height="{height:g}" rx="{radius:g}"/>'
    )


def _sample(role: str) -> str:
    """A small node for the legend."""
    frame = _box("frame", 17, 0, 26, 16, 5) if role == "output" else ""
    return f'<g class="{role}">{frame}{_box("box", 17, 0, 20, 10, 5 if role == "input" else 2)}</g>'


def _bar(x: float) -> str:
    """The scale of shades, for the legend."""
    return "".join(
        f'<rect x="{x + 9 * at:g}" y="-6" width="9.5" height="12" fill="{code}"/>'
        for at, code in enumerate(SCALE)
    )
