"""The leaves of a Jacobian, as the arguments and the results ask for them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.core import Tracer
from jax.extend.core import primitives
from jax.sharding import NamedSharding, PartitionSpec

from ._application import Application
from ._trace import is_complex, is_differentiable
from .rules import real_type
from .sparse import Block, complex_entries, without_zeros


def assemble(
    application: Application,
    out_tree: Any,
    out_types: Sequence[Any],
    jacobians: Iterable[Iterable[Any]],
    as_jacfwd: bool = False,
    sparse: bool = False,
) -> Any:
    """The Jacobian as a pytree of pytrees.

    Args:
        application: the function at its arguments.
        out_tree, out_types: of its result.
        jacobians: for every leaf of the result that carries a derivative a row with the block or the array
            between its real view and that of every differentiated leaf that does; None where it is zero.
        as_jacfwd: whether a leaf has the dtype of the result, and not of the argument as with ``jacrev``.
        sparse: whether leaves are blocks.
    """
    rows, given = [], iter(jacobians)
    for out in out_types:
        row: list[Any] = []
        blocks = iter(next(given)) if is_differentiable(out) else itertools.repeat(None)
        for arg, place in zip(application.arg_types, application.moving, strict=True):
            if not is_differentiable(arg):
                row.append(_by_something_discrete(out.shape, arg))
                continue
            found = next(blocks)
            by_result = as_jacfwd or not is_differentiable(out) or (is_complex(out) and not is_complex(arg))
            like = out if by_result else arg
            if sparse:
                row.append(_sparse(found, out, arg).astype(like.dtype))
            else:
                row.append(_beside(_weak_as(_dense(found, out, arg, like), like), application.leaves[place]))
        rows.append(application.arg_tree.unflatten(row))
    return out_tree.unflatten(rows)


def _sparse(found: Block | None, out: Any, arg: Any) -> Block:
    """The block for the arrays as they are, from what is between real views."""
    if found is None:
        return Block.zero(out.shape, arg.shape)
    sides = is_complex(out), is_complex(arg)
    block = complex_entries(found, *sides) if any(sides) else found
    return without_zeros(block.selected(), at_last=True)


def _dense(found: Any, out: Any, arg: Any, like: Any) -> jax.Array:
    """The array for the arrays as they are, of the dtype of ``like``, from what is between real views."""
    if found is None:
        return lax.full(out.shape + arg.shape, 0, like.dtype)
    dtype = real_type(like.dtype)
    view = found.todense(dtype) if isinstance(found, Block) else lax.convert_element_type(found, dtype)
    if is_complex(out):
        # A holomorphic function is known by its derivative along the real axis.
        view = view[..., 0] if is_complex(arg) else view
        rank = len(out.shape)
        return lax.complex(*(lax.index_in_dim(view, part, rank, keepdims=False) for part in (0, 1)))
    return lax.complex(view[..., 0], lax.neg(view[..., 1])) if is_complex(arg) else view


def _by_something_discrete(out_shape: tuple[int, ...], arg: Any) -> Any:
    if jax.numpy.issubdtype(arg.dtype, np.integer):
        return _weak_as(lax.full(out_shape + arg.shape, 0, arg.dtype), arg)
    return np.zeros(out_shape + arg.shape, jax.dtypes.float0)


def _beside(array: jax.Array, arg: Any) -> jax.Array:
    """A constant lives where the argument does."""
    traced = isinstance(array, Tracer) or isinstance(arg, Tracer)
    if traced or not arg.committed or array.devices() == arg.devices():
        return array
    if isinstance(arg.sharding, NamedSharding):
        return jax.device_put(array, NamedSharding(arg.sharding.mesh, PartitionSpec()))
    devices = arg.devices()
    return jax.device_put(array, *devices) if len(devices) == 1 else array


def _weak_as(array: jax.Array, like: Any) -> jax.Array:
    """What comes of a Python number gives way to other dtypes, as with JAX."""
    if not like.weak_type or array.weak_type:
        return array
    convert = primitives.convert_element_type_p
    return convert.bind(array, new_dtype=array.dtype, weak_type=True, sharding=None)
