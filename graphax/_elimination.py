"""Eliminate the vertices of a graph: on blocks to get a Jacobian, on structures to know its cost."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

from ._numbering import Edge
from .sparse import ZERO, Block, Structure, StructureTable

E = TypeVar("E")


class OpCount(NamedTuple):
    """What a Jacobian costs to accumulate.

    Attributes:
        mults: multiplications of numbers.
        adds: additions of numbers.

    Example:
        >>> graphax.count_ops(lambda x: jnp.sin(x) * x.sum(), order="reverse")(jnp.ones(3))
        OpCount(mults=3, adds=9)
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
    blocks: Mapping[Edge, Block], outputs: Iterable[int], order: Sequence[int], sparse: bool = False
) -> Mapping[int, Mapping[int, Block]]:
    """Run an elimination order on blocks.

    Args:
        blocks: the local Jacobian of every edge.
        outputs: the vertices that are outputs.
        order: vertex numbers.
        sparse: whether the Jacobian is wanted as a sparse one. Costs are those of ``sparse=False``.

    Returns:
        for every output node the blocks from the inputs on which it depends.
    """

    def compose(outer: Block, inner: Block) -> Block | None:
        block = outer.compose(inner, sparse)
        return None if block.is_zero else block

    add = functools.partial(Block.plus, sparse=sparse)
    elimination = Elimination(blocks, outputs)
    for vertex in order:
        elimination.eliminate(vertex, compose, add)
    return elimination.in_


class OutOfWork(Exception):
    """Working out a product or a sum would pass the allowance of a :class:`Costing`, now of no more use."""


