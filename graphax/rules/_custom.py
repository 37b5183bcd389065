"""Functions with a derivative rule of their own: `jax.custom_jvp` and `jax.custom_vjp`."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from .._trace import inline, is_differentiable
from ..sparse import Block
from ._dense import dense_rule
from ._dependence import by_jvp
from ._elementwise import (
    NotElementwise,
    Partials,
    elementwise,
    entrywise_block,
    partial_derivatives,
)
from ._registry import Blocks, Call, register_dependence, register_family


def _custom_jvp(call: Call) -> tuple[list[Any], Blocks]:
    """Diagonal where the rule turns out to be elementwise in the tangents, else dense."""
    try:
        return elementwise(call)
    except NotElementwise:
        return dense_rule(call)


def _custom_vjp(call: Call) -> tuple[list[Any], Blocks]:
    """Diagonal where the rule turns out to be elementwise in the cotangents, else dense."""
    moving = call.moving
    shapes = {np.shape(call.operands[at]) for at in moving}
    if call.num_results != 1 or len(shapes) != 1:
        return dense_rule(call)

    def pulled_back(operands: Any, cotangent: Any) -> Any:
        def fun(*values: Any) -> Any:
            return call.with_moving(operands, values).evaluate()[0]

        result, pull = jax.vjp(fun, *[operands[at] for at in moving])
        return result, pull(cotangent)

    result_type = jax.eval_shape(lambda operands: call.with_operands(operands).evaluate()[0], call.operands)
    if result_type.shape not in shapes or not is_differentiable(result_type):
        return dense_rule(call)
    program = inline(jax.make_jaxpr(pulled_back)(list(call.operands), result_type))
    try:
        results, partials = partial_derivatives(program, call.operands, call.static, 1)
    except NotElementwise:
        return dense_rule(call)
    row: list[Block | None] = [None] * len(call.operands)
    for at, by_cotangent in zip(moving, partials, strict=True):
        row[at] = _single(by_cotangent, result_type.shape)
    return results, [row]


def _single(partials: Partials, shape: tuple[int, ...]) -> Block | None:
    return entrywise_block(shape, shape, partials[0]) if partials else None


register_family(("custom_jvp_call",), _custom_jvp)
register_dependence(("custom_jvp_call",), by_jvp)
register_family(("custom_vjp_call", "custom_vjp_call_jaxpr"), _custom_vjp)
