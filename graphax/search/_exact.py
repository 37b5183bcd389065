"""The cheapest order, with a proof: branch and bound."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from .._graph import ComputationalGraph, check_order, order_cost
from ..choose import forward, markowitz, reverse
from ..sparse import ZERO, Kind
from ._bound import Group, group_bounds

# A state's matrix is held for every depth; graphs with more nodes than this are bounded, but not searched.
_MOST_NODES = 400
# States remembered at most, 24 bytes each at twice their number; when they are full, all are forgotten.
_MOST_REMEMBERED = 1 << 23
_STEPS = 10_000  # states between two looks at the clock
_FIRST_STATES = 200_000  # looked at before larger groups of vertices are bounded together
_FEW = 20  # vertices of graphs for which that does not pay: there are not so many states
_LARGE_GROUP = 12


class Proof(NamedTuple):
    """An order, and what is known about all orders.

    Attributes:
        order: the best order found.
        cost: its multiplications.
        bound: multiplications that no order can beat.
    """

    order: tuple[int, ...]
    cost: int
    bound: int

    @property
    def optimal(self) -> bool:
        """Whether no order is cheaper."""
        return self.cost == self.bound


def exact(
    graph: ComputationalGraph,
    *,
    seconds: float | None = None,
    start: Iterable[int] | None = None,
) -> Proof:
    """The order with the fewest multiplications, by branch and bound.

    The search goes depth first, the most promising vertices first. A branch is given up when the
    multiplications so far and a bound on what is left reach the cost of the best order known, or when its
    state has been reached as cheaply before. A state is the matrix of the edges' structures, recognised by a
    hash of 128 bits; what the vertices that are left will cost depends on nothing else. So vertices that may
    be swapped are tried in both orders, but what follows is searched once. The bound is that of
    :func:`lower_bound` for the members of each group that are left; for scalars also the sum of the products
    of cuts in the graph that is left. A vertex between inputs and mere outputs goes at once: it costs the
    same at any time, and touches no other.

    If that takes long, orders are sought below a limit that is raised step by step: when there is none, the
    limit is a bound on all orders.

    Args:
        graph: the graph; multiplications are those of its convention.
        seconds: when to stop the search, whose first bound may take some seconds by itself for graphs of
            arrays; without it the search ends with the proof, which may take exponential time.
        start: an order to start from; without it, the best of forward, reverse and Markowitz.

    Returns:
        the best order, its cost, and a bound on all orders. They meet unless time ran out, or the graph has
        more than 400 nodes: those are not searched.

    Raises:
        ValueError: when ``seconds`` is not positive, and when ``start`` is not an order of the graph.
        TypeError: when ``start`` has entries that are not integers.
    """
    began = time.perf_counter()
    if seconds is not None and not seconds > 0:
        raise ValueError(f"seconds must be positive, or None for a search without a limit, got {seconds!r}")
    if start is not None:
        candidates = [check_order(graph, start)]
    else:
        candidates = [forward(graph), reverse(graph), markowitz(graph)]
    cost, order = min((order_cost(graph, order).mults, order) for order in candidates)
    deadline = None if seconds is None else began + seconds
    groups = group_bounds(graph)
    proof = Proof(order, cost, sum(int(group.table[0]) for group in groups))
    nodes = {node for edge in graph.edges for node in edge}
    if proof.optimal or len(nodes) > _MOST_NODES:
        return proof
    search = _Search(graph, sorted(nodes))
    states = None if len(graph.eliminable) <= _FEW else _FIRST_STATES
    proof, done = search.run(proof, groups, cost, deadline, states)
    if done or _is_over(deadline):
        return proof
    more = group_bounds(graph, _LARGE_GROUP)
    bound = sum(int(group.table[0]) for group in more)
    if bound > sum(int(group.table[0]) for group in groups):
        groups = more
    proof = proof._replace(bound=max(proof.bound, bound))
    # Is there an order a little above the bound? Every no is a better bound.
    step = max(1, (proof.cost - proof.bound) // 16)
    while not proof.optimal and not _is_over(deadline):
        limit = min(proof.cost, proof.bound + step)
        proof, done = search.run(proof, groups, limit, deadline)
        step *= 2
    return proof


def _is_over(deadline: float | None) -> bool:
    return deadline is not None and time.perf_counter() >= deadline


class _Search:
    """The arrays of a search, and the tables that are filled while it runs."""

    def __init__(self, graph: ComputationalGraph, nodes: list[int]) -> None:
        self._table, edges = graph.interned()
        self._nodes = nodes
        self._place = {node: at for at, node in enumerate(nodes)}
        n, depth = len(nodes), len(graph.eliminable) + 1
        self._edges = np.zeros((depth, n, n), np.int32)
        for (source, target), edge in edges.items():
            self._edges[0, self._place[source], self._place[target]] = edge + 1
        self._keys = np.zeros((depth, 2), np.uint64)
        self._costs = np.zeros(depth, np.int64)
        self._bounds = np.zeros((depth, n), np.int64)
        self._left = np.zeros((depth, n), np.int32)
        self._left[0, : depth - 1] = [self._place[vertex] for vertex in graph.eliminable]
        self._num_left = np.zeros(depth, np.int32)
        self._num_left[0] = depth - 1
        self._moves = np.zeros((depth, n), np.int32)
        self._floors = np.zeros((depth, n), np.int64)
        self._num_moves = np.zeros(depth, np.int32)
        self._next_move = np.zeros(depth, np.int32)
        self._is_input = np.array([node in graph.inputs for node in nodes])
        self._is_output = np.array([node in graph.output_vertices for node in nodes])
        self._scalar = all(s.out_shape == s.in_shape == () for s in graph.edges.values())
        self._best_order = np.zeros(depth - 1, np.int32)
        self._missing = np.zeros(3, np.int64)
        self._products, self._sums = np.zeros((0, 0), np.int32), np.zeros((0, 0), np.int32)
        self._mults, self._kinds = np.zeros((0, 0), np.int64), np.zeros(0, np.int8)
        self._grow_tables()

    def run(
        self,
        proof: Proof,
        groups: list[Group],
        limit: int,
        deadline: float | None,
        states: int | None = None,
    ) -> tuple[Proof, bool]:
        """Search for the best order that costs less than a limit.

        Args:
            proof: what is known.
            groups: bounds on groups of vertices.
            limit: the cost that orders must stay below.
            deadline: when to stop.
            states: how many states to look at.

        Returns:
            what is known then, and whether all orders below the limit have been seen.
        """
        from . import _branch

        self._start(groups, limit)
        done = False
        while not done and not _is_over(deadline) and (states is None or states > 0):
            status = _branch.search(
                self._edges, self._keys, self._costs, self._bounds, self._left, self._num_left,
                self._moves, self._floors, self._num_moves, self._next_move,
                self._gone, self._group, self._bit, self._group_tables,
                self._is_input, self._is_output, self._kinds, self._products, self._mults, self._sums,
                self._memory_keys, self._memory_costs, self._best_order, self._counters, self._missing,
                self._scalar, _STEPS,
            )  # fmt: skip
            if status == _branch.DONE:
                done = True
            elif status == _branch.NO_PRODUCT:
                self._fill_product(int(self._missing[1]), int(self._missing[2]))
            elif status == _branch.NO_SUM:
                self._fill_sum(int(self._missing[1]), int(self._missing[2]))
            elif status == _branch.MEMORY_FULL:
                self._grow_memory(_branch.rehash)
            elif states is not None:
                states -= _STEPS
        best = int(self._counters[1])
        if best < min(limit, proof.cost):
            proof = proof._replace(order=tuple(self._nodes[at] for at in self._best_order), cost=best)
        return proof._replace(bound=max(proof.bound, min(proof.cost, self._open_bound()))), done

    def _start(self, groups: list[Group], limit: int) -> None:
        n, depth = len(self._nodes), len(self._costs)
        self._gone = np.zeros((depth, len(groups)), np.int32)
        self._group, self._bit = np.zeros(n, np.int32), np.zeros(n, np.int32)
        self._group_tables = np.zeros((len(groups), max(len(group.table) for group in groups)), np.int64)
        for at, group in enumerate(groups):
            self._group_tables[at, : len(group.table)] = group.table
            for bit, vertex in enumerate(group.vertices):
                self._group[self._place[vertex]], self._bit[self._place[vertex]] = at, 1 << bit
        self._num_moves[0] = -1
        self._counters = np.array([0, limit, 0], np.int64)
        self._memory_keys = np.zeros((1 << 12, 2), np.uint64)
        self._memory_costs = np.full(1 << 12, -1, np.int64)

    def _open_bound(self) -> int:
        """The least that an order can cost: the best one's or the limit, or what open branches allow."""
        found = int(self._counters[1])
        for depth in range(self._counters[0] + 1):
            if self._num_moves[depth] < 0:
                left = self._left[depth, : self._num_left[depth]]
                rest = self._group_tables[np.arange(len(self._group_tables)), self._gone[depth]].sum()
                floor = int(self._costs[depth] + max(rest, self._bounds[depth, left].sum()))
            elif self._next_move[depth] < self._num_moves[depth]:
                floor = int(self._floors[depth, self._next_move[depth]])
            else:
                continue
            found = min(found, floor)
        return found

    def _fill_product(self, outer: int, inner: int) -> None:
        product, mults, _ = self._table.compose(outer - 1, inner - 1)
        self._grow_tables()
        self._products[outer, inner] = 0 if product == ZERO else product + 1
        self._mults[outer, inner] = mults

    def _fill_sum(self, left: int, right: int) -> None:
        total, _ = self._table.add(left - 1, right - 1)
        self._grow_tables()
        self._sums[left, right] = self._sums[right, left] = total + 1

    def _grow_tables(self) -> None:
        """Make room for all structures there are."""
        wanted = len(self._table.structures) + 1
        if wanted > len(self._kinds):
            self._products, self._mults, self._sums = (
                _enlarged(table, max(64, 2 * wanted)) for table in (self._products, self._mults, self._sums)
            )
            self._kinds = np.zeros(len(self._sums), np.int8)
        for at, structure in enumerate(self._table.structures):
            kind = structure.terms[0].kind
            self._kinds[at + 1] = 2 if kind is Kind.VALUE else 1 if kind is Kind.CONSTANT else 0

    def _grow_memory(self, rehash: Callable[..., None]) -> None:
        """A larger memory; an empty one when it has become too large."""
        keys, costs = self._memory_keys, self._memory_costs
        if len(costs) >= 2 * _MOST_REMEMBERED:
            costs[:] = -1
            self._counters[2] = 0
            return
        self._memory_keys = np.zeros((4 * len(costs), 2), np.uint64)
        self._memory_costs = np.full(4 * len(costs), -1, np.int64)
        rehash(keys, costs, self._memory_keys, self._memory_costs)


def _enlarged(table: np.ndarray, size: int) -> np.ndarray:
    """A table with room for more, not filled in."""
    larger = np.full((size, size), -1, table.dtype)
    larger[: len(table), : len(table)] = table
    return larger
