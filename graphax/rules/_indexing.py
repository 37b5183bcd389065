"""Indexing: gathers, scatters and slices at places known while tracing become static index tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax import lax

from .._trace import is_complex
from ..sparse import Block, arranged_block, digit_table, identity_block, label_dims, selection, unit_block
from ._batched import register_batched
from ._complex import real_block
from ._dynamic import (
    clipped,
    dynamic_gather_rule,
    dynamic_scatter_rule,
    dynamic_slice_rule,
    dynamic_update_slice_rule,
)
from ._elementwise import elementwise
from ._registry import Blocks, Call, register_rule
from ._relabel import block_around, copy_block, listed_dims
from ._scatter_apply import applied_function, apply_rule, as_gather

#: Cases that a known choice takes for at most one in so many entries hold no zeros for the others.
_RARE = 4


@register_batched("gather")
def _gather(call: Call) -> tuple[list[Any], Blocks]:
    indices = call.known(1)
    if indices is None:
        return dynamic_gather_rule(call)
    (result,) = call.evaluate()
    numbers, sizes = call.params["dimension_numbers"], call.params["slice_sizes"]
    in_shape = np.shape(call.operands[0])
    places, inside = _places(in_shape, indices, result.shape, numbers, sizes, call.params["mode"])
    block = _selection(result.shape, in_shape, places, inside)
    return [result], [[real_block(block, result), None]]


@register_batched("scatter", "scatter-add", "scatter-mul", "scatter-sub")
def _scatter(call: Call) -> tuple[list[Any], Blocks]:
    """Scatters that add or subtract, and those that set or multiply every entry at most once."""
    function = applied_function(call.params) if call.primitive.name == "scatter" else None
    if function is not None:
        return apply_rule(call, function)
    indices = call.known(1)
    if indices is None:
        return dynamic_scatter_rule(call)
    shape, updates_shape = np.shape(call.operands[0]), np.shape(call.operands[2])
    numbers, sizes = as_gather(call.params["dimension_numbers"], updates_shape, len(shape))
    places, inside = _places(shape, indices, updates_shape, numbers, sizes, call.params["mode"])
    name = call.primitive.name
    operand = identity_block(shape)
    if name in ("scatter", "scatter-mul"):
        targets = tuple(np.asarray(place[inside]) for place in places)
        if shape and len(np.unique(np.ravel_multi_index(targets, shape))) < inside.sum():
            return dynamic_scatter_rule(call)  # which of several updates wins is not ours to say
        operand = _kept(shape, targets)
    updates = _selection(updates_shape, shape, places, inside).T
    if name == "scatter-sub":
        updates = -updates
    if name == "scatter-mul":
        if is_complex(call.operands[0]):
            return dynamic_scatter_rule(call)
        ones = lax.full_like(call.operands[0], 1)
        (factors,) = call.with_operands([ones, *call.operands[1:]]).evaluate()
        operand = _diagonal(factors)
        updates = _diagonal(call.operands[0]) @ updates
    (result,) = call.evaluate()
    row = [real_block(operand, result), None, real_block(updates, result)]
    return [result], [[block if want else None for block, want in zip(row, call.wanted, strict=True)]]


@register_batched("scatter-min", "scatter-max")
def _scatter_extremum(call: Call) -> tuple[list[Any], Blocks]:
    """In a sparse Jacobian every entry moves one of the result: pulling ones back gives all derivatives."""
    call = clipped(call)
    operand, indices, updates = call.operands
    known = call.known(1) if call.sparse and not is_complex(operand) else None
    if known is None:
        return dynamic_scatter_rule(call)
    shape, params = np.shape(operand), call.params
    numbers, sizes = as_gather(params["dimension_numbers"], np.shape(updates), len(shape))
    places, inside = _places(shape, known, np.shape(updates), numbers, sizes, params["mode"])

    def extremum(operand: Any, updates: Any) -> Any:
        return call.with_operands([operand, indices, updates]).evaluate()[0]

    result, pull = jax.vjp(extremum, operand, updates)
    of_operand, of_updates = pull(lax.full_like(result, 1))
    copies = _selection(np.shape(updates), shape, places, inside).T
    row = [_diagonal(of_operand), None, copies @ _diagonal(of_updates)]
    return [result], [[block if want else None for block, want in zip(row, call.wanted, strict=True)]]


def _kept(shape: tuple[int, ...], targets: tuple[np.ndarray, ...]) -> Block:
    """The block of an array of which the entries at some places, each named once, are overwritten."""
    count = math.prod(np.shape(targets[0])) if shape else 1
    if shape and count:
        starts = [int(target.min()) for target in targets]
        box = [int(target.max()) + 1 - start for target, start in zip(targets, starts, strict=True)]
        if math.prod(box) == count:
            return block_around(shape, starts, box)
    kept = np.ones(shape, bool)
    kept[targets] = False
    return _selection(shape, shape, list(np.indices(shape)), kept)


def _diagonal(value: Any) -> Block:
    dims, sizes = label_dims(np.shape(value))
    return arranged_block(dims, dims, sizes, value, range(len(sizes)))


def _selection(
    out_shape: Sequence[int], in_shape: Sequence[int], places: Sequence[np.ndarray], inside: np.ndarray
) -> Block:
    """The block of a copy of static places.

    Args:
        out_shape: the shape of the output.
        in_shape: the shape of the input.
        places: for every input dimension the index that each output entry copies.
        inside: which output entries are copies; the others are no function of the input.
    """
    if not inside.any():
        return Block.zero(out_shape, in_shape)
    if inside.all():
        out = [[axis] for axis in range(len(out_shape))]
        labels = tuple(range(len(out_shape)))
        in_ = [[digit_table(radix, labels, place)] for radix, place in zip(in_shape, places, strict=True)]
        return unit_block(out, in_, out_shape)
    entries = np.nonzero(inside)
    in_ = listed_dims(in_shape, [place[inside] for place in places])
    return unit_block(listed_dims(out_shape, entries), in_, [len(entries[0])])


def _places(
    operand_shape: Sequence[int],
    indices: np.ndarray,
    window_shape: Sequence[int],
    numbers: lax.GatherDimensionNumbers,
    slice_sizes: Sequence[int],
    mode: Any,
) -> tuple[list[np.ndarray], np.ndarray]:
    """Which operand entry each entry of a gather's result, or of a scatter's updates, belongs to.

    Follows the definition of `Gather` and `Scatter` in the XLA operation semantics.

    Returns:
        for every operand dimension the index, and which entries lie inside the operand.
    """
    grid = np.indices(window_shape, np.int64)
    batch = tuple(grid[axis] for axis in range(len(window_shape)) if axis not in numbers.offset_dims)
    starts = [np.zeros(window_shape, np.int64) for _ in operand_shape]
    for at, axis in enumerate(numbers.start_index_map):
        starts[axis] = np.asarray(indices[..., at], np.int64)[batch]
    inside = np.ones(window_shape, bool)
    for axis, (size, window) in enumerate(zip(operand_shape, slice_sizes, strict=True)):
        last = size - window
        if mode is lax.GatherScatterMode.CLIP:
            starts[axis] = np.clip(starts[axis], 0, last)
        inside &= (starts[axis] >= 0) & (starts[axis] <= last)
    batching = zip(numbers.operand_batching_dims, numbers.start_indices_batching_dims, strict=True)
    for axis, of_indices in batching:
        starts[axis] = batch[of_indices]
    offsets = iter(numbers.offset_dims)
    hidden = {*numbers.collapsed_slice_dims, *numbers.operand_batching_dims}
    places = [start if axis in hidden else start + grid[next(offsets)] for axis, start in enumerate(starts)]
    return [np.broadcast_to(place, window_shape) for place in places], np.asarray(inside)


@register_batched("dynamic_slice")
def _dynamic_slice(call: Call) -> tuple[list[Any], Blocks]:
    starts = [call.known(at) for at in range(1, len(call.operands))]
    if any(start is None for start in starts):
        return dynamic_slice_rule(call)
    (result,) = call.evaluate()
    in_shape = np.shape(call.operands[0])
    lines = [(start, 1) for start in _clamped(starts, in_shape, result.shape)]
    block = copy_block(result.shape, in_shape, result.shape, in_=lines)
    return [result], [[real_block(block, result), *[None] * len(starts)]]


@register_batched("dynamic_update_slice")
def _dynamic_update_slice(call: Call) -> tuple[list[Any], Blocks]:
    known = [call.known(at) for at in range(2, len(call.operands))]
    if any(start is None for start in known):
        return dynamic_update_slice_rule(call)
    shape, update_shape = np.shape(call.operands[0]), np.shape(call.operands[1])
    starts = _clamped(known, shape, update_shape)
    blocks: list[Block | None] = [None] * len(call.operands)
    if call.wanted[1]:
        blocks[1] = copy_block(shape, update_shape, update_shape, [(start, 1) for start in starts])
    if call.wanted[0]:
        blocks[0] = block_around(shape, starts, update_shape)
    (result,) = call.evaluate()
    return [result], [[block and real_block(block, result) for block in blocks]]


@register_rule("select_n")
def _select(call: Call) -> tuple[list[Any], Blocks]:
    """A choice; what is known to be taken at few places, such as a diagonal, is copied at those alone.

    In a sparse Jacobian whatever is known to be taken is.
    """
    results, (row,) = elementwise(call)
    (result,) = results
    choice = call.known(0)
    which = call.operands[0]
    if choice is None and call.placed and np.shape(which) == result.shape and not is_complex(result):
        for at in call.moving:
            taken = which == at - 1 if which.dtype != bool else which if at == 2 else lax.bitwise_not(which)
            row[at] = _diagonal(selection(taken))
    if choice is not None and result.size:
        places = list(np.indices(result.shape, np.int32))
        for at in call.moving:
            taken = np.broadcast_to(choice == at - 1, result.shape)
            if call.sparse:
                out, sizes = label_dims(result.shape)
                row[at] = arranged_block(out, out, sizes, taken, range(len(sizes)))
            elif _RARE * np.count_nonzero(taken) <= result.size:
                row[at] = _selection(result.shape, result.shape, places, taken)
    return results, [row]


def _clamped(starts: Sequence[Any], shape: Sequence[int], window: Sequence[int]) -> list[int]:
    return [
        min(max(int(start), 0), size - width)
        for start, size, width in zip(starts, shape, window, strict=True)
    ]
