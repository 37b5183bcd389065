"""The rule for every other primitive that JAX can differentiate: a dense local Jacobian."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jax import lax

from .._trace import is_differentiable, varying_as
from ..sparse import dense_block
from ._registry import Blocks, Call


def dense_rule(call: Call) -> tuple[list[Any], Blocks]:
    """Push a basis through the primitive's jvp, or pull one through its vjp, whichever is smaller.

    Raises:
        TypeError: when JAX has neither for the primitive.
    """
    results = call.evaluate()
    blocks: Blocks = [[None] * len(call.operands) for _ in results]
    wanted = call.moving
    operands = [call.operands[at] for at in wanted]

    def fun(*moving: Any) -> list[Any]:
        return call.with_moving(call.operands, moving).evaluate()

    for row, result, jacobians in zip(blocks, results, dense_jacobians(fun, operands, call), strict=True):
        for at, jacobian in zip(wanted, jacobians, strict=True):
            if jacobian is not None:
                row[at] = dense_block(jacobian, np.shape(result), np.shape(call.operands[at]))
    return results, blocks


def dense_jacobians(fun: Callable[..., list[Any]], operands: list[Any], call: Call) -> list[list[Any]]:
    """The Jacobian arrays of every result of a function with respect to every operand.

    Args:
        fun: a function of real arrays.
        operands: where.
        call: what the function does, for the error.

    Returns:
        by result and operand; None for results that carry no derivative.
    """
    types = jax.eval_shape(fun, *operands)
    carriers = [at for at, kind in enumerate(types) if is_differentiable(kind)]
    found: list[list[Any]] = [[None] * len(operands) for _ in types]
    if carriers:
        in_size = sum(math.prod(np.shape(operand)) for operand in operands)
        out_size = sum(math.prod(types[at].shape) for at in carriers)
        ways: list[Way] = [_pushed, _pulled] if in_size <= out_size else [_pulled, _pushed]
        ways += [functools.partial(way, over=_one_by_one) for way in ways]

        def carried(*moving: Any) -> list[Any]:
            results = fun(*moving)
            return [results[at] for at in carriers]

        for at, row in zip(carriers, first_that_works(ways, carried, operands, call), strict=True):
            found[at] = row
    return found


T = TypeVar("T")
Jacobians = list[list[Any]]  # by result and operand
Way = Callable[..., Jacobians]


def first_that_works(ways: Sequence[Callable[..., T]], fun: Callable[..., Any], at: Any, call: Call) -> T:
    """Some primitives have only a jvp that can be evaluated (`while`), some only a vjp (`custom_vjp`).

    Some cannot be batched (`ragged_dot`).
    """
    failures = []
    for way in ways:
        try:
            return way(fun, at)
        except (TypeError, ValueError, NotImplementedError) as error:
            failures.append(error)
    raise TypeError(
        f"the primitive '{call.primitive.name}' can be differentiated neither way: "
        f"{failures[0]}; {failures[1]}. Give it a rule with graphax.register_rule"
    ) from failures[0]


def _pushed(fun: Callable[..., list[Any]], operands: list[Any], over: Any = jax.vmap) -> Jacobians:
    columns = []
    for at, operand in enumerate(operands):

        def push_one(tangent: Any, at: int = at) -> list[Any]:
            tangents = [lax.full_like(other, 0) for other in operands]
            tangents[at] = tangent
            return jax.jvp(fun, operands, tangents)[1]

        columns.append(over(push_one, out_axes=-1)(basis(operand, range(np.ndim(operand)))))
    return [list(row) for row in zip(*columns, strict=True)]


def _pulled(fun: Callable[..., list[Any]], operands: list[Any], over: Any = jax.vmap) -> Jacobians:
    results, pull = jax.vjp(fun, *operands)
    rows = []
    for at, result in enumerate(results):

        def pull_one(cotangent: Any, at: int = at) -> list[Any]:
            cotangents = [lax.full_like(other, 0) for other in results]
            cotangents[at] = cotangent
            return pull(cotangents)

        rows.append(list(over(pull_one)(basis(result, range(np.ndim(result))))))
    return rows


def _one_by_one(fun: Callable[[Any], list[Any]], out_axes: int = 0) -> Callable[[Any], list[Any]]:
    """What `jax.vmap` makes, with a loop."""
    return lambda basis: [jax.numpy.moveaxis(array, 0, out_axes) for array in lax.map(fun, basis)]


def basis(like: Any, free: Sequence[int]) -> Any:
    """All unit arrays in the free dimensions, the same along the others, stacked along a new first axis."""
    aval = jax.typeof(like)
    shape = [aval.shape[dim] for dim in free]
    size = math.prod(shape)
    units = varying_as(lax.reshape(jax.numpy.eye(size, dtype=aval.dtype), (size, *shape)), like)
    return lax.broadcast_in_dim(units, (size, *aval.shape), [0, *(1 + dim for dim in free)])
