"""The rule for every other primitive that JAX can differentiate: a dense local Jacobian."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import lax

from .._trace import is_differentiable
from ..sparse import Block, dense_block
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
    out_size = sum(math.prod(results[at].shape) for at in differentiable)
    for position, (operand, want) in enumerate(zip(call.operands, call.wanted, strict=True)):
        if not want:
            continue

        def fun(value: Any, position: int = position) -> list[Any]:
            operands = list(call.operands)
            operands[position] = value
            values = call.with_operands(operands).evaluate()
            return [values[at] for at in differentiable]

        in_shape = np.shape(operand)
        ways = [_pushed, _pulled]
        if math.prod(in_shape) > out_size:
            ways.reverse()
        for at, jacobian in zip(
            differentiable, _first_that_works(ways, fun, operand, call), strict=True
        ):
            blocks[at][position] = dense_block(jacobian, np.shape(results[at]), in_shape)
    return results, blocks


def _first_that_works(
    ways: list[Callable[..., list[Any]]], fun: Callable[..., list[Any]], operand: Any, call: Call
) -> list[Any]:
    """Some primitives have only a jvp that can be evaluated (`while`), some only a vjp (`custom_vjp`)."""
    failures = []
    for way in ways:
        try:
            return way(fun, operand)
        except (TypeError, ValueError, NotImplementedError, AssertionError) as error:
            failures.append(error)
    raise TypeError(
        f"the primitive '{call.primitive.name}' can be differentiated neither forward ({failures[0]}) nor "
        f"in reverse ({failures[1]}); give it a rule with graphax.register_rule"
    ) from failures[0]


def _pushed(fun: Callable[..., list[Any]], operand: Any) -> list[Any]:
    basis = _basis(operand)
    return jax.vmap(lambda tangent: jax.jvp(fun, (operand,), (tangent,))[1], out_axes=-1)(basis)


def _pulled(fun: Callable[..., list[Any]], operand: Any) -> list[Any]:
    results, pull = jax.vjp(fun, operand)
    jacobians = []
    for at, result in enumerate(results):

        def pull_one(cotangent: Any, at: int = at) -> Any:
            cotangents = [lax.full_like(other, 0) for other in results]
            cotangents[at] = cotangent
            return pull(cotangents)[0]

        jacobians.append(jax.vmap(pull_one)(_basis(result)))
    return jacobians


def _basis(like: Any) -> Any:
    """All unit arrays of a shape, stacked along a new first axis."""
    aval = jax.typeof(like)
    size = math.prod(aval.shape)
    return lax.reshape(jax.numpy.eye(size, dtype=aval.dtype), (size, *aval.shape))
