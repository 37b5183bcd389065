"""Windows that slide over arrays: pooling and convolution."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from .._trace import is_differentiable
from ..sparse import Block, added_label, arranged_block, label_dims
from ._batched import STATIC_LIMIT, Apart, Fun, Tie, by_columns, register_batched, tied_blocks
from ._dense import view_shape
from ._registry import Blocks, Call, far_fewer, register_pulling, register_pushing
from ._sparse_windows import cut_to_tiles, places_in_windows, sparse_convolution
from ._window import Window


def _windows(call: Call, in_shape: Sequence[int], out_shape: Sequence[int]) -> list[Window]:
    params = call.params
    ones = (1,) * len(out_shape)
    columns = zip(
        in_shape,
        out_shape,
        params["window_dimensions"],
        params["window_strides"],
        params["padding"],
        params.get("base_dilation", ones),
        params.get("window_dilation", ones),
        strict=True,
    )
    return [Window(*column) for column in columns]


def _tiles(windows: Sequence[Window]) -> tuple[list[tuple[int, ...]], list[tuple[int, int]]]:
    """The parts of the inputs' dimensions, and which of them is which dimension of the results."""
    parts = [window.parts for window in windows]
    first = _first_parts(parts)
    return parts, [(first[dim], dim) for dim, window in enumerate(windows) if window.is_tiling]


@register_batched("reduce_window", "reduce_window_max", "reduce_window_min")
def _reduce_window(call: Call, constant: bool = False) -> tuple[list[Any], Blocks]:
    """Operands of the shape of the first; in a generic reduction their initial values follow."""
    results = call.evaluate()
    shape = np.shape(call.operands[0])
    windows = _windows(call, shape, np.shape(results[0]))
    if call.sparse and (cut := cut_to_tiles(call, windows, results[0])) is not None:
        tiled, places = cut
        _, ((block, *others),) = _reduce_window(replace(tiled, sparse=False), constant)
        return results, [[block and block.compose(places), *others]]
    parts, tiles = _tiles(windows)
    ties = [Tie(part, dim, constant) for part, dim in tiles]
    generic = call.primitive.name == "reduce_window"

    def column(at: int) -> list[Block | None]:
        slides = np.shape(call.operands[at]) == shape
        return tied_blocks(
            call,
            at,
            _of_one_of_many(call, at) if generic else call.of_operand(at),
            results,
            Apart(ties, parts) if slides else Apart(()),
            pull_first=True,  # the jvp of a maximum packs two numbers into one, which not every device can
            selects=not constant and not generic,
        )

    return results, by_columns(call, column)


def _of_one_of_many(call: Call, at: int) -> Fun:
    """JAX differentiates a generic reduction with respect to all its operands or none."""
    half = len(call.operands) // 2

    def fun(moving: Any) -> list[Any]:
        operands = list(call.operands)
        operands[at] = moving
        for k in range(half if at < half else 0):
            if k != at and is_differentiable(operands[k]):
                all_false = lax.full_like(operands[k], False, bool)
                likened = lax.convert_element_type(moving, operands[k].dtype)
                operands[k] = lax.select(all_false, likened, operands[k])
        return call.with_operands(operands).evaluate()

    return fun


@register_batched("reduce_window_sum")
def _reduce_window_sum(call: Call) -> tuple[list[Any], Blocks]:
    """A static matrix of zeros and ones for every dimension; for all of them their Kronecker product."""
    (result,) = call.evaluate()
    (operand,) = call.operands
    if not result.size or not np.size(operand):
        return [result], [[None]]
    windows = _windows(call, np.shape(operand), result.shape)
    if call.sparse and not all(window.is_tiling for window in windows):
        return [result], [[places_in_windows(windows)]]
    patterns = [window.pattern() for window in windows]
    if math.prod(pattern.size for pattern in patterns) > STATIC_LIMIT:
        return _reduce_window(call, constant=True)
    out, sizes = label_dims(view_shape(result))
    in_ = list(out)
    value = np.ones((), jnp.finfo(result.dtype).dtype)
    axes: list[int] = []
    for dim, (window, pattern) in enumerate(zip(windows, patterns, strict=True)):
        fresh = added_label(window.parts[-1], sizes)
        in_[dim] = out[dim] + fresh if window.is_tiling else fresh
        if not pattern.all():
            value = np.multiply.outer(value, pattern)
            axes += fresh if window.is_tiling else out[dim] + fresh
    return [result], [[arranged_block(out, in_, sizes, value, axes)]]


@register_batched("select_and_gather_add")
def _select_and_gather_add(call: Call) -> tuple[list[Any], Blocks]:
    """JAX differentiates what is gathered, not what selects it."""
    return _reduce_window(replace(call, wanted=(call.wanted[0], False)))


