"""The classical elimination orders."""

from __future__ import annotations

import heapq

from .._elimination import Costing, UnitEdges
from .._graph import ComputationalGraph


def forward(graph: ComputationalGraph) -> tuple[int, ...]:
    """Ascending vertex numbers: sparse vector forward mode."""
    return graph.eliminable


def reverse(graph: ComputationalGraph) -> tuple[int, ...]:
    """Descending vertex numbers: sparse vector reverse mode."""
    return graph.eliminable[::-1]


def markowitz(graph: ComputationalGraph, *, unit_edges: UnitEdges = "free") -> tuple[int, ...]:
    """The vertex whose elimination costs least first, ties by the smallest number.

    Args:
        graph: the graph.
        unit_edges: the convention in which costs are compared.

    The heuristic is Markowitz's for sparse elimination (Management Science 3, 1957), carried over to
    computational graphs by Griewank and Reese (1991).
    """
    costing = Costing(graph, unit_edges)
    degree = {vertex: costing.degree(vertex) for vertex in graph.eliminable}
    heap = [(cost, vertex) for vertex, cost in degree.items()]
    heapq.heapify(heap)
    order = []
    while heap:
        cost, vertex = heapq.heappop(heap)
        if degree.get(vertex) != cost:
            continue  # stale: the vertex is gone, or its degree has changed since
        neighbours = costing.neighbours(vertex)
        costing.eliminate(vertex)
        order.append(vertex)
        del degree[vertex]
        for neighbour in neighbours & degree.keys():
            cost = costing.degree(neighbour)
            if cost != degree[neighbour]:
                degree[neighbour] = cost
                heapq.heappush(heap, (cost, neighbour))
    return tuple(order)