class Costing:
    """A graph being eliminated on structures alone, with the operations counted.

    Args:
        table: products and sums that are known already, and new ones from now on.
        edges: the id of every edge's structure in the table.
        outputs: the vertices that are outputs.
        undoable: whether eliminations are logged, so that :meth:`undo` can take them back.

    Attributes:
        mults, adds: operations so far.
        work: how much has been looked up and worked out so far, undoing included, in products looked up:
            about 0.4 microseconds each. It depends on nothing but the graph and what was asked.
        allowance: how much work there may be before products and sums that are not known yet raise
            :class:`OutOfWork`.
    """

    def __init__(
        self,
        table: StructureTable,
        edges: Mapping[Edge, int],
        outputs: frozenset[int],
        undoable: bool = False,
    ) -> None:
        self._table = table
        self._out: dict[int, dict[int, int]] = {}
        self._in: dict[int, dict[int, int]] = {}
        for (source, target), edge in edges.items():
            for node in (source, target):
                if node not in self._out:
                    self._out[node], self._in[node] = {}, {}
            self._out[source][target] = self._in[target][source] = edge
        self._outputs = outputs
        self._undoable = undoable
        self._log: list[tuple[int, list[tuple[int, int, int | None]], int, int]] = []
        self.mults = self.adds = self.work = 0
        self.allowance = math.inf

    def eliminate(self, vertex: int) -> int:
        """Eliminate a vertex and count what it costs.

        Returns:
            its multiplications.

        Raises:
            OutOfWork: beyond the allowance; the vertex is still there.
        """
        out, in_ = self._out, self._in
        products, sums = self._table.products, self._table.sums
        successors, predecessors = out[vertex], in_[vertex]
        for target in successors:
            del in_[target][vertex]
        if vertex not in self._outputs:
            for source in predecessors:
                del out[source][vertex]
        changes: list[tuple[int, int, int | None]] = []
        mults = adds = 0
        try:
            for source, inner in predecessors.items():
                from_source = out[source]
                for target, outer in successors.items():
                    edge, product_mults, product_adds = products.get((outer, inner)) or self._product(
                        outer, inner
                    )
                    mults += product_mults
                    adds += product_adds
                    if edge == ZERO:
                        continue
                    parallel = from_source.get(target)
                    if parallel is not None:
                        edge, sum_adds = sums.get((parallel, edge)) or self._sum(parallel, edge)
                        adds += sum_adds
                    changes.append((source, target, parallel))
                    from_source[target] = in_[target][source] = edge
        except OutOfWork:
            self._log.append((vertex, changes, 0, 0))
            self.undo()
            raise
        self.mults += mults
        self.adds += adds
        self.work += len(successors) * len(predecessors) + 2
        if self._undoable:
            self._log.append((vertex, changes, mults, adds))
        return mults

    def undo(self) -> None:
        """Take back the last elimination that has not been taken back."""
        out, in_ = self._out, self._in
        vertex, changes, mults, adds = self._log.pop()
        for source, target, before in changes:
            if before is None:
                del out[source][target], in_[target][source]
            else:
                out[source][target] = in_[target][source] = before
        for target, edge in out[vertex].items():
            in_[target][vertex] = edge
        if vertex not in self._outputs:
            for source, edge in in_[vertex].items():
                out[source][vertex] = edge
        self.mults -= mults
        self.adds -= adds
        self.work += len(changes) + 2

    def changed(self) -> tuple[tuple[Edge, int], ...]:
        """The edges that the last elimination in the log made or gave another structure, with its id."""
        _, changes, _, _ = self._log[-1]
        edges = ((u, w, before, self._out[u][w]) for u, w, before in changes)
        return tuple(((u, w), now) for u, w, before, now in edges if now != before)

    def run(self, order: Iterable[int], limit: float = math.inf) -> bool:
        """Eliminate these vertices, but no more of them once the multiplications pass a limit.

        Returns:
            whether all were eliminated within the limit.
        """
        for vertex in order:
            self.eliminate(vertex)
            if self.mults > limit:
                return False
        return True

    def rewind(self) -> None:
        """Take back all eliminations."""
        while self._log:
            self.undo()

    def degree(self, vertex: int) -> int:
        """The multiplications that eliminating the vertex now would take: its Markowitz degree."""
        successors, predecessors = self._out[vertex], self._in[vertex]
        products = self._table.products
        mults = 0
        if len(successors) * len(predecessors) < _MANY:
            self.work += len(successors) * len(predecessors) + 1
            for inner in predecessors.values():
                for outer in successors.values():
                    mults += (products.get((outer, inner)) or self._product(outer, inner))[1]
            return mults
        self.work += len(successors) + len(predecessors)
        by_inner, by_outer = Counter(predecessors.values()), Counter(successors.values())
        for inner, inner_times in by_inner.items():
            for outer, outer_times in by_outer.items():
                each = (products.get((outer, inner)) or self._product(outer, inner))[1]
                mults += each * inner_times * outer_times
        return mults

    def fill(self, vertex: int) -> int:
        """How many edges eliminating the vertex now would make where there are none."""
        successors, predecessors = self._out[vertex], self._in[vertex]
        self.work += len(successors) * len(predecessors) + 1
        out = self._out
        return sum(target not in out[source] for source in predecessors for target in successors)

    def neighbours(self, vertex: int) -> set[int]:
        """The nodes that share an edge with the vertex."""
        return {*self._out[vertex], *self._in[vertex]}

    def adjacent(self, vertex: int, other: int) -> bool:
        """Whether two vertices share an edge."""
        return other in self._out[vertex] or other in self._in[vertex]

    def _product(self, outer: int, inner: int) -> tuple[int, int, int]:
        self._spend(outer, inner, _PAIR_OF_PRODUCTS)
        return self._table.compose(outer, inner)

    def _sum(self, left: int, right: int) -> tuple[int, int]:
        self._spend(left, right)
        return self._table.add(left, right)

    def _spend(self, one: int, other: int, pair: int = 0) -> None:
        """Count the work of multiplying or adding two structures, given by their ids, for the first time."""
        left, right = self._table.structures[one], self._table.structures[other]
        terms = len(left.terms) * len(right.terms)
        self.work += (_TERM + _INDEX * (_indices(left) + _indices(right))) * terms + pair * terms**2
        if self.work > self.allowance:
            raise OutOfWork


# From so many pairs of edges on it pays to count first how often each structure occurs.
_MANY = 16
# What working out a product or a sum takes, as measured, in products looked up: for every pair of terms, for
# every index in their tables, and for every two products of terms, which are compared with each other.
_TERM, _INDEX, _PAIR_OF_PRODUCTS = 400, 5, 40


def _indices(structure: Structure) -> int:
    return sum(
        len(digit.table.indices)
        for term in structure.terms
        for dim in (*term.out, *term.in_)
        for digit in dim
        if digit.table is not None
    )
