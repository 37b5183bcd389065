"""What a user may write for an order, turned into vertex numbers."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence

from .._graph import ComputationalGraph, check_order
from ..sparse import UnitEdges
from ._auto import auto
from ._heuristics import forward, markowitz, reverse
from ._store import Order

OrderLike = str | Sequence[int] | Order

_NAMED: dict[str, Callable[[ComputationalGraph, UnitEdges], tuple[int, ...]]] = {
    "forward": lambda graph, unit_edges: forward(graph),
    "reverse": lambda graph, unit_edges: reverse(graph),
    "markowitz": lambda graph, unit_edges: markowitz(graph, unit_edges=unit_edges),
    "auto": lambda graph, unit_edges: auto(graph),
    "fwd": lambda graph, unit_edges: forward(graph),
    "rev": lambda graph, unit_edges: reverse(graph),
}


def resolve_order(
    graph: ComputationalGraph, order: OrderLike, unit_edges: UnitEdges = "free"
) -> tuple[int, ...]:
    """The vertex numbers of an order.

    Args:
        graph: the graph to eliminate.
        order: ``"auto"``, ``"forward"`` or ``"fwd"``, ``"reverse"`` or ``"rev"``, ``"markowitz"``, a sequence
            of vertex numbers, or a loaded order.
        unit_edges: the convention in which ``"markowitz"`` compares costs; ``"auto"`` is the order that is
            executed, in either convention.

    Raises:
        ValueError: for an unknown name, an order of another graph, or a sequence that is not an order.
        TypeError: for anything else.
    """
    if isinstance(order, str):
        if order not in _NAMED:
            close = difflib.get_close_matches(order, _NAMED, 1, 0.0)[0]
            raise ValueError(
                f"unknown order {order!r}; did you mean {close!r}? Named orders are "
                + ", ".join(map(repr, _NAMED))
            )
        return _NAMED[order](graph, unit_edges)
    if isinstance(order, Order):
        return order.for_graph(graph)
    return check_order(graph, order)
