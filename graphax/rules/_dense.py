"""The rule for every other primitive that JAX can differentiate: a dense local Jacobian."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jax import lax

from .._trace import is_complex, is_differentiable, varying_as
from ..sparse import dense_block
from ._registry import Blocks, Call, Inexpressible


def dense_rule(call: Call) -> tuple[list[Any], Blocks]:
    """Push a basis through the primitive's jvp, or pull one through its vjp, whichever is smaller.

    The blocks are those of the real views of complex arrays. The results are those of the jvp or the vjp:
    where a function has a rule of its own, whoever differentiates the Jacobian again goes on with the rule's
    results, as JAX does.

    Raises:
        TypeError: when JAX has neither for the primitive.
    """
    wanted = call.moving

    def fun(*views: Any) -> list[Any]:
        moving = [of_real_view(view, call.operands[at]) for at, view in zip(wanted, views, strict=True)]
        return call.with_moving(call.operands, moving).evaluate()

    operands = [real_view(call.operands[at]) for at in wanted]
    types = jax.eval_shape(fun, *operands)
    carriers = [at for at, kind in enumerate(types) if is_differentiable(kind)]
    blocks: Blocks = [[None] * len(call.operands) for _ in types]
    in_size = sum(math.prod(np.shape(operand)) for operand in operands)
    if not carriers or not in_size:
        return fun(*operands), blocks
    out_size = sum(math.prod(types[at].shape) for at in carriers)
    ways: list[Way] = [_pushed, _pulled] if in_size <= out_size else [_pulled, _pushed]
    ways += [functools.partial(way, over=one_by_one) for way in ways]

    def carried(*moving: Any) -> tuple[list[Any], list[Any]]:
        results = fun(*moving)
        return [real_view(results[at]) for at in carriers], results

    results, jacobians = first_that_works(ways, carried, operands, call)
    put_dense(blocks, call, {at: results[at] for at in carriers}, jacobians)
    return results, blocks


def put_dense(blocks: Blocks, call: Call, results: Mapping[int, Any], jacobians: Rows) -> None:
    """Store the Jacobians of some results, by their positions, with respect to the wanted operands."""
    for (carrier, result), row in zip(results.items(), jacobians, strict=True):
        for at, jacobian in zip(call.moving, row, strict=True):
            blocks[carrier][at] = dense_block(jacobian, view_shape(result), view_shape(call.operands[at]))


def view_shape(array: Any) -> tuple[int, ...]:
    """The shape of the real view of an array."""
    return (*np.shape(array), *[2] * is_complex(array))


def real_type(dtype: Any) -> np.dtype:
    """The dtype of the real view of an array of this dtype."""
    return np.zeros((), dtype).real.dtype


def real_view(array: Any) -> Any:
    """A complex array as a real one with a last dimension for the real and the imaginary part."""
    if not is_complex(array):
        return array
    return jax.numpy.stack([lax.real(array), lax.imag(array)], axis=-1)


def of_real_view(view: Any, like: Any) -> Any:
    """The array whose real view it is, complex if ``like`` is."""
    return lax.complex(view[..., 0], view[..., 1]) if is_complex(like) else view


T = TypeVar("T")
Rows = list[list[Any]]  # Jacobians by result and operand
Way = Callable[..., tuple[list[Any], Rows]]


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
) -> tuple[list[Any], Rows]:
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
) -> tuple[list[Any], Rows]:
    values, pull, results = jax.vjp(fun, *operands, has_aux=True)
    return results, pulled_rows(pull, values, over)


def pulled_rows(
    pull: Callable[[list[Any]], Any],
    values: Sequence[Any],
    over: Any = jax.vmap,
    free: Iterable[Sequence[int]] | None = None,
) -> Rows:
    """The Jacobians of some values, from what pulls their cotangents back to the operands.

    Args:
        pull: from cotangents of the values to those of the operands.
        values: the values.
        over: what evaluates a function for a batch.
        free: for every value the dimensions of its unit arrays (see :func:`basis`), all of them if left out.
    """
    rows = []
    for at, (value, dims) in enumerate(zip(values, free or [range(np.ndim(x)) for x in values], strict=True)):

        def pull_one(cotangent: Any, at: int = at) -> Any:
            cotangents = [lax.full_like(other, 0) for other in values]
            cotangents[at] = cotangent
            return pull(cotangents)

        rows.append(list(over(pull_one)(basis(value, dims))))
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
