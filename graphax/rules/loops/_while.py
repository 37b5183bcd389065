"""`while_loop`: forward accumulation, for nobody knows how many steps there will be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend import core

from ..._trace import Equation
from .._registry import Blocks, Call, Inputs, register_dependence, register_pushable, register_rule
from ._flow import find_flow, follow_loop, unchanged
from ._loop import Loop
from ._stepwise import advance, final_blocks, initial


@register_rule("while")
def _while(call: Call) -> tuple[list[Any], Blocks]:
    """Forward accumulation: the loop carries the Jacobian of its values along."""
    if call.params["cond_jaxpr"].out_avals[0].shape:
        return _while_by_lanes(call)
    before, num_consts, num_carry = _counts(call.params, call.operands)
    wanted, finite = call.wanted[before:], call.finite and call.finite[before:]
    flow = find_flow(call.params["body_jaxpr"], num_consts, num_carry, wanted, call.needed)
    tested, operands = call.operands[:before], call.operands[before:]
    certain = call.all_certain()[before:]
    of_body = replace(call, operands=operands, wanted=wanted, finite=finite, certain=certain.__getitem__)
    loop = Loop(of_body, flow)
    holds = core.jaxpr_as_fun(call.params["cond_jaxpr"])
    jacobians, form = initial(loop)

    def step(state: Any) -> Any:
        values, jacobians = state
        results, blocks = loop.jacobians(values, [])
        return results, loop.varying(advance(flow, blocks, jacobians, form))

    begin = loop.start, loop.varying(jacobians)
    results, jacobians = lax.while_loop(lambda state: holds(*tested, *state[0])[0], step, begin)
    return results, [[None] * before + row for row in final_blocks(loop, jacobians)]


@register_pushable("while")
def _pushable(call: Call) -> bool:
    """Where one condition ends the loop for all columns."""
    test, body = call.params["cond_jaxpr"], call.params["body_jaxpr"]
    return not test.out_avals[0].shape and not test.effects and not body.effects


def _while_by_lanes(call: Call) -> tuple[list[Any], Blocks]:
    """Under `vmap` every lane ends by itself: steps go on while one does, and select those that do."""
    before, num_consts, num_carry = _counts(call.params, call.operands)
    tested, operands = list(call.operands[:before]), list(call.operands[before:])
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
    certain = [*[None] * before, *call.all_certain()]
    of_lanes = replace(call, params=params, operands=values, wanted=wanted, finite=finite)
    results, blocks = _while(replace(of_lanes, certain=certain.__getitem__))
    return results, [row[before:] for row in blocks]


@register_dependence("while")
def _dependence(equation: Equation, operands: Sequence[Inputs]) -> list[Inputs]:
    before, num_consts, num_carry = _counts(equation.params, operands)
    return follow_loop(equation.params["body_jaxpr"], num_consts, num_carry, operands[before:])[1]


def _counts(params: dict[str, Any], operands: Sequence[Any]) -> tuple[int, int, int]:
    """How many of the operands are constants of the condition, constants of the body, and carried."""
    before, num_consts = params["cond_nconsts"], params["body_nconsts"]
    return before, num_consts, len(operands) - before - num_consts
