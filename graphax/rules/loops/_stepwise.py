"""Scans of large bodies: forward accumulation by blocks, as for `while_loop`.

The Jacobian of what is carried is carried along, so that nothing but the results is kept.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import Tracer

from ..._trace import is_complex, is_split
from ...sparse import Block, identity_block
from .._common_structure import GO_DENSE, array_of, as_block, same_types, with_structure
from .._registry import Blocks
from ._flow import Flow
from ._loop import SMALL, Loop
from ._packing import Packing
from ._unrolled import is_short

#: The Jacobians of carried values, by the position of the value and that of the input: arrays or blocks.
Carried = dict[tuple[int, int], Any]

#: The Jacobians of fewer carried numbers are carried as arrays, unless they are by many inputs.
_FEW_CARRIED = 8

#: In how many steps the structures of carried Jacobians must settle; where the loop may as well be written
#: out, in which no step is taken too many, they must stay what they are after one.
_PATIENCE, _AT_ONCE = 6, 2


def stepwise(loop: Loop, settled_form: Carried | None = None) -> tuple[list[Any], Blocks]:
    """One loop computes the results and carries their Jacobians.

    Args:
        loop: the loop.
        settled_form: what :func:`settled` found, if it has been asked already.
    """
    flow = loop.flow
    pairs = [
        (result, column)
        for result in flow.results
        for column in (*flow.columns, *flow.slices)
        if flow.touches(result, column)
    ]
    jacobians, form = initial(loop, settled_form)
    small = [pair for pair in pairs if not (form or flow.tied(*pair)) and _entries(flow, *pair) <= SMALL]
    shapes = [flow.out_shape(result) + flow.column_shape(column) for result, column in small]
    packing = Packing(dict(enumerate(shapes)))

    def step(state: Any, values: Any) -> Any:
        carried, jacobians = state
        at, slices = values
        results, found = loop.jacobians(carried, slices)
        packed = (
            packing.pack([_moved(flow, found, jacobians, *pair, at) for pair in small]) if small else None
        )
        stacked = {}
        for result, column in pairs:
            if (result, column) in small:
                continue
            if flow.tied(result, column):
                stacked[result, column] = found[result][column]
            elif column in flow.slices:
                stacked[result, column] = _moved(flow, found, jacobians, result, column, at)
            else:
                stacked[result, column] = _chained(flow, found, jacobians, result, column)
        after = loop.varying(advance(flow, found, jacobians, form, at))
        return (results[: flow.num_carry], after), (results[flow.num_carry :], stacked, packed)

    start = loop.start, loop.varying(jacobians)
    values = jnp.arange(flow.length), loop.slices
    (final, jacobians), (stacked, rows, packed) = loop.scan(step, start, values)
    blocks = final_blocks(loop, jacobians)
    for at, array in packing.unpack(packed).items() if small else ():
        loop.put(blocks, *small[at], array)
    for (result, column), row in rows.items():
        if isinstance(row, Block):
            blocks[result][column] = row.of_steps(flow.length, flow.tied(result, column))
        elif row is not None:
            loop.put(blocks, result, column, row)
    return [*final, *stacked], blocks


def _entries(flow: Flow, result: int, column: int) -> int:
    """How many entries the Jacobian of a returned slice has."""
    return math.prod(flow.out_shape(result) + flow.column_shape(column))


def initial(loop: Loop, form: Carried | None = None) -> tuple[Carried, Carried]:
    """The Jacobians of the carried values before the first step, and the form in which they are carried.

    Args:
        loop: the loop.
        form: the form, if it is known.

    Returns:
        the Jacobians, and for those that are blocks a block with their structure.
    """
    flow = loop.flow
    form = settled(loop) if form is None else form
    found: Carried = {}
    for carry, column in _keys(flow):
        own = identity_block(flow.shape(carry)) if carry == column else None
        if (carry, column) in form:
            found[carry, column] = with_structure(own, [form[carry, column]], flow.shape(column))
        else:
            found[carry, column] = array_of(own, flow.shape(carry), flow.column_shape(column), flow.dtype)
    return found, form


def _keys(flow: Flow) -> list[tuple[int, int]]:
    columns = (*flow.columns, *flow.through)
    return [(carry, column) for column in columns for carry in flow.carries if carry in flow.reach[column]]


def settled(loop: Loop) -> Carried:
    """Structures of carried Jacobians that a step reproduces.

    There are none where they do not settle soon, hold no fewer numbers than arrays do, or are small anyway
    and no sparse Jacobian is wanted.
    """
    call, flow = loop.call, loop.flow
    # Of operands that are traced only types matter; all else is kept, so that nothing else has its place.
    known = [None if isinstance(operand, Tracer) else operand for operand in call.operands]
    key = "settled", id(flow), tuple(call.finite or ()), tuple(map(id, known))
    if key not in call.memory:
        call.memory[key] = flow, known, _settled(loop)
    return call.memory[key][-1]


def _settled(loop: Loop) -> Carried:
    flow, keys = loop.flow, _keys(loop.flow)
    entries = sum(flow.packing([carry]).size * flow.packing([column]).size for carry, column in keys)
    few = flow.packing(flow.carries).size < _FEW_CARRIED and entries <= GO_DENSE and not loop.call.sparse
    # The zeros of a form are split among no devices, and real views of complex numbers have no form.
    if flow.through or few or not entries or any(is_complex(x) or is_split(x) for x in flow.body.in_avals):
        return {}

    def in_first_step() -> Blocks:
        return loop.jacobians(loop.start, [lax.index_in_dim(x, 0, keepdims=False) for x in loop.slices])[1]

    blocks = jax.eval_shape(in_first_step)

    def step(blocks: Blocks, state: Carried) -> Carried:
        found = {}
        for carry, column in keys:
            total = _chained(flow, blocks, state, flow.result_of(carry), column)
            parts = [part for part in (state[carry, column], total) if part is not None]
            found[carry, column] = with_structure(None, parts, flow.shape(column)) if parts else None
        return found

    state: Carried = {key: identity_block(flow.shape(key[0])) if key[0] == key[1] else None for key in keys}
    for _ in range(_AT_ONCE if loop.call.sparse and flow.length and is_short(loop) else _PATIENCE):
        before, state = state, jax.eval_shape(step, blocks, state)
        if same_types(before, state) and all(block is not None for block in state.values()):
            return state if numbers_in(state) < entries else {}
    return {}


def numbers_in(form: Carried) -> int:
    """How many numbers the Jacobians of a form hold."""
    return sum(block.structure.numbers for block in form.values())


def final_blocks(loop: Loop, jacobians: Carried) -> Blocks:
    """The blocks of the final values of a loop, from their Jacobians after the last step."""
    blocks = loop.blocks()
    for (carry, column), array in jacobians.items():
        if carry in loop.finals():
            loop.put(blocks, loop.flow.result_of(carry), column, array)
    return blocks


def advance(flow: Flow, blocks: Blocks, jacobians: Carried, form: Carried, at: Any = None) -> Carried:
    """The Jacobians of the carried values after a step, from those before it.

    Args:
        flow: where derivatives flow.
        blocks: those of the body.
        jacobians: before the step.
        form: what :func:`initial` returned.
        at: which step it is, for the slices that every step reads.
    """
    found = {}
    for carry, column in jacobians:
        result = flow.result_of(carry)
        if (carry, column) in form:
            total = _chained(flow, blocks, jacobians, result, column)
            found[carry, column] = with_structure(total, [form[carry, column]], flow.shape(column))
        else:
            found[carry, column] = _moved(flow, blocks, jacobians, result, column, at)
    return found


def _chained(flow: Flow, blocks: Blocks, jacobians: Carried, result: int, column: int) -> Block | None:
    """The Jacobian of a result of the body with respect to an input of the loop: the chain rule of a step.

    Args:
        flow: where derivatives flow.
        blocks: those of the body.
        jacobians: those of the carried values, before the step.
        result: the result.
        column: the input. A step's own slice is left out.
    """
    total: Block | None = None
    row = blocks[result]
    for carry in flow.carries:
        outer, inner = row[carry], jacobians.get((carry, column))
        if outer is not None and inner is not None:
            inner = as_block(inner, flow.shape(carry), flow.column_shape(column))
            product = outer @ replace(inner, finite=outer.finite)  # what finite steps carry is finite
            total = product if total is None else total + product
    direct = row[column]
    if column in flow.fixed and direct is not None:
        total = direct if total is None else total + direct
    return total


def _moved(flow: Flow, blocks: Blocks, jacobians: Carried, result: int, column: int, at: Any) -> Any:
    """The array of :func:`_chained`, with that of the slice of step ``at``."""
    total, shape = _chained(flow, blocks, jacobians, result, column), flow.out_shape(result)
    array = array_of(total, shape, flow.column_shape(column), flow.dtype)
    direct = blocks[result][column]
    if column in flow.slices and direct is not None:
        # No earlier step has seen this step's slice.
        place = (slice(None),) * len(shape) + (at,)
        array = array.at[place].set(direct.todense(flow.dtype))
    return array
