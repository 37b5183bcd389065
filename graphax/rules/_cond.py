"""Branches: `cond` and `switch`."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend import core

from .._trace import Equation, holds, inline
from ..sparse import Block, Support, Zeros
from ._common_structure import GO_DENSE, array_of, as_block, common_structure, with_structure
from ._dense import view_shape
from ._dependence import dependence
from ._finite import zeros_are_spoilt
from ._registry import (
    Blocks,
    Call,
    Inputs,
    far_fewer,
    moving_names,
    register_dependence,
    register_pulling,
    register_pushable,
    register_pushing,
    register_rule,
)


@register_rule("cond")
def _cond(call: Call) -> tuple[list[Any], Blocks]:
    """Every branch accumulates its own Jacobians; the one that is taken returns them."""
    index, *operands = call.operands
    operands = [jnp.asarray(operand) for operand in operands]
    branches: Sequence[core.ClosedJaxpr] = call.params["branches"]
    wanted, certain = call.wanted[1:], call.all_certain()[1:]
    known = call.known(0, at_once=True)
    if known is not None:  # as in a loop that has been unrolled
        taken = branches[int(np.clip(known, 0, len(branches) - 1))]
        finite = call.finite and call.finite[1:]
        jacobians = call.jacobians if call.jacobians.named else call.jacobians.by("auto")
        results, blocks = jacobians(taken, operands, wanted, call.needed, finite, certain)
        return results, [[None, *row] for row in blocks]
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
        results, blocks = jacobians.static()(program, values, wanted, call.needed, finite, certain)
        return results, {(row, column): blocks[row][column] for row, column in some}

    ways_of: dict[tuple[int, int], list[_Way]] = {pair: [] for pair in pairs}
    few = 0 if call.sparse else GO_DENSE
    large = [(row, column) for row, column in pairs if types[row].size * operands[column].size > few]
    ways = [
        jax.eval_shape(lambda values, program=program: blocks_of(program, values, large)[1], operands)
        for program in (branches if large else ())
    ]
    common = {pair: common_structure([way[pair] for way in ways], operands[pair[1]].shape) for pair in large}

    def branch(program: core.ClosedJaxpr, *values: Any) -> tuple[list[Any], list[Any]]:
        results, blocks = blocks_of(program, values, pairs)
        found = []
        for (row, column), block in blocks.items():
            way = _way(block)
            if structure := common.get((row, column)):
                found.append(with_structure(block, structure, values[column].shape))
                way = way._replace(supports=found[-1].supports)
            else:
                dtype = jnp.result_type(types[row].dtype, values[column].dtype)
                found.append(array_of(block, types[row].shape, values[column].shape, dtype))
            ways_of[row, column].append(way)
        return results, found

    taken = [lambda *values, program=program: branch(program, *values) for program in branches]
    results, arrays = lax.switch(index, taken, *operands)
    found: Blocks = [[None] * len(call.operands) for _ in results]
    for (row, column), array in zip(pairs, arrays, strict=True):
        ways = ways_of[row, column]
        holes = functools.reduce(_holes_of_either, [way.holes for way in ways])
        block = as_block(array, types[row].shape, operands[column].shape, holes)
        if call.sparse:
            block = block.within([way.supports for way in ways])
        found[row][column + 1] = replace(block, finite=all(way.finite for way in ways))
    return results, found


@register_pulling("cond")
def _pulling(call: Call, rows: int) -> bool:
    """Where many numbers come of branches with products of matrices, loops, solutions and the like."""
    branches = call.params["branches"]
    produced = itertools.compress(branches[0].out_avals, call.needed)
    if not far_fewer(rows, _numbers(produced)) or not _pushable(call):
        return False
    return not any(holds(branch.jaxpr, ("while",)) or zeros_are_spoilt(inline(branch)) for branch in branches)


@register_pushing("cond")
def _pushing(call: Call, columns: int) -> bool:
    """Where such branches read many numbers."""
    read = itertools.compress(call.operands, call.wanted)
    return far_fewer(columns, _numbers(read)) and _pushable(call)


@register_pushable("cond")
def _pushable(call: Call) -> bool:
    names = ("dot_general", *moving_names())
    branches = call.params["branches"]
    return any(holds(branch.jaxpr, names) for branch in branches) and not any(
        branch.effects for branch in branches
    )


def _numbers(values: Iterable[Any]) -> int:
    return sum(math.prod(view_shape(value)) for value in values)


class _Way(NamedTuple):
    """What is known of a Jacobian if a certain branch is taken.

    Attributes:
        finite: whether its numbers are finite.
        holes: where it holds none.
        supports: for every value, or the array, where it may have numbers; of none for what is zero.
    """

    finite: bool
    holes: Any
    supports: Sequence[Support | None] | None


def _way(block: Block | None) -> _Way:
    if block is None:
        return _Way(True, Zeros.OF_STRUCTURE, None)
    return _Way(block.finite, block.holes, [block.support])


def _holes_of_either(left: Any, right: Any) -> Any:
    """Static holes that two branches share; where those of one are seen, or are everywhere, they are seen."""
    if isinstance(left, Zeros) or isinstance(right, Zeros):
        return Zeros.OF_STRUCTURE
    return None if left is None or right is None else np.asarray(left | right)


@register_dependence("cond")
def _cond_dependence(equation: Equation, operands: Sequence[Inputs]) -> list[Inputs]:
    return _of_branches(equation.params["branches"], operands[1:])


def _of_branches(branches: Sequence[core.ClosedJaxpr], sources: Sequence[Inputs]) -> list[Inputs]:
    """For every result what it depends on in some branch."""
    ways = [dependence(branch, sources) for branch in branches]
    return [frozenset().union(*results) for results in zip(*ways, strict=True)]
