"""Whether a sequence of vertex numbers is an elimination order of a graph."""

from __future__ import annotations

import operator
from collections.abc import Iterable

from .._graph import ComputationalGraph


def check_order(graph: ComputationalGraph, order: Iterable[int]) -> tuple[int, ...]:
    """The order as a tuple.

    Raises:
        TypeError: when an entry is not an integer.
        ValueError: when a vertex is missing, repeated, unknown or not eliminable.
    """
    try:
        vertices = tuple(operator.index(vertex) for vertex in order)
    except TypeError:
        raise TypeError(
            "order must be 'auto', 'forward', 'reverse', 'markowitz', a loaded order, or a sequence of "
            f"vertex numbers (integers), got {order!r}"
        ) from None
    eliminable = set(graph.eliminable)
    known = set(graph.vertices)
    seen: set[int] = set()
    for vertex in vertices:
        if vertex in seen:
            raise ValueError(f"order names vertex {vertex} twice; every vertex is eliminated once")
        if vertex not in eliminable:
            why = (
                "it is an output that no other vertex reads"
                if vertex in known
                else "no vertex of this graph has that number, or no derivative passes through it"
            )
            raise ValueError(
                f"order names vertex {vertex}, which cannot be eliminated: {why}; "
                "the vertices to name are graphax.trace(fun, argnums)(*args).eliminable"
            )
        seen.add(vertex)
    missing = [vertex for vertex in graph.eliminable if vertex not in seen]
    if missing:
        some = ", ".join(map(str, missing[:10])) + (", ..." if len(missing) > 10 else "")
        raise ValueError(f"order misses {len(missing)} of {len(eliminable)} eliminable vertices: {some}")
    return vertices
