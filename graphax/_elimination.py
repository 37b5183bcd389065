"""Eliminate the vertices of a graph: on blocks to get a Jacobian, on structures to know its cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

from ._graph import ComputationalGraph
from ._numbering import Edge
from .sparse import ZERO, Block, StructureTable, UnitEdges

E = TypeVar("E")


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

    def eliminate(self, vertex: int, compose: Callable[[E, E], E | None], add: Callable[[E, E], E]) -> None:
        """Join every in-edge with every out-edge of a vertex, then drop its edges.

        The in-edges of an output stay: they are part of the Jacobian.

        Args:
            vertex: the vertex.
            compose: the product of an out-edge and an in-edge; None where it is zero.
            add: the sum of two parallel edges.
        """
        successors = self.out.pop(vertex, {})
        predecessors = self.in_.get(vertex, {})
        for target in successors:
            del self.in_[target][vertex]
        for source, inner in predecessors.items():
            from_source = self.out[source]
            for target, outer in successors.items():
                edge = compose(outer, inner)
                if edge is None:
                    continue
                parallel = from_source.get(target)
                if parallel is not None:
                    edge = add(parallel, edge)
                from_source[target] = edge
                self.in_[target][source] = edge
        if vertex not in self._outputs:
            for source in predecessors:
                del self.out[source][vertex]
            self.in_.pop(vertex, None)


def accumulate(
    graph: ComputationalGraph, blocks: Mapping[Edge, Block], order: Sequence[int], sparse: bool = False
) -> Mapping[int, Mapping[int, Block]]:
    """Run an elimination order on blocks.

    Args:
        graph: the graph.
        blocks: the local Jacobian of every edge.
        order: vertex numbers.
        sparse: whether the Jacobian is wanted as a sparse one. Costs are those of ``sparse=False``.

    Returns:
        for every output node the blocks from the inputs on which it depends.
    """

    def compose(outer: Block, inner: Block) -> Block | None:
        block = outer.compose(inner, sparse)
        return block if block.structure.terms else None

    def add(left: Block, right: Block) -> Block:
        return left.plus(right, sparse)

    elimination = Elimination(blocks, graph.output_vertices)
    for vertex in order:
        elimination.eliminate(vertex, compose, add)
    return elimination.in_


class Costing:
    """A graph being eliminated on structures alone, with the operations counted.

    Attributes:
        mults, adds: operations so far.
    """

    def __init__(
        self, graph: ComputationalGraph, unit_edges: UnitEdges, table: StructureTable | None = None
    ) -> None:
        self._table = table or StructureTable(unit_edges)
        edges = {edge: self._table.intern(s) for edge, s in graph.edges_as(unit_edges).items()}
        self._elimination = Elimination(edges, graph.output_vertices)
        self.mults = 0
        self.adds = 0

    def eliminate(self, vertex: int) -> None:
        """Eliminate a vertex and count what it costs."""
        self._elimination.eliminate(vertex, self._compose, self._add)

    def degree(self, vertex: int) -> int:
        """The multiplications that eliminating the vertex now would take: its Markowitz degree."""
        outer = _tally(self._elimination.out.get(vertex, {}).values())
        inner = _tally(self._elimination.in_.get(vertex, {}).values())
        compose = self._table.compose
        return sum(
            compose(b, a)[1] * b_times * a_times
            for b, b_times in outer.items()
            for a, a_times in inner.items()
        )

    def neighbours(self, vertex: int) -> set[int]:
        """The nodes that share an edge with the vertex."""
        return {*self._elimination.out.get(vertex, {}), *self._elimination.in_.get(vertex, {})}

    def _compose(self, outer: int, inner: int) -> int | None:
        product, mults, adds = self._table.compose(outer, inner)
        self.mults += mults
        self.adds += adds
        return None if product == ZERO else product

    def _add(self, left: int, right: int) -> int:
        total, adds = self._table.add(left, right)
        self.adds += adds
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
