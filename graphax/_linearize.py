"""Evaluate a program together with the local Jacobians of its equations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from ._certain import Certain
from ._known import KnownValues
from ._numbering import Edge, Numbering
from ._repetitions import Repetitions
from ._trace import Constant, Equation, Variable, communicates, read
from .rules import (
    Blocks,
    Call,
    FiniteValues,
    Inexpressible,
    Jacobians,
    NotElementwise,
    Sparse,
    complex_rule,
    dense_rule,
    elementwise_as_found,
    find_rule,
    static_number,
    touches_complex,
)
from .sparse import Block, without_zeros

#: From an equation of which Jacobians are wanted to its results and its blocks. What is done without blocks
#: may add to the edges so far, which come last, and take some away.
Way = Callable[[Call, Equation, dict[Edge, Block]], tuple[Sequence[Any], Blocks]]


def by_rule(call: Call, equation: Equation, _: object = None) -> tuple[list[Any], Blocks]:
    """The results of an equation and its blocks, as the rule of its primitive has them."""
    with equation.surroundings.entered():
        return _apply_rule(call, equation)


def linearize(
    numbering: Numbering,
    values: Sequence[Any],
    jacobians: Jacobians,
    *,
    way: Way = by_rule,
    finite: Sequence[bool] | None = None,
    certain: Sequence[np.ndarray | None] | None = None,
    sparse: Sparse = False,
) -> tuple[list[Any], dict[Edge, Block]]:
    """Evaluate a program together with the local Jacobians of its equations.

    Args:
        numbering: the numbered program.
        values: one array for every input of the program.
        jacobians: of programs inside this one, the bodies of loops and branches.
        way: taken through every equation of which Jacobians are wanted.
        finite: for every input whether it is known to be finite; all of them if left out.
        certain: for every input what is certain of its entries; nothing if left out.
        sparse: whether a sparse Jacobian is wanted, and of which kind.

    Returns:
        the values of the outputs, and the block of every edge, in the order of the program.
    """
    program = numbering.program
    env = dict(zip(program.inputs, values, strict=True))
    env.update((variable, jax.numpy.asarray(value)) for variable, value in program.constants)
    edges: dict[Edge, Block] = {}
    known = KnownValues(program)
    certainty = Certain(program, known, certain) if sparse else None
    repeated, shared = Repetitions(), dict[Any, Any]()
    finite_values = FiniteValues(program, finite)
    for equation, wanted in zip(program.equations, numbering.wanted, strict=True):
        operands = [read(env, atom) for atom in equation.inputs]
        if any(wanted):
            call = _call(numbering, equation, operands, wanted, known, finite_values, jacobians, certainty)
            call = replace(call, placed=sparse is True, shared=shared)
            results, blocks = way(call, equation, edges)
            if sparse:
                blocks = [[block and without_zeros(block) for block in row] for row in blocks]
        elif sparse is True and (before := repeated.of(equation)) is not None:
            results, blocks = [env[output] for output in before], []  # so that indices are one array
        else:
            results, blocks = equation.evaluate(operands), []
        blocks = finite_values.after(equation, blocks)
        if blocks:
            _collect(numbering, equation, wanted, blocks, edges)
        env.update(zip(equation.outputs, results, strict=True))
    return [read(env, atom) for atom in program.outputs], edges


def _call(
    numbering: Numbering,
    equation: Equation,
    operands: Sequence[Any],
    wanted: Sequence[bool],
    known: KnownValues,
    finite: FiniteValues,
    jacobians: Jacobians,
    certain: Certain | None,
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
        jacobians=jacobians,
        finite=finite.of(equation),
        known=lambda at, at_once=False: known(equation.inputs[at], at_once),
        certain=lambda at: certain and certain(equation.inputs[at]),
        sparse=certain is not None,
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
            if not want or block is None or block.is_zero or 0 in block.shape:
                continue
            assert isinstance(atom, Variable)  # constants are never wanted
            edge = (numbering.number[atom], target)
            edges[edge] = edges[edge] + block if edge in edges else block
