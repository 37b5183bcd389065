"""A graph as an SVG picture: layered, with edges by structure and vertices by when they are eliminated."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from .._graph import ComputationalGraph
from ._edges import edge_element, explained, kind_of
from ._history import History
from ._layout import ROW, Layout, lay_out
from ._nodes import Node, nodes_of
from ._text import amount, clean, shipped

# Viridis from its bright to its dark end: even steps to every eye, in print too.
SCALE = (
    "#fde725", "#bddf26", "#7ad151", "#44bf70", "#22a884", "#21918c",
    "#2a788e", "#355f8d", "#414487", "#482475", "#440154",
)  # fmt: skip
LIGHT_UP_TO = 0.45  # black letters up to here on the scale, white ones after


@dataclass(frozen=True)
class Picture:
    """All that a picture of a graph shows.

    Attributes:
        graph: the graph.
        history: of the order; its steps are empty where only the graph is drawn.
        name: what the order is called; empty where only the graph is drawn.
    """

    graph: ComputationalGraph
    history: History
    name: str

    @property
    def caption(self) -> str:
        """What the picture shows, in a line."""
        if not self.name:
            return self.graph_caption
        return (
            f"{self.graph_caption}; {self.order_caption} "
            f"(unit edges {'counted' if self.graph.is_counted else 'free'})"
        )

    @property
    def graph_caption(self) -> str:
        """How large the graph is."""
        vertices = amount(len(self.graph.vertices), "vertex", "vertices")
        return f"{vertices}, {amount(len(self.graph.edges), 'edge')}"

    @property
    def order_caption(self) -> str:
        """The order and its cost; empty where only the graph is drawn."""
        mults = amount(sum(step.mults for step in self.history.steps), "multiplication")
        return f"{self.name}: {mults}" if self.name else ""

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
        return {step.vertex: at for at, step in enumerate(self.history.steps)}

    @property
    def width(self) -> float:
        """The width of the picture."""
        return max(self.layout.width, 32.0 + 7.4 * len(self.caption))

    def svg(self, style: str = "") -> str:
        """The picture, with caption and legend above the graph.

        Args:
            style: for the element, where it stands in a page.
        """
        width = self.width
        head, top = self._legend(width)
        height = top + max(self.layout.height, 60.0)
        left = (width - self.layout.width) / 2
        label = clean(self.caption)
        attribute = f' style="{style}"' if style else ""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="graphax-drawing" role="img" '
            f'aria-label="{label}" width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}"'
            f"{attribute}>"
            f"<style>\n{shipped('picture.css')}</style>"
            f'<rect class="paper" width="100%" height="100%" rx="6"/>{head}'
            f'<g transform="translate({left:g} {top:g})"><g class="edges">{self._edges}</g>'
            f'<g class="nodes">{self._nodes}</g></g></svg>'
        )

    @cached_property
    def _edges(self) -> str:
        structures = self.history.table.structures
        held = self.history.edges
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
            classes.append("early" if shade <= LIGHT_UP_TO else "late")
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
        lines = [", ".join((what, *node.roles)), node.equation, node.code, node.place]
        if node.number in self.turn:
            at = self.turn[node.number]
            step = self.history.steps[at]
            lines.append(
                f"goes in step {at + 1} of {len(self.history.steps)}: "
                f"{amount(step.mults, 'multiplication')}, {amount(step.adds, 'addition')}"
            )
        return "\n".join(line for line in lines if line)

    def _legend(self, width: float) -> tuple[str, float]:
        """The legend, and its height."""
        structures = self.history.table.structures
        items = [
            (
                44.0,
                f'<path class="{classes}" stroke-width="2.4" d="M0 0H30"/><text x="36" y="4">{name}</text>',
                name,
            )
            for classes, name in explained(structures[at] for at in self.history.edges.values())
        ]
        if any(structures[at].numbers > 1 for at in self.history.edges.values()):
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
