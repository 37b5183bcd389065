"""Scatters that apply a function to some entries of an array: `x.at[index].apply(function)`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend import core

from ._complex import directional_block
from ._registry import Blocks, Call


def applied_function(params: dict[str, Any]) -> core.ClosedJaxpr | None:
    """The function that a scatter applies to an entry and its update; None where it sets the update."""
    jaxpr = params["update_jaxpr"]
    if jaxpr is None:
        return None
    if not isinstance(jaxpr, core.ClosedJaxpr):
        jaxpr = core.ClosedJaxpr(jaxpr, params["update_consts"])
    return None if jaxpr.jaxpr.outvars[0] is jaxpr.jaxpr.invars[1] else jaxpr


def apply_rule(call: Call, function: core.ClosedJaxpr) -> tuple[list[Any], Blocks]:
    """A diagonal: the function's derivative at the updated places, and 1 elsewhere.

    The results are set by a scatter of what has been computed, which JAX can differentiate once more.
    """

    def applied(operand: Any) -> Any:
        return _applied(call, function, operand)

    operand = call.operands[0]
    return [applied(operand)], [[directional_block(applied, operand), None, None]]


def _applied(call: Call, function: core.ClosedJaxpr, operand: Any) -> Any:
    """The result, with the function applied to what stands at the updated places."""
    indices, updates, params = call.operands[1], call.operands[2], call.params
    no_update = lax.full((), 0, updates.dtype)

    def once(entries: Any) -> Any:
        flat = jax.vmap(lambda entry: core.jaxpr_as_fun(function)(entry, no_update)[0])
        return lax.reshape(flat(lax.reshape(entries, (entries.size,))), entries.shape)

    entries = _read(call, operand)
    if params["unique_indices"] or _windows(call) == 1:
        entries = once(entries)
    else:  # where several indices meet, the function is applied as often
        times = _read(call, _times(call, indices))
        most = _most_times(call)
        entries = lax.fori_loop(
            0, most, lambda at, entries: lax.select(at < times, once(entries), entries), entries
        )
    return lax.scatter(
        operand,
        indices,
        entries,
        params["dimension_numbers"],
        indices_are_sorted=params["indices_are_sorted"],
        unique_indices=params["unique_indices"],
        mode=params["mode"],
    )


def _windows(call: Call) -> int:
    """How many windows are updated in every slice along the batching dimensions."""
    numbers, shape = call.params["dimension_numbers"], np.shape(call.operands[1])
    batch = numbers.scatter_indices_batching_dims
    return math.prod(size for axis, size in enumerate(shape[:-1]) if axis not in batch)


def _times(call: Call, indices: Any) -> Any:
    """How often each entry is updated."""
    operand, _, updates = call.operands
    return lax.scatter_add(
        lax.full(operand.shape, 0, np.int32),
        indices,
        lax.full(updates.shape, 1, np.int32),
        call.params["dimension_numbers"],
        mode=call.params["mode"],
    )


def _most_times(call: Call) -> Any:
    """How often the entry that is updated most often is updated; a number where the indices are known."""
    indices = call.known(1)
    if indices is None:
        return jnp.max(_times(call, call.operands[1]), initial=0)
    with jax.ensure_compile_time_eval():
        return int(jnp.max(_times(call, indices), initial=0))


def _read(call: Call, operand: Any) -> Any:
    """What stands at the places of the updates."""
    numbers, sizes = as_gather(call.params["dimension_numbers"], call.operands[2].shape, operand.ndim)
    return lax.gather(operand, call.operands[1], numbers, sizes, mode=call.params["mode"])


def as_gather(
    scattered: lax.ScatterDimensionNumbers, updates_shape: Sequence[int], rank: int
) -> tuple[lax.GatherDimensionNumbers, list[int]]:
    """The gather that reads what stands at the places of a scatter's updates, and the sizes of its slices.

    Args:
        scattered: what the dimensions of the scatter are.
        updates_shape: the shape of its updates.
        rank: how many dimensions its operand has.
    """
    numbers = lax.GatherDimensionNumbers(
        offset_dims=tuple(scattered.update_window_dims),
        collapsed_slice_dims=tuple(scattered.inserted_window_dims),
        start_index_map=tuple(scattered.scatter_dims_to_operand_dims),
        operand_batching_dims=tuple(scattered.operand_batching_dims),
        start_indices_batching_dims=tuple(scattered.scatter_indices_batching_dims),
    )
    hidden = {*scattered.inserted_window_dims, *scattered.operand_batching_dims}
    windows = iter(updates_shape[axis] for axis in scattered.update_window_dims)
    return numbers, [1 if axis in hidden else next(windows) for axis in range(rank)]
