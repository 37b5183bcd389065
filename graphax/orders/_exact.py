"""The cheapest order, with a proof: branch and bound."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from .._elimination import order_cost
from .._graph import ComputationalGraph
from ..sparse import ZERO, Kind, StructureTable, UnitEdges
from ._bound import Group, group_bounds
from ._check import check_order
from ._heuristics import forward, markowitz, reverse

# A state's matrix is held for every depth; graphs with more nodes than this are bounded, but not searched.
_MOST_NODES = 400
# States remembered at most, 24 bytes each at twice their number; when they are full, all are forgotten.
_MOST_REMEMBERED = 1 << 23
_STEPS = 20_000  # states between two looks at the clock


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
    unit_edges: UnitEdges = "free",
    start: Iterable[int] | None = None,
) -> Proof:
    """The order with the fewest multiplications, by branch and bound.

    The search goes depth first, cheapest prospects first. A branch is given up when the multiplications so far and
    the bounds of the vertices that are left (:func:`lower_bound`; for scalars, anew in every state) reach the
    cost of the best order known, or when the same state has been reached as cheaply before. A state is the matrix of
    the edges' structures: what the vertices that are left will cost depends on nothing else. It is recognised by a
    hash of 128 bits. So two vertices that may be swapped are tried in both orders, but not what follows them.

    Args:
        graph: the graph.
        seconds: when to stop; without it the search ends with the proof.
        unit_edges: the convention, as for :func:`graphax.count_ops`.
        start: an order to start from; without it, the best of forward, reverse and Markowitz.

    Returns:
        the best order, its cost, and a bound on all orders. They meet unless time ran out, or the graph has more
        than 400 nodes, for which there is the bound alone.

    Raises:
        ValueError: when ``seconds`` is not positive, for another word for ``unit_edges``, and when ``start`` is not
            an order of the graph.
        TypeError: when ``start`` has entries that are not integers.
    """
    began = time.perf_counter()
    if seconds is not None and not seconds > 0:
        raise ValueError(f"seconds must be positive, or None for a search without a limit, got {seconds!r}")
    graph.edges_as(unit_edges)  # refuses another word
    if start is not None:
        candidates = [check_order(graph, start)]
    else:
        candidates = [forward(graph), reverse(graph), markowitz(graph, unit_edges=unit_edges)]
    cost, order = min((order_cost(graph, order, unit_edges).mults, order) for order in candidates)
    groups = group_bounds(graph, unit_edges)
    bound = sum(int(group.table[0]) for group in groups)
    nodes = {node for edge in graph.edges for node in edge}
    if bound == cost or len(nodes) > _MOST_NODES:
        return Proof(order, cost, bound)
    search = _Search(graph, unit_edges, groups, sorted(nodes), order, cost)
    search.run(None if seconds is None else began + seconds)
    return Proof(search.order(), search.cost, max(bound, search.bound()))


class _Search:
    """The arrays of a search, and the tables that are filled while it runs."""

    def __init__(
        self,
        graph: ComputationalGraph,
        unit_edges: UnitEdges,
        groups: list[Group],
        nodes: list[int],
        order: tuple[int, ...],
        cost: int,
    ) -> None:
        self._table = StructureTable(unit_edges)
        self._nodes = nodes
        place = {node: at for at, node in enumerate(nodes)}
        n, depth = len(nodes), len(graph.eliminable) + 1
        structures = graph.edges_as(unit_edges)
        self._edges = np.zeros((depth, n, n), np.int32)
        for (source, target), structure in structures.items():
            self._edges[0, place[source], place[target]] = self._table.intern(structure) + 1
        self._keys = np.zeros((depth, 2), np.uint64)
        self._costs = np.zeros(depth, np.int64)
        self._bounds = np.zeros((depth, n), np.int64)
        self._left = np.zeros((depth, n), np.int32)
        self._num_left = np.zeros(depth, np.int32)
        for at, vertex in enumerate(graph.eliminable):
            self._left[0, at] = place[vertex]
        self._num_left[0] = len(graph.eliminable)
        self._gone = np.zeros((depth, len(groups)), np.int32)
        self._group, self._bit = np.zeros(n, np.int32), np.zeros(n, np.int32)
        self._group_tables = np.zeros((len(groups), max(len(group.table) for group in groups)), np.int64)
        for at, group in enumerate(groups):
            self._group_tables[at, : len(group.table)] = group.table
            for bit, vertex in enumerate(group.vertices):
                self._group[place[vertex]], self._bit[place[vertex]] = at, 1 << bit
        self._moves = np.zeros((depth, n), np.int32)
        self._floors = np.zeros((depth, n), np.int64)
        self._num_moves = np.full(depth, -1, np.int32)
        self._next_move = np.zeros(depth, np.int32)
        self._is_input = np.array([node in graph.inputs for node in nodes])
        self._is_output = np.array([node in graph.output_vertices for node in nodes])
        self._scalar = all(s.out_shape == s.in_shape == () for s in structures.values())
        self._best_order = np.array([place[vertex] for vertex in order], np.int32)
        self._counters = np.array([0, cost, 0], np.int64)
        self._missing = np.zeros(3, np.int64)
        self._memory_keys = np.zeros((1 << 12, 2), np.uint64)
        self._memory_costs = np.full(1 << 12, -1, np.int64)
        self._grow_tables()

    @property
    def cost(self) -> int:
        """The multiplications of the best order."""
        return int(self._counters[1])

    def order(self) -> tuple[int, ...]:
        """The best order."""
        return tuple(self._nodes[at] for at in self._best_order)

    def bound(self) -> int:
        """The least that an order can cost: the best one's, or what branches that are still open allow."""
        found = self.cost
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

    def run(self, deadline: float | None) -> None:
        """Search until the proof is complete or the time is over."""
        from . import _branch

        while deadline is None or time.perf_counter() < deadline:
            status = _branch.search(
                self._edges, self._keys, self._costs, self._bounds, self._left, self._num_left,
                self._moves, self._floors, self._num_moves, self._next_move,
                self._gone, self._group, self._bit, self._group_tables,
                self._is_input, self._is_output, self._kinds, self._products, self._mults, self._sums,
                self._memory_keys, self._memory_costs, self._best_order, self._counters, self._missing,
                self._scalar, _STEPS,
            )  # fmt: skip
            if status == _branch.DONE:
                return
            if status == _branch.NO_PRODUCT:
                self._fill_product(int(self._missing[1]), int(self._missing[2]))
            elif status == _branch.NO_SUM:
                self._fill_sum(int(self._missing[1]), int(self._missing[2]))
            elif status == _branch.MEMORY_FULL:
                self._grow_memory(_branch.rehash)

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
        size = 0 if not hasattr(self, "_sums") else len(self._sums)
        if wanted > size:
            bigger = max(64, 2 * wanted)
            for name, dtype in (("_products", np.int32), ("_mults", np.int64), ("_sums", np.int32)):
                table = np.full((bigger, bigger), -1, dtype)
                if size:
                    table[:size, :size] = getattr(self, name)
                setattr(self, name, table)
            self._kinds = np.zeros(bigger, np.int8)
        for at, structure in enumerate(self._table.structures):
            kind = structure.terms[0].kind
            self._kinds[at + 1] = 2 if kind is Kind.VALUE else 1 if kind is Kind.CONSTANT else 0

    def _grow_memory(self, rehash) -> None:
        keys, costs = self._memory_keys, self._memory_costs
        if len(costs) >= 2 * _MOST_REMEMBERED:
            costs[:] = -1
            self._counters[2] = 0
            return
        self._memory_keys = np.zeros((4 * len(costs), 2), np.uint64)
        self._memory_costs = np.full(4 * len(costs), -1, np.int64)
        rehash(keys, costs, self._memory_keys, self._memory_costs)
