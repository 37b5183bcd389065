"""Evaluate a program together with the local Jacobians of its equations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.extend import core

from ._numbering import Edge, Numbering, number_vertices
from ._trace import Constant, Equation, KnownValues, Variable, communicates, inline, is_complex, read
from .rules import (
    Blocks,
    Call,
    FiniteValues,
    Inexpressible,
    NotElementwise,
    complex_rule,
    dense_rule,
    elementwise_as_found,
    find_rule,
    static_number,
    touches_complex,
)
from .sparse import Block, identity_block


def linearize(
    numbering: Numbering,
    values: Sequence[Any],
    body_order: Any = "auto",
    *,
    evaluate: Callable[[Equation, Sequence[Any]], Sequence[Any]] = Equation.evaluate,
    finite: Sequence[bool] | None = None,
) -> tuple[list[Any], dict[Edge, Block]]:
    """Evaluate a program together with the local Jacobians of its equations.

    Args:
        numbering: the numbered program.
        values: one array for every input of the program.
        body_order: the elimination order for the bodies of its loops.
        evaluate: from an equation of which no Jacobian is wanted, and its operands, to its results.
        finite: for every input whether it is known to be finite; all of them if left out.

    Returns:
        the values of the outputs, and the block of every edge, in the order of the program.
    """
    program = numbering.program
    env = dict(zip(program.inputs, values, strict=True))
    env.update((variable, jax.numpy.asarray(value)) for variable, value in program.constants)
    edges: dict[Edge, Block] = {}
    known = KnownValues(program)
    finite_values = FiniteValues(program, finite)
    for equation, wanted in zip(program.equations, numbering.wanted, strict=True):
        operands = [read(env, atom) for atom in equation.inputs]
        if any(wanted):
            call = _call(numbering, equation, operands, wanted, known, finite_values, body_order)
            with equation.surroundings.entered():
                results, blocks = _apply_rule(call, equation)
            _collect(numbering, equation, wanted, finite_values.after(equation, blocks), edges)
        else:
            results = evaluate(equation, operands)
            finite_values.after(equation, [])
        env.update(zip(equation.outputs, results, strict=True))
    return [read(env, atom) for atom in program.outputs], edges


def _call(
    numbering: Numbering,
    equation: Equation,
    operands: Sequence[Any],
    wanted: Sequence[bool],
    known: KnownValues,
    finite: FiniteValues,
    body_order: Any,
) -> Call:
    if communicates(equation):
        raise Inexpressible(
            f"the primitive '{equation.primitive.name}' combines the values of a mapped axis, which have no "
            "local Jacobian",
            "take jacve outside of the vmap or shard_map",
            equation.source,
        )
    return Call(
        equation.primitive,
        equation.params,
        [
            np.asarray(atom.value, atom.aval.dtype) if isinstance(atom, Constant) else operand
            for atom, operand in zip(equation.inputs, operands, strict=True)
        ],
        static=[
            static_number(atom.value) if isinstance(atom, Constant) else None for atom in equation.inputs
        ],
        wanted=wanted,
        reached=[atom in numbering.moving for atom in equation.inputs],
        num_results=len(equation.outputs),
        needed=[output in numbering.active for output in equation.outputs],
        jacobians=inner_jacobians,
        body_order=body_order,
        finite=finite.of(equation),
        known=lambda at: known(equation.inputs[at]),
    )


def _apply_rule(call: Call, equation: Equation) -> tuple[list[Any], Blocks]:
    types = [output.aval for output in equation.outputs]
    try:
        return _local_jacobians(call, types)
    except Inexpressible as error:
        error.source = error.source or equation.source
        raise
    except NotImplementedError as error:
        raise TypeError(
            f"the primitive '{equation.primitive.name}' ({equation.source}) cannot be differentiated: "
            f"{error}. Stop its gradient, or give it a rule with graphax.register_rule"
        ) from error


def _local_jacobians(call: Call, types: Sequence[Any]) -> tuple[list[Any], Blocks]:
    rule = find_rule(call.primitive)
    if touches_complex(call, types):
        return complex_rule(call, types, rule)
    try:
        return (rule or elementwise_as_found)(call)
    except NotElementwise:
        return dense_rule(call)


def _collect(
    numbering: Numbering,
    equation: Equation,
    wanted: Sequence[bool],
    blocks: list[list[Block | None]],
    edges: dict[Edge, Block],
) -> None:
    for output, row in zip(equation.outputs, blocks, strict=True):
        if output not in numbering.active:
            continue
        target = numbering.number[output]
        for atom, want, block in zip(equation.inputs, wanted, row, strict=True):
            if not want or block is None or not block.structure.terms or 0 in block.shape:
                continue
            assert isinstance(atom, Variable)  # constants are never wanted
            edge = (numbering.number[atom], target)
            edges[edge] = edges[edge] + block if edge in edges else block


def inner_jacobians(
    program: core.ClosedJaxpr,
    operands: Sequence[Any],
    wanted: Sequence[bool],
    order: Any,
    needed: Sequence[bool] | None = None,
    finite: Sequence[bool] | None = None,
) -> tuple[list[Any], Blocks]:
    """Evaluate a program inside a program, a loop's body or a branch, with its Jacobians.

    Args:
        program: the program.
        operands: one array for every input.
        wanted: for every input whether to differentiate with respect to it.
        order: the elimination order. Programs further inside get it too if it is a name; the numbers of a
            sequence mean nothing to them, and their order is found by itself.
        needed: for every result whether to differentiate it; all of them if left out, or if the order is a
            sequence: its numbers are those of the whole program.
        finite: for every input whether it is known to be finite; all of them if left out.

    Returns:
        the results and, for every result, a block for every operand, or None.
    """
    # A program inside is a graph like any other: here the layers recur.
    from ._elimination import accumulate
    from ._graph import build_graph
    from .orders import resolve_order

    flat = inline(program)
    asked = [
        at for at in range(len(flat.outputs)) if needed is None or needed[at] or not isinstance(order, str)
    ]
    # What is not asked for follows, as auxiliary results do.
    places = sorted(range(len(flat.outputs)), key=lambda at: at not in asked)
    flat = replace(flat, outputs=tuple(flat.outputs[at] for at in places))
    numbering = number_vertices(flat, [at for at, want in enumerate(wanted) if want], len(asked))
    found, edges = linearize(numbering, operands, order if isinstance(order, str) else "auto", finite=finite)
    results: list[Any] = [None] * len(places)
    for at, atom, result in zip(places, flat.outputs, found, strict=True):
        dtype = program.out_avals[at].dtype
        results[at] = lax.convert_element_type(result, dtype) if isinstance(atom, Constant) else result
    graph, edges = build_graph(numbering, len(asked), edges)
    jacobians = accumulate(graph, edges, resolve_order(graph, order))
    blocks: Blocks = [[None] * len(operands) for _ in results]
    for at, node in zip(asked, graph.outputs, strict=True):
        for column, source in zip(numbering.wrt, numbering.inputs, strict=True):
            if node == source:
                view = [2] * is_complex(results[at])
                blocks[at][column] = identity_block((*np.shape(results[at]), *view))
            elif node is not None:
                blocks[at][column] = jacobians.get(node, {}).get(source)
    return results, blocks
