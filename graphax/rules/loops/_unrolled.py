"""Short scans in sparse Jacobians: one step after another, so that indices are known and patterns exact."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend import core

from .._registry import Blocks
from ._loop import Loop

#: So many equations of all steps together are not too many to be traced.
_SHORT = 400


def is_short(loop: Loop) -> bool:
    """Whether the steps of a loop may be written out one after another."""
    body = loop.flow.body
    return (
        not body.effects and loop.call.jacobians.named and loop.flow.length * _equations(body.jaxpr) <= _SHORT
    )


def _equations(jaxpr: Any) -> int:
    inner = [one for equation in jaxpr.eqns for one in core.jaxprs_in_params(equation.params)]
    return len(jaxpr.eqns) + sum(map(_equations, inner))


def unrolled(loop: Loop) -> tuple[list[Any], Blocks]:
    """All steps are one program, which is eliminated as any other."""
    call, flow = loop.call, loop.flow
    body, steps = core.jaxpr_as_fun(flow.body), range(flow.length)
    if call.params["reverse"]:
        steps = reversed(steps)

    known = [None if want else call.known(at, at_once=True) for at, want in enumerate(call.wanted)]
    # What counts the steps is among what they carry.
    counts = {at: value for at, value in enumerate(known) if value is not None and value.dtype.kind in "iub"}

    def written_out(*operands: Any) -> list[Any]:
        operands = tuple(counts.get(at, operand) for at, operand in enumerate(operands))
        fixed, slices = operands[: flow.num_consts], operands[flow.first_slice :]
        carried = list(operands[flow.num_consts : flow.first_slice])
        returned: dict[int, list[Any]] = {}
        for at in steps:
            results = body(*fixed, *carried, *(lax.index_in_dim(x, at, keepdims=False) for x in slices))
            carried, returned[at] = results[: flow.num_carry], results[flow.num_carry :]
        rows = [returned[at] for at in range(flow.length)]
        return [*carried, *(jnp.stack(column) for column in zip(*rows, strict=True))]

    program = jax.make_jaxpr(written_out)(*call.operands)
    return call.jacobians(program, call.operands, call.wanted, call.needed, call.finite, call.all_certain())
