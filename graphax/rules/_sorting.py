"""Sorting and the largest entries: copies of entries from places that are known at run time only."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from .._trace import bind, is_complex
from ..sparse import Block, Zeros, added_label, arranged_block, label_dims, with_holes
from ._batched import register_batched
from ._dependence import on_own
from ._placed import taken_along, wants_places
from ._registry import Blocks, Call, register_dependence


@register_batched("sort")
def _sort(call: Call) -> tuple[list[Any], Blocks]:
    """Every result is the same permutation of its operand."""
    axis = call.params["dimension"]
    places = lax.broadcasted_iota(np.int32, np.shape(call.operands[0]), axis)
    *results, places = bind(call.primitive, call.params, [*call.operands, places])
    blocks: Blocks = [[None] * len(call.operands) for _ in results]
    for at in call.moving:
        blocks[at][at] = _copied_block(call, places, call.operands[at], axis)
    return results, blocks


@register_batched("top_k", "approx_top_k")
def _top_k(call: Call) -> tuple[list[Any], Blocks]:
    values, places = call.evaluate()
    (operand,) = call.operands
    axis = call.params.get("reduction_dimension", call.params.get("axis", -1))
    return [values, places], [[_copied_block(call, places, operand, axis % np.ndim(operand))], [None]]


def _copied_block(call: Call, places: Any, operand: Any, axis: int) -> Block | None:
    """The block of ``take_along_axis(operand, places, axis)``."""
    if not np.size(places):
        return None
    if wants_places(call, places) and (block := taken_along(places, np.shape(operand), axis)) is not None:
        return block
    in_size = np.shape(operand)[axis]
    view = (2,) if is_complex(operand) else ()
    out, sizes = label_dims(places.shape + view)
    in_ = [*out[:axis], added_label(in_size, sizes), *out[axis + 1 :]]
    hits = jnp.expand_dims(places, -1) == jnp.arange(in_size, dtype=places.dtype)
    axes = [label for dim in [*out[: np.ndim(operand)], in_[axis]] for label in dim]
    block = arranged_block(out, in_, sizes, with_holes(hits, Zeros.OF_ORDER), axes)
    return _with_map(block, places, in_size) if np.ndim(operand) == 1 and not view else block


def _with_map(block: Block, places: Any, in_size: int) -> Block:
    """The block of ``operand[places]``, with no place twice, that products are made with by gathers."""

    def push(columns: Any) -> Any:
        return columns.at[places].get(mode="promise_in_bounds", unique_indices=True)

    def pull(rows: Any) -> Any:
        if len(places) == in_size:
            _, sources = lax.sort_key_val(places, lax.iota(places.dtype, in_size))
            return rows.at[:, sources].get(mode="promise_in_bounds", unique_indices=True)
        zeros = lax.full((len(rows), in_size), 0, rows.dtype)
        return zeros.at[:, places].set(rows, mode="promise_in_bounds", unique_indices=True)

    return block.with_map(push, pull, "push")


register_dependence("sort")(on_own)
