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
from ._registry import Blocks, Call, Inexpressible


def dense_rule(call: Call) -> tuple[list[Any], Blocks]:
    """Push a basis through the primitive's jvp, or pull one through its vjp, whichever is smaller.

    Raises:
        TypeError: when JAX has neither for the primitive.
    """
    wanted = call.moving
    operands = [call.operands[at] for at in wanted]

    def fun(*moving: Any) -> list[Any]:
        return call.with_moving(call.operands, moving).evaluate()

    results, found = dense_jacobians(fun, operands, call)
    blocks: Blocks = [[None] * len(call.operands) for _ in results]
    for row, result, jacobians in zip(blocks, results, found, strict=True):
        for at, jacobian in zip(wanted, jacobians, strict=True):
            if jacobian is not None:
                row[at] = dense_block(jacobian, np.shape(result), np.shape(call.operands[at]))
    return results, blocks


def dense_jacobians(
    fun: Callable[..., list[Any]],
    operands: list[Any],
    call: Call,
    view: Callable[[Any], Any] = lambda result: result,
) -> tuple[list[Any], list[list[Any]]]:
    """The results of a function and their Jacobian arrays with respect to every operand.

    The results are those of the jvp or the vjp: where a function has a rule of its own, whoever
    differentiates the Jacobian again goes on with the rule's results, as JAX does.

    Args:
        fun: a function of real arrays.
        operands: where.
        call: what the function does, for the error.
        view: from a result to the real array whose Jacobian is asked for.

    Returns:
        the results, and the Jacobians by result and operand; None for results that carry no derivative.
    """
    types = jax.eval_shape(fun, *operands)
    carriers = [at for at, kind in enumerate(types) if is_differentiable(kind)]
    found: list[list[Any]] = [[None] * len(operands) for _ in types]
    in_size = sum(math.prod(np.shape(operand)) for operand in operands)
    if not carriers or not in_size:
        return fun(*operands), found
    out_size = sum(math.prod(types[at].shape) for at in carriers)
    ways: list[Way] = [_pushed, _pulled] if in_size <= out_size else [_pulled, _pushed]
    ways += [functools.partial(way, over=one_by_one) for way in ways]

    def carried(*moving: Any) -> tuple[list[Any], list[Any]]:
        results = fun(*moving)
        return [view(results[at]) for at in carriers], results

    results, jacobians = first_that_works(ways, carried, operands, call)
    for at, row in zip(carriers, jacobians, strict=True):
        found[at] = row
    return results, found


T = TypeVar("T")
Jacobians = list[list[Any]]  # by result and operand
Way = Callable[..., tuple[list[Any], Jacobians]]


def first_that_works(ways: Sequence[Callable[..., T]], fun: Callable[..., Any], at: Any, call: Call) -> T:
    """Some primitives have only a jvp that can be evaluated (`while`), some only a vjp (`custom_vjp`).

    Some cannot be batched (`ragged_dot`).
    """
    failures = []
    for way in ways:
        try:
            return way(fun, at)
        except Inexpressible:
            raise
        except Exception as error:  # rules of others fail as they please
            failures.append(error)
    raise TypeError(
        f"the primitive '{call.primitive.name}' can be differentiated neither way: "
        f"{failures[0]}; {failures[1]}. Give it a rule with graphax.register_rule"
    ) from failures[0]


def _pushed(
    fun: Callable[..., tuple[list[Any], list[Any]]], operands: list[Any], over: Any = jax.vmap
) -> tuple[list[Any], Jacobians]:
    zeros = [lax.full_like(operand, 0) for operand in operands]
    results = jax.jvp(fun, operands, zeros, has_aux=True)[2]
    columns = []
    for at, operand in enumerate(operands):

        def push_one(tangent: Any, at: int = at) -> list[Any]:
            tangents = [*zeros[:at], tangent, *zeros[at + 1 :]]
            return jax.jvp(fun, operands, tangents, has_aux=True)[1]

        columns.append(over(push_one, out_axes=-1)(basis(operand, range(np.ndim(operand)))))
    return results, [list(row) for row in zip(*columns, strict=True)]


def _pulled(
    fun: Callable[..., tuple[list[Any], list[Any]]], operands: list[Any], over: Any = jax.vmap
) -> tuple[list[Any], Jacobians]:
    values, pull, results = jax.vjp(fun, *operands, has_aux=True)
    return results, pulled_rows(pull, values, over)


def pulled_rows(pull: Callable[[list[Any]], Any], values: Sequence[Any], over: Any = jax.vmap) -> Jacobians:
    """The Jacobians of some values, from what pulls their cotangents back to the operands."""
    rows = []
    for at, value in enumerate(values):

        def pull_one(cotangent: Any, at: int = at) -> Any:
            cotangents = [lax.full_like(other, 0) for other in values]
            cotangents[at] = cotangent
            return pull(cotangents)

        rows.append(list(over(pull_one)(basis(value, range(np.ndim(value))))))
    return rows


def one_by_one(fun: Callable[[Any], list[Any]], out_axes: int = 0) -> Callable[[Any], list[Any]]:
    """What `jax.vmap` makes, with a loop."""
    return lambda basis: [jax.numpy.moveaxis(array, 0, out_axes) for array in lax.map(fun, basis)]


def basis(like: Any, free: Sequence[int]) -> Any:
    """All unit arrays in the free dimensions, the same along the others, stacked along a new first axis."""
    aval = jax.typeof(like)
    shape = [aval.shape[dim] for dim in free]
    size = math.prod(shape)
    units = varying_as(lax.reshape(jax.numpy.eye(size, dtype=aval.dtype), (size, *shape)), like)
    return lax.broadcast_in_dim(units, (size, *aval.shape), [0, *(1 + dim for dim in free)])
