"""Eliminate the vertices of a graph: on blocks to get a Jacobian, on structures to know its cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, Literal, NamedTuple, TypeVar

from ._graph import ComputationalGraph
from ._numbering import Edge
from .sparse import Block, StructureTable

E = TypeVar("E")
UnitEdges = Literal["free", "counted"]


class OpCount(NamedTuple):
    """What a Jacobian costs to accumulate.

    Attributes:
        mults: multiplications of numbers.
        adds: additions of numbers.
    """

    mults: int
    adds: int


class Elimination(Generic[E]):
    """A graph whose vertices are being eliminated; edges hold blocks, or structures' ids.

    Attributes:
        out: for every node its successors and the edges to them.
        in_: for every node its predecessors and the edges from them.
    """

    def __init__(self, edges: Mapping[Edge, E], outputs: Iterable[int]) -> None:
        self.out: dict[int, dict[int, E]] = {}
        self.in_: dict[int, dict[int, E]] = {}
        self._outputs = frozenset(outputs)
        for (source, target), edge in edges.items():
            self.out.setdefault(source, {})[target] = edge
            self.in_.setdefault(target, {})[source] = edge

    def eliminate(self, vertex: int, compose: Callable[[E, E], E], add: Callable[[E, E], E]) -> None:
        """Join every in-edge with every out-edge of a vertex, then drop its edges.

        The in-edges of an output stay: they are part of the Jacobian.

        Args:
            vertex: the vertex.
            compose: the product of an out-edge and an in-edge.
            add: the sum of two parallel edges.
        """
        successors = self.out.pop(vertex)
        predecessors = self.in_[vertex]
        for target in successors:
            del self.in_[target][vertex]
        for source, inner in predecessors.items():
            from_source = self.out[source]
            for target, outer in successors.items():
                edge = compose(outer, inner)
                parallel = from_source.get(target)
                if parallel is not None:
                    edge = add(parallel, edge)
                from_source[target] = edge
                self.in_[target][source] = edge
        if vertex not in self._outputs:
            for source in predecessors:
                del self.out[source][vertex]
            del self.in_[vertex]


def accumulate(
    graph: ComputationalGraph, blocks: Mapping[Edge, Block], order: Sequence[int]
) -> Mapping[int, Mapping[int, Block]]:
    """Run an elimination order on blocks.

    Returns:
        for every output node the blocks from the inputs on which it depends.
    """
    elimination = Elimination(blocks, graph.output_vertices)
    for vertex in order:
        elimination.eliminate(vertex, Block.__matmul__, Block.__add__)
    return elimination.in_


class Costing:
    """A graph being eliminated on structures alone, with the operations counted.

    Attributes:
        mults, adds: operations so far.
    """

    def __init__(
        self, graph: ComputationalGraph, unit_edges: UnitEdges, table: StructureTable | None = None
    ) -> None:
        if unit_edges not in ("free", "counted"):
            raise ValueError(f"unit_edges must be 'free' or 'counted', got {unit_edges!r}")
        self._table = table or StructureTable()
        self._counted = unit_edges == "counted"
        edges = {edge: self._table.intern(s) for edge, s in graph.edges.items()}
        self._elimination = Elimination(edges, graph.output_vertices)
        self.mults = 0
        self.adds = 0

    def eliminate(self, vertex: int) -> None:
        """Eliminate a vertex and count what it costs."""
        self._elimination.eliminate(vertex, self._compose, self._add)

    def degree(self, vertex: int) -> int:
        """The multiplications that eliminating the vertex now would take: its Markowitz degree."""
        outer = _tally(self._elimination.out[vertex].values())
        inner = _tally(self._elimination.in_[vertex].values())
        at = 2 if self._counted else 1
        compose = self._table.compose
        return sum(
            compose(b, a)[at] * b_times * a_times
            for b, b_times in outer.items()
            for a, a_times in inner.items()
        )

    def neighbours(self, vertex: int) -> set[int]:
        """The nodes that share an edge with the vertex."""
        return {*self._elimination.out[vertex], *self._elimination.in_[vertex]}

    def _compose(self, outer: int, inner: int) -> int:
        product, mults, counted, adds = self._table.compose(outer, inner)
        self.mults += counted if self._counted else mults
        self.adds += 0 if self._counted else adds
        return product

    def _add(self, left: int, right: int) -> int:
        total, adds, counted = self._table.add(left, right)
        self.adds += counted if self._counted else adds
        return total


def _tally(ids: Iterable[int]) -> dict[int, int]:
    times: dict[int, int] = {}
    for structure in ids:
        times[structure] = times.get(structure, 0) + 1
    return times


def order_cost(graph: ComputationalGraph, order: Sequence[int], unit_edges: UnitEdges = "free") -> OpCount:
    """What accumulating the Jacobian in this order costs, from structures alone."""
    costing = Costing(graph, unit_edges)
    for vertex in order:
        costing.eliminate(vertex)
    return OpCount(costing.mults, costing.adds)
