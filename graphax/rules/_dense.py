"""The rule for every other primitive that JAX can differentiate: a dense local Jacobian."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax import lax

from .._trace import is_differentiable
from ..sparse import dense_block
from ._registry import Blocks, Call


def dense_rule(call: Call) -> tuple[list[Any], Blocks]:
    """Push a basis through the primitive's jvp, or pull one through its vjp, whichever is smaller.

    Raises:
        TypeError: when JAX has neither for the primitive.
    """
    results = call.evaluate()
    differentiable = [at for at, result in enumerate(results) if is_differentiable(result)]
    blocks: Blocks = [[None] * len(call.operands) for _ in results]
    if not differentiable:
        return results, blocks
    wanted = [at for at, want in enumerate(call.wanted) if want]
    operands = [call.operands[at] for at in wanted]

    def fun(*moving: Any) -> list[Any]:
        values = call.with_moving(call.operands, moving).evaluate()
        return [values[at] for at in differentiable]

    in_size = sum(math.prod(np.shape(operand)) for operand in operands)
    out_size = sum(math.prod(results[at].shape) for at in differentiable)
    ways = [_pushed, _pulled] if in_size <= out_size else [_pulled, _pushed]
    jacobians = _first_that_works(ways, fun, operands, call)
    for at, row in zip(differentiable, jacobians, strict=True):
        for position, jacobian in zip(wanted, row, strict=True):
            in_shape = np.shape(call.operands[position])
            blocks[at][position] = dense_block(jacobian, np.shape(results[at]), in_shape)
    return results, blocks


Jacobians = list[list[Any]]  # by result and operand


def _first_that_works(
    ways: Sequence[Callable[..., Jacobians]],
    fun: Callable[..., list[Any]],
    operands: list[Any],
    call: Call,
) -> Jacobians:
    """Some primitives have only a jvp that can be evaluated (`while`), some only a vjp (`custom_vjp`)."""
    failures = []
    for way in ways:
        try:
            return way(fun, operands)
        except (TypeError, ValueError, NotImplementedError) as error:
            failures.append(error)
    raise TypeError(
        f"the primitive '{call.primitive.name}' can be differentiated neither way: "
        f"{failures[0]}; {failures[1]}. Give it a rule with graphax.register_rule"
    ) from failures[0]


def _pushed(fun: Callable[..., list[Any]], operands: list[Any]) -> Jacobians:
    columns = []
    for at, operand in enumerate(operands):

        def push_one(tangent: Any, at: int = at) -> list[Any]:
            tangents = [lax.full_like(other, 0) for other in operands]
            tangents[at] = tangent
            return jax.jvp(fun, operands, tangents)[1]

        columns.append(jax.vmap(push_one, out_axes=-1)(_basis(operand)))
    return [list(row) for row in zip(*columns, strict=True)]


def _pulled(fun: Callable[..., list[Any]], operands: list[Any]) -> Jacobians:
    results, pull = jax.vjp(fun, *operands)
    rows = []
    for at, result in enumerate(results):

        def pull_one(cotangent: Any, at: int = at) -> list[Any]:
            cotangents = [lax.full_like(other, 0) for other in results]
            cotangents[at] = cotangent
            return pull(cotangents)

        rows.append(list(jax.vmap(pull_one)(_basis(result))))
    return rows


def _basis(like: Any) -> Any:
    """All unit arrays of a shape, stacked along a new first axis."""
    aval = jax.typeof(like)
    size = math.prod(aval.shape)
    return lax.reshape(jax.numpy.eye(size, dtype=aval.dtype), (size, *aval.shape))
