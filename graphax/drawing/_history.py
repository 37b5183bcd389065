"""An elimination step by step, on structures alone: what each step costs, and what it does to the edges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .._elimination import Costing
from .._graph import ComputationalGraph
from .._numbering import Edge
from ..sparse import StructureTable


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


class History(NamedTuple):
    """An elimination.

    Attributes:
        table: the structures.
        edges: the id of every edge's structure at the start.
        steps: in the order of the elimination.
    """

    table: StructureTable
    edges: dict[Edge, int]
    steps: tuple[Step, ...]


def history_of(graph: ComputationalGraph, order: Sequence[int], beside: History | None = None) -> History:
    """Eliminate vertices in an order, and write down what happens.

    Args:
        graph: the graph; structures and costs are those of its convention.
        order: vertex numbers.
        beside: another elimination of this graph, whose table is used.
    """
    table, edges = (beside.table, beside.edges) if beside else graph.interned()
    costing = Costing(table, edges, graph.output_vertices, undoable=True)
    steps = []
    for vertex in order:
        adds = costing.adds
        mults = costing.eliminate(vertex)
        steps.append(Step(vertex, mults, costing.adds - adds, costing.changed()))
    return History(table, edges, tuple(steps))
