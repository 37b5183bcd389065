"""`draw`: a graph and an elimination of it as a picture, and as a page that steps through."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from .._graph import ComputationalGraph, check_graph, register_picture
from ..files import write_atomically
from ..orders import Order, OrderLike, resolve_order
from ._history import history_of
from ._page import page
from ._picture import Picture
from ._text import shortened


@dataclass(frozen=True)
class Drawing:
    """A picture of a graph, and a page of its elimination, which is what notebooks show.

    Attributes:
        svg: the picture, with a legend.
        html: a page that steps through the elimination. It needs JavaScript, and no network.

    Example:
        >>> drawing = graphax.draw(graphax.trace(lambda x: jnp.sin(x) * x)(1.0), "reverse")
        >>> drawing.svg[:4], "</html>" in drawing.html
        ('<svg', True)
    """

    svg: str = field(repr=False)
    html: str = field(repr=False)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture or the page to a file, atomically.

        Args:
            path: the file, which is replaced if it exists. Its suffix says what is written: ``.svg`` or
                ``.html``.

        Raises:
            ValueError: for another suffix.
            OSError: when the file cannot be written.
        """
        kinds = {".svg": self.svg, ".html": self.html}
        suffix = Path(path).suffix.lower()
        if suffix not in kinds:
            raise ValueError(
                f"path must end in .svg (the picture) or .html (the page), got {os.fspath(path)!r}"
            )
        write_atomically(Path(path), kinds[suffix])

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_html_(self) -> str:
        return (
            f'<iframe srcdoc="{escape(self.html)}" title="vertex elimination" sandbox="allow-scripts" '
            'style="width:100%;height:720px;border:0"></iframe>'
        )


def draw(
    graph: ComputationalGraph, order: OrderLike | None = None, *, beside: OrderLike | None = None
) -> Drawing:
    """Draw a graph, and how an order eliminates its vertices.

    The graph stands in layers, inputs at the top and outputs at the bottom. Edges are styled by the structure
    of their local Jacobian, vertices are shaded by when they go; tooltips tell equations, source lines and
    structures.

    The page steps through the elimination with its running cost. Beside the vertex that goes stands the line
    of code that it comes from, with file and number; the text of that line is in the page if the file can be
    read when it is made, folders are not. The page's address says the step (``elimination.html#step=17``), so
    that a link leads to it. It is light or dark as the system is, or as its button was last set, and works in
    a frame (``<iframe srcdoc=...>``), as notebooks show it. Graphs of thousands of vertices step as fluently
    as small ones: only what is in sight is drawn.

    With ``beside`` two orders go through the graph in one page, step by step together, each in a pane of its
    own, with their costs beside one another and the difference of these.

    Args:
        graph: a graph that :func:`graphax.trace` made; structures and costs are those of its convention.
        order: the order, as for :func:`graphax.jacve`; None draws the graph alone.
        beside: another order to compare with it. The picture (``.svg``) is that of ``order``.

    Returns:
        the drawing: ``.svg``, ``.html``, and ``.save("elimination.html")``.

    Raises:
        TypeError: when the graph is not one.
        ValueError: when an order is not one of this graph's, or ``beside`` is given without ``order``.

    Example:
        >>> import os, tempfile
        >>> graph = graphax.trace(lambda x: jnp.sin(x) * jnp.cos(x) * x)(1.0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     page = os.path.join(folder, "elimination.html")
        ...     graphax.draw(graph, "forward", beside="reverse").save(page)
        ...     os.path.exists(page)
        True
    """
    check_graph(graph, "draw")
    if order is None:
        if beside is not None:
            raise ValueError(
                "beside is compared with order, which is None; give draw(graph, order, beside=...)"
            )
        picture = Picture(graph, history_of(graph, ()), "")
        return Drawing(picture.svg(), page([picture]))
    pictures = [Picture(graph, history_of(graph, resolve_order(graph, order)), _named(order))]
    if beside is not None:
        history = history_of(graph, resolve_order(graph, beside), pictures[0].history)
        pictures.append(Picture(graph, history, _named(beside)))
    return Drawing(pictures[0].svg(), page(pictures))


@register_picture
def _small(graph: ComputationalGraph) -> str:
    """The picture of a graph for a notebook: as wide as there is room for, but not below half its size."""
    picture = Picture(graph, history_of(graph, ()), "")
    width = f"max(min({picture.width:g}px, 100%), {picture.width / 2:g}px)"
    svg = picture.svg("width:100%;height:auto")
    return f'<div style="max-height:32rem;overflow:auto"><div style="width:{width}">{svg}</div></div>'


def _named(order: OrderLike) -> str:
    """What an order is called in a caption."""
    if isinstance(order, str):
        return f"{order} order"
    if isinstance(order, Order):
        return f"{shortened(order.task or 'loaded', 40)} order, found by {shortened(order.method, 40)}"
    return "order as given"
