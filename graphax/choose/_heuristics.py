"""Elimination orders that need no search: the classical ones, and greedy ones."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeVar, get_args

from .._elimination import Costing
from .._graph import ComputationalGraph, check_graph

Ties = Literal["first", "last", "fill", "low", "high"]
Key = TypeVar("Key", bound=Any)


def forward(graph: ComputationalGraph) -> tuple[int, ...]:
    """Ascending vertex numbers: sparse vector forward mode.

    Args:
        graph: the graph.

    Returns:
        vertex numbers.

    Example:
        >>> orders.forward(graphax.trace(lambda x: jnp.sin(jnp.exp(x) * x))(1.0))
        (1, 2)
    """
    check_graph(graph, "forward")
    return graph.eliminable


def reverse(graph: ComputationalGraph) -> tuple[int, ...]:
    """Descending vertex numbers: sparse vector reverse mode.

    Args:
        graph: the graph.

    Returns:
        vertex numbers.

    Example:
        >>> orders.reverse(graphax.trace(lambda x: jnp.sin(jnp.exp(x) * x))(1.0))
        (2, 1)
    """
    check_graph(graph, "reverse")
    return graph.eliminable[::-1]


def markowitz(graph: ComputationalGraph, *, ties: Ties = "first") -> tuple[int, ...]:
    """The vertex whose elimination costs least first.

    Args:
        graph: the graph; costs are compared in its convention.
        ties: which of several such vertices goes first: the one with the smallest number (``"first"``) or the
            largest (``"last"``), the one that made the fewest new edges when its cost last changed
            (``"fill"``), or the one with the lowest or highest relative cost (``"low"``, ``"high"``), which
            :func:`relative_markowitz` explains. What is still tied goes by the smallest number.

    Returns:
        vertex numbers.

    Raises:
        ValueError: for another word for ``ties``.

    Example:
        >>> graph = graphax.trace(lambda x: jnp.stack([jnp.sin(x[0]) * x[1], x[1]]).sum())(jnp.ones(2))
        >>> sorted(orders.markowitz(graph, ties="last")) == list(graph.eliminable)
        True
        >>> graph.counted().cost(orders.markowitz(graph.counted())).mults  # as the published tables count
        8

    The heuristic is Markowitz's for sparse elimination (Management Science 3, 1957), carried over to
    computational graphs by Griewank and Reese (1991).
    """
    check_graph(graph, "markowitz")
    if ties not in get_args(Ties):
        raise ValueError(f"ties must be one of {', '.join(map(repr, get_args(Ties)))}, got {ties!r}")
    return _unlimited(cheapest_first(graph.costing(), graph, ties))


def relative_markowitz(graph: ComputationalGraph) -> tuple[int, ...]:
    """The vertex with the lowest relative cost first, ties by the smallest number.

    The relative cost of a vertex is what its elimination costs now, less what it would cost after all others:
    then every input that it depends on is joined with every output that depends on it, by dense Jacobians,
    at a price of (numbers in these inputs) x (numbers in the vertex) x (numbers in these outputs). So a
    vertex that will become costly goes early.

    Args:
        graph: the graph; costs are compared in its convention.

    Returns:
        vertex numbers.

    Example:
        >>> graph = graphax.trace(lambda x: jnp.exp(jnp.sin(x) * jnp.cos(x)) * x)(1.0)
        >>> sorted(orders.relative_markowitz(graph)) == list(graph.eliminable)
        True

    Lowest relative Markowitz: U. Naumann, *Efficient calculation of Jacobian matrices by optimized
    application of the chain rule to computational graphs*, 1999; Griewank and Walther, *Evaluating
    Derivatives*, 2nd ed., chapter 10.
    """
    check_graph(graph, "relative_markowitz")
    return _unlimited(relatively_cheapest_first(graph.costing(), graph))


def lookahead(graph: ComputationalGraph, *, width: int = 8) -> tuple[int, ...]:
    """Of the cheapest vertices, the one that leaves its neighbours cheapest first.

    Compared is the cost of a vertex and what its elimination adds to the costs of its neighbours, ties by the
    smallest cost and number.

    Args:
        graph: the graph; costs are compared in its convention.
        width: how many of the cheapest vertices are compared.

    Returns:
        vertex numbers.

    Raises:
        ValueError: for a width below 1.

    Example:
        >>> graph = graphax.trace(lambda x: jnp.exp(jnp.sin(x) * jnp.cos(x)) * x)(1.0)
        >>> sorted(orders.lookahead(graph, width=4)) == list(graph.eliminable)
        True
    """
    check_graph(graph, "lookahead")
    if width < 1:
        raise ValueError(f"width must be at least 1, got {width}")
    return _unlimited(looking_ahead(graph.costing(undoable=True), graph, width))


def _unlimited(order: tuple[int, ...] | None) -> tuple[int, ...]:
    assert order is not None  # there is no limit
    return order


def cheapest_first(
    costing: Costing, graph: ComputationalGraph, ties: Ties = "first", limit: float = math.inf
) -> tuple[int, ...] | None:
    """:func:`markowitz`; None where it costs more than the limit. The vertices are eliminated."""
    last = _last_costs(graph) if ties in ("low", "high") else {}

    def key(vertex: int) -> tuple[float, float]:
        degree = costing.degree(vertex)
        if ties == "first":
            return degree, 0
        if ties == "last":
            return degree, -vertex
        if ties == "fill":
            return degree, costing.fill(vertex)
        return degree, last[vertex] if ties == "high" else -last[vertex]

    return _greedy(costing, graph.eliminable, key, limit)


def relatively_cheapest_first(
    costing: Costing, graph: ComputationalGraph, limit: float = math.inf
) -> tuple[int, ...] | None:
    """:func:`relative_markowitz`; None where it costs more than the limit. The vertices are eliminated."""
    last = _last_costs(graph)
    return _greedy(costing, graph.eliminable, lambda vertex: costing.degree(vertex) - last[vertex], limit)


def looking_ahead(
    costing: Costing, graph: ComputationalGraph, width: int, limit: float = math.inf
) -> tuple[int, ...] | None:
    """:func:`lookahead`; None where it costs more than the limit. The vertices are eliminated."""

    def added(vertex: int, degrees: dict[int, int]) -> int:
        """What eliminating the vertex costs, now and in its neighbours."""
        neighbours = costing.neighbours(vertex) & degrees.keys()
        cost = costing.eliminate(vertex)
        cost += sum(costing.degree(neighbour) - degrees[neighbour] for neighbour in neighbours)
        costing.undo()
        return cost

    def choose(cheapest: list[tuple[int, int]], degrees: dict[int, int]) -> int:
        return min((added(vertex, degrees), cost, vertex) for cost, vertex in cheapest)[-1]

    return _greedy(costing, graph.eliminable, costing.degree, limit, width, choose)


def _greedy(
    costing: Costing,
    vertices: Iterable[int],
    key: Callable[[int], Key],
    limit: float,
    width: int = 1,
    choose: Callable[[list[tuple[Key, int]], dict[int, Key]], int] = lambda smallest, keys: smallest[0][1],
) -> tuple[int, ...] | None:
    """The vertex with the smallest key first, ties by the smallest number; None beyond the limit.

    Args:
        costing: of the graph; the vertices are eliminated.
        vertices: all that are to go.
        key: of a vertex; it may change when a neighbour is eliminated.
        limit: of the multiplications.
        width: how many of the smallest keys there is a choice of.
        choose: from these keys, with their vertices, and the keys of all vertices to the one that goes first.
    """
    keys = {vertex: key(vertex) for vertex in vertices}
    heap = [(found, vertex) for vertex, found in keys.items()]
    heapq.heapify(heap)
    order = []
    while keys:
        smallest: list[tuple[Key, int]] = []
        while heap and len(smallest) < width:
            item = heapq.heappop(heap)
            # Others are stale: the vertex is gone, or its key has changed since.
            if keys.get(item[1]) == item[0] and item not in smallest:
                smallest.append(item)
        vertex = choose(smallest, keys)
        for item in smallest:
            if item[1] != vertex:
                heapq.heappush(heap, item)
        neighbours = costing.neighbours(vertex)
        costing.eliminate(vertex)
        if costing.mults > limit:
            return None
        order.append(vertex)
        del keys[vertex]
        for neighbour in neighbours & keys.keys():
            found = key(neighbour)
            if found != keys[neighbour]:
                keys[neighbour] = found
                heapq.heappush(heap, (found, neighbour))
    return tuple(order)


def _last_costs(graph: ComputationalGraph) -> dict[int, int]:
    """What every vertex costs when it goes last and all Jacobians are dense, by size alone."""
    size: dict[int, int] = {}
    successors: dict[int, list[int]] = {}
    predecessors: dict[int, list[int]] = {}
    for (source, target), found in graph.edges.items():
        size[source], size[target] = math.prod(found.in_shape), math.prod(found.out_shape)
        successors.setdefault(source, []).append(target)
        predecessors.setdefault(target, []).append(source)
    ascending = sorted(size)  # inputs are negative; every edge leads to a larger number
    inputs = _reached(ascending, predecessors, [node for node in graph.inputs if node in size], size)
    outputs = _reached(ascending[::-1], successors, sorted(graph.output_vertices), size)
    return {vertex: inputs[vertex] * size[vertex] * outputs[vertex] for vertex in graph.eliminable}


def _reached(
    nodes: Iterable[int], before: dict[int, list[int]], ends: Iterable[int], size: dict[int, int]
) -> dict[int, int]:
    """For every node how many numbers the ends that lead to it hold; none leads to itself."""
    bit = {end: 1 << at for at, end in enumerate(ends)}
    of_size: dict[int, int] = {}
    for end, mask in bit.items():
        of_size[size[end]] = of_size.get(size[end], 0) | mask
    masks: dict[int, int] = {}
    for node in nodes:
        mask = 0
        for other in before.get(node, ()):
            mask |= masks[other] | bit.get(other, 0)
        masks[node] = mask
    return {
        node: sum(each * (mask & ends).bit_count() for each, ends in of_size.items())
        for node, mask in masks.items()
    }