@register_batched("select_and_scatter_add")
def _select_and_scatter_add(call: Call) -> tuple[list[Any], Blocks]:
    """JAX differentiates what is scattered, not what selects its places."""
    (result,) = call.evaluate()
    if not call.wanted[0]:
        return [result], [[None, None]]
    parts, tiles = _tiles(_windows(call, result.shape, np.shape(call.operands[0])))
    ties = [Tie(dim, part) for part, dim in tiles]
    apart = Apart(ties, result_parts=parts)
    (block,) = tied_blocks(call, 0, call.of_operand(0), [result], apart, selects=True)
    return [result], [[block, None]]


def _kernel_windows(call: Call, out_shape: Sequence[int]) -> list[Window]:
    """The window of a convolution's kernel along every spatial dimension."""
    (left, right), params = map(np.shape, call.operands), call.params
    left_spec, right_spec, out_spec = params["dimension_numbers"]
    columns = zip(
        (left[dim] for dim in left_spec[2:]),
        (out_shape[dim] for dim in out_spec[2:]),
        (right[dim] for dim in right_spec[2:]),
        params["window_strides"],
        params["padding"],
        params["lhs_dilation"],
        params["rhs_dilation"],
        strict=True,
    )
    return [Window(*column) for column in columns]


@register_batched("conv_general_dilated")
def _conv(call: Call) -> tuple[list[Any], Blocks]:
    """Images of a batch, groups of features and tiles of pixels are apart; for the kernel, its outputs."""
    (result,) = call.evaluate()
    params = call.params
    left, right = (np.shape(operand) for operand in call.operands)
    left_spec, right_spec, out_spec = params["dimension_numbers"]
    windows = _kernel_windows(call, result.shape)
    if call.sparse and result.size:
        return [result], sparse_convolution(call, windows, result.shape)
    batch_groups, groups = params["batch_group_count"], params["feature_group_count"]
    out_groups = max(batch_groups, groups)
    left_parts: list[tuple[int, ...]] = [()] * len(left)
    right_parts: list[tuple[int, ...]] = [(size,) for size in right]
    out_parts: list[tuple[int, ...]] = [(size,) for size in result.shape]
    left_parts[left_spec[0]] = (batch_groups, left[left_spec[0]] // batch_groups)
    left_parts[left_spec[1]] = (groups, left[left_spec[1]] // groups)
    right_parts[right_spec[0]] = (out_groups, right[right_spec[0]] // out_groups)
    out_parts[out_spec[1]] = (out_groups, result.shape[out_spec[1]] // out_groups)
    tiled: list[tuple[int, int]] = []
    for window, left_dim, out_dim in zip(windows, left_spec[2:], out_spec[2:], strict=True):
        left_parts[left_dim] = window.parts
        tiled += [(left_dim, out_dim)] * window.is_tiling
    left_at, right_at, out_at = (_first_parts(parts) for parts in (left_parts, right_parts, out_parts))
    group = left_at[left_spec[0]] if batch_groups > 1 else left_at[left_spec[1]]
    batch = left_at[left_spec[0]] + 1
    out_group = out_at[out_spec[1]]
    left_ties = [Tie(group, out_group), Tie(batch, out_at[out_spec[0]], constant=True)]
    left_ties += [Tie(left_at[left_dim], out_at[out_dim], constant=True) for left_dim, out_dim in tiled]
    kernel = right_at[right_spec[0]]
    right_ties = [Tie(kernel, out_group), Tie(kernel + 1, out_group + 1, constant=True)]
    apart = Apart(left_ties, left_parts, out_parts), Apart(right_ties, right_parts, out_parts)
    columns = by_columns(call, lambda at: tied_blocks(call, at, call.of_operand(at), [result], apart[at]))
    return [result], columns


@register_pulling("conv_general_dilated")
@register_pushing("conv_general_dilated")
def _moving_through_a_convolution(call: Call, moved: int) -> bool:
    """The Jacobian takes a convolution for every number of an image, or of a kernel."""
    images, kernels, _ = call.params["dimension_numbers"]
    at, features = (0, images[0]) if call.wanted[0] else (1, kernels[0])
    return far_fewer(moved, _numbers_beside(np.shape(call.operands[at]), [features]))


@register_pulling("reduce_window_max", "reduce_window_min")
@register_pushing("reduce_window_max", "reduce_window_min")
def _moving_through_a_reduction(call: Call, moved: int) -> bool:
    """The Jacobian takes a derivative for every number along the dimensions in which windows slide."""
    still = [dim for dim, size in enumerate(call.params["window_dimensions"]) if size == 1]
    return far_fewer(moved, _numbers_beside(np.shape(call.operands[0]), still))


def _numbers_beside(shape: Sequence[int], dims: Sequence[int]) -> int:
    return math.prod(size for dim, size in enumerate(shape) if dim not in dims)


def _first_parts(parts: Sequence[Sequence[int]]) -> list[int]:
    """The position of the first part of every dimension."""
    return list(itertools.accumulate((len(dim) for dim in parts[:-1]), initial=0))
