"""About how long it takes to eliminate a graph in an order, from structures alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax

from ._elimination import accumulate
from ._graph import ComputationalGraph
from ._numbering import Edge
from .rules import real_type
from .sparse import Block, Kind, Scaled, Structure
from .timing import Constants, estimated_seconds


def elimination_seconds(
    graph: ComputationalGraph, order: Sequence[int], constants: Constants | None = None
) -> float:
    """About how long the elimination of a graph's vertices takes, compiled.

    What is estimated are the products and sums of an order, and the dense Jacobian that they leave; the local
    Jacobians, which all orders have in common, are taken for granted.

    Args:
        graph: the graph; one that is counted is taken for the graph that is executed.
        order: vertex numbers; they are not checked.
        constants: those of the device, as for :func:`graphax.timing.estimated_seconds`.

    Returns:
        seconds.
    """
    graph = graph.executed()
    numbers = graph.numbering.number.items()
    types = {node: variable.aval.dtype for variable, node in numbers}
    edges = {edge: _values_of(found, real_type(types[edge[1]])) for edge, found in graph.edges.items()}

    def jacobian(values: dict[Edge, list[Any]]) -> list[jax.Array]:
        blocks = {edge: _block(graph.edges[edge], arrays) for edge, arrays in values.items()}
        found = accumulate(blocks, graph.output_vertices, order)
        rows = [found.get(node, {}) for node in graph.output_vertices]
        return [block.todense(real_type(types[at])) for row in rows for at, block in row.items()]

    return estimated_seconds(jax.make_jaxpr(jacobian)(edges), constants)


def _values_of(structure: Structure, dtype: Any) -> list[jax.ShapeDtypeStruct]:
    """The types of the arrays that a block of a structure holds."""
    return [jax.ShapeDtypeStruct(term.value_shape, dtype) for term in structure.terms if term.has_value]


def _block(structure: Structure, arrays: Sequence[jax.Array]) -> Block:
    """A block of a structure; constants, of which it does not tell the number, are halves."""
    remaining = iter(arrays)
    values = [
        Scaled(next(remaining)) if term.has_value else Scaled(None, 1 if term.kind is Kind.UNIT else 0.5)
        for term in structure.terms
    ]
    return Block(structure, tuple(values))
