"""Branches and loops whose length is not known: `cond`, `switch` and `while_loop`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend import core

from ..sparse import Block, dense_block, identity_block
from ._flow import Flow, dependence, find_flow
from ._registry import Blocks, Call, register_rule

#: The Jacobians of carried values: by the position of the value and that of the input.
Carried = dict[tuple[int, int], Any]


@register_rule("cond")
def _cond(call: Call) -> tuple[list[Any], Blocks]:
    """Every branch accumulates its own Jacobians; the one that is taken returns them as dense arrays."""
    index, *operands = call.operands
    branches: Sequence[core.ClosedJaxpr] = call.params["branches"]
    wanted = call.wanted[1:]
    reached = [frozenset().union(*ways) for ways in zip(*map(dependence, branches), strict=True)]
    pairs = [
        (row, column)
        for row, inputs in enumerate(reached)
        for column in sorted(inputs)
        if call.needed[row] and wanted[column]
    ]
    types = branches[0].out_avals
    order = call.body_order if isinstance(call.body_order, str) else "reverse"

    def branch(program: core.ClosedJaxpr, *values: Any) -> tuple[list[Any], list[Any]]:
        results, blocks = call.jacobians(program, values, wanted, order)
        arrays = [
            dense(
                blocks[row][column],
                types[row].shape,
                values[column].shape,
                common_type(types[row], values[column]),
            )
            for row, column in pairs
        ]
        return results, arrays

    taken = [lambda *values, program=program: branch(program, *values) for program in branches]
    results, arrays = lax.switch(index, taken, *map(jnp.asarray, operands))
    found: Blocks = [[None] * len(call.operands) for _ in results]
    for (row, column), array in zip(pairs, arrays, strict=True):
        found[row][column + 1] = dense_block(array, types[row].shape, np.shape(operands[column]))
    return results, found


@register_rule("while")
def _while(call: Call) -> tuple[list[Any], Blocks]:
    """Forward accumulation: the loop carries the Jacobian of its values along."""
    body: core.ClosedJaxpr = call.params["body_jaxpr"]
    before, num_consts = call.params["cond_nconsts"], call.params["body_nconsts"]
    tested, operands = call.operands[:before], call.operands[before:]
    num_carry = len(operands) - num_consts
    flow = find_flow(body, num_consts, num_carry, call.wanted[before:], call.needed)
    consts, start = operands[:num_consts], [jnp.asarray(value) for value in operands[num_consts:]]
    holds = core.jaxpr_as_fun(call.params["cond_jaxpr"])

    def step(state: Any) -> Any:
        values, jacobians = state
        results, blocks = call.jacobians(body, [*consts, *values], flow.wanted, call.body_order)
        return results, advance(flow, blocks, jacobians)

    results, jacobians = lax.while_loop(
        lambda state: holds(*tested, *state[0])[0], step, (start, initial(flow))
    )
    found: Blocks = [[None] * len(call.operands) for _ in results]
    for at, row in enumerate(found):
        position = num_consts + at
        if call.needed[at] and position in flow.fixed:
            row[before + position] = identity_block(flow.shape(position))
        for column in flow.columns:
            if call.needed[at] and (position, column) in jacobians:
                array = jacobians[position, column]
                row[before + column] = dense_block(array, flow.shape(position), flow.shape(column))
    return results, found


def initial(flow: Flow, length: int | None = None) -> Carried:
    """The Jacobians of the carried values before the first step.

    Args:
        flow: where derivatives flow.
        length: how many steps there are, for the slices that every step reads.
    """
    found: Carried = {}
    for column in (*flow.columns, *flow.through):
        for carry in flow.carries:
            if carry in flow.reach[column]:
                shape = flow.shape(carry) + flow.column_shape(column, length)
                if carry == column:
                    found[carry, column] = identity_block(flow.shape(carry)).todense(flow.dtype)
                else:
                    found[carry, column] = jnp.zeros(shape, flow.dtype)
    return found


def advance(
    flow: Flow, blocks: Blocks, jacobians: Carried, at: Any = None, length: int | None = None
) -> Carried:
    """The Jacobians of the carried values after a step, from those before it.

    Args:
        flow: where derivatives flow.
        blocks: those of the body.
        jacobians: before the step.
        at: which step it is, for the slices that every step reads.
        length: how many steps there are.
    """
    found = {}
    for carry, column in jacobians:
        row = blocks[flow.result_of(carry)]
        found[carry, column] = moved(flow, row, flow.shape(carry), jacobians, column, at, length)
    return found


def moved(
    flow: Flow,
    row: Sequence[Block | None],
    shape: tuple[int, ...],
    jacobians: Carried,
    column: int,
    at: Any,
    length: int | None,
) -> Any:
    """The Jacobian of a result of the body with respect to an input of the loop: the chain rule of a step.

    Args:
        row: the blocks of the result.
        shape: its shape.
    """
    in_shape = flow.column_shape(column, length)
    total: Block | None = None
    for carry in flow.carries:
        outer, inner = row[carry], jacobians.get((carry, column))
        if outer is not None and inner is not None:
            product = outer @ dense_block(inner, flow.shape(carry), in_shape)
            total = product if total is None else total + product
    direct = row[column]
    if column in flow.fixed and direct is not None:
        total = direct if total is None else total + direct
    array = dense(total, shape, in_shape, flow.dtype)
    if column in flow.slices and direct is not None:
        # No earlier step has seen this step's slice.
        place = (slice(None),) * len(shape) + (at,)
        array = array.at[place].set(direct.todense(flow.dtype))
    return array


def dense(block: Block | None, out_shape: tuple[int, ...], in_shape: tuple[int, ...], dtype: Any) -> Any:
    """The array of a block."""
    return jnp.zeros(out_shape + in_shape, dtype) if block is None else block.todense(dtype)


def common_type(*arrays: Any) -> Any:
    """The dtype of Jacobians between arrays of these types."""
    return jnp.result_type(*(array.dtype for array in arrays))
