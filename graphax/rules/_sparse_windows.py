"""Convolutions and windows whose Jacobians are to be sparse: along every dimension the places that meet."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np

from .._trace import is_complex
from ..sparse import (
    Block,
    Digit,
    added_label,
    arranged_block,
    digit_table,
    unit_block,
    with_support,
    without_zeros,
)
from ._complex import factor_block
from ._registry import Blocks, Call
from ._window import Meetings, Window

Dims = list[list[int | Digit]]

#: A kernel with more entries along one dimension is a list of what meets, and no sum of diagonals.
_MOST_DIAGONALS = 16


def sparse_convolution(call: Call, windows: Sequence[Window], out_shape: Sequence[int]) -> Blocks:
    """The blocks of a convolution, dense in the features of a group alone; those of the real views.

    Along every spatial dimension one label runs through the results and entries of the kernel that meet in
    an input; tables say which these three are. The value is the other operand, at these places. By an array
    with one spatial dimension it is a diagonal for each of a few entries of the kernel.

    Args:
        call: the convolution.
        windows: that of the kernel along every spatial dimension.
        out_shape: the shape of the result.
    """
    specs, shapes = call.params["dimension_numbers"], [*map(np.shape, call.operands), out_shape]
    batch_groups = call.params["batch_group_count"]
    out_groups = max(batch_groups, call.params["feature_group_count"])
    sizes: list[int] = []
    group, batch = added_label(out_groups, sizes), added_label(out_shape[specs.out_spec[0]], sizes)
    features = added_label(shapes[1][specs.rhs_spec[1]], sizes)
    produced = added_label(out_shape[specs.out_spec[1]] // out_groups, sizes)
    meetings = [window.meetings for window in windows]
    if not all(len(results) for results, _, _ in meetings):
        return [[None] * len(call.operands)]
    complex_numbers = any(map(is_complex, call.operands))
    grouped = ([*group, *batch], features) if batch_groups > 1 else (batch, [*group, *features])
    ends = grouped, ([*group, *produced], features), (batch, [*group, *produced])

    def block(wanted: int, meetings: Sequence[Meetings], entry: int | None = None) -> Block:
        """By an operand, at these meetings; those of one entry of the kernel are one number."""
        all_sizes = list(sizes)
        entries = [added_label(len(results), all_sizes) for results, _, _ in meetings]
        held: list[list[list[int]]] = []
        placed: list[Dims] = []
        for spec, shape, (first, second), at in zip(specs, shapes, ends, (1, 2, 0), strict=True):
            labels: list[list[int]] = [[] for _ in shape]
            labels[spec[0]], labels[spec[1]] = first, second
            dims: Dims = [list(dim) for dim in labels]
            for dim, label, meeting in zip(spec[2:], entries, meetings, strict=True):
                labels[dim] = label if entry is None else []
                dims[dim] = [digit_table(shape[dim], label, meeting[at])]
            held.append(labels)
            placed.append(dims)
        other = 1 - wanted

        def met(array: Any) -> Any:
            take = np if isinstance(array, np.ndarray) else jnp
            for dim, meeting in zip(specs[other][2:], meetings, strict=True):
                places = meeting[1 + other] if entry is None else np.array([entry])
                array = take.take(array, places, axis=dim)
            return array

        axes = [label for dim in held[other] for label in dim]
        if complex_numbers:
            found = factor_block(call, other, (placed[2], placed[wanted], all_sizes, axes), met)
            return without_zeros(found, at_last=True)
        support = call.support(other)
        value = with_support(met(call.factor(other)), support and support.map(met))
        found = arranged_block(placed[2], placed[wanted], all_sizes, value, axes)
        return without_zeros(found, at_last=True)

    def row(wanted: int) -> Block:
        if wanted or complex_numbers or len(windows) != 1 or windows[0].size > _MOST_DIAGONALS:
            return block(wanted, meetings)
        found = [(entry, meetings[0].of_entry(entry)) for entry in range(windows[0].size)]
        diagonals = [block(0, [those], entry) for entry, those in found if len(those.results)]
        return functools.reduce(Block.plus, diagonals)

    return [call.row(row)]


def cut_to_tiles(call: Call, windows: Sequence[Window], result: Any) -> tuple[Call, Block] | None:
    """A reduction over windows that overlap as one over tiles, and the Jacobian of these by the operand.

    Args:
        call: the reduction of one array.
        windows: that along every dimension.
        result: the result.

    Returns:
        the reduction of what lies in all windows, one after another, and where that comes from; None where
        windows do not overlap, or not one array alone is differentiated.
    """
    alone = call.wanted[0] and not any(call.wanted[1:]) and len(call.operands) <= 2
    if not alone or is_complex(result) or all(window.is_tiling for window in windows):
        return None
    array = call.operands[0]
    outside = np.zeros((1,) * len(windows), bool)
    for dim, window in enumerate(windows):
        results, inputs, places = window.meetings
        source = np.full(window.out_size * window.size, -1)
        source[results * window.size + places] = inputs
        array = jnp.take(array, np.maximum(source, 0), axis=dim)
        outside = outside | np.expand_dims(source < 0, [at for at in range(len(windows)) if at != dim])
    if outside.any():
        array = jnp.where(outside, _identity(call, array.dtype), array)
    ones = (1,) * len(windows)
    params = call.params | {
        "window_strides": call.params["window_dimensions"],
        "padding": ((0, 0),) * len(windows),
        "base_dilation": ones,
        "window_dilation": ones,
    }
    shown = {name: value for name, value in params.items() if name in call.params}
    tiles = replace(call.with_operands([array, *call.operands[1:]]), params=shown)
    return tiles, places_in_windows(windows, tiled=True)


def places_in_windows(windows: Sequence[Window], tiled: bool = False) -> Block:
    """A one for every place of an input in a window.

    Args:
        windows: those along every dimension.
        tiled: whether the results are what lies in all windows, one after another.
    """
    sizes: list[int] = []
    out: Dims = []
    in_: Dims = []
    for window in windows:
        results, inputs, places = window.meetings
        size = window.out_size * (window.size if tiled else 1)
        label = added_label(len(inputs), sizes)
        out.append([digit_table(size, label, results * window.size + places if tiled else results)])
        in_.append([digit_table(window.in_size, label, inputs)])
    if 0 in sizes:
        spread = [window.size if tiled else 1 for window in windows]
        shape = [window.out_size * size for window, size in zip(windows, spread, strict=True)]
        return Block.zero(shape, [window.in_size for window in windows])
    return unit_block(out, in_, sizes)


def _identity(call: Call, dtype: Any) -> Any:
    """What stands outside of the operand."""
    if len(call.operands) == 2:
        return call.operands[1]
    return jnp.asarray(
        {"reduce_window_max": -np.inf, "reduce_window_min": np.inf}[call.primitive.name], dtype
    )
