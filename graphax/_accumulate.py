"""From a program to its Jacobians: local Jacobians, the graph, an order, elimination."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.extend import core

from ._elimination import accumulate
from ._graph import ComputationalGraph, build_graph
from ._linearize import linearize
from ._numbering import Edge, Numbering, number_vertices
from ._trace import Constant, Variable, inline
from .choose import OrderLike, resolve_order
from .rules import Blocks, Sparse, view_shape
from .sparse import Block, identity_block


def jacobians_of(
    numbering: Numbering,
    num_outputs: int,
    values: Sequence[Any],
    order: OrderLike,
    *,
    body_order: OrderLike = "auto",
    sparse: Sparse = False,
    finite: Sequence[bool] | None = None,
    certain: Sequence[np.ndarray | None] | None = None,
) -> tuple[list[Any], Blocks]:
    """Evaluate a program, and accumulate its Jacobians.

    Args:
        numbering: the numbered program.
        num_outputs: how many of its outputs are differentiated.
        values: one array for every input.
        order: the elimination order.
        body_order: that of the bodies of its loops.
        sparse: whether sparse Jacobians are wanted, and of which kind.
        finite: for every input whether it is known to be finite; all of them if left out.
        certain: for every input what is certain of its entries; nothing if left out.

    Returns:
        the values of the outputs, and for every differentiated output its block with respect to every
        differentiated input, or None where it does not depend on that.
    """
    results, blocks = linearize(
        numbering,
        values,
        InnerJacobians(body_order, sparse),
        finite=finite,
        certain=certain,
        sparse=sparse,
    )
    return accumulated(numbering, num_outputs, results, blocks, order, sparse)


def accumulated(
    numbering: Numbering,
    num_outputs: int,
    results: list[Any],
    blocks: dict[Edge, Block],
    order: OrderLike,
    sparse: Sparse = False,
) -> tuple[list[Any], Blocks]:
    """As :func:`jacobians_of`, of a program that has been linearised."""
    graph, blocks = build_graph(numbering, num_outputs, blocks)
    vertices = resolve_order(graph, order)
    with jax.named_scope("accumulate"):
        found = accumulate(blocks, graph.output_vertices, vertices, bool(sparse))

    def between(node: int | None, source: int, result: Any) -> Block | None:
        if node == source:
            return identity_block(view_shape(result))
        return None if node is None else found.get(node, {}).get(source)

    return results, [
        [between(node, source, result) for source in graph.inputs]
        for node, result in zip(graph.outputs, results, strict=False)
    ]


def abstract_graph(numbering: Numbering, num_outputs: int) -> ComputationalGraph:
    """The graph of a program from shapes alone; no array is computed."""
    found: list[ComputationalGraph] = []

    def run(*values: Any) -> None:
        _, blocks = linearize(numbering, values, InnerJacobians("auto"))
        found.append(build_graph(numbering, num_outputs, blocks)[0])

    jax.eval_shape(run, *[_shape_of(variable) for variable in numbering.program.inputs])
    return found[0]


def _shape_of(variable: Variable) -> jax.ShapeDtypeStruct:
    aval = variable.aval
    return jax.ShapeDtypeStruct(aval.shape, aval.dtype, weak_type=aval.weak_type)


@dataclass(frozen=True)
class InnerJacobians:
    """The Jacobians of the programs inside a program, the bodies of loops and branches, in one order.

    Here the pipeline recurs; see :class:`graphax.rules.Jacobians`.

    Attributes:
        order: the order.
        sparse: whether a sparse Jacobian is wanted, and of which kind.
    """

    order: OrderLike
    sparse: Sparse = False

    @property
    def named(self) -> bool:
        return isinstance(self.order, str)

    def by(self, order: str) -> InnerJacobians:
        return InnerJacobians(order, self.sparse)

    def static(self) -> InnerJacobians:
        return InnerJacobians(self.order, "static" if self.sparse else False)

    def __call__(
        self,
        program: core.ClosedJaxpr,
        operands: Sequence[Any],
        wanted: Sequence[bool],
        needed: Sequence[bool] | None = None,
        finite: Sequence[bool] | None = None,
        certain: Sequence[np.ndarray | None] | None = None,
    ) -> tuple[list[Any], Blocks]:
        flat = inline(program)
        asked = [at for at in range(len(flat.outputs)) if needed is None or needed[at] or not self.named]
        # What is not asked for follows, as auxiliary results do.
        places = sorted(range(len(flat.outputs)), key=lambda at: at not in asked)
        flat = replace(flat, outputs=tuple(flat.outputs[at] for at in places))
        numbering = number_vertices(flat, [at for at, want in enumerate(wanted) if want], len(asked))
        inside = self.order if self.named else "auto"  # the numbers mean nothing to programs further inside
        found, rows = jacobians_of(
            numbering,
            len(asked),
            operands,
            self.order,
            body_order=inside,
            sparse=self.sparse,
            finite=finite,
            certain=certain,
        )
        results: list[Any] = [None] * len(places)
        for at, atom, result in zip(places, flat.outputs, found, strict=True):
            dtype = program.out_avals[at].dtype
            results[at] = lax.convert_element_type(result, dtype) if isinstance(atom, Constant) else result
        blocks: Blocks = [[None] * len(operands) for _ in results]
        for at, row in zip(asked, rows, strict=True):
            for column, block in zip(numbering.wrt, row, strict=True):
                blocks[at][column] = block
        return results, blocks
