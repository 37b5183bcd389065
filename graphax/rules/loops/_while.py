"""`while_loop`: forward accumulation, for nobody knows how many steps there will be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend import core

from ..._trace import Equation, varying_as
from ...sparse import identity_block
from .._finite import finite_in_every_step
from .._registry import Blocks, Call, Inputs, register_dependence, register_rule
from .._structure import as_block
from ._flow import find_flow, through_loop, unchanged
from ._stepwise import advance, initial


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
