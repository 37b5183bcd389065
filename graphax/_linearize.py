"""Evaluate a program together with the local Jacobians of its equations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from ._numbering import Edge, Numbering
from ._trace import Constant, Equation, Variable, communicates, read
from .rules import (
    Call,
    NotElementwise,
    complex_rule,
    dense_rule,
    find_rule,
    static_number,
    touches_complex,
)
from .sparse import Block


def linearize(numbering: Numbering, values: Sequence[Any]) -> tuple[list[Any], dict[Edge, Block]]:
    """Evaluate a program together with the local Jacobians of its equations.

    Args:
        numbering: the numbered program.
        values: one array for every input of the program.

    Returns:
        the values of the outputs, and the block of every edge, in the order of the program.
    """
    program, active = numbering.program, numbering.active
    env = dict(zip(program.inputs, values, strict=True))
    env.update((variable, jax.numpy.asarray(value)) for variable, value in program.constants)
    edges: dict[Edge, Block] = {}
    for equation in program.equations:
        operands = [read(env, atom) for atom in equation.inputs]
        wanted = [atom in active for atom in equation.inputs]
        if any(wanted) and not active.isdisjoint(equation.outputs):
            results, blocks = _apply_rule(equation, operands, wanted)
            _collect(numbering, equation, wanted, blocks, edges)
        else:
            results = equation.evaluate(operands)
        env.update(zip(equation.outputs, results, strict=True))
    return [read(env, atom) for atom in program.outputs], edges


def _apply_rule(
    equation: Equation, operands: list[Any], wanted: list[bool]
) -> tuple[list[Any], list[list[Block | None]]]:
    static = [static_number(atom.value) if isinstance(atom, Constant) else None for atom in equation.inputs]
    for at, atom in enumerate(equation.inputs):
        if isinstance(atom, Constant):
            operands[at] = np.asarray(atom.value, atom.aval.dtype)
    if communicates(equation):
        raise TypeError(
            f"the primitive '{equation.primitive.name}' ({equation.source}) combines the values of a mapped "
            "axis, which have no local Jacobian; take jacve outside of the vmap or shard_map"
        )
    call = Call(equation.primitive, equation.params, operands, static, wanted, len(equation.outputs))
    rule = find_rule(equation.primitive)
    types = [output.aval for output in equation.outputs]
    if touches_complex(call, types):
        return complex_rule(call, types, rule)
    try:
        return (rule or dense_rule)(call)
    except NotElementwise:
        return dense_rule(call)
    except NotImplementedError as error:
        raise TypeError(
            f"the primitive '{equation.primitive.name}' ({equation.source}) cannot be differentiated: "
            f"{error}. Stop its gradient, or give it a rule with graphax.register_rule"
        ) from error


def _collect(
    numbering: Numbering,
    equation: Equation,
    wanted: list[bool],
    blocks: list[list[Block | None]],
    edges: dict[Edge, Block],
) -> None:
    for output, row in zip(equation.outputs, blocks, strict=True):
        if output not in numbering.active:
            continue
        target = numbering.number[output]
        for atom, want, block in zip(equation.inputs, wanted, row, strict=True):
            if not want or block is None:
                continue
            assert isinstance(atom, Variable)  # constants are never wanted
            edge = (numbering.number[atom], target)
            edges[edge] = edges[edge] + block if edge in edges else block
