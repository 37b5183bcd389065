"""Branches: `cond` and `switch`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend import core

from .._trace import Equation
from ._common_structure import GO_DENSE, array_of, as_block, common_structure, with_structure
from ._dependence import dependence
from ._registry import Blocks, Call, Inputs, register_dependence, register_rule


@register_rule("cond")
def _cond(call: Call) -> tuple[list[Any], Blocks]:
    """Every branch accumulates its own Jacobians; the one that is taken returns them."""
    index, *operands = call.operands
    operands = [jnp.asarray(operand) for operand in operands]
    branches: Sequence[core.ClosedJaxpr] = call.params["branches"]
    wanted = call.wanted[1:]
    reached = _of_branches(branches, [frozenset([at] * want) for at, want in enumerate(wanted)])
    pairs = [
        (row, column)
        for row, inputs in enumerate(reached)
        for column in sorted(inputs)
        if call.needed[row] and wanted[column]
    ]
    types = branches[0].out_avals
    jacobians = call.jacobians if call.jacobians.named else call.jacobians.by("auto")
    finite = call.finite and call.finite[1:]

    def blocks_of(program: core.ClosedJaxpr, values: Sequence[Any], some: Sequence[Any]) -> tuple[Any, Any]:
        results, blocks = jacobians(program, values, wanted, call.needed, finite)
        return results, {(row, column): blocks[row][column] for row, column in some}

    large = [(row, column) for row, column in pairs if types[row].size * operands[column].size > GO_DENSE]
    ways = [
        jax.eval_shape(lambda values, program=program: blocks_of(program, values, large)[1], operands)
        for program in (branches if large else ())
    ]
    common = {pair: common_structure([way[pair] for way in ways], operands[pair[1]].shape) for pair in large}

    def branch(program: core.ClosedJaxpr, *values: Any) -> tuple[list[Any], list[Any]]:
        results, blocks = blocks_of(program, values, pairs)
        found = []
        for (row, column), block in blocks.items():
            if structure := common.get((row, column)):
                found.append(with_structure(block, structure, values[column].shape))
            else:
                dtype = jnp.result_type(types[row].dtype, values[column].dtype)
                found.append(array_of(block, types[row].shape, values[column].shape, dtype))
        return results, found

    taken = [lambda *values, program=program: branch(program, *values) for program in branches]
    results, arrays = lax.switch(index, taken, *operands)
    found: Blocks = [[None] * len(call.operands) for _ in results]
    for (row, column), array in zip(pairs, arrays, strict=True):
        found[row][column + 1] = as_block(array, types[row].shape, operands[column].shape)
    return results, found


@register_dependence("cond")
def _cond_dependence(equation: Equation, operands: Sequence[Inputs]) -> list[Inputs]:
    return _of_branches(equation.params["branches"], operands[1:])


def _of_branches(branches: Sequence[core.ClosedJaxpr], sources: Sequence[Inputs]) -> list[Inputs]:
    """For every result what it depends on in some branch."""
    ways = [dependence(branch, sources) for branch in branches]
    return [frozenset().union(*results) for results in zip(*ways, strict=True)]
