"""Copies of entries at places that are known at run time only, as blocks without zeros for the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from .._trace import is_complex
from ..sparse import AtRunTime, Block, Digit, Scaled, expand, label_dims, numbers_of, placed_block, selection
from ._registry import Call
from ._scatter_apply import as_gather

Labels = list[int]


def wants_places(call: Call, result: Any) -> bool:
    """Whether the block of a call with respect to its first operand holds places, and no zeros."""
    operands = [call.operands[at] for at in call.moving]
    return call.placed and all(not is_complex(array) and np.size(array) for array in (*operands, result))


def taken_along(places: Any, shape: Sequence[int], axis: int) -> Block | None:
    """The block of ``take_along_axis(operand, places, axis)``; None where there is but one place.

    Args:
        places: the places.
        shape: of the operand.
        axis: the axis.
    """
    if shape[axis] == 1:
        return None
    out, sizes = label_dims(places.shape)
    labels = [label for dim in out for label in dim]
    index = AtRunTime(labels, lax.reshape(places, [sizes[label] for label in labels]), shape[axis])
    return placed_block(out, [*out[:axis], index, *out[axis + 1 :]], sizes)


def sliced(starts: Sequence[Any], shape: Sequence[int], window: Sequence[int]) -> Block | None:
    """The block of a dynamic slice; None where the slice is the whole.

    Args:
        starts: the first index in every dimension; clamped so that the slice fits.
        shape: of the operand.
        window: of the slice.
    """
    out, sizes = label_dims(window)
    in_: list[Any] = []
    for dim, start, size, width in zip(out, starts, shape, window, strict=True):
        if width == size:
            in_.append(dim)
        else:
            first = jnp.clip(start, 0, size - width)
            in_.append(AtRunTime(dim, _run(first, width) if dim else first, size))
    return placed_block(out, in_, sizes) if any(isinstance(dim, AtRunTime) for dim in in_) else None


def gathered(
    call: Call,
    out_shape: Sequence[int],
    in_shape: Sequence[int],
    indices: Any,
    numbers: lax.GatherDimensionNumbers,
    slice_sizes: Sequence[int],
    taken: Any = None,
) -> Block | None:
    """The block of a gather; None where no dimension is indexed in more than one way.

    Args:
        call: of a gather, or a scatter.
        out_shape, in_shape: of the result and of the operand.
        indices, numbers, slice_sizes: of the gather.
        taken: which entries of the result are copies at all; all of them if left out.
    """
    mode = call.params["mode"]
    shapes = tuple(out_shape), tuple(in_shape), tuple(slice_sizes)
    key = "gathered", id(indices), numbers, *shapes, mode
    if taken is None and key in call.shared:
        return call.shared[key][0]
    found = _gathered(*shapes, indices, numbers, mode, taken)
    if taken is None:
        call.shared[key] = found, indices  # which live as long as their identity is used
    return found


def _gathered(
    out_shape: Sequence[int],
    in_shape: Sequence[int],
    slice_sizes: Sequence[int],
    indices: Any,
    numbers: lax.GatherDimensionNumbers,
    mode: Any,
    taken: Any,
) -> Block | None:
    out, sizes = label_dims(out_shape)
    every = [label for dim in out for label in dim]
    batch = [dim for at, dim in enumerate(out) if at not in numbers.offset_dims]
    of_indices = [label for dim in batch for label in dim]
    hidden = {*numbers.collapsed_slice_dims, *numbers.operand_batching_dims}
    windows = iter(numbers.offset_dims)
    offsets = [[] if axis in hidden else out[next(windows)] for axis in range(len(in_shape))]
    clips = mode is lax.GatherScatterMode.CLIP  # else what is beyond is no entry, as where JAX pulls back
    inside = None if taken is None else lax.reshape(taken, [sizes[label] for label in every])
    in_: list[Any] = []
    for axis, (size, width) in enumerate(zip(in_shape, slice_sizes, strict=True)):
        if axis in numbers.operand_batching_dims:
            at = numbers.operand_batching_dims.index(axis)
            in_.append(batch[numbers.start_indices_batching_dims[at]])
            continue
        if axis not in numbers.start_index_map:
            in_.append([Digit(size, tuple(offsets[axis]))] if size != 1 else [])
            continue
        start = indices[..., numbers.start_index_map.index(axis)]
        start = lax.reshape(start, [sizes[label] for label in of_indices])
        if clips:
            start = jnp.clip(start, 0, size - width)
        else:
            there = expand((start >= 0) & (start <= size - width), of_indices, every)
            inside = there if inside is None else inside & there
        if size == width:
            in_.append(offsets[axis])
        elif offsets[axis]:
            labels = [*of_indices, *offsets[axis]]
            in_.append(AtRunTime(labels, jnp.expand_dims(start, -1) + _run(0, width, start.dtype), size))
        else:
            in_.append(AtRunTime(of_indices, start, size))
    found = next((axis for axis, dim in enumerate(in_) if isinstance(dim, AtRunTime)), None)
    if found is None:
        return None
    if inside is not None:
        in_[found] = _only(in_[found], inside, every)
    return placed_block(out, in_, sizes)


def as_mask(block: Block | None) -> Block | None:
    """A block of zeros and ones as that of a selection."""
    if block is None:
        return None
    ((array, scale),) = block.values
    return replace(block, values=(Scaled(selection(numbers_of(array) != 0), scale),))


def _run(first: Any, count: int, dtype: Any = np.int32) -> Any:
    return first + np.arange(count, dtype=dtype)


def _only(index: AtRunTime, inside: Any, every: Sequence[int]) -> AtRunTime:
    """The index with its size where there is no entry.

    Args:
        index: the index.
        inside: where there is one, an array with axes for all labels.
        every: all labels.
    """
    varies = [label for label, size in zip(every, inside.shape, strict=True) if size != 1]
    labels = [label for label in every if label in varies or label in index.labels]
    mask = lax.reshape(
        inside, [size for label, size in zip(every, inside.shape, strict=True) if label in labels]
    )
    return AtRunTime(
        labels, jnp.where(mask, expand(index.array, index.labels, labels), index.size), index.size, False
    )


def scattered(call: Call, shape: Sequence[int]) -> Block | None:
    """The block of a scatter that sets or adds its updates with respect to these; None as for gathers.

    Of several updates that are set at one place the last one is, which is found by setting their numbers.
    """
    _, indices, updates = call.operands
    params = call.params
    numbers, sizes = as_gather(params["dimension_numbers"], np.shape(updates), len(shape))
    taken = None
    if call.primitive.name == "scatter" and not params["unique_indices"]:
        order = np.arange(1, np.size(updates) + 1, dtype=np.int32).reshape(np.shape(updates))
        zeros = lax.full(shape, 0, np.int32)
        last = lax.scatter(zeros, indices, order, params["dimension_numbers"], mode=params["mode"])
        taken = lax.gather(last, indices, numbers, sizes, mode=params["mode"], fill_value=0) == order
    block = gathered(call, np.shape(updates), shape, indices, numbers, sizes, taken)
    if block is None:
        return None
    return -block.T if call.primitive.name == "scatter-sub" else block.T
