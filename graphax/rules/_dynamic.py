"""Slices, gathers and scatters at places that are known at run time only.

Dimensions that are taken whole, and batching dimensions, keep their structure; the others are dense.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jax import lax

from ..sparse import Block, identity_block
from ._batched import Apart, Fun, Tie, by_columns, tied_blocks, ties_of_dims
from ._dense import view_shape
from ._placed import as_mask, gathered, scattered, sliced, wants_places
from ._registry import Blocks, Call
from ._scatter_apply import as_gather


def dynamic_slice_rule(call: Call) -> tuple[list[Any], Blocks]:
    """`dynamic_slice`: its starts are clamped, so that a slice as large as the operand is the operand."""
    (result,) = call.evaluate()
    operand, *starts = call.operands
    if wants_places(call, result) and (block := sliced(starts, np.shape(operand), result.shape)) is not None:
        return [result], [[block, *[None] * len(starts)]]
    whole = _equal_dims(np.shape(operand), result.shape)

    def fun(operand: Any) -> list[Any]:
        sizes = [size if dim not in whole else operand.shape[dim] for dim, size in enumerate(result.shape)]
        params = call.params | {"slice_sizes": tuple(sizes)}
        return replace(call, params=params).with_operands([operand, *starts]).evaluate()

    apart = Apart(ties_of_dims(whole, constant=True))
    (block,) = tied_blocks(call, 0, fun, [result], apart, selects=True, quick="push")
    return [result], [[block, *[None] * len(starts)]]


def dynamic_update_slice_rule(call: Call) -> tuple[list[Any], Blocks]:
    """`dynamic_update_slice`: a diagonal with respect to the operand."""
    (result,) = call.evaluate()
    whole = _equal_dims(result.shape, np.shape(call.operands[1]))
    ties = ties_of_dims(whole, constant=True)
    apart = Apart(ties + ties_of_dims(_others(result.ndim, whole))), Apart(ties)

    def column(at: int) -> list[Block | None]:
        if at == 1 and wants_places(call, result):
            block = sliced(call.operands[2:], result.shape, np.shape(call.operands[1]))
            if block is not None:
                return [block.T]
        fun = _of_cut(call, at, 1 - at, whole)
        quick = "pull" if at == 1 else None
        blocks = tied_blocks(call, at, fun, [result], apart[at], selects=True, quick=quick)
        return [as_mask(block) for block in blocks] if wants_places(call, result) else blocks

    return [result], by_columns(call, column)


def _equal_dims(left: Sequence[int], right: Sequence[int]) -> list[int]:
    return [dim for dim, sizes in enumerate(zip(left, right, strict=True)) if sizes[0] == sizes[1]]


def _of_cut(call: Call, at: int, other: int, dims: Sequence[int]) -> Fun:
    """The results as a function of one operand; where that is cut, another is along the dimensions given."""

    def fun(moving: Any) -> list[Any]:
        operands = list(call.operands)
        operands[at] = moving
        if np.shape(moving) != np.shape(call.operands[at]):
            operands[other] = _cut(operands[other], dims)
        return call.with_operands(operands).evaluate()

    return fun


def _cut(array: Any, dims: Sequence[int]) -> Any:
    """The first slice along some dimensions."""
    shape = np.shape(array)
    return lax.slice(array, [0] * len(shape), [1 if dim in dims else size for dim, size in enumerate(shape)])


def dynamic_gather_rule(call: Call) -> tuple[list[Any], Blocks]:
    """`gather`: apart along batching dimensions and the dimensions whose slices are whole."""
    (result,) = call.evaluate()
    operand, indices = call.operands
    numbers, sizes = call.params["dimension_numbers"], call.params["slice_sizes"]
    shape = np.shape(operand)
    if wants_places(call, result):
        block = gathered(call, result.shape, shape, indices, numbers, sizes)
        if block is not None:
            return [result], [[block, None]]
    within = _others(len(shape), (*numbers.collapsed_slice_dims, *numbers.operand_batching_dims))
    windows = dict(zip(within, numbers.offset_dims, strict=True))
    whole = [dim for dim in within if sizes[dim] == shape[dim]]
    batch = _others(result.ndim, numbers.offset_dims)
    ties = [Tie(dim, windows[dim], constant=True) for dim in whole]
    ties += [
        Tie(dim, batch[index_dim])
        for dim, index_dim in zip(
            numbers.operand_batching_dims, numbers.start_indices_batching_dims, strict=True
        )
    ]

    def fun(operand: Any, **params: Any) -> list[Any]:
        cut = [size if dim not in whole else operand.shape[dim] for dim, size in enumerate(sizes)]
        params = call.params | {"slice_sizes": tuple(cut)} | params
        return replace(call, params=params).with_operands([operand, indices]).evaluate()

    missing, fill = None, call.params["fill_value"]
    fills_in = call.params["mode"] is lax.GatherScatterMode.FILL_OR_DROP  # where indices are out of bounds
    if fills_in and (fill is None or not np.isfinite(fill)):
        (missing,) = fun(_cut(lax.full_like(operand, 1), whole), fill_value=0)
    (block,) = tied_blocks(call, 0, fun, [result], Apart(ties), selects=True, missing=missing, quick="push")
    return [result], [[block, None]]


def _others(rank: int, dims: Sequence[int]) -> list[int]:
    return [dim for dim in range(rank) if dim not in dims]


def dynamic_scatter_rule(call: Call) -> tuple[list[Any], Blocks]:
    """`scatter` and its kin: the identity or a diagonal with respect to the operand."""
    (result,) = call.evaluate()
    updates = call.operands[2]
    numbers = call.params["dimension_numbers"]
    linear = call.primitive.name in ("scatter", "scatter-add", "scatter-sub")
    sums = linear and call.primitive.name != "scatter"
    inside = _others(result.ndim, (*numbers.inserted_window_dims, *numbers.operand_batching_dims))
    windows = dict(zip(inside, numbers.update_window_dims, strict=True))
    whole = [dim for dim in inside if np.shape(updates)[windows[dim]] == result.shape[dim]]
    row: list[Block | None] = [None, None, None]
    if call.wanted[0]:
        if sums:
            row[0] = identity_block(view_shape(result))
        else:
            fun = _of_cut(call, 0, 2, [windows[dim] for dim in whole])
            ties = [Tie(dim, dim, constant=linear and dim in whole) for dim in range(result.ndim)]
            (row[0],) = tied_blocks(call, 0, fun, [result], Apart(ties), selects=True)
            row[0] = as_mask(row[0]) if linear and wants_places(call, result) else row[0]
    placed = None
    if call.wanted[2] and linear and wants_places(call, result):
        placed = row[2] = scattered(call, result.shape)
    if call.wanted[2] and placed is None:
        fun = _of_cut(call, 2, 0, whole)
        ties = [Tie(windows[dim], dim, constant=linear) for dim in whole]
        batch = _others(np.ndim(updates), numbers.update_window_dims)
        ties += [
            Tie(batch[index_dim], dim)
            for dim, index_dim in zip(
                numbers.operand_batching_dims, numbers.scatter_indices_batching_dims, strict=True
            )
        ]
        (row[2],) = tied_blocks(call, 2, fun, [result], Apart(ties), selects=True, quick="pull")
    return [result], [row]


def clipped(call: Call) -> Call:
    """The largest or least of several at clipped indices: JAX's jvp of these knows no clipping."""
    if call.params["mode"] is not lax.GatherScatterMode.CLIP:
        return call
    operand, indices, updates = call.operands
    numbers = call.params["dimension_numbers"]
    _, sizes = as_gather(numbers, updates.shape, operand.ndim)
    last = [operand.shape[axis] - sizes[axis] for axis in numbers.scatter_dims_to_operand_dims]
    last = np.array(last, indices.dtype)
    inside = lax.clamp(indices.dtype.type(0), indices, np.broadcast_to(last, indices.shape))
    return call.with_operands([operand, inside, updates])
