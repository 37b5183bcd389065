"""What a user may write for an order, turned into vertex numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .._graph import ComputationalGraph, check_order
from ..spelling import did_you_mean
from ._heuristics import forward, markowitz, reverse
from ._order_file import Order
from ._time import quickest

OrderLike = str | Sequence[int] | Order
"""What may be given as an order: a name, vertex numbers, or what :func:`load_order` has read.

Example:
    >>> f = lambda x: jnp.sin(jnp.exp(x) * x)
    >>> [round(float(graphax.jacve(f, order=order)(0.0)), 6) for order in ("reverse", "markowitz", (2, 1))]
    [1.0, 1.0, 1.0]
"""

_NAMED: dict[str, Callable[[ComputationalGraph], tuple[int, ...]]] = {
    "forward": forward,
    "reverse": reverse,
    "markowitz": markowitz,
    "auto": quickest,
    "fwd": forward,
    "rev": reverse,
}


def resolve_order(graph: ComputationalGraph, order: OrderLike) -> tuple[int, ...]:
    """The vertex numbers of an order.

    Args:
        graph: the graph to eliminate. ``"markowitz"`` compares costs in its convention; ``"auto"`` is the
            order that is executed, in either.
        order: ``"auto"``, ``"forward"`` or ``"fwd"``, ``"reverse"`` or ``"rev"``, ``"markowitz"``, a sequence
            of vertex numbers, or a loaded order.

    Returns:
        vertex numbers.

    Raises:
        ValueError: for an unknown name, an order of another graph, or a sequence that is not an order.
        TypeError: for anything else.

    Example:
        >>> graph = graphax.trace(lambda x: jnp.sin(jnp.exp(x) * x))(1.0)
        >>> orders.resolve_order(graph, "rev")
        (2, 1)
        >>> orders.resolve_order(graph, [1, 2])
        (1, 2)
    """
    if isinstance(order, str):
        check_name(order)
        return _NAMED[order](graph)
    if isinstance(order, Order):
        return order.for_graph(graph)
    return check_order(graph, order)


def check_name(order: str) -> None:
    """Raises ValueError for an unknown name of an order."""
    if order not in _NAMED:
        raise ValueError(
            f"unknown order {order!r}; {did_you_mean(order, _NAMED)}named orders are "
            + ", ".join(map(repr, _NAMED))
        )


def are_left_open(*orders: OrderLike) -> bool:
    """Whether all of some orders are ``"auto"``, so that any way to a Jacobian will do."""
    return all(isinstance(order, str) and order == "auto" for order in orders)
