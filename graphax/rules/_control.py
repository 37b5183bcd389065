"""Branches, and loops whose length is not known: `cond`, `switch` and `while_loop`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend import core

from .._trace import Equation, varying_as
from ..sparse import Block, arranged_block, dense_block, identity_block, label_dims, with_holes
from ._dependence import dependence
from ._finite import finite_in_every_step
from ._flow import Flow, find_flow, through_loop, unchanged
from ._registry import Blocks, Call, Inputs, register_dependence, register_rule

#: The Jacobians of carried values, by the position of the value and that of the input: arrays or blocks.
Carried = dict[tuple[int, int], Any]

#: Smaller Jacobians go dense through branches and loops.
_DENSE = 4096


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
    order = call.body_order if isinstance(call.body_order, str) else "auto"
    finite = call.finite and call.finite[1:]

    def blocks_of(program: core.ClosedJaxpr, values: Sequence[Any], some: Sequence[Any]) -> tuple[Any, Any]:
        results, blocks = call.jacobians(program, values, wanted, order, call.needed, finite)
        return results, {(row, column): blocks[row][column] for row, column in some}

    large = [(row, column) for row, column in pairs if types[row].size * operands[column].size > _DENSE]
    common: dict[Any, Any] = {}
    if large:
        ways = [
            jax.eval_shape(lambda values, program=program: blocks_of(program, values, large)[1], operands)
            for program in branches
        ]
        for pair in large:
            common[pair] = _common_structure([way[pair] for way in ways], operands[pair[1]].shape)

    def branch(program: core.ClosedJaxpr, *values: Any) -> tuple[list[Any], list[Any]]:
        results, blocks = blocks_of(program, values, pairs)
        found = []
        for pair, block in blocks.items():
            row, column = pair
            if common.get(pair):
                found.append(_with_structure(block, common[pair], values[column].shape))
            else:
                dtype = common_type(types[row], values[column])
                found.append(dense(block, types[row].shape, values[column].shape, dtype))
        return results, found

    taken = [lambda *values, program=program: branch(program, *values) for program in branches]
    results, arrays = lax.switch(index, taken, *operands)
    found: Blocks = [[None] * len(call.operands) for _ in results]
    for (row, column), array in zip(pairs, arrays, strict=True):
        found[row][column + 1] = as_block(array, types[row].shape, operands[column].shape)
    return results, found


def _cond_dependence(equation: Equation, operands: Sequence[Inputs]) -> list[Inputs]:
    return _of_branches(equation.params["branches"], operands[1:])


register_dependence(("cond",), _cond_dependence)


def _of_branches(branches: Sequence[core.ClosedJaxpr], sources: Sequence[Inputs]) -> list[Inputs]:
    """For every result what it depends on in some branch."""
    ways = [dependence(branch, sources) for branch in branches]
    return [frozenset().union(*results) for results in zip(*ways, strict=True)]


def _common_structure(ways: Sequence[Block | None], in_shape: tuple[int, ...]) -> list[Block] | None:
    """Blocks whose sum has a structure that all these blocks can be brought to, or None.

    Args:
        ways: the blocks, with types for arrays.
        in_shape: the shape that they take.
    """
    blocks = [way for way in ways if way is not None]
    sums = [jax.eval_shape(lambda way: _with_structure(way, blocks, in_shape), way) for way in ways]
    return blocks if all(_same(sums[0], other) for other in sums) else None


def _same(one: Any, other: Any) -> bool:
    """Whether two pytrees of types agree in structure, shapes and dtypes."""
    try:
        if jax.tree.structure(one) != jax.tree.structure(other):
            return False
    except ValueError:  # static arrays cannot be compared so
        return False
    types = [[(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(tree)] for tree in (one, other)]
    return types[0] == types[1]


def _with_structure(block: Block | None, others: Sequence[Block], in_shape: tuple[int, ...]) -> Block:
    """The block, plus zeros of the structure of others."""
    labels, sizes = label_dims(in_shape)
    parts = []  # the zeros first: the first of a sum decides on its static sign
    for other in others:
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), other)
        dtypes = [leaf.dtype for leaf in jax.tree.leaves(other)]
        nought = arranged_block(labels, labels, sizes, jnp.zeros((), common_dtype(dtypes)), [])
        parts.append(zeros @ nought)
    if block is not None:
        parts.append(block)
    return reduce(Block.__add__, parts)


@register_rule("while")
def _while(call: Call) -> tuple[list[Any], Blocks]:
    """Forward accumulation: the loop carries the Jacobian of its values along."""
    if call.params["cond_jaxpr"].out_avals[0].shape:
        return _while_by_lanes(call)
    body: core.ClosedJaxpr = call.params["body_jaxpr"]
    before, num_consts = call.params["cond_nconsts"], call.params["body_nconsts"]
    tested, operands = call.operands[:before], call.operands[before:]
    num_carry = len(operands) - num_consts
    flow = find_flow(body, num_consts, num_carry, call.wanted[before:], call.needed)
    consts, start = operands[:num_consts], [jnp.asarray(value) for value in operands[num_consts:]]
    holds = core.jaxpr_as_fun(call.params["cond_jaxpr"])
    finite = call.finite and finite_in_every_step(body, num_consts, num_carry, call.finite[before:])

    def local(values: Sequence[Any]) -> tuple[list[Any], Blocks]:
        return call.jacobians(body, [*consts, *values], flow.wanted, call.body_order, flow.needed, finite)

    jacobians, form = initial(flow, lambda: local(start)[1])

    def step(state: Any) -> Any:
        values, jacobians = state
        results, blocks = local(values)
        return results, varying_as(advance(flow, blocks, jacobians, form), *operands)

    begin = start, varying_as(jacobians, *operands)
    results, jacobians = lax.while_loop(lambda state: holds(*tested, *state[0])[0], step, begin)
    found: Blocks = [[None] * len(call.operands) for _ in results]
    for at, row in enumerate(found):
        position = num_consts + at
        if call.needed[at] and position in flow.fixed:
            row[before + position] = identity_block(flow.shape(position))
        for column in flow.columns:
            if call.needed[at] and (position, column) in jacobians:
                array = jacobians[position, column]
                row[before + column] = as_block(array, flow.shape(position), flow.shape(column))
    return results, found


def _while_by_lanes(call: Call) -> tuple[list[Any], Blocks]:
    """Under `vmap` every lane ends by itself: steps go on while one does, and select those that do."""
    before, num_consts = call.params["cond_nconsts"], call.params["body_nconsts"]
    tested, operands = list(call.operands[:before]), list(call.operands[before:])
    num_carry = len(operands) - num_consts
    same = unchanged(call.params["body_jaxpr"], num_consts, num_carry)
    holds, body = (core.jaxpr_as_fun(call.params[name]) for name in ("cond_jaxpr", "body_jaxpr"))

    def any_holds(*values: Any) -> list[Any]:
        return [jnp.any(holds(*values)[0])]

    def step(*values: Any) -> list[Any]:
        state = values[before + num_consts :]
        going = holds(*values[:before], *state)[0]
        results = []
        for at, (new, old) in enumerate(zip(body(*values[before:]), state, strict=True)):
            lanes = lax.broadcast_in_dim(going, new.shape, range(going.ndim))
            results.append(old if num_consts + at in same else lax.select(lanes, new, old))
        return results

    params = {
        "cond_jaxpr": jax.make_jaxpr(any_holds)(*tested, *operands[num_consts:]),
        "body_jaxpr": jax.make_jaxpr(step)(*tested, *operands),
        "cond_nconsts": before,
        "body_nconsts": before + num_consts,
    }
    values = [*tested, *tested, *operands]
    wanted = [False] * before + list(call.wanted)
    finite = call.finite and [*call.finite[:before], *call.finite]
    results, blocks = _while(replace(call, params=params, operands=values, wanted=wanted, finite=finite))
    return results, [row[before:] for row in blocks]


def _while_dependence(equation: Equation, operands: Sequence[Inputs]) -> list[Inputs]:
    before, num_consts = equation.params["cond_nconsts"], equation.params["body_nconsts"]
    num_carry = len(operands) - before - num_consts
    return through_loop(equation.params["body_jaxpr"], num_consts, num_carry, operands[before:])


register_dependence(("while",), _while_dependence)


def initial(flow: Flow, local: Any, length: int | None = None) -> tuple[Carried, Carried]:
    """The Jacobians of the carried values before the first step, and the form in which they are carried.

    Args:
        flow: where derivatives flow.
        local: returns the blocks of the body.
        length: how many steps there are, for the slices that every step reads.

    Returns:
        the Jacobians, and for those that are blocks a block with their structure.
    """
    keys = [
        (carry, column)
        for column in (*flow.columns, *flow.through)
        for carry in flow.carries
        if carry in flow.reach[column]
    ]
    form = _settled(flow, local, keys) if not flow.through else {}
    found: Carried = {}
    for carry, column in keys:
        own = identity_block(flow.shape(carry)) if carry == column else None
        if (carry, column) in form:
            found[carry, column] = _with_structure(own, [form[carry, column]], flow.shape(column))
        else:
            found[carry, column] = dense(
                own, flow.shape(carry), flow.column_shape(column, length), flow.dtype
            )
    return found, form


def _settled(flow: Flow, local: Any, keys: Sequence[tuple[int, int]]) -> Carried:
    """Structures of carried Jacobians that a step reproduces; none if they do not settle soon."""
    if all(flow.size([carry]) * flow.size([column]) <= _DENSE for carry, column in keys):
        return {}

    def step(state: Carried) -> Carried:
        blocks = local()
        found = {}
        for carry, column in keys:
            total = chained(flow, blocks[flow.result_of(carry)], state, column)
            parts = [part for part in (state[carry, column], total) if part is not None]
            found[carry, column] = _with_structure(None, parts, flow.shape(column)) if parts else None
        return found

    state: Carried = {key: identity_block(flow.shape(key[0])) if key[0] == key[1] else None for key in keys}
    for _ in range(_PATIENCE):
        before, state = state, jax.eval_shape(step, state)
        if _same(before, state) and all(block is not None for block in state.values()):
            return state
    return {}


#: In how many steps the structures of carried Jacobians must settle.
_PATIENCE = 6


def advance(
    flow: Flow, blocks: Blocks, jacobians: Carried, form: Carried, at: Any = None, length: int | None = None
) -> Carried:
    """The Jacobians of the carried values after a step, from those before it.

    Args:
        flow: where derivatives flow.
        blocks: those of the body.
        jacobians: before the step.
        form: what :func:`initial` returned.
        at: which step it is, for the slices that every step reads.
        length: how many steps there are.
    """
    found = {}
    for carry, column in jacobians:
        row = blocks[flow.result_of(carry)]
        if (carry, column) in form:
            total = chained(flow, row, jacobians, column)
            found[carry, column] = _with_structure(total, [form[carry, column]], flow.shape(column))
        else:
            found[carry, column] = moved(flow, row, flow.shape(carry), jacobians, column, at, length)
    return found


def chained(
    flow: Flow, row: Sequence[Block | None], jacobians: Carried, column: int, length: int | None = None
) -> Block | None:
    """The Jacobian of a result of the body with respect to an input of the loop: the chain rule of a step.

    Args:
        flow: where derivatives flow.
        row: the blocks of the result.
        jacobians: those of the carried values, before the step.
        column: the input. A step's own slice is left out.
        length: how many steps there are.
    """
    total: Block | None = None
    for carry in flow.carries:
        outer, inner = row[carry], jacobians.get((carry, column))
        if outer is not None and inner is not None:
            inner = as_block(inner, flow.shape(carry), flow.column_shape(column, length))
            product = outer @ replace(inner, finite=outer.finite)  # what finite steps carry is finite
            total = product if total is None else total + product
    direct = row[column]
    if column in flow.fixed and direct is not None:
        total = direct if total is None else total + direct
    return total


def moved(
    flow: Flow,
    row: Sequence[Block | None],
    shape: tuple[int, ...],
    jacobians: Carried,
    column: int,
    at: Any,
    length: int | None,
) -> Any:
    """The array of :func:`chained`, with that of the step's own slice.

    Args:
        flow: where derivatives flow.
        row: the blocks of the result.
        shape: its shape.
        jacobians: those of the carried values, before the step.
        column: the input.
        at: which step it is.
        length: how many steps there are.
    """
    total = chained(flow, row, jacobians, column, length)
    array = dense(total, shape, flow.column_shape(column, length), flow.dtype)
    direct = row[column]
    if column in flow.slices and direct is not None:
        # No earlier step has seen this step's slice.
        place = (slice(None),) * len(shape) + (at,)
        array = array.at[place].set(direct.todense(flow.dtype))
    return array


def as_block(found: Any, out_shape: tuple[int, ...], in_shape: tuple[int, ...]) -> Block:
    """A block, or the block of an array, whose zeros may be of what depends on nothing."""
    return found if isinstance(found, Block) else dense_block(with_holes(found), out_shape, in_shape)


def dense(block: Block | None, out_shape: tuple[int, ...], in_shape: tuple[int, ...], dtype: Any) -> Any:
    """The array of a block."""
    return jnp.zeros(out_shape + in_shape, dtype) if block is None else block.todense(dtype)


def common_type(*arrays: Any) -> Any:
    """The dtype of Jacobians between arrays of these types."""
    return common_dtype([array.dtype for array in arrays])


def common_dtype(dtypes: Sequence[Any]) -> Any:
    """The dtype that holds all of these."""
    return jnp.result_type(*dtypes) if dtypes else jnp.zeros(()).dtype
