"""An elimination step by step, on structures alone: what each step costs, and what it does to the edges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ._elimination import Elimination
from ._graph import ComputationalGraph
from ._numbering import Edge
from .sparse import ZERO, StructureTable, UnitEdges


class Step(NamedTuple):
    """The elimination of a vertex.

    Attributes:
        vertex: which goes.
        mults, adds: what that costs.
        changed: the edges that are new or have another structure now, with its id.
    """

    vertex: int
    mults: int
    adds: int
    changed: tuple[tuple[Edge, int], ...]


class Replay(NamedTuple):
    """An elimination.

    Attributes:
        table: the structures.
        edges: the id of every edge's structure at the start.
        steps: in the order of the elimination.
    """

    table: StructureTable
    edges: dict[Edge, int]
    steps: tuple[Step, ...]


def replay(graph: ComputationalGraph, order: Sequence[int], unit_edges: UnitEdges) -> Replay:
    """Eliminate vertices in an order, and write down what happens.

    Args:
        graph: the graph.
        order: vertex numbers.
        unit_edges: the convention of structures and costs.
    """
    table = StructureTable(unit_edges)
    edges = {edge: table.intern(structure) for edge, structure in graph.edges_as(unit_edges).items()}
    elimination = Elimination(edges, graph.output_vertices)
    mults = adds = 0

    def compose(outer: int, inner: int) -> int | None:
        nonlocal mults, adds
        product, more_mults, more_adds = table.compose(outer, inner)
        mults += more_mults
        adds += more_adds
        return None if product == ZERO else product

    def add(left: int, right: int) -> int:
        nonlocal adds
        total, more_adds = table.add(left, right)
        adds += more_adds
        return total

    steps = []
    for vertex in order:
        mults = adds = 0
        pairs = [(u, w) for u in elimination.in_.get(vertex, {}) for w in elimination.out.get(vertex, {})]
        before = [elimination.out[u].get(w) for u, w in pairs]
        elimination.eliminate(vertex, compose, add)
        after = [elimination.out[u].get(w) for u, w in pairs]
        changed = tuple(
            (pair, new)
            for pair, old, new in zip(pairs, before, after, strict=True)
            if new is not None and new != old
        )
        steps.append(Step(vertex, mults, adds, changed))
    return Replay(table, edges, tuple(steps))
