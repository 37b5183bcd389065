"""Scans that carry no derivative: the body for all steps is one program without a loop."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

from .._registry import Blocks
from ._loop import Loop


def mapped(loop: Loop) -> tuple[list[Any], Blocks]:
    """The steps do not depend on one another: they are eliminated together, as one batch."""
    flow, call = loop.flow, loop.call
    num_carry = flow.num_carry
    results, kept = loop.evaluate() if num_carry else ([], [])
    body = core.jaxpr_as_fun(flow.body)
    operands = loop.inputs(loop.carried(kept), loop.slices)
    same = [at < flow.num_consts or at in flow.unchanged for at in range(len(operands))]
    axes = [None if unchanged else 0 for unchanged in same]

    def steps(*values: Any) -> list[Any]:
        if all(same):
            found = body(*values)[num_carry:]
            return [jnp.broadcast_to(value, (flow.length, *value.shape)) for value in found]
        return jax.vmap(lambda *inputs: body(*inputs)[num_carry:], axes)(*values)

    program = jax.make_jaxpr(steps)(*operands)
    needed = flow.needed[num_carry:]
    stacked, rows = call.jacobians(
        program, operands, flow.wanted, needed, loop.finite, loop.certain(stacked=True)
    )
    return [*results[:num_carry], *stacked], loop.blocks()[:num_carry] + rows
