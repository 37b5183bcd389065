"""The blocks of a function from those of the primitives that it is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from .._trace import (
    Atom,
    Constant,
    Equation,
    Variable,
    is_complex,
    is_differentiable,
    read,
    trace_program,
)
from ..sparse import Block, identity_block
from ._complex import complex_rule, touches_complex
from ._dense import dense_rule
from ._elementwise import static_number
from ._registry import Blocks, Call, find_rule


def composed(fun: Callable[..., Any], operands: Sequence[Any]) -> tuple[list[Any], Blocks]:
    """The results of a function and their blocks, accumulated forward.

    Args:
        fun: a function of arrays that returns a pytree of arrays.
        operands: where; with respect to all of them.
    """
    program, _ = trace_program(fun, *operands)
    env: dict[Variable, Any] = dict(zip(program.inputs, operands, strict=True))
    env.update((variable, jax.numpy.asarray(value)) for variable, value in program.constants)
    blocks: dict[Atom, dict[int, Block]] = {
        variable: {at: identity_block((*np.shape(operand), *[2] * is_complex(operand)))}
        for at, (variable, operand) in enumerate(zip(program.inputs, operands, strict=True))
    }
    for equation in program.equations:
        values = [read(env, atom) for atom in equation.inputs]
        moves = any(atom in blocks for atom in equation.inputs)
        if not (moves and any(is_differentiable(output.aval) for output in equation.outputs)):
            env.update(zip(equation.outputs, equation.evaluate(values), strict=True))
            continue
        results, rows = _apply_rule(equation, values, [atom in blocks for atom in equation.inputs])
        env.update(zip(equation.outputs, results, strict=True))
        for output, row in zip(equation.outputs, rows, strict=True):
            total: dict[int, Block] = {}
            for atom, outer in zip(equation.inputs, row, strict=True):
                if outer is None:
                    continue
                for at, inner in blocks[atom].items():
                    block = outer @ inner
                    total[at] = total[at] + block if at in total else block
            if total:
                blocks[output] = total
    found = [blocks.get(atom, {}) for atom in program.outputs]
    results = [read(env, atom) for atom in program.outputs]
    return results, [[row.get(at) for at in range(len(operands))] for row in found]


def _apply_rule(equation: Equation, values: list[Any], wanted: list[bool]) -> tuple[list[Any], Blocks]:
    static = [static_number(atom.value) if isinstance(atom, Constant) else None for atom in equation.inputs]
    values = [
        np.asarray(value, atom.aval.dtype) if isinstance(atom, Constant) else value
        for atom, value in zip(equation.inputs, values, strict=True)
    ]
    call = Call(equation.primitive, equation.params, values, static, wanted, len(equation.outputs))
    types = [output.aval for output in equation.outputs]
    rule = find_rule(equation.primitive)
    if touches_complex(call, types):
        return complex_rule(call, types, rule)
    return (rule or dense_rule)(call)
