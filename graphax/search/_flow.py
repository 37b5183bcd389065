"""The largest flow through nodes of limited capacity, compiled; it is as large as the least cut.

L. R. Ford and D. R. Fulkerson, *Maximal flow through a network*, Canadian Journal of Mathematics 8, 1956;
along shortest paths: J. Edmonds and R. M. Karp, Journal of the ACM 19, 1972.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..compiled import compiled, part
from ._links import NEXT, TARGET, cells_of

_UNSEEN = -1
_TINY = 1e-9  # of the largest finite capacity, which is 1


class Flow(NamedTuple):
    """A flow away from a vertex, along the edges of a graph or against them.

    A place is twice a node, plus one when the flow is through the node.

    Attributes:
        capacity: of nodes and edges, by their cells; the largest finite one is 1.
        amount: what flows through each.
        came: the cell by which a search came to a place.
        queue: the places that a search has come to.
    """

    capacity: np.ndarray
    amount: np.ndarray
    came: np.ndarray
    queue: np.ndarray


@part(allocates=True)
def new_flow(nodes, capacity):
    """No flow yet through so many nodes and their edges."""
    return Flow(
        capacity, np.zeros(len(capacity)), np.zeros(2 * nodes, np.int64), np.zeros(2 * nodes, np.int64)
    )


@part
def _room(flow, cell, ahead):
    """How much more can flow through a node or an edge; if not ahead, how much less."""
    return flow.capacity[cell] - flow.amount[cell] if ahead else flow.amount[cell]


@part
def _reach(flow, size, place, cell, ahead):
    """Note a place that a search can come to by a cell; returns how many there are then."""
    if flow.came[place] == _UNSEEN and _room(flow, cell, ahead) > _TINY:
        flow.came[place], flow.queue[size] = cell, place
        size += 1
    return size


@part
def _shortest(cells, flow, vertex, side, ends):
    """The end of a shortest path on which more can flow, or -1."""
    flow.came[:] = _UNSEEN
    size = 0
    cell = cells[vertex, NEXT + side]
    while cell != vertex:
        size = _reach(flow, size, 2 * cells[cell, side], cell, True)
        cell = cells[cell, NEXT + side]
    first = 0
    while first < size:
        node, through = np.uint32(flow.queue[first] >> 1), flow.queue[first] & 1
        first += 1
        if through:
            if ends[node]:
                return np.int64(node)
            cell = cells[node, NEXT + side]
            while cell != node:
                size = _reach(flow, size, 2 * cells[cell, side], cell, True)
                cell = cells[cell, NEXT + side]
            size = _reach(flow, size, 2 * node, node, False)
        else:
            size = _reach(flow, size, 2 * node + 1, node, True)
            if flow.amount[node] > _TINY:
                cell = cells[node, NEXT + 1 - side]
                while cell != node:
                    if cells[cell, 1 - side] != vertex:
                        size = _reach(flow, size, 2 * cells[cell, 1 - side] + 1, cell, False)
                    cell = cells[cell, NEXT + 1 - side]
    return -1


@part
def _send(cells, flow, vertex, side, end):
    """Let as much as can flow along the path that was found; returns how much."""
    amount = np.inf
    for sending in range(2):
        place = 2 * end + 1
        while place >> 1 != vertex:
            cell, through = flow.came[place], place & 1 == 1
            is_node = cell == place >> 1
            ahead = through == is_node
            if not sending:
                amount = min(amount, _room(flow, cell, ahead))
            elif ahead:
                flow.amount[cell] += amount
            else:
                flow.amount[cell] -= amount
            if is_node:
                place ^= 1
            elif ahead:
                place = 2 * np.int64(cells[cell, 1 - side]) + 1
            else:
                place = 2 * np.int64(cells[cell, side])
    return amount


@part
def augment(cells, flow, vertex, side, ends):
    """Let as much flow from a vertex to the ends as can; returns how much more that is than before."""
    room, total = 0.0, 0.0  # no more can begin to flow than the vertex's edges and neighbours take
    cell = cells[vertex, NEXT + side]
    while cell != vertex:
        room += min(flow.capacity[cell], flow.capacity[cells[cell, side]]) - flow.amount[cell]
        cell = cells[cell, NEXT + side]
    while total < room - _TINY:
        end = _shortest(cells, flow, vertex, side, ends)
        if end < 0:
            break
        total += _send(cells, flow, vertex, side, end)
    return total


@compiled(allocates=True)
def least_cut(edges, capacity, ends):
    """The least weight of nodes that separate node 0 from the ends.

    Args:
        edges: ``[edge, :]`` source, target and 0.
        capacity: the weight of each node, which may be infinite; at least one of a path is not.
        ends: whether a node is an end.
    """
    size, largest = len(capacity), 0.0
    for weight in capacity:
        if weight < np.inf:
            largest = max(largest, weight)
    cells = cells_of(size, edges, len(edges))
    capacities = np.empty(len(cells))
    for cell in range(len(cells)):
        capacities[cell] = capacity[cell] / largest if cell < size else np.inf
    return largest * augment(cells, new_flow(size, capacities), np.uint32(0), np.int64(TARGET), ends)
